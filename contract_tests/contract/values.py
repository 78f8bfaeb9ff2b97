"""Values a schema admits: each of its corners once, and as many at random as one likes.

A corner differs from the plainest full value in one place, so that every optional field is missing once, every
nullable one null once, and every alternative and enum value is met, whatever chance does.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from contract.schemas import Schema, references, types_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from hypothesis.strategies import SearchStrategy

    from contract.schemas import Reader

QUIET = settings(
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
Trail = tuple[str, ...]

_UNKNOWN_FIELD = {"fieldOfTomorrow": {"nested": [1, Decimal("0.10"), "x", None]}}
_TEXTS = ("text", "", 'naïve "quoted" \\ \u2028 🙂', "-", "_", "x" * 300)
_INSTANTS = (
    "2026-06-15T19:05:10.504Z",
    "2026-06-15T19:05:10Z",
    "1999-12-31T23:59:59.999999+05:30",
    "2024-02-29T00:00:00.123456789-08:00",
    "2026-06-15t19:05:10z",
)
_BY_FORMAT = {
    "date-time": _INSTANTS,
    "date": ("2026-06-15", "2024-02-29"),
    "time": ("19:05:10Z",),
    "uuid": ("123e4567-e89b-42d3-a456-426614174000",),
    "uri": ("https://example.com/x?y=1",),
    "email": ("someone@example.com",),
}
_LIKELY = ("a", "Z", "0", "2026-06-15", "2026-06-15T19:05:10.504Z", "7d", "AZq3fK9tXhIV_-", "Ab3_" * 128, *_TEXTS)
_NUMBERS = (*map(Decimal, ("-0.06356", "25.50", "1E-9", "12345678901234567890.123456789")), 0, 1, -7)
_INTEGERS = (0, 1, 12345, 1705276800000)
_ANY = ("text", 1, Decimal("1.5"), True, None, ["x"], {"x": 1})


class Values:
    """Makes values of the schemas of one document. Numbers are int or Decimal, never float."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def corners(self, schema: Any, trail: Trail = ()) -> list[Any]:
        """Return values that between them show every feature of the schema; none where it repeats itself for good."""
        level, trail = self._reader.level(schema), _followed(schema, trail)
        if _repeats(trail):
            return []
        if "enum" in level:
            return list(level["enum"])
        for word in ("anyOf", "oneOf"):
            if word in level:
                return [corner for branch in level[word] for corner in self.corners(branch, trail)]
        if not {"type", "properties", "items"} & level.keys():
            return list(_ANY)
        return [corner for kind in _plainest_first(level) for corner in self._of_type(kind, level, trail)]

    def any_of(self, schema: Any, trail: Trail = ()) -> SearchStrategy[Any]:
        """Return a strategy for values of the schema; an empty one where it repeats itself for good."""
        level, trail = self._reader.level(schema), _followed(schema, trail)
        if _repeats(trail):
            return st.nothing()
        if "enum" in level:
            return st.sampled_from(level["enum"])
        for word in ("anyOf", "oneOf"):
            if word in level:
                return st.one_of([self.any_of(branch, trail) for branch in level[word]])
        if not {"type", "properties", "items"} & level.keys():
            return st.sampled_from(_ANY)
        return st.one_of([self._strategy(kind, level, trail) for kind in _plainest_first(level)])

    def _of_type(self, kind: str, level: Schema, trail: Trail) -> Iterator[Any]:
        match kind:
            case "null":
                yield None
            case "boolean":
                yield from (True, False)
            case "integer":
                yield from _within(level, _INTEGERS)
                yield from (Decimal(f"{each}.0") for each in _within(level, (3,)))
            case "number":
                yield from _within(level, _NUMBERS)
            case "string":
                yield from _texts(level)
            case "array":
                yield from self._arrays(level, trail)
            case _:
                yield from self._objects(level, trail)

    def _arrays(self, level: Schema, trail: Trail) -> Iterator[Any]:
        least = level.get("minItems", 0)
        items = self.corners(level.get("items", {}), trail)
        yield from ([item] * max(1, least) for item in items)
        if least == 0:
            yield []

    def _objects(self, level: Schema, trail: Trail) -> Iterator[Any]:
        required, properties = _fields(level)
        corners = {name: self.corners(schema, trail) for name, schema in properties.items()}
        plain = {name: values[0] for name, values in corners.items() if values}
        if not plain.keys() >= set(required):
            return
        yield plain
        for name, values in corners.items():
            yield from ({**plain, name: value} for value in values[1:])
        for name in (name for name in plain if name not in required):
            yield {other: value for other, value in plain.items() if other != name}
        yield {name: plain[name] for name in required if name in plain}
        yield from ({**plain, **more} for more in self._more(level, trail))

    def _more(self, level: Schema, trail: Trail) -> Iterator[dict[str, Any]]:
        """Yield properties beside those the schema names."""
        rest = level.get("additionalProperties", True)
        if rest is True:
            yield _UNKNOWN_FIELD
        elif isinstance(rest, dict):
            yield from ({"Some name": value} for value in self.corners(rest, trail))

    def _strategy(self, kind: str, level: Schema, trail: Trail) -> SearchStrategy[Any]:
        strategies: dict[str, Callable[[], SearchStrategy[Any]]] = {
            "null": st.none,
            "boolean": st.booleans,
            "integer": lambda: _integer_strategy(level),
            "number": lambda: _number_strategy(level),
            "string": lambda: _text_strategy(level),
            "array": lambda: self._array_strategy(level, trail),
            "object": lambda: self._object_strategy(level, trail),
        }
        return strategies[kind]()

    def _array_strategy(self, level: Schema, trail: Trail) -> SearchStrategy[Any]:
        least = level.get("minItems", 0)
        most = max(least, min(level.get("maxItems", 3), 3))
        items = self.any_of(level.get("items", {}), trail)
        return st.lists(items, min_size=least, max_size=0 if items.is_empty and not least else most)

    def _object_strategy(self, level: Schema, trail: Trail) -> SearchStrategy[Any]:
        required, properties = _fields(level)
        fields = {name: self.any_of(schema, trail) for name, schema in properties.items()}
        named = st.fixed_dictionaries(
            {name: values for name, values in fields.items() if name in required},
            optional={name: values for name, values in fields.items() if name not in required and not values.is_empty},
        )
        rest = level.get("additionalProperties", True)
        if rest is True:
            return st.tuples(named, st.sampled_from([{}, {}, _UNKNOWN_FIELD])).map(lambda pair: pair[1] | pair[0])
        if isinstance(rest, dict):
            names = st.text(max_size=12).filter(lambda name: name not in properties)
            values = self.any_of(rest, trail)
            more = st.dictionaries(names, values, max_size=0 if values.is_empty else 3)
            return st.tuples(named, more).map(lambda pair: pair[1] | pair[0])
        return named


def _followed(schema: Any, trail: Trail) -> Trail:
    """Return the references on the way to a value, with those that its schema is made of."""
    return (*trail, *sorted(references(schema)))


def _repeats(trail: Trail) -> bool:
    """Tell whether a schema contains itself for the second time: once is enough to see that it may."""
    return any(trail.count(name) > 2 for name in trail)


def _fields(level: Schema) -> tuple[list[str], dict[str, Any]]:
    """Return which fields an object must have, and the schemas of all; one that is only required may be anything."""
    required = level.get("required", [])
    properties: dict[str, Any] = {name: {} for name in required} | level.get("properties", {})
    return required, properties


def _plainest_first(level: Schema) -> list[str]:
    """Return the types of a level, null last; one that names none but has fields or items means what it says."""
    implied = "object" if "properties" in level else "array"
    types = types_of(level) if "type" in level else [implied]
    if "number" in types:
        types = [kind for kind in types if kind != "integer"]
    return sorted(types, key=lambda kind: (kind == "null", kind))


def _integer_strategy(level: Schema) -> SearchStrategy[int]:
    low, high = _bounds(level, -(2**53), 2**53)
    return st.integers(int(low), int(high))


def _number_strategy(level: Schema) -> SearchStrategy[Decimal]:
    low, high = _bounds(level, -(10**12), 10**12)
    exact = st.builds(_scaled, st.integers(-(10**18), 10**18), st.integers(0, 12))
    return exact.map(lambda number: min(max(number, low), high))


def _scaled(mantissa: int, places: int) -> Decimal:
    return Decimal(mantissa).scaleb(-places)


def _bounds(level: Schema, low: int, high: int) -> tuple[Any, Any]:
    """Return the least and the greatest value, as exact numbers within the given ones."""
    lows = [_exact(level["minimum"])] if "minimum" in level else []
    lows += [_exact(level["exclusiveMinimum"]) + 1] if "exclusiveMinimum" in level else []
    highs = [_exact(level["maximum"])] if "maximum" in level else []
    highs += [_exact(level["exclusiveMaximum"]) - 1] if "exclusiveMaximum" in level else []
    least = max([low, *lows])
    return least, max(least, min([high, *highs]))


def _exact(number: Any) -> int | Decimal:
    return number if isinstance(number, int) else Decimal(repr(number))


def _within(level: Schema, numbers: Iterable[Any]) -> list[Any]:
    low, high = _bounds(level, -(10**25), 10**25)
    named = [each for each in (low, high) if abs(each) < 10**25]
    return list(dict.fromkeys([*(number for number in numbers if low <= number <= high), *named]))


def _texts(level: Schema) -> list[str]:
    known = _BY_FORMAT.get(level.get("format", ""), _LIKELY if "pattern" in level else _TEXTS)
    fitting = [text for text in known if _fits(text, level)]
    if fitting:
        return fitting
    try:
        return [find(_text_strategy(level), lambda _: True, settings=QUIET)]
    except NoSuchExample:
        return []


def _fits(text: str, level: Schema) -> bool:
    pattern = level.get("pattern")
    return (
        level.get("minLength", 0) <= len(text) <= level.get("maxLength", len(text))
        and (pattern is None or re.search(pattern, text, re.ASCII) is not None)
        and "\n" not in text
    )


def _text_strategy(level: Schema) -> SearchStrategy[str]:
    least, most = level.get("minLength", 0), level.get("maxLength", 1000)
    if level.get("format") in _BY_FORMAT and level["format"] != "date-time":
        return st.sampled_from(_BY_FORMAT[level["format"]]).filter(lambda text: _fits(text, level))
    if level.get("format") == "date-time":
        return _instants().filter(lambda text: _fits(text, level))
    if "pattern" in level:
        return st.from_regex(re.compile(level["pattern"], re.ASCII)).filter(lambda text: _fits(text, level))
    return st.text(min_size=least, max_size=max(least, min(most, 40)))


def _instants() -> SearchStrategy[str]:
    digits = st.integers(0, 9).map(str)
    fraction = st.lists(digits, min_size=1, max_size=9).map(lambda some: "." + "".join(some))
    offset = st.sampled_from(("Z", "Z", "z", "+00:00", "+05:30", "-11:00", "+14:00", "-00:01"))
    moment = st.datetimes().filter(lambda each: 1 < each.year < 9999).map(lambda each: each.replace(microsecond=0))
    return st.tuples(moment, st.just("") | fraction, offset).map(
        lambda parts: parts[0].isoformat() + parts[1] + parts[2]
    )
