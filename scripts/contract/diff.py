"""Compare the billing operations of two documents: paths, authentication, requests and responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from contract.diff_rows import Change, Pair, Severity, annotation_rows, described, order_rows, same
from contract.diff_schemas import Sender, schema_rows
from contract.document import METHODS, UnreadableDocumentError, written_out
from contract.model import Contract, security

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contract.document import Document
    from contract.model import Body, Operation, Parameter, Response

IDENTICAL = "identical"
_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

_ASKED_FOR = frozenset({"application/json", "text/csv"})
# A CSV page carries its place in the ledger in these headers and nowhere else, so they count as always there
# although upstream never writes `required` on a header.
_PAGING_HEADER = re.compile(r"x-next-cursor$|x-pagination-")
# OpenAPI says so: the content types and the authentication are described elsewhere.
_IGNORED_HEADERS = frozenset({"accept", "authorization", "content-type"})


def diff(old: Document, new: Document) -> list[Change]:
    """Return every change between the billing operations of two documents, the worst first.

    Raises:
        UnreadableDocumentError: A document is no OpenAPI 3 or refers to what it does not hold.
    """
    worst_first = list(Severity)[::-1]
    unique = dict.fromkeys(_document_rows(old, new))  # a body used twice in an operation says all twice
    return sorted(unique, key=lambda change: worst_first.index(change.severity))


def verdict(changes: Sequence[Change]) -> str:
    """Return the worst severity of all changes, `identical` where there is none."""
    return max((change.severity for change in changes), key=list(Severity).index, default=IDENTICAL)


def _document_rows(old: Document, new: Document) -> Iterator[Change]:
    for document in (old, new):
        if not str(document.get("openapi", "")).startswith("3."):
            raise UnreadableDocumentError("not an OpenAPI 3 document")
    contracts = Contract(old), Contract(new)
    readers = contracts[0].reader, contracts[1].reader
    before, after = (contract.operations for contract in contracts)
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


def _successors(before: Sequence[Operation], after: Sequence[Operation]) -> dict[tuple[str, str], Operation]:
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


def _operation_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
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


def _leftover_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield a row for a difference that no rule has named: at least the order of keys."""
    before, after = (
        written_out(reader.document, operation.raw | _without_operations(operation.shared))
        for reader, operation in ((pair.old, old), (pair.new, new))
    )
    if not same(before, after):
        yield pair.row("operation", "worded differently", _COSMETIC)
    elif str(before) != str(after):
        yield pair.row("operation", "order of keys changed", _COSMETIC)


def _without_operations(item: Document) -> Document:
    return {key: value for key, value in item.items() if key not in METHODS}


def _place_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    if not _is_same_place(old, new):
        before, after = (f"{each.method.upper()} {_server(each)}{each.path}" for each in (old, new))
        yield pair.row("path", f"operation moved: {before} -> {after}", _BREAKING)


def _is_same_place(old: Operation, new: Operation) -> bool:
    before, after = _server(old), _server(new)
    if before and after:
        return old.method == new.method and (before + old.path).rstrip("/") == (after + new.path).rstrip("/")
    return old.key == new.key


def _server(operation: Operation) -> str:
    """Return the first server's URL without scheme and trailing slash, empty where the document names none."""
    parts = urlsplit(str(operation.servers[0].get("url", "")) if operation.servers else "")
    return (parts.netloc + parts.path).rstrip("/")


def _security_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    """Yield a row for each way to authenticate that is gone; an additional way breaks no client."""
    before, after = _credentials(old), _credentials(new)
    gone = [way for way in before if way not in after]
    if gone:
        yield pair.row("security", "authentication changed", _BREAKING)
    elif any(way not in before for way in after):
        yield pair.row("security", "way to authenticate added", _COMPATIBLE)
    elif not same(security(old.raw, pair.old.document), security(new.raw, pair.new.document)):
        yield pair.row("security", "worded differently", _COSMETIC)


def _credentials(operation: Operation) -> list[Any]:
    """Return the accepted combinations of schemes, each scheme by what it asks for, not by its name."""
    return [[[_asked(credential.scheme), credential.scopes] for credential in way] for way in operation.ways]


def _asked(scheme: Document) -> Document:
    said = ("description", "bearerFormat")  # words for people
    return {
        key: str(value).lower() if key == "scheme" else value
        for key, value in scheme.items()
        if key not in said and not key.startswith("x-")
    }


def _parameter_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    before, after = ({each.key: each for each in operation.parameters} for operation in (old, new))
    for key, parameter in before.items():
        if key in after:
            yield from _one_parameter_rows(pair, parameter, after[key])
        else:
            yield pair.row(parameter.location, "parameter removed", _COSMETIC if _is_ignored(key) else _BREAKING)
    for key, parameter in ((key, parameter) for key, parameter in after.items() if key not in before):
        kind = "required parameter added" if parameter.required else "parameter added"
        severity = _COSMETIC if _is_ignored(key) else _BREAKING if parameter.required else _COMPATIBLE
        yield pair.row(parameter.location, kind, severity)
    yield from order_rows(pair, before, after, "parameters", "parameters")


def _one_parameter_rows(pair: Pair, old: Parameter, new: Parameter) -> Iterator[Change]:
    place = old.location
    if old.required != new.required:
        kind, severity = ("now required", _BREAKING) if new.required else ("no longer required", _COMPATIBLE)
        yield pair.row(place, kind, severity)
    for key in ("style", "explode", "allowReserved"):
        before, after = (_serialisation(parameter.raw)[key] for parameter in (old, new))
        if before != after:
            yield pair.row(place, described(key, before, after), _BREAKING)
    compared = ("in", "name", "required", "schema", "content", "style", "explode", "allowReserved")
    yield from annotation_rows(pair, old.raw, new.raw, place, compared=compared)
    yield from schema_rows(pair, old.schema, new.schema, place, Sender.CONSUMER)


def _serialisation(parameter: dict[str, Any]) -> dict[str, Any]:
    style = parameter.get("style", "form" if parameter.get("in") in {"query", "cookie"} else "simple")
    return {
        "style": style,
        "explode": parameter.get("explode", style == "form"),
        "allowReserved": parameter.get("allowReserved", False),
    }


def _request_body_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    before, after = old.request_body, new.request_body
    if before is None or after is None:
        if before is not None or after is not None:
            kind = "request body added" if before is None else "request body removed"
            harmless = after is not None and not after.required
            yield pair.row("requestBody", kind, _COMPATIBLE if harmless else _BREAKING)
        return
    if before.required != after.required:
        severity = _BREAKING if after.required else _COMPATIBLE
        yield pair.row("requestBody", described("required", before.required, after.required), severity)
    yield from annotation_rows(pair, before.raw, after.raw, "requestBody", compared=("content", "required"))
    yield from _body_rows(pair, before.bodies, after.bodies, "requestBody", Sender.CONSUMER, lost=_BREAKING)


def _response_rows(pair: Pair, old: Operation, new: Operation) -> Iterator[Change]:
    before, after = ({each.status: each for each in operation.responses} for operation in (old, new))
    for status, response in before.items():
        place = f"responses.{status}"
        match = after.get(status, after.get(f"{status[0]}XX") if response.is_success else None)
        if match is not None:
            yield from _one_response_rows(pair, response, match, place)
        else:
            yield pair.row(place, "status removed", _BREAKING if response.is_success else _COMPATIBLE)
    for status in (status for status in after if status not in before):
        yield pair.row(f"responses.{status}", "status added", _COMPATIBLE)
    yield from order_rows(pair, before, after, "responses", "statuses")


def _one_response_rows(pair: Pair, old: Response, new: Response, place: str) -> Iterator[Change]:
    yield from annotation_rows(pair, old.raw, new.raw, place, compared=("content", "headers"))
    yield from _header_rows(pair, old.headers, new.headers, f"{place}.headers")
    lost = _BREAKING if old.is_success else _COMPATIBLE
    yield from _body_rows(pair, old.bodies, new.bodies, place, Sender.SERVER, lost=lost)


def _header_rows(
    pair: Pair, before: Mapping[str, Parameter], after: Mapping[str, Parameter], place: str
) -> Iterator[Change]:
    for name, header in before.items():
        there = f"{place}.{name}"
        relied_on = header.required or _PAGING_HEADER.match(name) is not None
        if name not in after:
            yield pair.row(there, "header removed", _BREAKING if relied_on else _COMPATIBLE)
            continue
        other = after[name]
        if header.required != other.required:
            gone = ("no longer always sent", _BREAKING)
            yield pair.row(there, *(gone if header.required else ("now always sent", _COMPATIBLE)))
        yield from annotation_rows(pair, header.raw, other.raw, there, compared=("content", "required", "schema"))
        yield from schema_rows(pair, header.schema, other.schema, there, Sender.SERVER)
    for name in (name for name in after if name not in before):
        yield pair.row(f"{place}.{name}", "header added", _COMPATIBLE)
    yield from order_rows(pair, before, after, place, "headers")


def _body_rows(
    pair: Pair, before: Mapping[str, Body], after: Mapping[str, Body], place: str, sender: Sender, *, lost: Severity
) -> Iterator[Change]:
    """Yield what changed in the bodies; `lost` is how bad it is to lose a media type we ask for."""
    for media_type, body in before.items():
        there = f"{place}.{media_type}"
        if media_type in after:
            other = after[media_type]
            yield from annotation_rows(pair, body.raw, other.raw, there, compared=("schema",))
            yield from schema_rows(pair, body.schema, other.schema, there, sender)
        else:
            severity = lost if sender is Sender.CONSUMER or media_type in _ASKED_FOR else _COMPATIBLE
            yield pair.row(there, "media type removed", severity)
    for media_type in (media_type for media_type in after if media_type not in before):
        yield pair.row(f"{place}.{media_type}", "media type added", _COMPATIBLE)
    yield from order_rows(pair, before, after, place, "media types")


def _is_ignored(key: tuple[str, str]) -> bool:
    return key[0] == "header" and key[1] in _IGNORED_HEADERS
