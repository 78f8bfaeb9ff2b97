"""Apply corrections, kept as OpenAPI Overlay 1.1 documents, and tell which of them upstream has overtaken.

What differs from the standard (the head of corrections.yaml names it too):

- An array in an `update` appends only what is not there yet, so that applying twice changes nothing.
- A `$ref` in an `update` replaces the object that it meets: OpenAPI 3.0 ignores what stands beside one.
- `x-fill: true` adds the keys that are absent and leaves alone those that are there.
- `x-upstream` is what upstream said at the target when the correction was written: `has` (a subset of it)
  and `lacks` (keys). When it says something else now, the correction still applies, and is reported.
- `x-expected` is what becomes of the action on the document that the committed contract was made of: `applied`
  unless another is written, `mended` where upstream says the same itself, `missing` where the target is not there.
  Only what turns out otherwise is reported.
"""

from __future__ import annotations

import json
from copy import deepcopy
from enum import Enum
from typing import TYPE_CHECKING, Any

import jsonpath
from attrs import field, frozen

from contract.document import UnreadableDocumentError
from pipeline.documents import parse_yaml, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract.document import Document


class Status(Enum):
    """What became of a correction."""

    APPLIED = "applied"
    MISSING = "missing"
    CHANGED = "changed"
    MENDED = "mended"


_EXPECTABLE = [status.value for status in Status if status is not Status.CHANGED]


@frozen
class Action:
    """One entry of an overlay's `actions`."""

    target: str
    description: str = ""
    update: Any = None
    remove: bool = False
    fill: bool = False
    upstream: Document = field(factory=dict)
    expected: Status = Status.APPLIED


@frozen
class Outcome:
    """An action, what became of it, and what upstream said otherwise than the action was written against."""

    action: Action
    status: Status
    surprises: tuple[str, ...] = ()

    @property
    def deviation(self) -> str | None:
        """Say what is otherwise than was recorded beside the action; None if nothing is."""
        if self.status is self.action.expected:
            return None
        match self.status:
            case Status.MISSING:
                return "upstream has nothing there now"
            case Status.CHANGED:
                return f"upstream now {' and '.join(self.surprises)}"
            case Status.MENDED:
                return f"upstream now {' and '.join(self.surprises) or _own_words(self.action.update)}"
            case Status.APPLIED if self.action.expected is Status.MISSING:
                return "upstream now has something there"
            case Status.APPLIED:
                return "upstream does not say it itself any more"


def load_overlay(path: Path) -> list[Action]:
    """Return the actions of the overlay document at `path`."""
    return actions_of(read_overlay(path), path.name)


def read_overlay(path: Path) -> Document:
    """Return the content of the overlay document at `path`.

    Raises:
        UnreadableDocumentError: It is no overlay; the message names it.
    """
    document = parse_yaml(read_source(path), path.name)
    if not isinstance(document, dict) or not isinstance(document.get("actions"), list):
        raise UnreadableDocumentError(f"{path.name}: not an overlay: it has no list of 'actions'")
    return document


def actions_of(overlay: Document, source: str) -> list[Action]:
    """Return the actions of an overlay; `source` names it in errors."""
    return [_action(action, f"{source}: action {number}") for number, action in enumerate(overlay["actions"], 1)]


def apply_overlay(document: Document, actions: list[Action]) -> tuple[Document, list[Outcome]]:
    """Return a corrected copy of the document, and what became of each action."""
    corrected = deepcopy(document)
    return corrected, [_apply(corrected, action) for action in actions]


def _action(action: Any, place: str) -> Action:
    if not isinstance(action, dict) or not isinstance(action.get("target"), str):
        raise UnreadableDocumentError(f"{place} has no target")
    try:
        jsonpath.compile(action["target"])
    except jsonpath.JSONPathError as error:
        raise UnreadableDocumentError(f"{place}, {action['target']}: not a JSONPath: {error}") from error
    expected = action.get("x-expected", Status.APPLIED.value)
    if expected not in _EXPECTABLE:
        raise UnreadableDocumentError(
            f"{place}, {action['target']}: x-expected must be one of {', '.join(_EXPECTABLE)}; got {expected!r}"
        )
    return Action(
        target=action["target"],
        description=" ".join(action.get("description", "").split()),
        update=action.get("update"),
        remove=action.get("remove", False),
        fill=action.get("x-fill", False),
        upstream=action.get("x-upstream", {}),
        expected=Status(expected),
    )


def _apply(document: Document, action: Action) -> Outcome:
    matches = [list(match.parts) for match in jsonpath.finditer(action.target, document)]
    if not matches:
        return Outcome(action, Status.MISSING)
    found = [surprise for parts in matches for surprise in _surprises(_at(document, parts), action.upstream)]
    surprises = tuple(dict.fromkeys(found))
    applied = Status.CHANGED if surprises else Status.APPLIED
    if action.remove:
        for parts in reversed(matches):  # from the end, so that indices into arrays stay true
            del _at(document, parts[:-1])[parts[-1]]
        return Outcome(action, applied, surprises)
    changes = [_update_at(document, parts, action) for parts in matches]
    return Outcome(action, applied if any(changes) else Status.MENDED, surprises)


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


def _surprises(node: Any, upstream: Document) -> Iterator[str]:
    """Yield what a node says otherwise than upstream did when the action was written."""
    if not isinstance(node, dict):
        return
    for key in upstream.get("lacks", ()):
        if key in node:
            yield f"has {key} itself"
    for key, value in upstream.get("has", {}).items():
        if key not in node:
            yield f"has no {key}"
        elif not _includes(node[key], value):
            yield f"says {key}: {_text(node[key])}, not {_text(value)}"


def _own_words(update: Any) -> str:
    """Say that upstream has all of an update itself."""
    names = ", ".join(map(str, update)) if isinstance(update, dict) else _text(update)
    return f"has {names} itself"


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _includes(node: Any, subset: Any) -> bool:
    if isinstance(subset, dict):
        return isinstance(node, dict) and all(
            key in node and _includes(node[key], value) for key, value in subset.items()
        )
    return bool(node == subset)
