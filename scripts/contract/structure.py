"""Walk an OpenAPI document knowing what each object is: a property called `description` is no description."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from contract.document import METHODS, Document

Kind = str
Visit = Callable[[Kind, Document], Any]
Container = Literal["one", "map", "list"]

_SCHEMA_CHILDREN: dict[str, tuple[Kind, Container]] = {
    "properties": ("schema", "map"),
    "patternProperties": ("schema", "map"),
    "items": ("schema", "one"),
    "additionalProperties": ("schema", "one"),
    "not": ("schema", "one"),
    "allOf": ("schema", "list"),
    "anyOf": ("schema", "list"),
    "oneOf": ("schema", "list"),
}
_CONTENT: dict[str, tuple[Kind, Container]] = {"content": ("media type", "map")}
_CHILDREN: dict[Kind, dict[str, tuple[Kind, Container]]] = {
    "document": {
        "info": ("info", "one"),
        "servers": ("server", "list"),
        "tags": ("tag", "list"),
        "security": ("security requirement", "list"),
        "paths": ("path", "map"),
        "components": ("components", "one"),
    },
    "components": {
        "schemas": ("schema", "map"),
        "parameters": ("parameter", "map"),
        "responses": ("response", "map"),
        "headers": ("header", "map"),
        "requestBodies": ("request body", "map"),
        "securitySchemes": ("security scheme", "map"),
    },
    "path": {"parameters": ("parameter", "list"), **dict.fromkeys(METHODS, ("operation", "one"))},
    "operation": {
        "parameters": ("parameter", "list"),
        "requestBody": ("request body", "one"),
        "security": ("security requirement", "list"),
        "responses": ("response", "map"),
    },
    "parameter": {"schema": ("schema", "one"), **_CONTENT},
    "header": {"schema": ("schema", "one"), **_CONTENT},
    "request body": _CONTENT,
    "response": {"headers": ("header", "map"), **_CONTENT},
    "media type": {"schema": ("schema", "one")},
    "schema": _SCHEMA_CHILDREN,
}


def rebuild(node: Any, visit: Visit, kind: Kind = "document") -> Any:
    """Return a copy in which `visit(kind, object)` has replaced every object, the innermost first.

    What OpenAPI gives no structure (examples, extensions, unknown keys) is carried over as it is.
    """
    if not isinstance(node, dict):
        return node
    children = _CHILDREN.get(kind, {})
    return visit(kind, {key: _rebuild_child(value, visit, children.get(key)) for key, value in node.items()})


def parts(node: Document, kind: Kind) -> Iterator[tuple[str, Kind, Container]]:
    """Yield each key of an object that holds structured objects, with their kind and their container."""
    for key, (child_kind, container) in _CHILDREN.get(kind, {}).items():
        is_plain = child_kind == "schema" and isinstance(node.get(key), bool)  # as `additionalProperties` may be
        if key in node and not is_plain:
            yield key, child_kind, container


def objects(node: Any, kind: Kind = "document") -> Iterator[tuple[Kind, Document]]:
    """Yield every structured object of the document with its kind, the outermost first."""
    if not isinstance(node, dict):
        return
    yield kind, node
    for key, child_kind, container in parts(node, kind):
        for child in _contained(node[key], container):
            yield from objects(child, child_kind)


def _rebuild_child(value: Any, visit: Visit, child: tuple[Kind, Container] | None) -> Any:
    if child is None:
        return value
    kind, container = child
    if container == "map" and isinstance(value, dict):
        return {name: rebuild(item, visit, kind) for name, item in value.items()}
    if container == "list" and isinstance(value, list):
        return [rebuild(item, visit, kind) for item in value]
    return rebuild(value, visit, kind)


def _contained(value: Any, container: Container) -> list[Any]:
    if container == "map" and isinstance(value, dict):
        return list(value.values())
    if container == "list" and isinstance(value, list):
        return value
    return [value]
