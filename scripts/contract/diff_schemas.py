"""Compare two schemas keyword by keyword, knowing who sends the value."""

from __future__ import annotations

from enum import Enum
from itertools import chain
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from contract.diff_rows import Change, Pair, Severity, annotation_rows, described, order_rows, same
from contract.schemas import ASSERTIONS, TYPES, Schema, covers, excludes, references, types_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.document import Trail

_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

_OWN_RULE = frozenset({"type", "enum", "format", "properties", "required", "items", "additionalProperties"})
# Keywords that bound one quantity together: `minimum: 1` of an integer is `exclusiveMinimum: 0`.
_TOGETHER = (
    ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems", "uniqueItems"),
    ("minProperties", "maxProperties"),
)
_ALONE = tuple((key,) for key in sorted(ASSERTIONS - _OWN_RULE - set(chain.from_iterable(_TOGETHER))))


class Sender(Enum):
    """Who sends the value: what a consumer sends must go on being accepted, what it receives go on being readable."""

    CONSUMER = "consumer"
    SERVER = "server"


def schema_rows(pair: Pair, old: Any, new: Any, location: str, sender: Sender) -> list[Change]:
    """Return what changed between two raw schemas."""
    place = _Place(pair, location, sender)
    rows = list(_rows(place, old, new))
    if not any(row.severity is _BREAKING for row in rows) and _contradicted(place, old, new):
        # The rules look at one keyword at a time; this has looked at the whole, and outranks them.
        narrowed = "no longer accepts all it did" if place.is_sent else "may be of a shape it could not have"
        rows.append(place.row(narrowed, _BREAKING))
    return rows


@frozen
class _Place:
    """Where in which two documents a schema stands, and the references that led to it in each."""

    pair: Pair
    location: str
    sender: Sender
    trails: tuple[Trail, Trail] = (frozenset(), frozenset())

    @property
    def is_sent(self) -> bool:
        return self.sender is Sender.CONSUMER

    def row(self, kind: str, severity: Severity) -> Change:
        return self.pair.row(self.location, kind, severity)

    def inside(self, suffix: str) -> _Place:
        return evolve(self, location=self.location + suffix)

    def severity(self, *, accepts_less: bool, surprises: bool) -> Severity:
        """Judge a change by what it does to a value sent, or to one received, whichever this is."""
        return _BREAKING if (accepts_less if self.is_sent else surprises) else _COMPATIBLE


def _contradicted(place: _Place, old: Any, new: Any) -> bool:
    reader, pair = place.pair.new, place.pair
    if place.is_sent:
        return excludes(reader.translate(new), pair.old.translate(old, closed=True))
    return not covers(pair.old.shape(old, closed=False), reader.shape(new, closed=True))


def _rows(place: _Place, old: Any, new: Any) -> Iterator[Change]:
    names = references(old), references(new)
    if names[0] & place.trails[0] and names[1] & place.trails[1]:
        return  # both repeat themselves from here on
    place = evolve(place, trails=(place.trails[0] | names[0], place.trails[1] | names[1]))
    before, after = place.pair.old.level(old), place.pair.new.level(new)
    if names[0] != names[1]:
        yield place.row("reference changed", _COSMETIC)
    yield from annotation_rows(place.pair, before, after, place.location, compared=ASSERTIONS)
    yield from _type_rows(place, before, after)
    yield from _enum_rows(place, before, after)
    yield from _format_rows(place, before, after)
    for group in (*_TOGETHER, *_ALONE):
        yield from _group_rows(place, before, after, group)
    if set(types_of(before)) & set(types_of(after)) - {"null"}:
        yield from _property_rows(place, before, after)
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
    """Yield a row per value; a reader's open enums survive any change of values."""
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
        severity = place.severity(accepts_less=new is not None, surprises=old is not None)
        yield place.row(described("format", old, new), severity)


def _group_rows(place: _Place, before: Schema, after: Schema, group: tuple[str, ...]) -> Iterator[Change]:
    """Yield a row per keyword of a group that changed, all judged by what the whole group admits."""
    changed = [key for key in group if not same(before.get(key), after.get(key))]
    if changed:
        severity = _group_severity(place, before, after, group)
        for key in changed:
            yield place.row(described(key, before.get(key), after.get(key)), severity)


def _group_severity(place: _Place, before: Schema, after: Schema, group: tuple[str, ...]) -> Severity:
    # Under the types that both levels have, so that nothing but the group differs.
    types = [kind for kind in types_of(before) if kind in types_of(after)] or list(TYPES)
    old, new = ({"type": types} | {key: level[key] for key in group if key in level} for level in (before, after))
    readers = place.pair.old, place.pair.new
    old_whole, new_whole = readers[0].translate(old), readers[1].translate(new)
    if covers(old_whole, new_whole) and covers(new_whole, old_whole):
        return _COSMETIC
    old_shape, new_shape = readers[0].shape(old, closed=False), readers[1].shape(new, closed=True)
    return place.severity(accepts_less=not covers(new_whole, old_whole), surprises=not covers(old_shape, new_shape))


def _property_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    old, new = before.get("properties", {}), after.get("properties", {})
    demanded_before, demanded = before.get("required", ()), after.get("required", ())
    for name in old:
        there = place.inside(f".{name}")
        if name in new:
            yield from _presence_rows(there, was=name in demanded_before, now=name in demanded)
            yield from _rows(there, old[name], new[name])
        else:
            severity = place.severity(accepts_less=True, surprises=name in demanded_before)
            yield there.row("property removed", severity)
    for name in (name for name in new if name not in old):
        severity = place.severity(accepts_less=name in demanded, surprises=False)
        kind = "required property added" if place.is_sent and name in demanded else "property added"
        yield place.inside(f".{name}").row(kind, severity)
    yield from order_rows(place.pair, old, new, place.location, "properties")
    yield from order_rows(place.pair, demanded_before, demanded, place.location, "required")


def _presence_rows(place: _Place, *, was: bool, now: bool) -> Iterator[Change]:
    if was and not now:
        yield place.row("required became optional", place.severity(accepts_less=False, surprises=True))
    if now and not was:
        yield place.row("optional became required", place.severity(accepts_less=True, surprises=False))


def _item_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    if "items" in before or "items" in after:
        yield from _rows(place.inside("[]"), before.get("items", {}), after.get("items", {}))


def _rest_rows(place: _Place, before: Schema, after: Schema) -> Iterator[Change]:
    """Yield what changed about the properties an object does not name."""
    key = "additionalProperties"
    old, new = before.get(key, True), after.get(key, True)
    if isinstance(old, dict) and isinstance(new, dict):
        yield from _rows(place.inside(".*"), old, new)
    elif not same(old, new):
        yield place.row(described(key, old, new), _group_severity(place, before, after, (key,)))


def _admits(outer: set[str], inner: set[str]) -> bool:
    return all(kind in outer or (kind == "integer" and "number" in outer) for kind in inner)


def _type_text(types: set[str]) -> str:
    if types | {"null"} == set(TYPES):
        return "any"
    named = types - {"null"} - ({"integer"} if "number" in types else set())
    return " or ".join(sorted(named)) or "null"


def _values(level: Schema) -> list[Any] | None:
    """Return the values of an enum; null is `_type_rows`' to compare."""
    return [value for value in level["enum"] if value is not None] if "enum" in level else None
