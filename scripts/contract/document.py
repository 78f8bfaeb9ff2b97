"""An OpenAPI document as it is written: its references and its operations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Document = dict[str, Any]
Trail = frozenset[str]  # the references followed on the way to a node

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
SCHEMA_PREFIX = "#/components/schemas/"
_BILLING_PATH = re.compile(r"^(/api/v\d+)?/billing(/|$)")


class UnreadableDocumentError(ValueError):
    """The source is no OpenAPI document we can read; the message names it and says why."""


def is_billing_path(path: str) -> bool:
    """Tell whether an operation at `path` belongs to the billing API."""
    return _BILLING_PATH.match(path) is not None


def operations(
    document: Document, belongs: Callable[[str], bool] = lambda _: True
) -> Iterator[tuple[str, str, Document]]:
    """Yield (path, method, operation) for every operation at a path that `belongs`.

    Raises:
        UnreadableDocumentError: A path or an operation is no object, or a reference leads nowhere.
    """
    for path in document["paths"]:
        if belongs(str(path)):
            item = path_item(document, path)
            for method in (method for method in METHODS if method in item):
                yield path, method, mapping(item[method], f"{method} {path}")


def path_item(document: Document, path: str) -> Document:
    """Return what the document says at a path.

    Raises:
        UnreadableDocumentError: That is no object, or its reference leads nowhere.
    """
    return mapping(resolve(document, document["paths"][path]), f"paths.{path}")


def mapping(node: Any, what: str) -> Document:
    """Return a node that has to be an object.

    Raises:
        UnreadableDocumentError: It is none; `what` names it.
    """
    if not isinstance(node, dict):
        raise UnreadableDocumentError(f"{what} is no object: {node!r}")
    return node


def resolve(document: Document, node: Any) -> Any:
    """Return the node itself, or what its reference names in the document.

    Raises:
        UnreadableDocumentError: The reference leads out of the document, nowhere, or back to itself.
    """
    trail: Trail = frozenset()
    while names := own_reference(node):
        if names & trail:
            raise _loop(node)
        trail |= names
        node = target(document, node["$ref"])
    return node


def target(document: Document, reference: str) -> Any:
    """Return what a reference names in the document, which may be one more reference.

    Raises:
        UnreadableDocumentError: The reference leads out of the document, or nowhere.
    """
    if not reference.startswith("#"):
        raise UnreadableDocumentError(f"the reference {reference!r} leaves the document")
    node: Any = document
    for part in unquote(reference[1:]).split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        try:
            node = node[int(key) if isinstance(node, list) else key]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise UnreadableDocumentError(f"the reference {reference!r} leads nowhere") from error
    return node


def written_out(document: Document, node: Any, *, keep_schemas: bool = False, trail: Trail = frozenset()) -> Any:
    """Return a copy of a part of the document with every reference replaced by what it names.

    A schema that contains itself ends in `{}` where it repeats. With `keep_schemas`, references to component
    schemas stay, and any other that leads back to itself is an error.

    Raises:
        UnreadableDocumentError: A reference leads out of the document, nowhere, or back to itself.
    """
    if isinstance(node, list):
        return [written_out(document, item, keep_schemas=keep_schemas, trail=trail) for item in node]
    if not isinstance(node, dict):
        return node
    names = own_reference(node)
    if not names:
        items = node.items()
        return {key: written_out(document, value, keep_schemas=keep_schemas, trail=trail) for key, value in items}
    if keep_schemas and node["$ref"].startswith(SCHEMA_PREFIX):
        return dict(node)
    if names & trail:
        if keep_schemas:
            raise _loop(node)
        return {}
    return written_out(document, target(document, node["$ref"]), keep_schemas=keep_schemas, trail=trail | names)


def own_reference(node: Any) -> Trail:
    """Return the reference that a node is, as a set of one, or the empty set.

    Raises:
        UnreadableDocumentError: The reference is no text.
    """
    if not isinstance(node, dict) or "$ref" not in node:
        return frozenset()
    if not isinstance(node["$ref"], str):
        raise UnreadableDocumentError(f"malformed reference: {node['$ref']!r}")
    return frozenset({node["$ref"]})


def _loop(node: Document) -> UnreadableDocumentError:
    return UnreadableDocumentError(f"the reference {node['$ref']!r} leads back to itself")
