"""Compare the parameters of an operation: which there are, how they are written into a request, and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract.diff_rows import Pair, Severity, annotation_rows, described, order_rows
from contract.diff_schemas import schema_rows
from contract.schemas import Sender
from contract.serialisation import (
    is_exploded,
    is_scalar,
    is_unreserved,
    shows_explosion,
    single_item,
    style,
    written_as,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from contract.diff_rows import Change
    from contract.document import Document
    from contract.model import Operation, Parameter

_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

# OpenAPI says so: the content types and the authentication are described elsewhere.
_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})
SERIALISATION = ("content", "schema", "style", "explode", "allowReserved")
"""The keys of a parameter or a header that `serialisation_rows` and `schema_rows` compare."""


def parameter_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield what changed about the parameters of an operation, and about the rules between them."""
    before, after = ({each.key: each for each in operation.parameters} for operation in (old, new))
    for key, parameter in before.items():
        if key in after:
            yield from _one_parameter_rows(pair, parameter, after[key])
        else:
            yield pair.row(parameter.location, "parameter removed", _COSMETIC if _is_ignored(key) else _BREAKING)
    for key, parameter in ((key, parameter) for key, parameter in after.items() if key not in before):
        kind = "required parameter added" if parameter.required else "parameter added"
        severity = _COSMETIC if _is_ignored(key) else _BREAKING if parameter.required else _COMPATIBLE
        yield pair.row(parameter.location, kind, severity)
    yield from order_rows(pair, before, after, "parameters", "parameters")
    yield from _rule_rows(pair, old, new)


def _one_parameter_rows(pair: Pair, old: Parameter, new: Parameter) -> Iterator[Change]:
    place = old.location
    if old.required != new.required:
        kind, severity = ("now required", _BREAKING) if new.required else ("no longer required", _COMPATIBLE)
        yield pair.row(place, kind, severity)
    before, after = (parameter.raw.get("allowEmptyValue") is True for parameter in (old, new))
    if before != after:
        severity = _BREAKING if before else _COMPATIBLE
        yield pair.row(place, described("allowEmptyValue", before, after), severity)
    compared = ("in", "name", "required", "allowEmptyValue", *SERIALISATION)
    yield from annotation_rows(pair, old.raw, new.raw, place, compared=compared)
    yield from serialisation_rows(pair, old, new, place)
    item = single_item(pair.new, new) if is_scalar(pair.old, old) else None
    if item is not None:
        yield pair.row(place, "list accepted", _COMPATIBLE)
    yield from schema_rows(pair, old.schema, new.schema if item is None else item, place, Sender.CONSUMER)


def serialisation_rows(pair: Pair, old: Parameter, new: Parameter, place: str) -> Iterator[Change]:
    """Yield a row for each way in which the text of a parameter or a header changes while its value does not."""
    kinds = written_as(pair.old, old), written_as(pair.new, new)
    if kinds[0] != kinds[1]:
        yield pair.row(place, described("serialisation", kinds[0], kinds[1]), _BREAKING)
    if old.media_type or new.media_type:
        return
    before, after = style(old), style(new)
    if before != after:
        yield pair.row(place, described("style", before, after), _BREAKING)
    exploded = is_exploded(old), is_exploded(new)
    if exploded[0] != exploded[1]:
        becomes_list = is_scalar(pair.old, old) and single_item(pair.new, new) is not None
        shows = any(shows_explosion(reader, each) for reader, each in ((pair.old, old), (pair.new, new)))
        shows = shows and not becomes_list
        yield pair.row(place, described("explode", *exploded), _BREAKING if shows else _COSMETIC)
    reserved = tuple(each.raw.get("allowReserved") is True for each in (old, new))
    if reserved[0] != reserved[1]:
        # Percent-encoded values are accepted as before; a raw reserved character, such as `:`, may now be refused.
        is_lost = reserved[0] and old.place == "query" and not is_unreserved(pair.old.level(old.schema))
        yield pair.row(place, described("allowReserved", *reserved), _BREAKING if is_lost else _COSMETIC)


def _is_ignored(key: tuple[str, str]) -> bool:
    return key[0] == "header" and key[1] in _IGNORED_HEADERS


def _rule_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield a row per rule between parameters that is new or gone; a new one that refuses what was accepted breaks."""
    before, after = list(old.rules or ()), list(new.rules or ())
    known = {parameter.name for parameter in old.parameters}
    added = [rule for rule in after if rule not in before]
    gone = [rule for rule in before if rule not in after]
    refusing = [rule for rule in added if _refuses(rule, before, known)]
    is_same = not refusing and not any(
        _refuses(rule, after, {parameter.name for parameter in new.parameters}) for rule in gone
    )
    for rule in added:
        severity = _BREAKING if rule in refusing else _COSMETIC if is_same else _COMPATIBLE
        yield pair.row("x-rules", f"rule added: {_rule_text(rule)}", severity)
    for rule in gone:
        yield pair.row("x-rules", f"rule removed: {_rule_text(rule)}", _COSMETIC if is_same else _COMPATIBLE)
    yield from order_rows(pair, map(_rule_text, before), map(_rule_text, after), "x-rules", "rules")


def _refuses(rule: Document, given: Sequence[Document], known: set[str]) -> bool:
    """Tell whether a rule refuses a request of `known` parameters that the given rules allow, or may do so."""
    names = _names(rule)
    same_kind = [_names(each) for each in given if each.get("rule") == rule.get("rule")]
    if rule.get("rule") == "alone":
        return any(name in known and not any(name in each for each in same_kind) for name in names)
    if rule.get("rule") == "together":
        return any(name in known for name in names) and not any(set(names) <= set(each) for each in same_kind)
    if rule.get("rule") == "ascending":
        return set(names) <= known and names not in same_kind
    return True


def _names(rule: Document) -> list[str]:
    names = rule.get("parameters")
    return list(map(str, names)) if isinstance(names, list) else []


def _rule_text(rule: Document) -> str:
    return f"{rule.get('rule')} {', '.join(_names(rule))}"
