"""The canonical form of rows, and its digest. Memory grows with the rows of one second alone.

A canonical row is the line that the entry has as JSON, made independent of how it was written: a JSON array of the
timestamp and the entry, keys sorted, numbers as texts with the digits that the API sent, in ASCII, without white space.
Rows are sorted as texts, so by time first; each ends with a line feed; the digest is SHA-256 over all of them.

DuckDB writes the rows whose texts need no escaping, nearly all, at ten times the pace of Python.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from venice_billing.ledger import _entries

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb

    from venice_billing.ledger._database import Database

_ROWS_AT_ONCE = 4096
_SECOND = 1_000_000


def _number(column: str) -> str:
    return f"""coalesce('"' || {column} || '"', 'null')"""


_TIME = "make_timestamp(epoch_us(timestamp))"
_TIMESTAMP = (
    f"CASE WHEN epoch_us(timestamp) % 1000 = 0 THEN strftime({_TIME}, '%Y-%m-%dT%H:%M:%S.%gZ') "
    f"ELSE strftime({_TIME}, '%Y-%m-%dT%H:%M:%S.%fZ') END"
)
_TEXTS = "concat(sku, currency, notes, api_key_id, request_id)"
_IS_PLAIN = (
    "entry_json IS NULL AND timestamp >= '1970-01-01 00:00:00+00' "
    rf"AND regexp_full_match({_TEXTS}, '[\x20-\x21\x23-\x5b\x5d-\x7e]*')"
)
_PLAIN_LINE = f"""concat('["', time_text, '",{{"amount":"', amount_text, '",',
    CASE WHEN api_key_id IS NOT NULL THEN concat('"apiKeyId":"', api_key_id, '",')
        WHEN api_key_id_is_null THEN '"apiKeyId":null,' END,
    '"currency":"', currency, '","inferenceDetails":',
    CASE WHEN has_inference_details THEN concat('{{"completionTokens":', {_number("completion_tokens")},
        ',"inferenceExecutionTime":', {_number("inference_execution_time")},
        ',"promptTokens":', {_number("prompt_tokens")}, ',"requestId":', {_number("request_id")}, '}}')
        ELSE 'null' END,
    ',"notes":"', notes, '","pricePerUnitUsd":"', price_per_unit_usd_text, '","sku":"', sku,
    '","timestamp":"', time_text, '","units":"', units_text, '"}}]\n')"""


def digest(database: Database, where: str, values: Mapping[str, int]) -> tuple[str, int]:
    """Return the digest of the rows that fulfil a condition, and their count."""
    rows = f"SELECT *, {_TIMESTAMP} AS time_text FROM usage_rows WHERE {where} AND {_IS_PLAIN}"
    plain = f"SELECT epoch_us(timestamp) // {_SECOND}, {_PLAIN_LINE} FROM ({rows}) ORDER BY timestamp"
    others = f"SELECT {_entries.COLUMNS} FROM usage_rows WHERE {where} AND NOT ({_IS_PLAIN}) ORDER BY timestamp"
    with database.reading() as first, database.reading() as second:
        lines = _fetched(first.execute(plain, dict(values)))
        other_lines = _other_lines(_fetched(second.execute(others, dict(values))))
        return _digest(heapq.merge(lines, other_lines, key=itemgetter(0)))


def _digest(lines: Iterable[Sequence[Any]]) -> tuple[str, int]:
    """Return the digest of lines that come by seconds; those of one second are sorted here."""
    digest = hashlib.sha256()
    count, current = 0, None
    held: list[str] = []
    for second, line in lines:
        if second != current:
            digest.update("".join(sorted(held)).encode())
            held, current = [], second
        held.append(line)
        count += 1
    digest.update("".join(sorted(held)).encode())
    return digest.hexdigest(), count


def _fetched(cursor: duckdb.DuckDBPyConnection) -> Iterator[Any]:
    while rows := cursor.fetchmany(_ROWS_AT_ONCE):
        yield from rows


def _other_lines(rows: Iterable[Sequence[Any]]) -> Iterator[tuple[int, str]]:
    for row in rows:
        (entry,) = _entries.entries([row])
        yield row[0] // _SECOND, _canonical(_entries.json_text(entry.to_dict()))


def _canonical(line: str) -> str:
    """Return the canonical form of an entry as JSON: what others make of a line of an export."""
    entry = json.loads(line, parse_float=str, parse_int=str)
    return json.dumps([entry["timestamp"], entry], sort_keys=True, separators=(",", ":")) + "\n"
