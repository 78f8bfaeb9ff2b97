"""Refuse documents whose objects have not the form that OpenAPI gives them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from contract.document import UnreadableDocumentError
from contract.schemas import reworded
from contract.structure import parts, rebuild

if TYPE_CHECKING:
    from contract.document import Document
    from contract.structure import Kind


def refuse_malformed(node: Any, kind: Kind = "document", place: str = "#") -> None:
    """Check that every object of a document has the form OpenAPI gives it.

    Raises:
        UnreadableDocumentError: One has not; the message says where.
    """
    if not isinstance(node, dict) or not _is_well_formed(node, kind):
        raise UnreadableDocumentError(f"not valid OpenAPI: {place} is no {kind}")
    if kind == "schema" and "pattern" in node and not _is_pattern(node["pattern"]):
        raise UnreadableDocumentError(f"{place}/pattern is no regular expression that can be read: {node['pattern']!r}")
    for key, child_kind, container in parts(node, kind):
        value = node[key]
        if container == "one":
            refuse_malformed(value, child_kind, f"{place}/{key}")
            continue
        if not isinstance(value, dict if container == "map" else list):
            raise UnreadableDocumentError(f"not valid OpenAPI: {place}/{key} is no {container}")
        for name, child in value.items() if isinstance(value, dict) else enumerate(value):
            refuse_malformed(child, child_kind, f"{place}/{key}/{name}")


def _is_well_formed(node: Document, kind: Kind) -> bool:
    if kind == "schema":
        return jsonschema_rs.meta.is_valid(rebuild(node, lambda _, schema: reworded(schema), "schema"))
    if kind == "parameter" and "$ref" not in node:
        return isinstance(node.get("name"), str) and isinstance(node.get("in"), str)
    return True


def _is_pattern(pattern: str) -> bool:
    """Tell whether a validator can be made of a pattern; one of enormous size cannot, though it is valid."""
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, validate_formats=True)
    except jsonschema_rs.ValidationError:
        return False
    return True
