"""Faults in the content of pages: rows that were not requested, cuts between records, and the key repeated."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from attrs import evolve

from venice_billing.testing._fault import Fault, unpacked
from venice_billing.testing._responses import Response, error_response
from venice_billing.testing._text import CSV_COLUMNS, format_instant, to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KeyPlace: TypeAlias = Literal["value", "name", "error", "header"]

_MILLISECOND = 1_000
_Fields: TypeAlias = dict[str, str]


def edit(change: Callable[[Any], object], *, name: str = "edit") -> Fault:
    """Change the JSON document (numbers are exact) in place; other and compressed responses stay unchanged."""

    def apply(response: Response) -> Response:
        if response.header("content-encoding") is not None or not _is(response, "application/json"):
            return response
        document = json.loads(response.body, parse_float=Decimal)
        change(document)
        return evolve(response, body=to_json(document).encode())

    return Fault(name, apply)


def unknown_fields() -> Fault:
    """Add a field that no document names to the response and to each of its rows."""

    def change(document: Any) -> None:
        document["newField"] = {"since": "tomorrow"}
        for row in document.get("data", ()):
            row["newField"] = [1, Decimal("2.50"), None]

    return edit(change, name="unknown fields")


def unknown_currency(currency: str = "POINTS") -> Fault:
    """Put a currency that no document names into every row, and into the consumption."""

    def change(document: Any) -> None:
        if "consumptionCurrency" in document:
            document["consumptionCurrency"] = currency
        for row in document.get("data", ()):
            row["currency"] = currency

    return edit(change, name="unknown currency")


def cut_at_record(share: float = 0.5) -> Fault:
    """End the connection between two records, after that share of them, without a `content-length`.

    The part of a CSV page that arrives is a valid CSV page. A response with at most one record ends before its last
    byte.
    """

    def change(response: Response) -> Response:
        response = unpacked(response)
        cut = len(response.body) - 1
        if response.status == 200:  # noqa: PLR2004 - OK
            borders = _borders(response)
            cut = borders[int(share * len(borders))] if borders else cut
        return response.transmitted(without_length=True, cut_at=cut)

    return Fault("cut at record", change)


def foreign_currency(currency: str | None = None) -> Fault:
    """Repeat the last row of a page in a currency other than the requested one.

    If no currency was requested, or there are no rows, the response stays unchanged.
    """

    def change(response: Response) -> Response:
        asked = response.requested.currency
        if asked is None:
            return response
        other = currency or ("DIEM" if asked == "USD" else "USD")
        return _with_row(response, {"currency": other, "notes": "Not asked for"}, at_the_end=True)

    return Fault("foreign currency", change)


def foreign_time() -> Fault:
    """Repeat a row with a time outside the requested range.

    The row is put where its time belongs: after the last row of the last page, at the requested end, or before the
    first row of the first page. If that side of the range is open, the response stays unchanged.
    """

    def change(response: Response) -> Response:
        asked = response.requested
        too_late = None if asked.end is None else asked.end
        too_early = None if asked.start is None else asked.start - _MILLISECOND
        behind, before = (too_early, too_late) if asked.descending else (too_late, too_early)
        for instant, at_the_end, here in ((behind, True, asked.last), (before, False, asked.first)):
            if here and instant is not None:
                fields = {"timestamp": format_instant(instant), "notes": "Not asked for"}
                return _with_row(response, fields, at_the_end=at_the_end)
        return response

    return Fault("foreign time", change)


def echo_key(where: KeyPlace = "name", *, escaped: bool = False) -> Fault:
    r"""Repeat the key of the request in the response.

    Args:
        where: As the `"name"` of a field that no document names, as a `"value"` instead of the first amount (both in
            JSON only), in the message of an `"error"` 400, or in a `"header"`.
        escaped: Spell the key with JSON's `\u` escapes, so that its plain text is nowhere in the body.
    """

    def change(response: Response) -> Response:
        key = response.requested.key
        if key is None:
            return response
        if where == "header":
            return response.with_header("x-request-id", f"for {key}")
        if where == "error":
            changed = error_response(400, f"The key {key} is not allowed here")
        else:
            response = unpacked(response)
            changed = (_named if where == "name" else _valued)(key).apply(response)
        return _escaped(changed, key) if escaped else changed

    return Fault(f"echoed key as {where}{', escaped' if escaped else ''}", change)


def _named(key: str) -> Fault:
    def change(document: Any) -> None:
        document[key] = None
        for row in document.get("data", ()):
            row[key] = None

    return edit(change)


def _valued(key: str) -> Fault:
    def change(document: Any) -> None:
        for row in document.get("data", ())[:1]:
            row["amount"] = f"Bearer {key}"
        if "balances" in document:
            document["balances"] = f"Bearer {key}"
        if "byDate" in document:
            document["byDate"] = f"Bearer {key}"

    return edit(change)


def _escaped(response: Response, key: str) -> Response:
    spelled = "".join(f"\\u{ord(character):04x}" for character in key)
    return evolve(response, body=response.body.replace(key.encode(), spelled.encode()))


def _with_row(response: Response, fields: _Fields, *, at_the_end: bool) -> Response:
    """Return the page with its last (or first) row repeated, the repetition with those fields changed."""
    response = unpacked(response)
    if response.status != 200:  # noqa: PLR2004 - OK
        return response
    if _is(response, "text/csv"):
        return _with_record(response, fields, at_the_end=at_the_end)

    def change(document: Any) -> None:
        rows = document.get("data", [])
        if rows:
            added = {**rows[-1 if at_the_end else 0], **fields}
            rows.insert(len(rows) if at_the_end else 0, added)

    return edit(change).apply(response)


def _with_record(response: Response, fields: _Fields, *, at_the_end: bool) -> Response:
    header, *records = _records(response.body)
    if not records:
        return response
    line_break = b"\r\n" if header.endswith(b"\r\n") else b"\n"
    if not records[-1].endswith(b"\n"):
        records[-1] += line_break
    values = next(csv.reader([records[-1 if at_the_end else 0].decode()], strict=True))
    for name, value in fields.items():
        values[CSV_COLUMNS.index(name)] = value
    added = ",".join(_quoted(value) for value in values).encode() + line_break
    records.insert(len(records) if at_the_end else 0, added)
    return evolve(response, body=header + b"".join(records))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if any(mark in text for mark in '",\r\n') else text


def _records(document: bytes) -> list[bytes]:
    """Return the records of a CSV document, the header first, each with its line break."""
    records: list[bytes] = []
    quotes = 0
    for line in document.splitlines(keepends=True) if document else ():
        if quotes % 2:
            records[-1] += line
        else:
            records.append(line)
        quotes += line.count(b'"')
    return records


def _borders(response: Response) -> Sequence[int]:
    """Return the offsets at which records end, except the last; for a CSV page, also the end of the header."""
    if _is(response, "text/csv"):
        ends, end = [], 0
        for record in _records(response.body):
            end += len(record)
            ends.append(end)
        return ends[:-1]
    ends, end = [], response.body.find(b"},{")
    while end >= 0:
        ends.append(end + 1)
        end = response.body.find(b"},{", end + 1)
    return ends


def _is(response: Response, media_type: str) -> bool:
    return (response.header("content-type") or "").startswith(media_type)
