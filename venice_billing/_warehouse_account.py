"""How a load recognises the account whose rows a warehouse has: by some of these rows. Pure, and independent of dlt.

The API names no account, and an account has several keys. So the first charges of some days are kept as fingerprints:
of the latest days that have charges, and of a day of each month before. An account that knows none of them is another
one.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from hashlib import blake2b
from itertools import groupby, islice
from typing import TYPE_CHECKING, TypeAlias

from venice_billing._warehouse import EMPTY_DAY, Row

if TYPE_CHECKING:
    from collections.abc import Iterable

Days: TypeAlias = dict[str, list[str]]
"""Fingerprints of some charges of each day."""

KnownRows: TypeAlias = dict[str, Days]
"""The days of charges that name a request, and of other ones: JSON, so that dlt can keep it."""

NOTHING: KnownRows = {}
ROWS_OF_A_DAY = 4
_LATEST_DAYS, _MONTHS = 4, 12
_REQUESTS, _OTHERS = "requests", "others"
_FINGERPRINT_BYTES = 12


def renewed(known: KnownRows, rows: Iterable[Row]) -> KnownRows:
    """Return what is known after whole days were loaded; `known` is left alone."""
    loaded = list(rows)
    read = {row["day"].isoformat() for row in loaded}
    charges = [row for row in loaded if not row.get(EMPTY_DAY)]
    found = {
        _REQUESTS: _first_of_days(row for row in charges if row["request_id"]),
        _OTHERS: _first_of_days(row for row in charges if not row["request_id"]),
    }
    return {
        kind: _thinned({day: marks for day, marks in known.get(kind, {}).items() if day not in read} | days)
        for kind, days in found.items()
    }


def telling(known: KnownRows) -> list[tuple[date, frozenset[str]]]:
    """Return the days by which to tell the account, the latest first, with fingerprints of charges of each.

    Charges that name a request tell, if there are any: two accounts may have equal grants at the same instant.
    """
    days = known.get(_REQUESTS) or known.get(_OTHERS) or {}
    return [(date.fromisoformat(day), frozenset(days[day])) for day in sorted(days, reverse=True)]


def fingerprint(row: Row) -> str:
    """Return what stays the same of a charge while its amount is altered, without a text of it."""
    moment: datetime = row["timestamp"]
    in_utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    identity = json.dumps([in_utc.isoformat(), row["sku"], row["currency"], row["request_id"]])
    return blake2b(identity.encode(), digest_size=_FINGERPRINT_BYTES).hexdigest()


def _first_of_days(charges: Iterable[Row]) -> Days:
    days = groupby(charges, key=lambda row: row["day"])
    return {day.isoformat(): [fingerprint(row) for row in islice(rows, ROWS_OF_A_DAY)] for day, rows in days}


def _thinned(days: Days) -> Days:
    """Keep the latest days, and the first known one of each of the latest months before."""
    ordered = sorted(days)
    older = [next(of_month) for _, of_month in groupby(ordered[:-_LATEST_DAYS], key=lambda day: day[:7])]
    return {day: days[day] for day in (*older[-_MONTHS:], *ordered[-_LATEST_DAYS:])}
