"""Compare the billing operations of two documents: paths, authentication, requests and responses."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from contract.diff_access import place_rows, security_rows
from contract.diff_parameters import SERIALISATION, parameter_rows, serialisation_rows
from contract.diff_rows import Change, Pair, Severity, annotation_rows, described, order_rows, same
from contract.diff_schemas import schema_rows
from contract.document import METHODS, written_out
from contract.model import Contract, check_version
from contract.schemas import Sender

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from contract.document import Document
    from contract.model import Body, Operation, Parameter, Response

IDENTICAL = "identical"
_BREAKING, _COMPATIBLE, _COSMETIC = Severity.BREAKING, Severity.COMPATIBLE, Severity.COSMETIC

_MEDIA_TYPES_ASKED_FOR = frozenset({"application/json", "text/csv"})
# A CSV page carries its place in the ledger in these headers and nowhere else, so they count as always there
# although upstream never writes `required` on a header.
_PAGING_HEADER = re.compile(r"x-next-cursor$|x-pagination-")


def diff(old: Document, new: Document) -> list[Change]:
    """Return every change between the billing operations of two documents, the worst first.

    Raises:
        UnreadableDocumentError: A document is no OpenAPI 3 or refers to what it does not hold.
    """
    worst_first = list(Severity)[::-1]
    unique = dict.fromkeys(_document_rows(old, new))  # a schema that an operation uses twice yields its rows twice
    return sorted(unique, key=lambda change: worst_first.index(change.severity))


def verdict(changes: Sequence[Change]) -> str:
    """Return the worst severity of all changes, `identical` where there is none."""
    return max((change.severity for change in changes), key=list(Severity).index, default=IDENTICAL)


def _document_rows(old: Document, new: Document) -> Iterator[Change]:
    for document in (old, new):
        check_version(document)
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
        *place_rows(pair, old, new),
        *security_rows(pair, old, new),
        *parameter_rows(pair, old, new),
        *_request_body_rows(pair, old, new),
        *_response_rows(pair, old, new),
        *annotation_rows(
            pair,
            old.raw,
            new.raw,
            "operation",
            compared=("parameters", "requestBody", "responses", "security", "servers", "x-rules"),
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
        match = after.get(status, _successor_status(status, after) if response.is_success else None)
        if match is not None:
            yield from _one_response_rows(pair, response, match, place)
        else:
            yield pair.row(place, "status removed", _BREAKING if response.is_success else _COMPATIBLE)
    for status in (status for status in after if status not in before):
        yield pair.row(f"responses.{status}", "status added", _COMPATIBLE)
    yield from order_rows(pair, before, after, "responses", "statuses")


def _successor_status(status: str, after: Mapping[str, Response]) -> Response | None:
    """Return the range that takes in a success, or the first success of a range that there is."""
    within = (other for other in sorted(after) if status.endswith("XX") and other[0] == status[0])
    return after.get(f"{status[0]}XX") or after.get(next(within, ""))


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
        yield from annotation_rows(pair, header.raw, other.raw, there, compared=("required", *SERIALISATION))
        yield from serialisation_rows(pair, header, other, there)
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
            severity = lost if sender is Sender.CONSUMER or media_type in _MEDIA_TYPES_ASKED_FOR else _COMPATIBLE
            yield pair.row(there, "media type removed", severity)
    for media_type in (media_type for media_type in after if media_type not in before):
        yield pair.row(f"{place}.{media_type}", "media type added", _COMPATIBLE)
    yield from order_rows(pair, before, after, place, "media types")
