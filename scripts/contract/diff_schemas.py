"""Compare two schemas keyword by keyword, knowing who sends the value."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from contract.diff_rows import Change, Pair, Severity, annotation_rows, described, order_rows, same
from contract.patterns import texts_covered
from contract.schemas import (
    ASSERTIONS,
    TYPES,
    Schema,
    Sender,
    covers,
    excludes,
    numeric_formats,
    references,
    types_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.document import Trail

_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

_WIDENED = frozenset({("int32", "int64"), ("float", "double")})
"""Formats of numbers, each with one that holds all its values."""
_KEYWORDS_WITH_RULES = frozenset({"type", "enum", "format", "properties", "required", "items", "additionalProperties"})
# Keywords that bound one quantity together: `minimum: 1` of an integer is `exclusiveMinimum: 0`.
_KEYWORD_GROUPS = (
    ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    ("minLength", "maxLength", "pattern"),
    ("minItems", "maxItems", "uniqueItems"),
    ("minProperties", "maxProperties"),
)
_ALTERNATIVES = {"anyOf", "oneOf"}
_SINGLE_KEYWORDS = tuple(
    (key,) for key in sorted(ASSERTIONS - _KEYWORDS_WITH_RULES - set(chain.from_iterable(_KEYWORD_GROUPS)))
)


def schema_rows(pair: Pair, old: Any, new: Any, location: str, sender: Sender) -> list[Change]:
    """Return what changed between two raw schemas.

    The rules compare one keyword at a time. A comparison of the two schemas as wholes can overrule them: a request
    schema that accepts everything the old one did breaks nobody, whatever became of its keywords, and a narrower one
    breaks even if no single keyword shows it.
    """
    place = _Place(evolve(pair, old=pair.old.facing(sender), new=pair.new.facing(sender)), location, sender)
    place = evolve(place, worst=_worst_possible(place, old, new))
    rows = list(_rows(place, old, new))
    if not any(row.severity is _BREAKING for row in rows) and _contradicted(place, old, new):
        narrowed = "no longer accepts all it did" if place.is_sent else "may be of a shape it could not have"
        rows.append(place.row(narrowed, _BREAKING))
    return rows


@frozen
class _Place:
    """Describes where a schema stands in both documents, who sends its values, and which references led there."""

    pair: Pair
    location: str
    sender: Sender
    worst: Severity = _BREAKING
    """The worst severity of a changed assertion, according to a comparison of the whole schemas."""
    trails: tuple[Trail, Trail] = (frozenset(), frozenset())

    @property
    def is_sent(self) -> bool:
        return self.sender is Sender.CONSUMER

    def row(self, kind: str, severity: Severity) -> Change:
        return self.pair.row(self.location, kind, min(severity, self.worst, key=list(Severity).index))

    def property_row(self, kind: str, severity: Severity) -> Change:
        """Return a row about a property as such: it means something also where the set of values is the same."""
        worst = max(self.worst, _COMPATIBLE, key=list(Severity).index)
        return evolve(self, worst=worst).row(kind, severity)

    def inside(self, suffix: str) -> _Place:
        return evolve(self, location=self.location + suffix)

    def severity(self, *, accepts_less: bool, surprises: bool) -> Severity:
        """Return the severity of a change: a request must not accept less, a response must not surprise its reader."""
        return _BREAKING if (accepts_less if self.is_sent else surprises) else _COMPATIBLE


def _worst_possible(place: _Place, old: Any, new: Any) -> Severity:
    readers = place.pair.old, place.pair.new
    before, after = readers[0].translate(old), readers[1].translate(new)
    if numeric_formats(before) != numeric_formats(after):
        return _BREAKING
    if covers(before, after) and covers(after, before):
        return _COSMETIC
    closed = readers[0].translate(old, closed=True), readers[1].translate(new, closed=True)
    return _COMPATIBLE if place.is_sent and covers(closed[1], closed[0]) else _BREAKING


def _contradicted(place: _Place, old: Any, new: Any) -> bool:
    reader, pair = place.pair.new, place.pair
    if place.is_sent:
        return excludes(reader.translate(new), pair.old.translate(old, closed=True))
    return not covers(pair.old.shape(old, closed=False), reader.shape(new, closed=True))


def _rows(place: _Place, old: Any, new: Any) -> Iterator[Change]:
    names = references(old), references(new)
    if names[0] & place.trails[0] and names[1] & place.trails[1]:
        return  # both schemas contain themselves, and their levels have been compared already
    place = evolve(place, trails=(place.trails[0] | names[0], place.trails[1] | names[1]))
    before, after = place.pair.old.level(old), place.pair.new.level(new)
    if names[0] != names[1]:
        yield place.row("reference changed", _COSMETIC)
    yield from annotation_rows(place.pair, before, after, place.location, compared=ASSERTIONS)
    yield from _type_rows(place, before, after)
    yield from _enum_rows(place, before, after)
    yield from _format_rows(place, before, after)
    for group in (*_KEYWORD_GROUPS, *_SINGLE_KEYWORDS):
        yield from _group_rows(place, before, after, group)
    if set(types_of(before)) & set(types_of(after)) - {"null"}:
        yield from _property_rows(place, before, after)
        yield from _hidden_rows(place, (old, new), (before, after))
        yield from _item_rows(place, before, after)
        yield from _rest_rows(place, before, after)


def _type_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    old, new = set(types_of(before)), set(types_of(after))
    if old - {"null"} != new - {"null"}:
        severity = place.severity(
            accepts_less=not _admits(new, old - {"null"}), surprises=not _admits(old, new - {"null"})
        )
        yield place.row(described("type", _type_text(old), _type_text(new)), severity)
    if "null" in old - new:
        yield place.row("null no longer admitted", place.severity(accepts_less=True, surprises=False))
    if "null" in new - old:
        yield place.row("null admitted", place.severity(accepts_less=False, surprises=True))


def _enum_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    """Yield a row per value that differs; readers treat enums as open, so in a response no value breaks them."""
    narrowed = place.severity(accepts_less=True, surprises=False)
    old, new = _values(before), _values(after)
    if old is None and new is not None:
        yield place.row("enum added", narrowed)
    elif old is not None and new is None:
        yield place.row("enum removed", _COMPATIBLE)
    elif old is not None and new is not None:
        for value in (value for value in old if value not in new):
            yield place.row(f"enum value removed: {value}", narrowed)
        for value in (value for value in new if value not in old):
            yield place.row(f"enum value added: {value}", _COMPATIBLE)
        yield from order_rows(place.pair, old, new, place.location, "enum values")


def _format_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    old, new = before.get("format"), after.get("format")
    if old != new:
        narrower, wider = (old, new) in _WIDENED, (new, old) in _WIDENED
        severity = place.severity(
            accepts_less=new is not None and not narrower, surprises=old is not None and not wider
        )
        yield place.row(described("format", old, new), severity)


def _group_rows(place: _Place, before: Schema, after: Schema, group: tuple[str, ...]) -> Iterator[Change]:
    """Yield a row per changed keyword of a group; their severity follows from what the whole group admits."""
    changed = [key for key in group if not same(before.get(key), after.get(key))]
    if changed:
        severity, doubt = _group_severity(place, before, after, group)
        for key in changed:
            yield place.row(described(key, before.get(key), after.get(key)) + doubt, severity)


def _group_severity(place: _Place, before: Schema, after: Schema, group: tuple[str, ...]) -> tuple[Severity, str]:
    """Return the severity, and a remark where it is breaking only for want of a proof that it is not."""
    old, new = before, after
    if not _ALTERNATIVES & set(group):  # these say what properties and types say elsewhere
        # Under the types that both levels have, so that nothing but the group differs.
        types = [kind for kind in types_of(before) if kind in types_of(after)] or list(TYPES)
        old, new = ({"type": types} | {key: level[key] for key in group if key in level} for level in (before, after))
    readers = place.pair.old, place.pair.new
    old_whole, new_whole = readers[0].translate(old), readers[1].translate(new)
    is_narrower = _admits_all(old_whole, new_whole, group, after)
    is_wider = _admits_all(new_whole, old_whole, group, before)
    if is_narrower and is_wider:
        return _COSMETIC, ""
    old_shape, new_shape = readers[0].shape(old, closed=False), readers[1].shape(new, closed=True)
    severity = place.severity(accepts_less=not is_wider, surprises=not covers(old_shape, new_shape))
    is_doubtful = place.is_sent and severity is place.worst is _BREAKING and is_wider is None
    return severity, " (not proven to accept all it did)" if is_doubtful else ""


def _admits_all(outer: Schema, inner: Schema, group: tuple[str, ...], level: Schema) -> bool | None:
    """Tell whether `outer` admits all that `inner`, a group of `level`, does; None where no tool decides it."""
    if covers(outer, inner):
        return True
    if "pattern" in group:
        return texts_covered(outer, inner | {key: level[key] for key in ("format",) if key in level})
    return False if excludes(outer, inner) else None


def _property_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    demanded_before, demanded = before.get("required", ()), after.get("required", ())
    # A name that is only required may have any value.
    old, new = (
        {name: {} for name in level.get("required", ()) if isinstance(name, str)} | level.get("properties", {})
        for level in (before, after)
    )
    for name in old:
        there = place.inside(f".{name}")
        if name in new:
            yield from _presence_rows(there, was=name in demanded_before, now=name in demanded)
            yield from _rows(there, old[name], new[name])
        else:
            severity = place.severity(accepts_less=True, surprises=name in demanded_before)
            yield there.property_row("property removed", severity)
    for name in (name for name in new if name not in old):
        severity = place.severity(accepts_less=name in demanded, surprises=False)
        kind = "required property added" if place.is_sent and name in demanded else "property added"
        yield place.inside(f".{name}").property_row(kind, severity)
    declared = before.get("properties", ()), after.get("properties", ())
    yield from order_rows(place.pair, declared[0], declared[1], place.location, "properties")
    yield from order_rows(place.pair, demanded_before, demanded, place.location, "required")


def _hidden_rows(place: _Place, schemas: tuple[Any, Any], visible: tuple[Schema, Schema]) -> Iterator[Change]:
    """Yield a cosmetic row per property that became hidden or visible, which is why it is gone or new."""
    readers = place.pair.old, place.pair.new
    whole = [reader.facing(None).level(schema) for reader, schema in zip(readers, schemas, strict=True)]
    hidden = [
        set(all_.get("properties", ())) - set(shown.get("properties", ()))
        for all_, shown in zip(whole, visible, strict=True)
    ]
    flag = place.sender.value
    for name in sorted(hidden[1] - hidden[0]):
        yield place.inside(f".{name}").row(f"{flag} added", _COSMETIC)
    for name in sorted(hidden[0] - hidden[1]):
        yield place.inside(f".{name}").row(f"{flag} removed", _COSMETIC)


def _presence_rows(place: _Place, *, was: bool, now: bool) -> Iterator[Change]:
    if was and not now:
        yield place.row("required became optional", place.severity(accepts_less=False, surprises=True))
    if now and not was:
        yield place.row("optional became required", place.severity(accepts_less=True, surprises=False))


def _item_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    if "items" in before or "items" in after:
        yield from _rows(place.inside("[]"), before.get("items", {}), after.get("items", {}))


def _rest_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    """Yield what changed about properties that an object may have beside those it names."""
    key = "additionalProperties"
    old, new = before.get(key, True), after.get(key, True)
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _rows(place.inside(".*"), old, new)
    elif not same(old, new):
        yield from _group_rows(place, {key: old, "type": types_of(before)}, {key: new, "type": types_of(after)}, (key,))


def _admits(outer: set[str], inner: set[str]) -> bool:
    return all(kind in outer or (kind == "integer" and "number" in outer) for kind in inner)


def _type_text(types: set[str]) -> str:
    if types | {"null"} == set(TYPES):
        return "any"
    named = types - {"null"} - ({"integer"} if "number" in types else set())
    return " or ".join(sorted(named)) or "null"


def _values(level: Schema) -> list[Any] | None:
    """Return the values of an enum without null, which `_type_rows` compares."""
    return [value for value in level["enum"] if value is not None] if "enum" in level else None
