"""Bring a contract into its one canonical form, so that the same meaning is always the same bytes."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import yaml

from contract.schemas import Reader
from contract.structure import Kind, rebuild
from pipeline.cut import schema_references

if TYPE_CHECKING:
    from contract.document import Document

_OMITTED_IF_EMPTY = ("parameters", "components", "schemas", "securitySchemes")
# The words of OpenAPI in the order in which one reads them; words not listed come after, by alphabet.
_KEY_ORDER = """
    openapi info title version servers security tags paths components
    operationId name in url $ref summary description deprecated parameters requestBody
    type format nullable enum default minimum maximum minLength maxLength pattern required headers content schema
    properties items additionalProperties allOf anyOf oneOf example
"""
_RANK = {key: rank for rank, key in enumerate(_KEY_ORDER.split())}
# Objects whose keys are names, not words of OpenAPI: sorted as they are.
_NAMED_CHILDREN = ("paths", "schemas", "securitySchemes", "properties", "responses", "headers", "content")
# What is data, whatever the names in it: only its keys are sorted.
_DATA = ("example", "enum", "default")


def canonical(document: Document) -> Document:
    """Return the document with nothing unused, nothing invalid and everything in canonical order."""
    pruned = _without_unused_schemas(document)
    finished = rebuild(pruned, lambda kind, node: _finished(kind, node, pruned))
    ordered: Document = _ordered(finished)
    return ordered


def dump(document: Document) -> str:
    """Return the document as YAML text."""
    return yaml.dump(
        document, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )


def sorted_data(node: Any) -> Any:
    """Return data with the keys of its objects sorted, however deep."""
    if isinstance(node, list):
        return [sorted_data(item) for item in node]
    if isinstance(node, dict):
        return {str(key): sorted_data(node[key]) for key in sorted(node, key=str)}
    return node


class _PlainDumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - every reader, human or not, is spared `*id001`
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        super().increase_indent(flow, False)


def _without_unused_schemas(document: Document) -> Document:
    schemas = document["components"].get("schemas", {})
    bare = {key: value for key, value in document.items() if key != "components"}
    used: set[str] = set()
    wanted = schema_references(bare)
    while new := wanted - used:
        used |= new
        for name in sorted(new & schemas.keys()):
            wanted |= schema_references(schemas[name], "schema")
    kept = {name: schema for name, schema in schemas.items() if name in used}
    return {**document, "components": {**document["components"], "schemas": kept}}


def _finished(kind: Kind, node: Document, document: Document) -> Document:
    if kind == "operation":
        responses = node.get("responses", {}).items()
        return {**node, "responses": {str(status): _described(status, response) for status, response in responses}}
    if "example" in node and not _is_valid_example(kind, node, document):
        return {key: value for key, value in node.items() if key != "example"}
    return node


def _described(status: str, response: Document) -> Document:
    if response.get("description"):
        return response
    try:
        return {**response, "description": HTTPStatus(int(status)).phrase}
    except ValueError:
        return {**response, "description": "Any other answer"}


def _is_valid_example(kind: Kind, node: Document, document: Document) -> bool:
    schema = node if kind == "schema" else node.get("schema", {})
    bare = {key: value for key, value in schema.items() if key != "example"}
    return Reader(document).validator(bare).is_valid(node["example"])


def _ordered(node: Any, under: str = "") -> Any:
    """Return a node of the document in canonical order; `under` is the OpenAPI word it stands under."""
    if under in _DATA or under.startswith("x-"):
        return sorted_data(node)
    if isinstance(node, list):
        items = [_ordered(item, under) for item in node]
        if under == "required":
            return sorted(items)
        return sorted(items, key=_parameter_key) if under == "parameters" else items
    if not isinstance(node, dict):
        return node
    if under in _NAMED_CHILDREN:
        return {str(name): _ordered(node[name]) for name in sorted(node, key=str)}
    keys = sorted(node, key=lambda key: (_RANK.get(key, len(_RANK)), key))
    return {key: _ordered(node[key], key) for key in keys if node[key] or key not in _OMITTED_IF_EMPTY}


def _parameter_key(parameter: Document) -> tuple[str, str]:
    return parameter["in"], parameter["name"]
