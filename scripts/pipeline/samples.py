"""Make up a value of each field that a response must have: what FakeVenice sends for fields it knows nothing of."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import TYPE_CHECKING, Any

from contract.document import resolve
from contract.schemas import Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.document import Document

_BY_FORMAT = {
    "date": "2026-01-01",
    "date-time": "2026-01-01T00:00:00.000Z",
    "email": "someone@example.com",
    "uri": "https://example.com/",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
}
_DEEPEST = 12  # a schema that contains itself ends there


def required_samples(contract: Document) -> tuple[dict[str, dict[str, Any]], list[str]]:
    """Return, by component and name, a value of each field that an object must have, and warnings.

    Numbers are int or Decimal. A field is left out, with a warning, where no value that its schema admits is found.
    """
    maker = _Maker(contract)
    samples: dict[str, dict[str, Any]] = {}
    warnings = []
    for component, schema in contract["components"].get("schemas", {}).items():
        samples[component] = {}
        for name in schema.get("required", ()):
            field = schema.get("properties", {}).get(name, {})
            value = next(maker.values(field), maker)
            if value is maker:
                warnings.append(
                    f"FakeVenice has no value for {component}.{name}: give it an example in descriptions.yaml"
                )
            else:
                samples[component][name] = value
    return samples, warnings


class _Maker:
    def __init__(self, contract: Document) -> None:
        self._contract = contract
        self._reader = Reader(contract)

    def values(self, schema: Any, depth: int = 0) -> Iterator[Any]:
        """Yield values that a schema admits, the best first."""
        if depth > _DEEPEST:
            return
        validator = self._reader.validator(schema)
        yield from (
            value
            for value in self._candidates(resolve(self._contract, schema), depth)
            if validator.is_valid(_plain(value))
        )

    def _candidates(self, schema: Any, depth: int) -> Iterator[Any]:
        if not isinstance(schema, dict):
            yield "text"
            return
        yield from (_exact(schema[key]) for key in ("example", "default") if key in schema)
        yield from (_exact(value) for value in schema.get("enum", ()))
        for word in ("anyOf", "oneOf"):
            for branch in schema.get(word, ()):
                yield from self.values(branch, depth + 1)
        if "allOf" in schema:
            yield from self._merged(schema["allOf"], depth)
        yield from self._typed(schema, depth)
        if schema.get("nullable"):
            yield None

    def _merged(self, branches: list[Any], depth: int) -> Iterator[Any]:
        values = [next(self.values(branch, depth + 1), None) for branch in branches]
        yield from values
        objects = [value for value in values if isinstance(value, dict)]
        yield {name: item for value in objects for name, item in value.items()}

    def _typed(self, schema: Document, depth: int) -> Iterator[Any]:
        match schema.get("type"):
            case "string":
                yield from _texts(schema)
            case "integer" | "number":
                yield from _numbers(schema)
            case "boolean":
                yield False
            case "array":
                item = next(self.values(schema.get("items", {}), depth + 1), None)
                yield [item] * int(schema.get("minItems", 0))
            case "object":
                properties = schema.get("properties", {})
                wanted = {name: self.values(properties.get(name, {}), depth + 1) for name in schema.get("required", ())}
                yield {name: next(values, None) for name, values in wanted.items()}
            case _:
                yield "text"


def _texts(schema: Document) -> Iterator[str]:
    if schema.get("format") in _BY_FORMAT:
        yield _BY_FORMAT[schema["format"]]
    least = int(schema.get("minLength", 0))
    yield "text".ljust(least, "-")[: max(least, int(schema.get("maxLength", max(4, least))))]
    if "pattern" in schema:
        yield from _matching(schema["pattern"], least)


def _matching(pattern: str, least: int) -> Iterator[str]:
    """Yield the simplest text of a pattern, of the least length that is allowed."""
    from hypothesis import find, settings  # noqa: PLC0415 - hundreds of milliseconds, for rare fields
    from hypothesis import strategies as st  # noqa: PLC0415
    from hypothesis.errors import HypothesisException  # noqa: PLC0415

    try:
        yield find(
            st.from_regex(pattern, alphabet=st.characters(codec="ascii")),
            lambda text: len(text) >= least and text.strip() == text,
            settings=settings(derandomize=True, database=None, deadline=None),
        )
    except (HypothesisException, ValueError):  # ValueError: re.error; not every pattern of ECMA is one of Python
        return


def _numbers(schema: Document) -> Iterator[Any]:
    step = Decimal(str(schema.get("multipleOf", 1)))
    yield 0
    for key, rounding, sign in (("minimum", ROUND_CEILING, 1), ("maximum", ROUND_FLOOR, -1)):
        if key in schema:
            bound = Decimal(str(schema[key]))
            first = (bound / step).to_integral_value(rounding) * step
            yield from (_exact(value) for value in (first, first + sign * step, bound))
    if "minimum" in schema and "maximum" in schema:
        yield (Decimal(str(schema["minimum"])) + Decimal(str(schema["maximum"]))) / 2


def _exact(value: Any) -> Any:
    """Return JSON data without floats."""
    if isinstance(value, float | Decimal):
        number = Decimal(str(value))
        return int(number) if number == number.to_integral_value() else number
    if isinstance(value, dict):
        return {name: _exact(item) for name, item in value.items()}
    return [_exact(item) for item in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    """Return JSON data as a validator takes it."""
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
