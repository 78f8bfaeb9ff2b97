"""Compare the billing operations of two documents: where they are, who may call, what goes in and what comes out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from contract.diff_rows import Change, Pair, Severity, annotation_rows, described, order_rows, same
from contract.diff_schemas import Sender, schema_rows
from contract.schemas import Reader
from contract.structure import METHODS, Document, UnreadableDocumentError, is_billing_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

_ASKED_FOR = frozenset({"application/json", "text/csv"})
# A CSV page carries its place in the ledger in these headers and nowhere else, so they count as always there
# although upstream never writes `required` on a header.
_PAGING_HEADER = re.compile(r"x-next-cursor$|x-pagination-")
# OpenAPI says so: the content types and the authentication are described elsewhere.
_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})


@frozen
class _Operation:
    reader: Reader
    path: str
    method: str
    raw: dict[str, Any]
    shared: dict[str, Any]

    @property
    def key(self) -> tuple[str, str]:
        """Name the operation by what a consumer calls, whichever of server and path holds the version."""
        return self.method, re.sub(r"^/api/v\d+", "", self.path).rstrip("/")

    @property
    def name(self) -> str:
        return str(self.raw.get("operationId") or f"{self.method.upper()} {self.path}")

    @property
    def url(self) -> str:
        """Return where a call goes; relative when the document names no server."""
        return _server(self) + self.path

    @property
    def security(self) -> list[Any]:
        """Return the operation's own requirements, or those of the document."""
        required = self.raw.get("security", self.reader.document.get("security"))
        return required if isinstance(required, list) else []

    def is_at(self, other: _Operation) -> bool:
        if _server(self) and _server(other):
            return self.key[0] == other.key[0] and self.url.rstrip("/") == other.url.rstrip("/")
        return self.key == other.key


def document_rows(old: Document, new: Document) -> Iterator[Change]:
    """Yield what changed between the billing operations of two documents."""
    for document in (old, new):
        if not str(document.get("openapi", "")).startswith("3."):
            raise UnreadableDocumentError("not an OpenAPI 3 document")
    readers = Reader(old), Reader(new)
    before, after = (list(_operations(reader)) for reader in readers)
    successors = _successors(before, after)
    for operation in before:
        pair = Pair(operation.name, *readers)
        successor = successors.get(operation.key)
        if successor is None:
            yield pair.row(f"{operation.method.upper()} {operation.path}", "operation removed", _BREAKING)
        else:
            yield from _operation_rows(pair, operation, successor)
    met = [successor.key for successor in successors.values()]
    for operation in (operation for operation in after if operation.key not in met):
        row = Pair(operation.name, *readers).row
        yield row(f"{operation.method.upper()} {operation.path}", "operation added", _COMPATIBLE)
    yield from order_rows(
        Pair("*", *readers), [each.key for each in before], [each.key for each in after], "paths", "operations"
    )


def _operations(reader: Reader) -> Iterator[_Operation]:
    for path, raw in reader.document["paths"].items():
        if is_billing_path(str(path)):
            item = _mapping(reader.resolve(raw), f"paths.{path}")
            shared = {key: value for key, value in item.items() if key not in METHODS}
            for method in (method for method in METHODS if method in item):
                yield _Operation(reader, path, method, _mapping(item[method], f"{method} {path}"), shared)


def _successors(before: list[_Operation], after: list[_Operation]) -> dict[tuple[str, str], _Operation]:
    """Match operations by method and path, and those that moved by their operationId."""
    by_key = {operation.key: operation for operation in after}
    found = {operation.key: by_key[operation.key] for operation in before if operation.key in by_key}
    free = {operation.name: operation for operation in after if operation.key not in found}
    moved = {
        operation.key: free[operation.name]
        for operation in before
        if operation.key not in found and operation.name in free
    }
    return found | moved


def _operation_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    rows = [
        *_place_rows(pair, old, new),
        *_security_rows(pair, old, new),
        *_parameter_rows(pair, old, new),
        *_request_body_rows(pair, old, new),
        *_response_rows(pair, old, new),
        *annotation_rows(
            pair,
            old.raw,
            new.raw,
            "operation",
            compared=("parameters", "requestBody", "responses", "security", "servers"),
        ),
    ]
    yield from rows
    if not rows:
        yield from _leftover_rows(pair, old, new)


def _leftover_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    """Yield a row for a difference that no rule has named: at least the order of keys."""
    before, after = (operation.reader.inline(operation.raw | operation.shared) for operation in (old, new))
    if not same(before, after):
        yield pair.row("operation", "worded differently", _COSMETIC)
    elif str(before) != str(after):
        yield pair.row("operation", "order of keys changed", _COSMETIC)


def _place_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    if not old.is_at(new):
        before, after = (f"{operation.method.upper()} {operation.url}" for operation in (old, new))
        yield pair.row("path", f"operation moved: {before} -> {after}", _BREAKING)


def _server(operation: _Operation) -> str:
    """Return the first server's URL without scheme and trailing slash, empty where the document names none."""
    servers = operation.raw.get("servers") or operation.shared.get("servers")
    servers = servers or operation.reader.document.get("servers") or [{}]
    first = servers[0] if isinstance(servers, list) else servers
    parts = urlsplit(str(_mapping(first, "server").get("url", "")))
    return (parts.netloc + parts.path).rstrip("/")


def _security_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    """Yield a row when a way to authenticate is gone; one more beside it changes nothing for who uses the first."""
    before, after = _credentials(old), _credentials(new)
    gone = [way for way in before if way not in after]
    if gone:
        yield pair.row("security", "authentication changed", _BREAKING)
    elif any(way not in before for way in after):
        yield pair.row("security", "way to authenticate added", _COMPATIBLE)
    elif not same(*(operation.security for operation in (old, new))):
        yield pair.row("security", "worded differently", _COSMETIC)


def _credentials(operation: _Operation) -> list[Any]:
    """Return the accepted combinations of schemes, each scheme by what it asks for, not by its name."""
    components = _mapping(operation.reader.document.get("components") or {}, "components")
    schemes = _mapping(components.get("securitySchemes") or {}, "components.securitySchemes")
    return [
        [
            [_scheme(operation.reader, schemes.get(name, {"name": name})), scopes]
            for name, scopes in sorted(_mapping(way, "security").items())
        ]
        for way in operation.security or [{}]
    ]


def _scheme(reader: Reader, scheme: Any) -> dict[str, Any]:
    said = ("description", "bearerFormat")  # words for people
    return {
        key: str(value).lower() if key == "scheme" else value
        for key, value in _mapping(reader.resolve(scheme), "security scheme").items()
        if key not in said and not key.startswith("x-")
    }


def _parameter_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    before, after = _parameters(old), _parameters(new)
    for key, parameter in before.items():
        place = ".".join(("parameters", *key))
        if key in after:
            yield from _one_parameter_rows(pair, parameter, after[key], place)
        else:
            yield pair.row(place, "parameter removed", _COSMETIC if _is_ignored(key) else _BREAKING)
    for key in (key for key in after if key not in before):
        required = _is_required(after[key])
        kind = "required parameter added" if required else "parameter added"
        severity = _COSMETIC if _is_ignored(key) else _BREAKING if required else _COMPATIBLE
        yield pair.row(".".join(("parameters", *key)), kind, severity)
    yield from order_rows(pair, before, after, "parameters", "parameters")


def _parameters(operation: _Operation) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the parameters by place and name, an operation's own before those of its path."""
    found = {}
    for raw in (*_list(operation.shared, "parameters"), *_list(operation.raw, "parameters")):
        parameter = _mapping(operation.reader.resolve(raw), "parameter")
        name = str(parameter.get("name"))
        found[str(parameter.get("in")), name.lower() if parameter.get("in") == "header" else name] = parameter
    return found


def _one_parameter_rows(pair: Pair, old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Change]:
    was, now = _is_required(old), _is_required(new)
    if was != now:
        kind, severity = ("now required", _BREAKING) if now else ("no longer required", _COMPATIBLE)
        yield pair.row(place, kind, severity)
    for key in ("style", "explode", "allowReserved"):
        before, after = (_serialisation(parameter)[key] for parameter in (old, new))
        if before != after:
            yield pair.row(place, described(key, before, after), _BREAKING)
    compared = ("in", "name", "required", "schema", "content", "style", "explode", "allowReserved")
    yield from annotation_rows(pair, old, new, place, compared=compared)
    yield from schema_rows(pair, _parameter_schema(old), _parameter_schema(new), place, Sender.CONSUMER)


def _serialisation(parameter: dict[str, Any]) -> dict[str, Any]:
    style = parameter.get("style", "form" if parameter.get("in") in {"query", "cookie"} else "simple")
    return {
        "style": style,
        "explode": parameter.get("explode", style == "form"),
        "allowReserved": parameter.get("allowReserved", False),
    }


def _parameter_schema(parameter: dict[str, Any]) -> Any:
    content = parameter.get("content") or {"": parameter}
    return next(iter(content.values())).get("schema", {})


def _request_body_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    before, after = (operation.reader.resolve(operation.raw.get("requestBody")) for operation in (old, new))
    if before is None and after is None:
        return
    if before is None or after is None:
        kind = "request body added" if before is None else "request body removed"
        harmless = before is None and not after.get("required", False)
        yield pair.row("requestBody", kind, _COMPATIBLE if harmless else _BREAKING)
        return
    if _is_required(before) != _is_required(after):
        severity = _BREAKING if _is_required(after) else _COMPATIBLE
        yield pair.row("requestBody", described("required", _is_required(before), _is_required(after)), severity)
    yield from annotation_rows(pair, before, after, "requestBody", compared=("content", "required"))
    yield from _content_rows(pair, before, after, "requestBody", Sender.CONSUMER, lost=_BREAKING)


def _response_rows(pair: Pair, old: _Operation, new: _Operation) -> Iterator[Change]:
    before, after = _responses(old), _responses(new)
    for status, response in before.items():
        place = f"responses.{status}"
        match = after.get(status, after.get(f"{status[0]}XX") if _is_success(status) else None)
        if match is not None:
            yield from _one_response_rows(pair, response, match, place)
        else:
            yield pair.row(place, "status removed", _BREAKING if _is_success(status) else _COMPATIBLE)
    for status in (status for status in after if status not in before):
        yield pair.row(f"responses.{status}", "status added", _COMPATIBLE)
    yield from order_rows(pair, before, after, "responses", "statuses")


def _responses(operation: _Operation) -> dict[str, dict[str, Any]]:
    raw = _mapping(operation.raw.get("responses") or {}, "responses")
    return {
        str(status).upper(): _mapping(operation.reader.resolve(response), f"responses.{status}")
        for status, response in raw.items()
        if not str(status).startswith("x-")
    }


def _one_response_rows(pair: Pair, old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Change]:
    yield from annotation_rows(pair, old, new, place, compared=("content", "headers"))
    yield from _header_rows(pair, old, new, f"{place}.headers")
    yield from _content_rows(
        pair, old, new, place, Sender.SERVER, lost=_BREAKING if _is_success(place.split(".")[1]) else _COMPATIBLE
    )


def _header_rows(pair: Pair, old: dict[str, Any], new: dict[str, Any], place: str) -> Iterator[Change]:
    before, after = _headers(pair.old, old), _headers(pair.new, new)
    for name, header in before.items():
        there = f"{place}.{name}"
        relied_on = _is_required(header) or _PAGING_HEADER.match(name) is not None
        if name not in after:
            yield pair.row(there, "header removed", _BREAKING if relied_on else _COMPATIBLE)
            continue
        if _is_required(header) != _is_required(after[name]):
            kind, severity = ("now always sent", _COMPATIBLE)
            if _is_required(header):
                kind, severity = ("no longer always sent", _BREAKING)
            yield pair.row(there, kind, severity)
        yield from annotation_rows(pair, header, after[name], there, compared=("content", "required", "schema"))
        yield from schema_rows(pair, _parameter_schema(header), _parameter_schema(after[name]), there, Sender.SERVER)
    for name in (name for name in after if name not in before):
        yield pair.row(f"{place}.{name}", "header added", _COMPATIBLE)
    yield from order_rows(pair, before, after, place, "headers")


def _headers(reader: Reader, response: dict[str, Any]) -> dict[str, dict[str, Any]]:
    headers = _mapping(response.get("headers") or {}, "headers")
    return {name.lower(): _mapping(reader.resolve(header), name) for name, header in headers.items()}


def _content_rows(
    pair: Pair, old: dict[str, Any], new: dict[str, Any], place: str, sender: Sender, *, lost: Severity
) -> Iterator[Change]:
    """Yield what changed in the bodies; `lost` is how bad it is to lose a media type we ask for."""
    before, after = _content(old), _content(new)
    for media_type, body in before.items():
        there = f"{place}.{media_type}"
        if media_type in after:
            other = after[media_type]
            yield from annotation_rows(pair, body, other, there, compared=("schema",))
            yield from schema_rows(pair, body.get("schema", {}), other.get("schema", {}), there, sender)
        else:
            severity = lost if sender is Sender.CONSUMER or media_type in _ASKED_FOR else _COMPATIBLE
            yield pair.row(there, "media type removed", severity)
    for media_type in (media_type for media_type in after if media_type not in before):
        yield pair.row(f"{place}.{media_type}", "media type added", _COMPATIBLE)
    yield from order_rows(pair, before, after, place, "media types")


def _content(node: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the bodies by media type, its parameters (a charset, say) aside."""
    content = _mapping(node.get("content") or {}, "content")
    return {name.partition(";")[0].strip().lower(): _mapping(body, name) for name, body in content.items()}


def _is_success(status: str) -> bool:
    return status.startswith("2")


def _is_required(node: dict[str, Any]) -> bool:
    return node.get("required") is True


def _is_ignored(key: tuple[str, str]) -> bool:
    return key[0] == "header" and key[1] in _IGNORED_HEADERS


def _list(node: dict[str, Any], key: str) -> list[Any]:
    value = node.get(key, [])
    if not isinstance(value, list):
        raise UnreadableDocumentError(f"{key} is no list: {value!r}")
    return value


def _mapping(node: Any, what: str) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise UnreadableDocumentError(f"{what} is no object: {node!r}")
    return node
