"""Exact text: money as JSON numbers without floats in between, CSV records, instants as whole microseconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

Row = dict[str, Any]
"""One ledger entry by the API's field names; the three numbers are `Decimal`s."""

CSV_COLUMNS = (
    "timestamp",
    "sku",
    "pricePerUnitUsd",
    "units",
    "amount",
    "currency",
    "notes",
    "requestId",
    "promptTokens",
    "completionTokens",
    "inferenceExecutionTime",
    "apiKeyId",
)
DETAILS = frozenset(CSV_COLUMNS[7:11])
"""The columns that are fields of `inferenceDetails`."""
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86_400_000_000
"""A day in microseconds."""


def to_json(value: object) -> str:
    """Return a value as JSON text; a `Decimal` becomes a number, digit for digit.

    The client's own codec is not used, so that a mistake there shows in tests against the fake.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal | int):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{encode_basestring(key)}:{to_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Iterable):
        return "[" + ",".join(map(to_json, value)) + "]"
    raise TypeError(f"not exact JSON: {type(value).__name__}")


def to_csv_record(row: Row) -> str:
    """Return a row as a CSV record without its line break; null is the empty field."""
    details = row["inferenceDetails"] or {}
    fields = (details.get(name) if name in DETAILS else row.get(name) for name in CSV_COLUMNS)
    return ",".join(map(_csv_field, fields))


def _csv_field(value: object) -> str:
    text = "" if value is None else str(value)
    return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text


def parse_instant(text: str, *, zulu: bool = False) -> int:
    """Return the microseconds since 1970 of an RFC 3339 date-time; finer digits are cut.

    Args:
        text: The date-time, with its offset.
        zulu: Take the suffix `Z` only, as the history endpoint does.

    Raises:
        ValueError: The text is no such date-time.
    """
    match = _INSTANT.fullmatch(text)
    if match is None or (zulu and match[8] != "Z"):
        raise ValueError(f"not an ISO 8601 UTC timestamp with a Z suffix: {text[:60]!r}")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if hour > 23 or minute > 59 or second > 60:  # noqa: PLR2004 - RFC 3339 allows the leap second
        raise ValueError(f"no such time of day: {text[:60]!r}")
    seconds = (date(year, month, day).toordinal() - _EPOCH_DAY) * 86_400 + hour * 3600 + minute * 60 + second
    return (seconds - _offset_seconds(match[8])) * 1_000_000 + int((match[7] or "").ljust(6, "0")[:6])


def _offset_seconds(suffix: str) -> int:
    if suffix in "Zz":
        return 0
    hours, minutes = int(suffix[1:3]), int(suffix[4:6])
    if hours > 23 or minutes > 59:  # noqa: PLR2004
        raise ValueError(f"no such offset: {suffix}")
    seconds = hours * 3600 + minutes * 60
    return -seconds if suffix[0] == "-" else seconds


def format_instant(instant: int) -> str:
    """Return microseconds since 1970 as the API writes them: milliseconds and `Z` (six digits if needed)."""
    moment = _EPOCH + timedelta(microseconds=instant)
    precision = "milliseconds" if instant % 1000 == 0 else "microseconds"
    return moment.isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def instant_of(moment: datetime) -> int:
    """Return the instant of an aware datetime in microseconds."""
    if moment.utcoffset() is None:
        raise ValueError("a naive datetime names no instant")
    return (moment - _EPOCH) // timedelta(microseconds=1)
