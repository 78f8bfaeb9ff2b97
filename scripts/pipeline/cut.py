"""Cut the billing operations out of a full upstream document, and leave upstream's prose behind."""

from __future__ import annotations

import re
from typing import Any

from contract.document import (
    SCHEMA_PREFIX,
    Document,
    UnreadableDocumentError,
    is_billing_path,
    operations,
    path_item,
    target,
    written_out,
)
from contract.structure import Kind, objects, rebuild
from pipeline.well_formed import refuse_malformed

_TAG = "Billing"
_SHARED = ("servers", "security")  # what all operations of a document have in common
_PROSE_KEYS = frozenset({"description", "summary", "title", "externalDocs", "examples", "callbacks", "links"})
_PROSE = re.compile(r"\b[a-z]+ [a-z]+\b")


def cut_billing(upstream: Document) -> Document:
    """Return the billing operations of a full document, with the schemas and security schemes they use.

    References to anything but a schema are written out, so that each operation reads by itself.

    Raises:
        UnreadableDocumentError: There is no billing operation, or a reference leads nowhere.
    """
    found = {path: item for path, item in upstream["paths"].items() if is_billing_path(str(path)) and item}
    refuse_malformed({"paths": found, **{key: upstream[key] for key in _SHARED if upstream.get(key)}})
    document: Document = {
        "openapi": str(upstream.get("openapi", "3.0.0")),
        "info": {"title": "", "version": str(_mapping(upstream.get("info")).get("version", "unknown"))},
        "paths": {},
        **{key: upstream[key] for key in _SHARED if upstream.get(key)},
    }
    for path, method, operation in operations(upstream, found.__contains__):
        shared = path_item(upstream, path).get("parameters")
        document["paths"].setdefault(path, {})[method] = _operation(upstream, operation, shared)
    if not document["paths"]:
        raise UnreadableDocumentError("the document has no billing operation: there is nothing to generate")
    document["components"] = {
        "schemas": _reachable_schemas(upstream, document),
        "securitySchemes": _used_security_schemes(upstream, document),
    }
    refuse_malformed(document)
    return document


def strip_prose(document: Document) -> Document:
    """Return the document without upstream's words: descriptions, titles, extensions, sentences in data."""
    stripped: Document = rebuild(document, _without_prose)
    return stripped


def schema_references(node: Any, kind: Kind = "document") -> set[str]:
    """Return the names of the component schemas that `node` refers to."""
    references = (found.get("$ref") for _, found in objects(node, kind))
    return {str(ref).removeprefix(SCHEMA_PREFIX) for ref in references if ref is not None}


def _operation(upstream: Document, raw: Document, shared: Any) -> Document:
    """Return an operation by itself, with the parameters of its path folded in."""
    operation: Document = written_out(upstream, raw, keep_schemas=True)
    of_path = written_out(upstream, shared or [], keep_schemas=True)
    operation["parameters"] = _with_shared(operation.get("parameters") or [], of_path)
    operation["responses"] = _mapping(operation.get("responses"))
    operation["tags"] = [_TAG]
    return operation


def _with_shared(own: list[Document], shared: list[Document]) -> list[Document]:
    named = {(parameter.get("name"), parameter.get("in")) for parameter in own}
    return [*own, *(one for one in shared if (one.get("name"), one.get("in")) not in named)]


def _reachable_schemas(upstream: Document, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {}
    wanted = schema_references(document)
    while missing := sorted(wanted - found.keys()):
        for name in missing:
            found[name] = written_out(upstream, target(upstream, SCHEMA_PREFIX + name), keep_schemas=True)
            wanted |= schema_references(found[name], "schema")
    return found


def _used_security_schemes(upstream: Document, document: Document) -> dict[str, Any]:
    requirements = [*(document.get("security") or [])]
    for _, _, operation in operations(document):
        requirements += operation.get("security") or []
    used = {name for requirement in requirements for name in requirement}
    schemes = _mapping(_mapping(upstream.get("components")).get("securitySchemes"))
    return {name: written_out(upstream, scheme, keep_schemas=True) for name, scheme in schemes.items() if name in used}


def _without_prose(kind: Kind, node: Document) -> Document:
    if kind == "info":
        return {"title": "", "version": node["version"]}
    kept = {key: value for key, value in node.items() if key not in _PROSE_KEYS and not key.startswith("x-")}
    if _holds_prose(kept.get("example")):
        del kept["example"]
    if kind == "schema" and any(isinstance(value, str) and " " in value for value in kept.get("enum", ())):
        del kept["enum"]  # one revision pins a whole deprecation notice as the only value of a text
    return kept


def _holds_prose(example: Any) -> bool:
    """Tell whether an example carries a sentence: two plain lower-case words in a row, as no name or date has."""
    if isinstance(example, dict):
        return any(_holds_prose(value) for value in example.values())
    if isinstance(example, list):
        return any(_holds_prose(value) for value in example)
    return isinstance(example, str) and _PROSE.search(example) is not None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
