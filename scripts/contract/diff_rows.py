"""What a contract diff is made of: rows, their severity, and the two documents they compare."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from contract.schemas import Reader


class Severity(StrEnum):
    """What a change means for a consumer, from the least to the worst."""

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
    """Yield a row for every key that differs and is not `compared` by its own rule.

    Prose and extensions are cosmetic; what we have no rule for may mean something, and breaks nobody we know of.
    """
    for key in sorted({*old, *new} - set(compared), key=str):
        before, after = _stated(key, old), _stated(key, new)
        if not same(before, after):
            cosmetic = key in _PROSE or str(key).startswith("x-")
            severity = Severity.COSMETIC if cosmetic else Severity.COMPATIBLE
            yield pair.row(location, described(key, before, after, values=not cosmetic), severity)


def order_rows(pair: Pair, old: Iterable[Any], new: Iterable[Any], location: str, what: str) -> Iterator[Change]:
    """Yield a row when what both sequences hold stands in another order."""
    before, after = list(old), list(new)
    if [item for item in before if item in after] != [item for item in after if item in before]:
        yield pair.row(location, f"order of {what} changed", Severity.COSMETIC)


def described(key: str, before: Any, after: Any, *, values: bool = True) -> str:
    """Say in a few words how a value changed; None is its absence."""
    if before is None:
        return f"{key} added: {_text(after)}" if values else f"{key} added"
    if after is None:
        return f"{key} removed: {_text(before)}" if values else f"{key} removed"
    return f"{key} changed: {_text(before)} -> {_text(after)}" if values else f"{key} changed"


def same(first: Any, second: Any) -> bool:
    """Tell whether two JSON values are equal, keeping `true` and `1` apart and the order of keys out."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    return isinstance(first, bool) is isinstance(second, bool) and bool(first == second)


def _stated(key: str, node: dict[str, Any]) -> Any:
    """Return a value, None for a flag that says no more than its absence."""
    value = node.get(key)
    return None if value is False and key != "default" else value


def _text(value: Any, limit: int = 60) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
