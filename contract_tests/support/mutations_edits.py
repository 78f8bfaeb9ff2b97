"""Edits of a contract. Places are written as the keys that lead to them, separated by spaces.

A parameter is found in its list by its name, any other item by its index.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from contract.document import Document, resolve

Edit = Callable[[Document], None]


def put(place: str, value: Any) -> Edit:
    """Set a value, whether or not the key exists."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        parent[key] = deepcopy(value)

    return edit


def drop(place: str) -> Edit:
    """Remove a key, a parameter, or a value of a list."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        del parent[key]

    return edit


def rename(place: str, name: str) -> Edit:
    """Rename a key without moving it; a required property stays required."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        items = [(name if each == key else each, value) for each, value in parent.items()]
        parent.clear()
        parent.update(items)
        words = place.split()
        if words[-2] == "properties":
            schema = _get(document, words[:-2])
            schema["required"] = [name if each == key else each for each in schema["required"]]

    return edit


def append(place: str, *values: Any) -> Edit:
    """Add values to the end of a list."""
    return lambda document: _get(document, place.split()).extend(deepcopy(values))


def without(place: str, value: Any) -> Edit:
    """Remove a value from a list, and an emptied list as well: OpenAPI 3.0 forbids an empty `required`."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        parent[key].remove(value)
        if not parent[key]:
            del parent[key]

    return edit


def reverse(place: str) -> Edit:
    """Reverse the order of a list or of an object's keys."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        value = parent[key]
        parent[key] = value[::-1] if isinstance(value, list) else dict(reversed(value.items()))

    return edit


def also(*edits: Edit) -> Edit:
    """Combine several edits into one change."""

    def edit(document: Document) -> None:
        for each in edits:
            each(document)

    return edit


def gone(schema: str, name: str) -> Edit:
    """Remove a required property from a schema, also from its `required` list."""
    return also(drop(f"{schema} properties {name}"), without(f"{schema} required", name))


def inline(place: str) -> Edit:
    """Replace a reference by a copy of its target."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        parent[key] = deepcopy(resolve(document, parent[key]))

    return edit


def hoist(place: str, name: str) -> Edit:
    """Replace an inline schema by a reference to a new component."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        document["components"]["schemas"][name] = parent[key]
        parent[key] = {"$ref": f"#/components/schemas/{name}"}

    return edit


def rename_component(name: str, new: str) -> Edit:
    """Rename a component schema and every reference to it."""

    def redirect(node: Any) -> None:
        if isinstance(node, dict):
            if node.get("$ref") == f"#/components/schemas/{name}":
                node["$ref"] = f"#/components/schemas/{new}"
            for value in node.values():
                redirect(value)
        elif isinstance(node, list):
            for item in node:
                redirect(item)

    def edit(document: Document) -> None:
        redirect(document)
        rename(f"components schemas {name}", new)(document)

    return edit


def move(place: str, target: str) -> Edit:
    """Move a value from one place to another."""

    def edit(document: Document) -> None:
        parent, key = _locate(document, place)
        value = parent.pop(key)
        put(target, value)(document)

    return edit


def _locate(document: Document, place: str) -> tuple[Any, Any]:
    words = place.split()
    parent = _get(document, words[:-1])
    return parent, _key(parent, words[-1])


def _get(node: Any, words: list[str]) -> Any:
    for word in words:
        node = node[_key(node, word)]
    return node


def _key(node: Any, word: str) -> Any:
    if not isinstance(node, list):
        return word
    return next(
        index
        for index, item in enumerate(node)
        if word == str(index) or (isinstance(item, dict) and item.get("name") == word)
    )
