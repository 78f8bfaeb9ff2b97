"""Every number, text and field comes back to the digit, and sums are those of a walk, also where no column holds it."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import load, texts, walked
from contract_tests.ledger.odd_entries import AWKWARD, ENTRIES, FIELDS, ODD, booked, has_surrogates
from contract_tests.support.flavours import NOW
from venice_billing import UsageEntry, spend
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.mark.parametrize("amount", AWKWARD)
def test_number_comes_back_to_the_digit_and_is_never_rounded(ledger: Ledger, amount: str) -> None:
    """DuckDB rounds what does not fit a decimal without a word: then the column is NULL, and the text is there."""
    fake = booked([amount, "-0.25"], units=Decimal(amount), pricePerUnitUsd=Decimal(amount))
    with fake.client() as client:
        ledger.sync(client)
    assert texts(ledger.entries()) == texts(walked(fake))
    columns = "amount, amount_text, units, units_text, price_per_unit_usd, price_per_unit_usd_text"
    rows = ledger.relation().select(columns).fetchall()
    for decimal, text in [pair for row in rows for pair in zip(row[::2], row[1::2], strict=True)]:
        assert decimal is None or decimal == Decimal(text)
    fits = Decimal(amount) == 0 or (abs(Decimal(amount)) < 10**10 and int(Decimal(amount).as_tuple().exponent) >= -28)
    assert fits is False or amount == "0E-40" or rows[0][0] is not None
    assert ledger.spend("day").to_json() == spend.summarize(walked(fake), "day").to_json()


def test_sums_include_numbers_that_no_decimal_holds(ledger: Ledger) -> None:
    fake = booked(["-1e-30", "-0.25", "-1e-30", "0.1234567890123456789012345678901234567890"], sku="m-llm-input-mtoken")
    with fake.client() as client:
        ledger.sync(client)
    (row,) = ledger.spend(by="model")
    assert str(row.debits) == "0.250000000000000000000000000002"
    assert str(row.net) == "-0.1265432109876543210987654321118765432110"


def test_sums_have_no_trailing_zeros(ledger: Ledger) -> None:
    fake = booked(["-0.0006356", "-0.000339"])
    with fake.client() as client:
        ledger.sync(client)
    assert [str(row.debits) for row in ledger.spend("month")] == ["0.0009746"]


def test_sum_that_outgrows_a_decimal_is_exact(ledger: Ledger) -> None:
    """Each amount fits, but their sum has eleven digits before the point."""
    fake = booked(["-9000000000.25"] * 3)
    with fake.client() as client:
        ledger.sync(client)
    (row,) = ledger.spend(by=())
    assert str(row.net) == "-27000000000.75"


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_comes_back_equal(tmp_path: Path, name: str) -> None:
    odd, plain = UsageEntry.from_dict({**FIELDS, **ODD[name]}), UsageEntry.from_dict(FIELDS)
    check_round_trip(tmp_path / "venice.duckdb", [plain, odd, odd, plain])


def check_round_trip(path: Path, entries: Sequence[UsageEntry]) -> None:
    """Load entries as a sync does, and compare what comes back, and the sums in two time zones."""
    with Ledger(path) as ledger:
        entries = load(ledger, entries)
        found = list(ledger.entries())
        assert found == entries
        assert [repr(entry) for entry in found] == [repr(entry) for entry in entries]
        assert [entry.explicit_nulls for entry in found] == [entry.explicit_nulls for entry in entries]
        if not has_surrogates(entries):  # `row()` refuses them
            assert list(ledger.rows()) == [entry.row() for entry in entries]
        for by in (("month", "model"), ("day", "service"), ("week", "key"), ("sku",), ()):
            for zone in ("UTC", "Europe/Berlin", "Pacific/Kiritimati"):
                assert ledger.spend(by, timezone=zone) == spend.summarize(entries, by, zone)


@settings(max_examples=25)
@given(st.lists(ENTRIES, max_size=12))
@example([])
def test_ledger_equals_the_walk_to_the_digit(entries: list[UsageEntry]) -> None:
    """Rows, and the sums of each currency and month, of any account: identical rows count one by one."""
    with tempfile.TemporaryDirectory() as folder:
        check_round_trip(Path(folder, "venice.duckdb"), [*entries, *entries[:2]])


def test_range_includes_its_start_and_excludes_its_end(ledger: Ledger) -> None:
    fake = FakeVenice(300, days=40, now=NOW)
    with fake.client() as client:
        ledger.sync(client)
    start, end = walked(fake)[100].timestamp, walked(fake)[200].timestamp
    chosen = [entry for entry in walked(fake) if start <= entry.timestamp < end]
    assert list(ledger.entries(start, end)) == chosen
    assert ledger.spend("day", start=start, end=end) == spend.summarize(chosen, "day")
    assert ledger.spend("day", end="2026-10-05") == spend.summarize(
        [entry for entry in walked(fake) if entry.timestamp < datetime(2026, 10, 5, tzinfo=UTC)], "day"
    )


def test_every_zone_change_of_a_year_is_where_python_has_it(ledger: Ledger) -> None:
    """Rows at and around each change of an offset, in zones whose changes are at odd hours."""
    moments = list(hours(datetime(2026, 1, 1, tzinfo=UTC), 365 * 4))
    with FakeVenice(
        [{"timestamp": moment, "currency": "USD"} for moment in moments], now=NOW + timedelta(90)
    ).client() as c:
        ledger.sync(c)
    entries = list(ledger.entries())
    for zone in ("America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kathmandu", "America/Santiago"):
        for by in ("day", "week", "month"):
            assert ledger.spend(by, timezone=zone) == spend.summarize(entries, by, zone), zone


@pytest.mark.parametrize("zone", ["UTC", "Europe/Amsterdam"])
@pytest.mark.parametrize("by", ["day", "week", "month", ("day", "month"), "sku"])
def test_sums_of_centuries_are_those_of_the_entries(ledger: Ledger, by: Any, zone: str) -> None:
    """Days before 1970 are negative numbers, and offsets are not looked for in more than 200 years."""
    entries = [
        UsageEntry.from_dict({**FIELDS, "timestamp": f"{year}-{moment}Z"})
        for year in (1723, 1899, 1937, 1969, 1970, 2026, 2301)
        for moment in ("01-01T00:00:00", "06-30T23:50:00")
    ]
    load(ledger, entries)
    assert ledger.spend(by, timezone=zone) == spend.summarize(entries, by, zone)


def hours(start: datetime, count: int) -> Iterator[datetime]:
    for number in range(count):
        moment = start + number * timedelta(hours=6)
        yield moment - timedelta(milliseconds=1)
        yield moment
