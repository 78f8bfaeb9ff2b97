"""Judge a response of the live API by the contract: what it breaks, and what it has beyond the contract. Pure.

Nothing of a body is repeated but names and enum values: what is unknown is reported by its place.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import jsonschema_rs
from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.model import Contract, Operation
    from contract.schemas import Schema

JSON = "application/json"
_LONGEST_NAME = 60
# What a response may exceed without breaking a reader: enums are open, and numbers and texts of any size are read.
_LOOSE = frozenset(
    {
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
        *("pattern", "minLength", "maxLength"),
        *("minItems", "maxItems", "uniqueItems", "minProperties", "maxProperties"),
    }
)


class Verdict(StrEnum):
    """What a finding means."""

    BROKEN = "broken"
    """A promise of the contract is not kept."""
    DRIFT = "drift"
    """The API does what no document names; the client copes."""
    UNANSWERED = "unanswered"
    """The API failed in a documented way, or did not respond: nothing was learnt."""


@frozen
class Finding:
    """One thing found in the responses of one operation."""

    operation: str
    location: str
    what: str
    verdict: Verdict


@frozen
class Judge:
    """Finds what a response breaks, or has beyond the contract."""

    contract: Contract

    def findings(self, operation: Operation, status: int, content_type: str, content: bytes) -> Iterator[Finding]:
        """Yield everything about one response that the contract does not name."""
        place = f"responses.{status}"
        response = operation.response(status)
        if response is None:
            yield Finding(operation.name, place, "undocumented status", Verdict.DRIFT)
            return
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type not in response.bodies:
            verdict = Verdict.BROKEN if response.is_success else Verdict.DRIFT
            yield Finding(operation.name, place, f"media type {named(media_type)}", verdict)
        elif media_type == JSON:
            schema = response.bodies[media_type].schema
            for location, what, verdict in self._body(schema, content):
                there = f"{place}.{media_type}{location}"
                if response.is_success:
                    yield Finding(operation.name, there, what, verdict)
                elif verdict is Verdict.BROKEN:  # the client makes do with any body of a failure
                    yield Finding(operation.name, there, what, Verdict.DRIFT)

    def location(self, text: str) -> str:
        """Return a location without list indices and without names that the contract does not know."""
        known = self._names(self.contract.document.get("components"))
        parts = re.sub(r"\[\d+\]", "[]", text).split(".")
        return ".".join(part if part.rstrip("[]") in known else "*" for part in parts)

    def _body(self, schema: Any, content: bytes) -> Iterator[tuple[str, str, Verdict]]:
        try:
            found = list(self._judged(schema, json.loads(content)))
        except (ValueError, RecursionError):  # also of the validator: lone surrogates, hundreds of nested lists
            found = [("", "no JSON", Verdict.BROKEN)]
        yield from found

    def _judged(self, schema: Any, body: Any) -> Iterator[tuple[str, str, Verdict]]:
        strict = self.contract.reader.translate(schema)
        for error in _errors(_relaxed(strict), body):
            yield _path(error), f"breaks {_keyword(error)!r}", Verdict.BROKEN
        for error in _errors(strict, body):
            if _keyword(error) == "enum":
                yield _path(error), f"unknown value {named(_value(body, error.instance_path))}", Verdict.DRIFT
            elif _keyword(error) in _LOOSE:
                yield _path(error), f"beyond {_keyword(error)!r}", Verdict.DRIFT
        for location, name in _unknown_fields(strict, body):
            yield f"{location}.{named(name)}", "unknown field", Verdict.DRIFT

    def _names(self, node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(self._names, node))
        if not isinstance(node, dict):
            return set()
        below = set().union(*map(self._names, node.values()))
        return below | set(node["properties"]) if isinstance(node.get("properties"), dict) else below


def named(value: Any) -> str:
    """Return a name from the wire as one printable word of bounded length."""
    text = re.sub(r"[^\w./+-]", "_", str(value), flags=re.ASCII)
    return text[:_LONGEST_NAME] or "none"


def _errors(schema: Schema, body: Any) -> Iterator[jsonschema_rs.ValidationError]:
    return iter(jsonschema_rs.Draft202012Validator(schema, validate_formats=True).iter_errors(body))


def _keyword(error: jsonschema_rs.ValidationError) -> str:
    return str(next(part for part in reversed(error.schema_path) if isinstance(part, str)))


def _path(error: jsonschema_rs.ValidationError) -> str:
    return "".join("[]" if isinstance(part, int) else f".{named(part)}" for part in error.instance_path)


def _value(body: Any, path: list[str | int]) -> Any:
    for part in path:
        body = body[part]
    return body


def _relaxed(schema: Any) -> Any:
    """Return a schema that asks only for what a reader relies on: presence, null, type and format."""
    if isinstance(schema, list):
        return [_relaxed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if key not in _LOOSE}
    if "string" in schema.get("type", ()):
        kept.pop("enum", None)
    for key in ("properties", "patternProperties"):
        if key in kept:
            kept[key] = {name: _relaxed(child) for name, child in kept[key].items()}
    nested = ("items", "additionalProperties", "anyOf", "oneOf", "allOf")
    return {key: _relaxed(value) if key in nested else value for key, value in kept.items()}


def _unknown_fields(schema: Any, body: Any, location: str = "") -> Iterator[tuple[str, str]]:
    """Yield fields that no alternative of the schema names, with the place of their object."""
    levels = [level for level in _alternatives(schema) if isinstance(level, dict)]
    if isinstance(body, list):
        for item in body:
            yield from _unknown_fields({"anyOf": [level.get("items", {}) for level in levels]}, item, f"{location}[]")
    elif isinstance(body, dict) and not any(isinstance(level.get("additionalProperties"), dict) for level in levels):
        for name, value in body.items():
            schemas = [level["properties"][name] for level in levels if name in level.get("properties", {})]
            if schemas:
                yield from _unknown_fields({"anyOf": schemas}, value, f"{location}.{name}")
            elif any("properties" in level for level in levels):
                yield location, name


def _alternatives(schema: Any) -> Iterator[Any]:
    yield schema
    if isinstance(schema, dict):
        for word in ("anyOf", "oneOf", "allOf"):
            for branch in schema.get(word, ()):
                yield from _alternatives(branch)
