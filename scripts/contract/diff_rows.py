"""The rows of a contract diff, their severities, and the pair of documents they compare."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contract.schemas import Reader


class Severity(StrEnum):
    """How much a change matters to a consumer, least severe first."""

    COSMETIC = "cosmetic"
    COMPATIBLE = "compatible"
    BREAKING = "breaking"


@frozen
class Change:
    """One difference: where it is, what it is, and how much it matters."""

    operation: str
    location: str
    kind: str
    severity: Severity


@frozen
class Pair:
    """The name of an operation, and the readers of its old and its new document."""

    operation: str
    old: Reader
    new: Reader

    def row(self, location: str, kind: str, severity: Severity) -> Change:
        """Return a row of this operation."""
        return Change(self.operation, location, kind, severity)


_PROSE = frozenset(
    {"$comment", "description", "example", "examples", "externalDocs", "summary", "tags", "title", "xml"}
)


def annotation_rows(
    pair: Pair, old: dict[str, Any], new: dict[str, Any], location: str, *, compared: Iterable[str]
) -> Iterator[Change]:
    """Yield a row for every key that differs, except those in `compared`, which have rules of their own.

    Prose and extensions are cosmetic. A key without a rule may have a meaning, but no client is known to rely on
    it: compatible.
    """
    for key in sorted({*old, *new} - set(compared), key=str):
        before, after = _stated(key, old), _stated(key, new)
        if not same(before, after):
            severity = Severity.COSMETIC if _is_prose(key) else Severity.COMPATIBLE
            yield pair.row(location, described(key, before, after, values=not _is_prose(key)), severity)


def without_prose(node: Any) -> Any:
    """Return a copy of a value without prose and extensions."""
    if isinstance(node, list):
        return [without_prose(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: without_prose(value) for key, value in node.items() if not _is_prose(key)}


def order_rows(pair: Pair, old: Iterable[Any], new: Iterable[Any], location: str, what: str) -> Iterator[Change]:
    """Yield a row when the elements that both sequences have in common are in another order."""
    before, after = list(old), list(new)
    if [item for item in before if item in after] != [item for item in after if item in before]:
        yield pair.row(location, f"order of {what} changed", Severity.COSMETIC)


def described(key: str, before: Any, after: Any, *, values: bool = True) -> str:
    """Describe the change of a value in a few words; None stands for an absent value."""
    if before is None:
        return f"{key} added: {_text(after)}" if values else f"{key} added"
    if after is None:
        return f"{key} removed: {_text(before)}" if values else f"{key} removed"
    return f"{key} changed: {_text(before)} -> {_text(after)}" if values else f"{key} changed"


def same(first: Any, second: Any) -> bool:
    """Tell whether two JSON values are equal; `true` differs from `1`, the order of keys does not matter."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return isinstance(first, bool) is isinstance(second, bool) and bool(first == second)


def _stated(key: str, node: dict[str, Any]) -> Any:
    """Return a value, or None for a `false` that means the same as no value at all."""
    value = node.get(key)
    return None if value is False and key != "default" else value


def _text(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _is_prose(key: Any) -> bool:
    return key in _PROSE or str(key).startswith("x-")
