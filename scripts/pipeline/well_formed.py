"""Schemas of OpenAPI 3.0 as JSON Schema, and the refusal of documents that are not well-formed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from contract.structure import UnreadableDocumentError, parts, rebuild

if TYPE_CHECKING:
    from contract.structure import Document, Kind


def json_schema(schema: Any, document: Document) -> Document:
    """Return an OpenAPI 3.0 schema of the document as a self-contained JSON Schema (2020-12)."""
    components = {name: _as_json_schema(one) for name, one in document["components"].get("schemas", {}).items()}
    return {"components": {"schemas": components}, "allOf": [_as_json_schema(schema)]}


def refuse_malformed(node: Any, kind: Kind = "document", place: str = "#") -> None:
    """Check that every object of a document has the form OpenAPI gives it.

    Raises:
        UnreadableDocumentError: One has not; the message says where.
    """
    if not isinstance(node, dict) or not _is_well_formed(node, kind):
        raise UnreadableDocumentError(f"not valid OpenAPI: {place} is no {kind}")
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
        return jsonschema_rs.meta.is_valid(_as_json_schema(node))
    if kind == "parameter" and "$ref" not in node:
        return isinstance(node.get("name"), str) and isinstance(node.get("in"), str)
    return True


def _as_json_schema(schema: Any) -> Any:
    return rebuild(schema, _without_nullable, "schema")


def _without_nullable(_kind: Kind, schema: Document) -> Document:
    converted = {key: value for key, value in schema.items() if key not in {"nullable", "example"}}
    for bound in ("minimum", "maximum"):
        exclusive = "exclusive" + bound.capitalize()
        if converted.get(exclusive) is True:
            converted[exclusive] = converted.pop(bound, 0)
        elif converted.get(exclusive) is False:
            del converted[exclusive]
    if schema.get("nullable") is True and isinstance(schema.get("type"), str):
        converted["type"] = [schema["type"], "null"]
    return converted
