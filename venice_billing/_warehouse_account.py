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


def renewed(known: KnownRows, rows: list[Row], *, unfinished: date | None = None) -> KnownRows:
    """Return what is known after rows were loaded; `known` is left alone.

    Args:
        known: What was known before.
        rows: Rows in ascending order. They replace what was known of their days.
        unfinished: A day whose first rows were taken in just before: its further ones are added.
    """
    read = {row["day"].isoformat() for row in rows if row["day"] != unfinished}
    charges = [row for row in rows if not row.get(EMPTY_DAY)]
    named = [row for row in charges if row["request_id"]]
    others = [row for row in charges if not row["request_id"]]
    return {kind: _taken_in(known.get(kind, {}), read, some) for kind, some in ((_REQUESTS, named), (_OTHERS, others))}


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


def _taken_in(known: Days, read: set[str], charges: list[Row]) -> Days:
    kept = {day: fingerprints for day, fingerprints in known.items() if day not in read}
    for day, fingerprints in _first_of_days(charges).items():
        kept[day] = [*kept.get(day, ()), *fingerprints][:ROWS_OF_A_DAY]
    return _thinned(kept)


def _first_of_days(charges: Iterable[Row]) -> Days:
    days = groupby(charges, key=lambda row: row["day"])
    return {day.isoformat(): [fingerprint(row) for row in islice(rows, ROWS_OF_A_DAY)] for day, rows in days}


def _thinned(days: Days) -> Days:
    """Keep the latest days, and the first known one of each of the latest months before."""
    ordered = sorted(days)
    older = [next(of_month) for _, of_month in groupby(ordered[:-_LATEST_DAYS], key=lambda day: day[:7])]
    return {day: days[day] for day in (*older[-_MONTHS:], *ordered[-_LATEST_DAYS:])}
