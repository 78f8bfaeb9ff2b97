"""Everything a contract names, and what of it a parsed value shows in its own attributes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from contract.schemas import references

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.model import Contract, Operation
    from contract_tests.contract.findings import Element


def elements(contract: Contract) -> Iterator[Element]:
    """Yield operations, parameters, statuses, media types, response headers and response properties."""
    for operation in contract.operations:
        key = operation_key(operation)
        yield (key,)
        yield from ((key, parameter.location) for parameter in operation.parameters)
        for response in operation.responses:
            place = f"responses.{response.status}"
            yield key, place
            yield from ((key, f"{place}.headers.{name}") for name in response.headers)
            for media_type, body in response.bodies.items():
                yield key, f"{place}.{media_type}"
                yield from ((key, f"{place}.{media_type}.{path}") for path in _properties(contract, body.schema))


def operation_key(operation: Operation) -> str:
    """Name an operation by what is called, not by an id that may change."""
    return f"{operation.method.upper()} {operation.path}"


def attributes(value: Any, body: Any, location: str = "") -> Iterator[str]:
    """Yield the places of a body that a parsed value holds as attributes, not as unknown fields."""
    if isinstance(body, list) and isinstance(value, list):
        for one, other in zip(value, body, strict=True):
            yield from attributes(one, other, f"{location}[]")
    elif isinstance(body, dict) and attrs.has(type(value)):
        fields = {_plain(each.name): each.name for each in attrs.fields(type(value))}
        for name, content in body.items():
            there = f"{location}.{name}" if location else name
            if name in value.additional_properties:
                yield f"{location}.*" if location else "*"
            else:
                yield there
                yield from attributes(getattr(value, fields[_plain(name)]), content, there)


def _plain(name: str) -> str:
    """Return a name as the wire and Python have it in common; the generator writes `_x` as `field_x`."""
    return name.replace("_", "").lower().removeprefix("field")


def _properties(
    contract: Contract, schema: Any, location: str = "", trail: frozenset[str] = frozenset()
) -> Iterator[str]:
    names = references(schema)
    if names & trail:
        return
    trail |= names
    level = contract.reader.level(schema)
    for branch in (*level.get("anyOf", ()), *level.get("oneOf", ())):
        yield from _properties(contract, branch, location, trail)
    for name, child in level.get("properties", {}).items():
        there = f"{location}.{name}" if location else name
        yield there
        yield from _properties(contract, child, there, trail)
    if isinstance(level.get("items"), dict):
        yield from _properties(contract, level["items"], f"{location}[]", trail)
    if isinstance(level.get("additionalProperties"), dict):
        yield f"{location}.*" if location else "*"
