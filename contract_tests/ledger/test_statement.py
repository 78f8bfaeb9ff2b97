"""The statement of a month: which charges it counts, when it is refused, its digest, its bytes, what comes later."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import walked
from contract_tests.ledger.test_exact import _FIELDS, ENTRIES, ODD
from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError, LedgerError, UsageEntry, _exact, spend
from venice_billing.ledger import Ledger, Statement, _closings, _entries
from venice_billing.ledger._staging import Stretch
from venice_billing.ledger._swap import swap
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from venice_billing.spend import SpendTable

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_closings, "_now", lambda: NOW)


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(900, days=70, now=NOW)


def sync(ledger: Ledger, fake: FakeVenice, **options: Any) -> None:
    with fake.client() as client:
        ledger.sync(client, **options)


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    """A ledger that was synced when October was over, and again three days later."""
    sync(ledger, fake)
    fake.clock.advance(3 * 86400)
    sync(ledger, fake)
    return ledger


def in_month(entries: Iterable[UsageEntry], start: datetime, end: datetime) -> list[UsageEntry]:
    return [entry for entry in entries if start <= entry.timestamp < end]


def recomputed(lines: Iterable[str]) -> str:
    """The digest as the docs describe it, of the lines of an export: this knows nothing of the library."""
    rows = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    texts = sorted(json.dumps([row["timestamp"], row], sort_keys=True, separators=(",", ":")) for row in rows)
    return hashlib.sha256("".join(text + "\n" for text in texts).encode()).hexdigest()


def refused(ledger: Ledger, month: str, match: str, **options: Any) -> None:
    with pytest.raises(LedgerError, match=match) as caught:
        ledger.close(month, **options)
    assert (str(ledger.path) in str(caught.value), "\n" in str(caught.value)) == (True, False)
    assert recorded(ledger) == []


def recorded(ledger: Ledger) -> list[Any]:
    return ledger._database.cursor().execute("SELECT month, revision, digest FROM closings ORDER BY ALL").fetchall()


def test_statement_has_the_totals_of_a_walk(filled: Ledger, fake: FakeVenice) -> None:
    statement = filled.close("2026-10")
    entries = in_month(walked(fake), OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert (statement.month, statement.timezone, statement.revision) == ("2026-10", "UTC", 1)
    assert (statement.start, statement.end) == (OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert (statement.is_closed, statement.is_complete, statement.count) == (True, True, len(entries))
    assert statement.totals == spend.summarize(entries, ())
    assert statement.by_model == spend.summarize(entries, "model")
    assert statement.by_key == spend.summarize(entries, "key")
    before = [entry for entry in walked(fake) if entry.timestamp < OCTOBER]
    assert statement.opening.totals == spend.summarize(before, ())
    assert statement.closing_totals == spend.summarize([*before, *entries], ())
    assert (statement.opening.month, statement.opening.open_months) == (None, ("2026-08", "2026-09"))
    coverage = statement.coverage
    assert (coverage.covered_from, coverage.covered_until, coverage.overlap) == (None, NOW + 3 * DAY, 2 * DAY)
    assert (coverage.sync, coverage.synced_at) == (2, NOW + 3 * DAY)
    assert (statement.adjustments, statement.restatement) == ((), None)


def test_next_statement_names_the_month_closed_before(filled: Ledger) -> None:
    september = filled.close("2026-09")
    october = filled.close("2026-10")
    assert (october.opening.month, october.opening.revision) == ("2026-09", 1)
    assert (october.opening.digest, october.opening.open_months) == (september.digest, ("2026-08",))
    assert october.opening.totals == september.closing_totals


def test_digest_is_recomputed_from_exported_lines(filled: Ledger, fake: FakeVenice) -> None:
    entries = in_month(walked(fake), OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert filled.close("2026-10").digest == recomputed(entry.to_json() for entry in entries)
    assert filled.statement("2026-09").digest != filled.statement("2026-10").digest


def test_digest_of_no_charge_is_that_of_nothing(ledger: Ledger) -> None:
    sync(ledger, FakeVenice(0, now=NOW - 60 * DAY))
    sync(ledger, FakeVenice(0, now=NOW + 3 * DAY))
    statement = ledger.close("2026-10")
    assert (statement.count, statement.digest, len(statement.totals)) == (0, hashlib.sha256(b"").hexdigest(), 0)
    assert "## Totals\n\nNone." in statement.to_markdown()


def loaded(ledger: Ledger, entries: Sequence[UsageEntry], sync: int = 1, until: datetime = NOW) -> None:
    """Give a ledger all its entries, as a full sync at that time does."""
    document = "[" + _entries.page(sorted(entries, key=lambda entry: entry.timestamp), 0).decode() + "]"
    settled = _closings.settled_until(ledger._database)
    with ledger._database.transaction() as cursor:
        swap(cursor, Stretch(None, until, is_full=True, owner="", sync=sync), [document] if entries else [], settled)


@settings(max_examples=20)
@given(st.lists(ENTRIES, max_size=12))
def test_digest_of_any_entries_is_recomputed_from_exported_lines(entries: list[UsageEntry]) -> None:
    march = datetime(2026, 3, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "venice.duckdb")) as ledger:
        loaded(ledger, [*entries, *entries[:3], UsageEntry.from_dict({**_FIELDS, "timestamp": march.isoformat()})])
        lines = [entry.to_json() for entry in ledger.entries(march, "2026-04-01")]
        statement = ledger.statement("2026-03")
        assert (statement.digest, statement.count) == (recomputed(lines), len(lines))
        assert statement.totals == spend.summarize(ledger.entries(march, "2026-04-01"), ())


@pytest.mark.parametrize("name", [name for name in ODD if "timestamp" not in ODD[name]])
def test_digest_of_an_odd_entry_is_that_of_its_json(ledger: Ledger, name: str) -> None:
    """A lone surrogate too: `to_json` refuses it, so the line is what the API sends, in ASCII."""
    entries = [UsageEntry.from_dict({**_FIELDS, **fields}) for fields in (ODD[name], {}, ODD[name])]
    loaded(ledger, entries)
    assert ledger.statement("2026-10").digest == recomputed(_entries.json_text(entry.to_dict()) for entry in entries)


def test_digest_does_not_depend_on_the_order_of_rows_or_fields(tmp_path: Path) -> None:
    extra = {"b": 1, "a": {"d": 2, "c": [3]}}
    shuffled = {"a": {"c": [3], "d": 2}, "b": 1}
    one, other = ([UsageEntry.from_dict({**_FIELDS, "sku": sku, **extra}) for sku in skus] for skus in ("abc", "cba"))
    other = [
        UsageEntry.from_dict({**shuffled, **{n: v for n, v in e.to_dict().items() if n not in extra}}) for e in other
    ]
    digests = []
    for number, entries in enumerate((one, other)):
        with Ledger(tmp_path / f"{number}.duckdb") as ledger:
            loaded(ledger, entries)
            digests.append(ledger.statement("2026-10").digest)
    assert digests[0] == digests[1]


@pytest.mark.parametrize(
    ("zone", "month", "start", "end"),
    [
        ("UTC", "2026-12", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("Europe/Zurich", "2026-03", "2026-02-28T23:00:00+00:00", "2026-03-31T22:00:00+00:00"),
        ("Europe/Zurich", "2026-10", "2026-09-30T22:00:00+00:00", "2026-10-31T23:00:00+00:00"),
        ("America/Havana", "2026-11", "2026-11-01T04:00:00+00:00", "2026-12-01T05:00:00+00:00"),  # 00:00 comes twice
        ("America/St_Johns", "2009-10", "2009-10-01T02:30:00+00:00", "2009-11-01T02:30:00+00:00"),  # so does 23:30
        ("America/Asuncion", "2023-10", "2023-10-01T04:00:00+00:00", "2023-11-01T03:00:00+00:00"),  # begins at 01:00
        ("Pacific/Apia", "2011-12", "2011-12-01T10:00:00+00:00", "2011-12-31T10:00:00+00:00"),  # without the 30th
        ("Pacific/Apia", "2011-11", "2011-11-01T10:00:00+00:00", "2011-12-01T10:00:00+00:00"),
        ("Pacific/Kiritimati", "1995-01", "1994-12-31T10:00:00+00:00", "1995-01-31T10:00:00+00:00"),  # without the 31st
    ],
)
def test_month_of_a_zone(ledger: Ledger, zone: str, month: str, start: str, end: str) -> None:
    first, last = datetime.fromisoformat(start), datetime.fromisoformat(end)
    tick = timedelta(microseconds=1)
    rows = [
        UsageEntry.from_dict({**_FIELDS, "timestamp": at.isoformat(), "sku": name})
        for at, name in [(first - tick, "before"), (first, "first"), (last - tick, "last"), (last, "after")]
    ]
    loaded(ledger, rows, until=last + 3 * DAY)
    statement = ledger.close(month, timezone=zone)
    assert (statement.start, statement.end, statement.timezone) == (first, last, zone)
    assert sorted(row.model or "" for row in statement.by_model) == ["first", "last"]
    assert statement.totals == spend.summarize(rows[1:3], (), zone)
    monthly = spend.summarize(rows, "month", zone)
    assert [row.count for row in monthly if row.month == month] == [2]


def test_charges_of_an_hour_that_comes_twice_across_midnight_count_once(ledger: Ledger) -> None:
    """Newfoundland: after the minute 00:00 of November 2009, clocks showed 23:01 to 24:00 of October again."""
    first = datetime(2009, 11, 1, 1, tzinfo=UTC)
    rows = [
        UsageEntry.from_dict({**_FIELDS, "timestamp": (first + number * timedelta(seconds=30)).isoformat()})
        for number in range(360)
    ]
    loaded(ledger, rows)
    october, november = (ledger.close(month, timezone="America/St_Johns") for month in ("2009-10", "2009-11"))
    assert (october.count, november.count) == (180, 180)
    assert november.opening.totals == october.totals


@pytest.mark.parametrize(
    "month",
    ["2026-13", "2026-00", "10/2026", "2026-1", "2026-10-01", "2026_10", " 2026-10", "2026-10\n", "\u0662026-10",
     "0000-01", "", 202610, None, True, OCTOBER, OCTOBER.date(), b"2026-10"],
)  # fmt: skip
def test_month_that_is_none_is_named(ledger: Ledger, month: Any) -> None:
    for use in (ledger.close, ledger.statement):
        with pytest.raises(InvalidParameterError, match='month must be a month as text, like "2026-10"') as caught:
            use(month)
        assert caught.value.parameter == "month"


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"timezone": "Europe/Zurch"}, "timezone"),
        ({"timezone": 5}, "timezone"),
        ({"overlap": 2}, "overlap"),
        ({"overlap": -DAY}, "overlap"),
        ({"allow_incomplete": 1}, "allow_incomplete"),
    ],
)
def test_bad_option_is_named(filled: Ledger, options: Any, parameter: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        filled.close("2026-10", **options)
    assert caught.value.parameter == parameter


def test_close_without_a_month_closes_the_file(filled: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="month"):
        filled.close(timezone="UTC")  # type: ignore[call-overload]
    assert len(filled) == 900
    assert filled.close() is None
    with pytest.raises(LedgerError, match="was closed"):
        filled.close("2026-10")


def test_month_is_refused_until_late_charges_were_waited_for(ledger: Ledger, fake: FakeVenice) -> None:
    refused(ledger, "2026-10", "nothing is covered yet; sync first")
    sync(ledger, fake)
    refused(ledger, "2026-10", r"2026-10 may still change: sync at 2026-11-03T00:00:00.000Z or later")
    fake.clock.advance(36 * 3600 - 1)
    sync(ledger, fake)
    refused(ledger, "2026-10", "2026-11-03T00:00:00.000Z or later")
    fake.clock.advance(1)
    sync(ledger, fake)
    assert ledger.close("2026-10").is_complete


def test_month_is_refused_if_no_sync_looked_for_its_late_charges(ledger: Ledger, fake: FakeVenice) -> None:
    """Covered to its end plus the overlap, but its last days were not read again."""
    fake = FakeVenice([*fake.ledger, {"timestamp": NOW - HOUR, "currency": "USD"}], now=NOW)
    sync(ledger, fake)
    fake.clock.advance(3 * 86400)
    sync(ledger, fake, overlap=timedelta())
    refused(ledger, "2026-10", "too soon for late charges; sync with full=True")
    sync(ledger, fake, full=True)
    assert ledger.close("2026-10").is_complete


def test_overlap_is_what_is_asked_for(ledger: Ledger, fake: FakeVenice) -> None:
    sync(ledger, fake)
    assert ledger.close("2026-10", overlap=12 * HOUR).is_complete
    with pytest.raises(LedgerError, match=r"2026-11-10T00:00:00.000Z or later"):
        ledger.close("2026-09", overlap=40 * DAY)


def test_month_before_the_ledger_is_refused(filled: Ledger) -> None:
    refused(filled, "2020-01", r"before the ledger begins, at 2026-08-\S+; the first month is 2026-08")
    refused(filled, "2026-07", "before the ledger begins", allow_incomplete=True)


def test_current_and_future_months_are_refused_whatever_is_allowed(filled: Ledger) -> None:
    refused(filled, "2026-11", r"not over before 2026-12-01\S+; close it then, or use statement\('2026-11'\)")
    refused(filled, "2026-11", "not over", allow_incomplete=True)
    for month in ("2026-12", "2027-05"):
        refused(filled, month, "sync when the month has begun", allow_incomplete=True)


def test_incomplete_month_is_closed_if_allowed_and_says_so(ledger: Ledger, fake: FakeVenice) -> None:
    sync(ledger, fake)
    statement = ledger.close("2026-10", allow_incomplete=True)
    assert (statement.is_complete, statement.coverage.covered_until) == (False, NOW)
    assert "INCOMPLETE" in statement.to_markdown()
    assert ledger.close("2026-10", allow_incomplete=True).to_json() == statement.to_json()
    assert ledger.close("2026-10").to_json() == statement.to_json(), "nothing new is recorded, so nothing is refused"
    fake.clock.advance(3 * 86400)
    sync(ledger, fake)
    complete = ledger.close("2026-10")
    assert (complete.revision, complete.is_complete, complete.digest) == (2, True, statement.digest)
    assert complete.restatement is not None
    assert (complete.restatement.is_complete, complete.restatement.changes) == (False, ())


def test_month_not_covered_to_its_end_counts_the_rest_later(
    ledger: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A charge after what was covered is an adjustment, if its month was closed before it came."""
    early = FakeVenice(fake.rows(end=OCTOBER + 10 * DAY), now=OCTOBER + 10 * DAY)
    sync(ledger, early)
    statements = [ledger.close(month, allow_incomplete=True) for month in ("2026-08", "2026-09", "2026-10")]
    assert [statement.is_complete for statement in statements] == [True, True, False]
    monkeypatch.setattr(_closings, "_now", lambda: NOW + 60 * DAY)
    later = FakeVenice(fake.ledger, now=NOW + 40 * DAY)
    sync(ledger, later)
    november = ledger.close("2026-11")
    rest = in_month(walked(fake), OCTOBER + 10 * DAY, datetime(2026, 11, 1, tzinfo=UTC))
    assert len(rest) > 100
    assert november.adjustment_totals == spend.summarize(rest, ())
    assert {change.month for change in november.adjustments} == {"2026-10"}
    assert counted([*statements, november]) == spend.summarize(walked(fake), ())


def test_closing_again_gives_the_same_bytes(filled: Ledger, fake: FakeVenice) -> None:
    first = filled.close("2026-10")
    fake.clock.advance(86400)
    fake.book({"amount": "-1.5", "currency": "USD", "sku": "later"})
    fake.clock.advance(60)
    sync(filled, fake)
    for again in (filled.close("2026-10"), filled.statement("2026-10"), filled.close("2026-10", timezone=UTC)):
        assert (again.to_json(), again.to_markdown(), again) == (first.to_json(), first.to_markdown(), first)
    assert Statement.from_json(first.to_json()) == first
    assert len(recorded(filled)) == 1
    with Ledger(filled.path) as reopened:
        assert reopened.statement("2026-10").to_json() == first.to_json()


def test_closing_again_after_a_change_says_what_changed(filled: Ledger, fake: FakeVenice) -> None:
    first = filled.close("2026-10")
    fake.book({"amount": "-1e-30", "currency": "USD", "sku": "late_a|b", "apiKeyId": "k"}, late=20 * DAY)
    sync(filled, fake, full=True)
    assert filled.statement("2026-10").to_json() == first.to_json(), "what was recorded stays"
    second = filled.close("2026-10")
    assert (second.revision, second.count, second.is_complete) == (2, first.count + 1, True)
    assert second.restatement is not None
    assert (second.restatement.revision, second.restatement.digest) == (1, first.digest)
    assert second.digest != first.digest
    (change,) = second.restatement.changes
    assert (change.change, change.sku, change.key, change.month) == ("late", "late_a|b", "k", "2026-10")
    assert (change.amount_before, str(change.amount_after), change.kind_after) == (None, "-1E-30", "debit")
    assert (change.seen_at, change.sync, change.number) == (NOW + 3 * DAY, 3, filled.adjustments()[-1].number)
    assert f"Digest in revision 1: {first.digest}" in second.to_markdown()
    assert "| late_a\\|b |" in second.to_markdown()
    assert "0.000000000000000000000000000001" in second.to_markdown()
    assert filled.close("2026-10").to_json() == filled.statement("2026-10").to_json() == second.to_json()
    assert filled.statement("2026-10", revision=1).to_json() == first.to_json()
    with pytest.raises(LedgerError, match="no revision 3"):
        filled.statement("2026-10", revision=3)
    assert recorded(filled) == [("2026-10", 1, first.digest), ("2026-10", 2, second.digest)]


def test_change_of_a_closed_month_is_listed_once_by_the_month_closed_next(filled: Ledger, fake: FakeVenice) -> None:
    august = filled.close("2026-08")
    fake.book({"amount": "-0.25", "currency": "USD"}, late=80 * DAY)
    fake.book({"amount": "-0.5", "currency": "USD"}, late=40 * DAY)  # in September, which is open
    sync(filled, fake, full=True)
    filled.close("2026-08")  # a revision takes nothing away
    september = filled.close("2026-09")
    october = filled.close("2026-10")
    assert [str(change.difference) for change in september.adjustments] == ["-0.25"]
    assert "Sums of the adjustments" in september.to_markdown()
    assert october.adjustments == ()
    assert counted([august, september, october]) == summed(filled, datetime(2026, 11, 1, tzinfo=UTC))


def test_first_charge_of_an_empty_account_that_comes_late_is_an_adjustment(ledger: Ledger) -> None:
    """There was no row to replace, but its time had been covered, and closed."""
    fake = FakeVenice(0, now=OCTOBER + HOUR)
    sync(ledger, fake)
    fake.clock.advance(40 * 86400)
    sync(ledger, fake)
    october = ledger.close("2026-10")
    fake.book({"amount": "-0.25", "currency": "USD"}, late=20 * DAY)
    sync(ledger, fake)
    again = ledger.close("2026-10")
    assert (october.count, again.count, again.revision) == (0, 1, 2)
    assert again.restatement is not None
    assert [str(change.difference) for change in again.restatement.changes] == ["-0.25"]
    assert [change.month for change in ledger.statement("2026-11").adjustments] == ["2026-10"]


def test_another_zone_than_before_is_refused(filled: Ledger) -> None:
    zurich = filled.close("2026-09", timezone="Europe/Zurich")
    assert filled.close("2026-10").timezone == "Europe/Zurich", "the zone of the months closed before"
    assert filled.statement("2026-10").is_closed
    with pytest.raises(LedgerError, match=r"closed in the time zone Europe/Zurich \(2026-09 was\).*closes nothing"):
        filled.close("2026-09", timezone="UTC")
    other = filled.statement("2026-09", timezone="UTC")
    assert (other.is_closed, other.timezone, other.digest == zurich.digest) == (False, "UTC", False)


def test_statement_of_an_open_month_shows_it_so_far_and_records_nothing(filled: Ledger, fake: FakeVenice) -> None:
    november = filled.statement("2026-11")
    entries = in_month(walked(fake), datetime(2026, 11, 1, tzinfo=UTC), NOW + 30 * DAY)
    assert (november.revision, november.is_closed, november.is_complete) == (0, False, False)
    assert (november.count, november.totals) == (len(entries), spend.summarize(entries, ()))
    assert "not closed; INCOMPLETE" in november.to_markdown()
    october = filled.statement("2026-10")
    assert (october.is_closed, october.is_complete) == (False, True)
    assert evolve(october, revision=1) == filled.close("2026-10")
    with pytest.raises(LedgerError, match="sync when the month has begun"):
        filled.statement("2026-12")
    assert len(recorded(filled)) == 1


def counted(statements: Iterable[Statement]) -> SpendTable:
    """The totals of months as they were closed first, and the adjustments that later ones list."""
    sums: dict[str, Any] = defaultdict(
        lambda: {"debits": [], "refunds": [], "purchases": [], "credits": [], "count": []}
    )
    for statement in statements:
        for row in (*statement.totals, *statement.adjustment_totals):
            for name, values in sums[row.currency].items():
                values.append(getattr(row, name))
    rows = []
    for currency in sorted(sums):
        found = {name: _total(values) for name, values in sums[currency].items()}
        if any(found.values()):
            rows.append(spend.SpendRow(currency=currency, **found))
    return spend.SpendTable(rows, by=())


def _total(values: list[Any]) -> Any:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    total = Decimal(0)
    for value in values:
        total = _exact.add(total, value)
    return total


def summed(ledger: Ledger, end: datetime) -> SpendTable:
    return spend.summarize(ledger.entries(end=end), ())


MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]
AMOUNTS = st.sampled_from(["-1e-30", "-0.25", "3", "12345678901.5", "-0.1234567890123456789012345678901234567890", "0"])
ROWS = st.builds(
    lambda days, amount, currency, sku, request: UsageEntry.from_dict(
        {
            **_FIELDS,
            "timestamp": (datetime(2026, 1, 1, tzinfo=UTC) + days * timedelta(hours=9)).isoformat(),
            "amount": Decimal(amount),
            "currency": currency,
            "sku": sku,
            "inferenceDetails": {
                "requestId": "r",
                "promptTokens": 1,
                "completionTokens": 1,
                "inferenceExecutionTime": 1,
            }
            if request
            else None,
        }
    ),
    st.integers(0, 310),
    AMOUNTS,
    st.sampled_from(["USD", "DIEM"]),
    st.sampled_from(["a", "top-up"]),
    st.booleans(),
)


@settings(max_examples=10)
@given(
    st.lists(ROWS, min_size=1, max_size=12),
    st.lists(
        st.tuples(
            st.lists(ROWS, max_size=3),
            st.lists(st.integers(0, 30), max_size=3),
            st.lists(st.sampled_from(MONTHS), max_size=2),
        ),
        min_size=1,
        max_size=4,
    ),
)  # fmt: skip
def test_every_charge_counts_once_over_statements_and_adjustments(
    entries: list[UsageEntry], steps: list[tuple[list[UsageEntry], list[int], list[str]]]
) -> None:
    """Whatever comes late, changes or vanishes between closings, in whatever order months are closed and closed again.

    At the first closings time is covered up to the middle of March, so months are also closed before their end.
    """
    later = datetime(2027, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_closings, "_now", lambda: later)
        with Ledger(Path(folder, "venice.duckdb")) as ledger:
            fixed = UsageEntry.from_dict(  # a request by which the account is known again
                {**_FIELDS, "timestamp": "2026-01-01T00:00:00Z", "sku": "always", **ODD["unknown field of the request"]}
            )
            rows = [fixed, *entries]
            statements: dict[str, Statement] = {}
            until = datetime(2026, 3, 15, tzinfo=UTC)
            for number, (come, gone, months) in enumerate([*steps, ([], [], MONTHS)], 1):
                for place in gone:
                    if len(rows) > 1:
                        old = rows.pop(1 + place % (len(rows) - 1))
                        if place % 2:
                            rows.append(evolve(old, amount=Decimal("-7.5")))
                rows.extend(come)
                loaded(ledger, [row for row in rows if row.timestamp < until], number, until)
                for month in months:
                    statement = close_if_begun(ledger, month)
                    if statement is not None:
                        statements.setdefault(month, statement)
                until = later
            loaded(ledger, rows, 100, until)
            last = ledger.close("2026-05", allow_incomplete=True)
            assert counted([*statements.values(), last]) == spend.summarize(rows, ())


def close_if_begun(ledger: Ledger, month: str) -> Statement | None:
    with suppress(LedgerError):  # nothing of the month is covered yet
        return ledger.close(month, allow_incomplete=True)
    return None


_WRITE = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
from venice_billing.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    for statement in (ledger.statement("2026-10"), ledger.close("2026-09")):
        sys.stdout.buffer.write((statement.to_json() + statement.to_markdown()).encode())
"""


def test_bytes_do_not_depend_on_the_surroundings(filled: Ledger) -> None:
    filled.close("2026-08")
    filled.close()
    written = []
    for number, (zone, language, seed) in enumerate(
        [("UTC", "C", "0"), ("Asia/Kathmandu", "de_DE.UTF-8", "1"), ("America/St_Johns", "tr_TR.UTF-8", "12345")]
    ):
        copy = filled.path.with_name(f"{number}.duckdb")
        copy.write_bytes(filled.path.read_bytes())
        environment = {**os.environ, "TZ": zone, "LANG": language, "PYTHONHASHSEED": seed}
        script = _WRITE if language == "C" else _WRITE.replace('locale.setlocale(locale.LC_ALL, "")', "")
        command = [sys.executable, "-c", script, str(copy)]
        written.append(subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120).stdout)
    assert len(written[0]) > 3000
    assert written[0] == written[1] == written[2]


def test_markdown_is_aligned_and_says_what_it_is_of(filled: Ledger) -> None:
    statement = filled.close("2026-10", timezone="Europe/Zurich")
    text = statement.to_markdown()
    lines = text.splitlines()
    assert lines[:2] == ["# Statement of 2026-10", ""]
    for fact in (
        "- Status: closed, revision 1; complete",
        "- Time zone: Europe/Zurich",
        "- Period: 2026-09-30T22:00:00.000Z up to 2026-10-31T23:00:00.000Z, the end excluded",
        "- Coverage: from the beginning of the account up to 2026-11-04T12:00:00.000Z",
        f"- Charges: {statement.count}",
        f"- Digest of the charges (SHA-256): {statement.digest}",
    ):
        assert fact in lines
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({len(line) for line in table}) == 1
        assert len({tuple(i for i, char in enumerate(line) if char == "|") for line in table}) == 1


def test_altered_statement_is_refused(filled: Ledger) -> None:
    filled.close("2026-10")
    filled._database.cursor().execute("UPDATE closed_months SET statement = 'none'")
    with pytest.raises(LedgerError, match="statement of 2026-10 was altered"):
        filled.statement("2026-10")


def test_read_only_ledger_shows_statements_but_closes_nothing(filled: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = filled.close("2026-09")
    filled.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Ledger(filled.path) as ledger:
        assert ledger.statement("2026-09") == closed
        assert ledger.statement("2026-10").revision == 0
        with pytest.raises(LedgerError, match="read-only; make it writable"):
            ledger.close("2026-10")


def test_closing_during_a_sync_is_refused(filled: Ledger, fake: FakeVenice) -> None:
    said = []

    def meanwhile(_: object) -> None:
        with pytest.raises(LedgerError, match="another sync or closing of this ledger is under way") as caught:
            filled.close("2026-10")
        said.append(str(caught.value))
        assert filled.statement("2026-10").revision == 0

    sync(filled, fake, progress=meanwhile)
    assert len(said) == 1
    assert filled.close("2026-10").is_closed


def test_statement_that_a_sync_overtakes_is_read_again(
    filled: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Totals of one state beside the digest of another would be wrong without a word."""
    whole, syncs = _closings._digest, iter([1])

    def digest(*arguments: Any) -> Any:
        found = whole(*arguments)
        for _ in syncs:
            fake.book({"amount": "-0.25", "currency": "USD"}, late=20 * DAY)
            sync(filled, fake, full=True)
        return found

    monkeypatch.setattr(_closings, "_digest", digest)
    statement = filled.statement("2026-10")
    assert statement.count == sum(row.count for row in statement.totals)
    assert statement.totals == spend.summarize(filled.entries(OCTOBER, "2026-11-01"), ())


_KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from venice_billing.ledger import Ledger, _closings
_closings._now = lambda: datetime(2026, 11, 4, 12, tzinfo=UTC)
with Ledger(sys.argv[1]) as ledger:
    transaction, at = ledger._database.transaction, int(sys.argv[2])
    if at == 0:
        _closings._record = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
    elif at == 1:
        class Cursor:
            def __init__(self, inner): self.inner = inner
            def __enter__(self): self.cursor = self.inner.__enter__(); return self.cursor
            def __exit__(self, *error): os.kill(os.getpid(), signal.SIGKILL)
        ledger._database.transaction = lambda: Cursor(transaction())
    ledger.close("2026-10")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs the signals of Unix")
@pytest.mark.parametrize(("at", "is_recorded"), [(0, False), (1, False), (2, True)])
def test_kill_leaves_the_closing_recorded_or_not(filled: Ledger, at: int, *, is_recorded: bool) -> None:
    """Before it is written, within the transaction, and right after it."""
    expected = filled.statement("2026-10")
    filled.close()
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(filled.path), str(at)], timeout=120, check=False)
    assert killed.returncode < 0
    with Ledger(filled.path) as ledger:
        assert len(ledger) == 900
        found = ledger.statement("2026-10")
        assert found == (evolve(expected, revision=1) if is_recorded else expected)
        assert ledger.close("2026-10") == evolve(expected, revision=1)


def test_views_show_closings_in_sql(filled: Ledger) -> None:
    statement = filled.close("2026-10")
    execute = filled._database.cursor().execute
    assert execute("SELECT month, timezone, revision, is_complete, digest, row_count FROM closings").fetchall() == [
        ("2026-10", "UTC", 1, True, statement.digest, statement.count)
    ]
    rows = execute("SELECT currency, net, count FROM closing_totals ORDER BY currency").fetchall()
    assert rows == [(row.currency, _exact.text(row.net), row.count) for row in statement.totals]


class Months(str, Enum):  # noqa: UP042 - a `StrEnum` has another text
    SEPTEMBER = "2026-09"


class Zones(str, Enum):  # noqa: UP042 - as above
    BERLIN = "Europe/Berlin"


def test_member_of_an_enum_is_the_month_and_the_zone_that_it_names(filled: Ledger) -> None:
    closed = filled.close(Months.SEPTEMBER, timezone=Zones.BERLIN)
    assert (closed.month, closed.timezone) == ("2026-09", "Europe/Berlin")
    assert filled.close("2026-09", timezone="Europe/Berlin") == closed
    assert filled.statement("2026-09").month == "2026-09"


@pytest.mark.parametrize("key", ["local", "localtime", "Mars/Olympus", "right/UTC"])
def test_zone_that_another_machine_does_not_know_by_its_key_is_refused(filled: Ledger, key: str) -> None:
    # The smallest zone file (RFC 9636, version 1): one type of local time, UTC, and no transition.
    counts = struct.pack(">6l", 0, 0, 0, 0, 1, 4)
    content = b"TZif" + bytes(16) + counts + struct.pack(">lBB", 0, 0, 0) + b"UTC\0"
    zone = ZoneInfo.from_file(io.BytesIO(content), key=key)
    with pytest.raises(InvalidParameterError, match="timezone must be an IANA time zone"):
        filled.close("2026-09", timezone=zone)


@pytest.mark.parametrize("text", ["{}", '{"format": 1}', "[]", "null", "1", "nonsense", "[" * 100_000])
def test_text_that_is_no_statement_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Statement.from_json(text)


def test_overlap_beyond_the_calendar_is_refused(filled: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="overlap must be"):
        filled.close("2026-09", overlap=timedelta(days=3_000_000))


def test_currency_with_half_a_character_is_one_currency_in_all_of_a_statement(ledger: Ledger) -> None:
    """DuckDB holds no half of a surrogate pair: its column has an escape, and the statement what the API sent."""
    odd = UsageEntry.from_dict({**_FIELDS, "currency": "\ud800X"})
    loaded(ledger, [odd])
    ledger.close("2026-10", allow_incomplete=True)
    loaded(ledger, [odd, odd], sync=2)
    statement = ledger.close("2026-10", allow_incomplete=True)
    assert statement.restatement is not None
    assert [change.currency for change in statement.restatement.changes] == ["\ud800X"]
    assert [row.currency for row in statement.totals] == ["\ud800X"]
    assert Statement.from_json(statement.to_json()) == statement
