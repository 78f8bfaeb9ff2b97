"""Apply corrections, kept as OpenAPI Overlay 1.1 documents, and tell which of them upstream has overtaken.

What differs from the standard (the head of corrections.yaml names it too):

- An array in an `update` appends only what is not there yet, so that applying twice changes nothing.
- A `$ref` in an `update` replaces the object that it meets: OpenAPI 3.0 ignores what stands beside one.
- `x-fill: true` adds the keys that are absent and leaves alone those that are there.
- `x-upstream` is what upstream said at the target when the correction was written: `has` (a subset of it)
  and `lacks` (keys). When it says something else now, the correction still applies, and is reported.
"""

from __future__ import annotations

from copy import deepcopy
from enum import Enum
from typing import TYPE_CHECKING, Any

import jsonpath
import yaml
from attrs import field, frozen

if TYPE_CHECKING:
    from pathlib import Path

    from contract.document import Document


class Status(Enum):
    """What became of a correction."""

    APPLIED = "applied"
    MISSING = "target missing"
    CHANGED = "upstream changed"
    MENDED = "already mended"


@frozen
class Action:
    """One entry of an overlay's `actions`."""

    target: str
    description: str = ""
    update: Any = None
    remove: bool = False
    fill: bool = False
    upstream: Document = field(factory=dict)


@frozen
class Outcome:
    """An action and what became of it."""

    action: Action
    status: Status


def load_overlay(path: Path) -> list[Action]:
    """Return the actions of the overlay document at `path`."""
    document = yaml.safe_load(path.read_bytes())
    return [
        Action(
            target=action["target"],
            description=" ".join(action.get("description", "").split()),
            update=action.get("update"),
            remove=action.get("remove", False),
            fill=action.get("x-fill", False),
            upstream=action.get("x-upstream", {}),
        )
        for action in document["actions"]
    ]


def apply_overlay(document: Document, actions: list[Action]) -> tuple[Document, list[Outcome]]:
    """Return a corrected copy of the document, and what became of each action."""
    corrected = deepcopy(document)
    return corrected, [Outcome(action, _apply(corrected, action)) for action in actions]


def _apply(document: Document, action: Action) -> Status:
    matches = [list(match.parts) for match in jsonpath.finditer(action.target, document)]
    if not matches:
        return Status.MISSING
    as_expected = all(_is_as_expected(_at(document, parts), action.upstream) for parts in matches)
    if action.remove:
        for parts in reversed(matches):  # from the end, so that indices into arrays stay true
            del _at(document, parts[:-1])[parts[-1]]
        return Status.APPLIED if as_expected else Status.CHANGED
    changes = [_update_at(document, parts, action) for parts in matches]
    if not any(changes):
        return Status.MENDED
    return Status.APPLIED if as_expected else Status.CHANGED


def _update_at(document: Document, parts: list[str | int], action: Action) -> bool:
    """Update one matched node in place; return whether that changed anything."""
    before = _at(document, parts)
    after = _filled(before, action.update) if action.fill else _merged(before, deepcopy(action.update))
    if after == before:
        return False
    if parts:
        _at(document, parts[:-1])[parts[-1]] = after
    else:
        document.clear()
        document.update(after)
    return True


def _at(document: Any, parts: list[str | int]) -> Any:
    node = document
    for part in parts:
        node = node[part]
    return node


def _filled(old: Any, new: Document) -> Document:
    return {**deepcopy(new), **old}


def _merged(old: Any, new: Any) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        if "$ref" in new:  # a reference stands alone: what is beside it would be ignored
            return new
        return {**old, **{key: _merged(old[key], value) if key in old else value for key, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [*old, *(item for item in new if item not in old)]
    return new


def _is_as_expected(node: Any, upstream: Document) -> bool:
    lacks = upstream.get("lacks", ())
    return ("has" not in upstream or _includes(node, upstream["has"])) and not any(key in node for key in lacks)


def _includes(node: Any, subset: Any) -> bool:
    if isinstance(subset, dict):
        return isinstance(node, dict) and all(
            key in node and _includes(node[key], value) for key, value in subset.items()
        )
    return bool(node == subset)
