"""The canonical form of rows, and its digest. Pure; memory grows with the rows of one second alone.

A canonical row is the line that the entry has as JSON, made independent of how it was written: a JSON array of the
timestamp and the entry, keys sorted, numbers as texts with the digits that the API sent, in ASCII, without white space.
Rows are sorted as texts, so by time first; each ends with a line feed; the digest is SHA-256 over all of them.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Any

from venice_billing._runtime.codec import format_datetime
from venice_billing.ledger._moments import moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SECOND = 1_000_000
_MOST_REMEMBERED = 4096  # SKUs, notes and keys repeat; a broken server must not fill the memory
_text = encode_basestring_ascii
_repeated_text = lru_cache(_MOST_REMEMBERED)(encode_basestring_ascii)


def digest(rows: Iterable[Sequence[Any]]) -> tuple[str, int]:
    """Return the digest of rows that were selected by `_entries.COLUMNS` in the order of time, and their count."""
    found = hashlib.sha256()
    count, second = 0, None
    lines: list[str] = []
    for row in rows:
        if row[0] // _SECOND != second:
            found.update("".join(sorted(lines)).encode())
            lines, second = [], row[0] // _SECOND
        lines.append(_line(row))
        count += 1
    found.update("".join(sorted(lines)).encode())
    return found.hexdigest(), count


def _line(row: Sequence[Any]) -> str:
    """Return the canonical form of a row, and a line feed."""
    (at, sku, currency, amount, units, price, notes, key, key_is_null, has_details, *details, whole) = row
    if whole is not None:
        return _whole_line(whole)
    timestamp = format_datetime(moment(at))
    return (
        f'["{timestamp}",{{"amount":"{amount}",{_key(key, is_null=key_is_null)}"currency":{_repeated_text(currency)},'
        f'"inferenceDetails":{_details(*details) if has_details else "null"},"notes":{_repeated_text(notes)},'
        f'"pricePerUnitUsd":"{price}","sku":{_repeated_text(sku)},"timestamp":"{timestamp}","units":"{units}"}}]\n'
    )


def _key(key: str | None, *, is_null: bool | None) -> str:
    if key is None:
        return '"apiKeyId":null,' if is_null else ""
    return f'"apiKeyId":{_repeated_text(key)},'


def _details(request_id: str | None, prompt: int | None, completion: int | None, milliseconds: int | None) -> str:
    return (
        f'{{"completionTokens":{_number(completion)},"inferenceExecutionTime":{_number(milliseconds)},'
        f'"promptTokens":{_number(prompt)},"requestId":{"null" if request_id is None else _text(request_id)}}}'
    )


def _number(value: int | None) -> str:
    return "null" if value is None else f'"{value}"'


def _whole_line(text: str) -> str:
    """Return the canonical form of an entry as JSON: also what a third party makes of a line of an export."""
    entry = json.loads(text, parse_float=str, parse_int=str)
    return json.dumps([entry["timestamp"], entry], sort_keys=True, separators=(",", ":")) + "\n"
