"""Which rows a load keeps in mind to recognise the account by. Without dlt."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

from venice_billing import _warehouse_account as account

FIRST = date(2025, 1, 1)
NOON = datetime(2026, 10, 1, 12, 0, 0, 1, UTC)
CHARGE: dict[str, Any] = {"timestamp": NOON, "sku": "one", "currency": "USD", "request_id": "r"}


def charges(day: date, *requests: str | None) -> list[dict[str, Any]]:
    moment = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return [{**CHARGE, "day": day, "timestamp": moment, "request_id": request} for request in requests]


def load(known: account.KnownRows, *days: list[dict[str, Any]]) -> account.KnownRows:
    for rows in days:
        known = account.renewed(known, rows)
    return known


def test_first_charges_of_a_day_are_known() -> None:
    rows = charges(FIRST, "a", None, "b", "c", "d", "e")
    ((day, fingerprints),) = account.telling(load(account.NOTHING, rows))
    assert day == FIRST
    assert fingerprints == {account.fingerprint(row) for row in (rows[0], *rows[2:5])}


def test_charges_that_name_no_request_tell_where_no_other_does() -> None:
    known = load(account.NOTHING, charges(FIRST, None, ""))
    assert [day for day, _ in account.telling(known)] == [FIRST]
    named = FIRST - timedelta(days=40)
    assert [day for day, _ in account.telling(load(known, charges(named, "a")))] == [named]


def test_day_is_known_as_it_was_loaded_last() -> None:
    known = load(account.NOTHING, charges(FIRST, "a"), charges(FIRST, "b"))
    assert account.telling(known) == [(FIRST, frozenset({account.fingerprint(charges(FIRST, "b")[0])}))]
    assert account.telling(load(known, [{"day": FIRST, "is_empty_day": True}])) == []


def test_parts_of_a_day_are_known_as_the_day_is() -> None:
    rows = charges(FIRST, None, "a", "b", None, "c", "d", "e", "f")
    whole = load(account.NOTHING, rows)
    known = load(account.NOTHING, charges(FIRST, "before"))
    unfinished = None
    for start in range(0, len(rows), 2):
        known = account.renewed(known, rows[start : start + 2], unfinished=unfinished)
        unfinished = FIRST
    assert known == whole


def test_latest_days_and_a_day_of_each_month_are_kept() -> None:
    """So a load of years leaves no more than a few hundred fingerprints."""
    days = [FIRST + timedelta(days=number) for number in range(700)]
    known = load(account.NOTHING, *(charges(day, "a") for day in days))
    found = [day for day, _ in account.telling(known)]
    assert found[:4] == days[:-5:-1]
    assert found[4:] == [date(2026, month, 1) for month in range(11, 0, -1)] + [date(2025, 12, 1)]


def test_known_rows_are_left_alone() -> None:
    known = load(account.NOTHING, charges(FIRST, "a"))
    before = {kind: dict(days) for kind, days in known.items()}
    load(known, charges(FIRST, "b"))
    assert known == before
    assert account.NOTHING == {}


def test_fingerprint_is_that_of_the_charge_whatever_its_amount_or_zone() -> None:
    known = account.fingerprint(CHARGE)
    assert account.fingerprint({**CHARGE, "amount": 1}) == known
    assert account.fingerprint({**CHARGE, "timestamp": NOON.astimezone(timezone(timedelta(hours=5)))}) == known
    assert account.fingerprint({**CHARGE, "timestamp": NOON.replace(tzinfo=None)}) == known  # a database without zones
    others: list[dict[str, Any]] = [
        {"timestamp": NOON + timedelta(microseconds=1)},
        {"sku": "two"},
        {"currency": "DIEM"},
        {"request_id": "s"},
        {"request_id": None},
    ]
    assert known not in {account.fingerprint({**CHARGE, **other}) for other in others}
