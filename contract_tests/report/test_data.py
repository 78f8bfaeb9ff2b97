"""The data of a report: the same sums as `spend.summarize`, from entries and from a ledger, to the digit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.report.accounts import NOVEMBER, NOW, entry, options, year
from venice_billing import InvalidParameterError, LedgerError, VeniceBilling, _exact, spend
from venice_billing.ledger import Ledger
from venice_billing.report import Report, RequestSpend, make_report
from venice_billing.report.shapes import bars, label, scale, short, stack, steps
from venice_billing.testing import FakeVenice, demo_account

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from venice_billing.models import UsageEntry

MOMENTS = st.integers(min_value=0, max_value=61 * 24 * 60).map(
    lambda minutes: datetime(2026, 10, 1, tzinfo=UTC) + timedelta(minutes=minutes)
)
AMOUNTS = st.decimals(min_value=-(10**12), max_value=10**12, places=14).map(lambda amount: f"{amount:f}")
ENTRIES = st.lists(
    st.builds(
        entry,
        AMOUNTS,
        at=MOMENTS,
        sku=st.sampled_from(["a-llm-input-mtoken", "b-image-unit", "c", "top-up"]),
        currency=st.sampled_from(["USD", "DIEM", "NEW_ONE"]),
        key=st.sampled_from([None, "key_1", "key_2"]),
        request=st.sampled_from([None, "one", "two"]),
    ),
    max_size=30,
)


def total(amounts: Sequence[Decimal]) -> Decimal:
    whole = _exact.ZERO
    for amount in amounts:
        whole = _exact.add(whole, amount)
    return whole


@settings(max_examples=60, deadline=None)
@given(entries=ENTRIES, zone=st.sampled_from(["UTC", "America/Santiago", "Asia/Kathmandu"]))
def test_sums_are_those_of_summarize(entries: list[UsageEntry], zone: str) -> None:
    report = make_report(entries, timezone=zone, **options())
    inside = [one for one in entries if report.start <= one.timestamp < report.end]
    expected = {row.currency: row for row in spend.summarize(inside, "currency", zone)}
    assert {part.currency for part in report.currencies if part.totals.count} == set(expected)
    for part in report.currencies:
        if not part.totals.count:
            continue
        assert part.totals == expected[part.currency]
        for table in (part.by_day, part.by_model, part.by_key, part.by_service, part.by_day_and_model):
            assert list(table.totals()) == [part.totals]
        drawn = stack(report, part)
        assert total([one for series in drawn.series for one in series.debits]) == part.totals.debits
        assert total([bar.debits for bar in bars(part.by_key, "key", 1)]) == part.totals.debits


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_a_ledger_gives_the_report_of_its_entries(tmp_path: Path, zone: str) -> None:
    fake = demo_account(NOW)
    with fake.client() as client, Ledger(tmp_path / "venice.duckdb") as ledger:
        ledger.sync(client)
        covered = ledger.coverage().until
        assert covered is not None
        balance = client.get_balance()
        of_ledger = make_report(ledger, timezone=zone, balance=balance, **options(now=covered))
        of_entries = make_report(ledger.entries(), timezone=zone, balance=balance, **options(now=covered))
    assert of_ledger == of_entries
    assert of_ledger.currencies[0].requests
    assert any(part.forecast for part in of_ledger.currencies)
    assert of_ledger.epoch is not None


def test_biggest_requests_add_up_their_rows(tmp_path: Path) -> None:
    """The order is exact where binary fractions would err, and amounts too long for a decimal column count."""
    rows = [row(f"-{at}.{half}0000000000000000001", f"request-{at}") for at in range(30) for half in range(2)]
    rows += [row("-123456789012345678901234567890.5", "huge"), row("-77.5", None), row("99", "request-29")]
    fake = FakeVenice(rows, now=NOW)
    with fake.client() as client, Ledger(tmp_path / "venice.duckdb") as ledger:
        ledger.sync(client)
        found = {
            name: make_report(source, **options()).currencies[0].requests
            for name, source in (("ledger", ledger), ("entries", client.iter_usage_history()))
        }
    assert found["ledger"] == found["entries"]
    largest = found["ledger"]
    assert [one.request_id for one in largest[:4]] == ["huge", None, "request-29", "request-28"]
    assert largest[0].debits == Decimal("123456789012345678901234567890.5")
    assert (largest[2].debits, largest[2].count) == (Decimal("58.10000000000000000002"), 2)
    assert len(largest) == 10


def row(amount: str, request: str | None) -> dict[str, Any]:
    details = request and {"requestId": request, "promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1}
    return {
        "timestamp": NOVEMBER + timedelta(hours=3),
        "amount": amount,
        "currency": "USD",
        "sku": "llama-llm-input-mtoken",
        "inferenceDetails": details,
    }


def test_currencies_are_never_added_and_the_one_with_most_charges_is_first() -> None:
    entries = [entry("-1000", currency="DIEM"), entry("-1"), entry("-2"), *[entry("5", currency="GIFTS")] * 9]
    report = make_report(entries, **options())
    assert [(part.currency, part.totals.debits) for part in report.currencies] == [
        ("USD", Decimal(3)),
        ("DIEM", Decimal(1000)),
        ("GIFTS", Decimal(0)),
    ]


def test_the_period_before_is_beside_it_day_by_day() -> None:
    october = datetime(2026, 10, 1, 5, tzinfo=UTC)
    entries = [
        entry("-2", at=october),
        entry("-3", at=october + timedelta(days=30)),
        entry("-7", currency="OLD", at=october),
    ]
    report = make_report([*entries, entry("-1", at=NOVEMBER + timedelta(days=1))], **options())
    assert report.before_name == "2026-10"
    usd = report.currencies[0]
    assert usd.before.debits == 5
    assert len(usd.cumulative_before) == 31
    assert usd.cumulative_before[0] == 2
    assert usd.cumulative_before[-1] == 5
    assert list(usd.cumulative) == [Decimal(0), *[Decimal(1)] * 20]  # up to the 21st
    old = report.currencies[1]
    assert (old.currency, old.totals.debits, old.before.debits) == ("OLD", Decimal(0), Decimal(7))


def test_forecast_goes_on_like_the_seven_days_before() -> None:
    entries = [entry("-2", at=datetime(2026, 11, day, 9, tzinfo=UTC)) for day in range(11, 21)]
    report = make_report([*entries, entry("-5", at=datetime(2026, 11, 21, 9, tzinfo=UTC))], **options())
    assert report.currencies[0].forecast is not None
    assert report.currencies[0].forecast.expected == 44  # 25 so far, and 9.5 days at 2
    assert report.is_complete is False
    ended = make_report(entries, **options(now=datetime(2026, 12, 1, tzinfo=UTC)))
    assert (ended.is_complete, ended.currencies[0].forecast) == (True, None)


def test_days_are_those_of_the_zone() -> None:
    """On 2026-10-25 clocks of Berlin go back: the day has 25 hours, and is one day."""
    at = datetime(2026, 10, 25, 22, 30, tzinfo=UTC)
    report = make_report(
        [entry("-1", at=at)], start=datetime(2026, 10, 24, 22, tzinfo=UTC), end=datetime(2026, 10, 25, 23, tzinfo=UTC),
        timezone="Europe/Berlin", now=NOW,
    )  # fmt: skip
    assert report.days == (date(2026, 10, 25),)
    assert [row.day for row in report.currencies[0].by_day] == ["2026-10-25"]
    assert list(report.currencies[0].cumulative) == [Decimal(1)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"month": "2026-13"}, "month must be a month as text"),
        ({"month": None}, "month must be a month like"),
        ({"start": "2026-11-01"}, "left out where start and end are given"),
        ({"timezone": "Mars/Olympus"}, "timezone must be an IANA time zone"),
        ({"now": datetime(2026, 11, 1)}, "now must be an aware datetime"),  # noqa: DTZ001 - a naive one is refused
        ({"month": None, "start": "2026-11-02", "end": "2026-11-01"}, "start"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        make_report([], **options(**arguments))


@pytest.mark.parametrize("source", [5, ["text"], [{"amount": 1}]])
def test_a_source_without_entries_is_refused(source: Any) -> None:
    with pytest.raises(InvalidParameterError, match="source must be a Ledger, or an iterable of UsageEntry"):
        make_report(source, **options())


def test_a_ledger_that_was_never_synced_is_refused(tmp_path: Path) -> None:
    with Ledger(tmp_path / "venice.duckdb") as ledger, pytest.raises(LedgerError, match="never synced"):
        make_report(ledger, **options())


def test_many_models_are_folded_into_one_that_says_how_many() -> None:
    report = make_report(year(300, currencies=("USD",)), start="2025-11-21", end="2026-11-21", now=NOW)
    drawn = stack(report, report.currencies[0])
    assert [one.label for one in drawn.series][-1] == "293 other models"
    assert len(drawn.series) == 8
    assert total(drawn.totals()) == report.currencies[0].totals.debits


def test_one_more_than_fits_is_not_folded() -> None:
    report = make_report([entry(f"-{at + 1}", sku=f"m{at}-llm-input-mtoken") for at in range(8)], **options())
    assert [one.label for one in stack(report, report.currencies[0]).series] == [f"m{at}" for at in range(7, -1, -1)]


def test_long_periods_are_drawn_in_weeks_and_months() -> None:
    days = [date(2020, 1, 1) + timedelta(days=at) for at in range(4000)]
    for number, unit in ((400, "day"), (401, "week"), (2100, "week"), (2101, "month")):
        found, buckets = steps(days[:number])
        assert found == unit
        assert sum((bucket.until - bucket.first).days for bucket in buckets) == number
        assert (buckets[0].first, buckets[-1].until) == (days[0], days[number - 1] + timedelta(days=1))


def test_labels_are_safe_and_told_apart() -> None:
    names = [f"{'x' * 40}{middle}{'y' * 40}" for middle in ("a", "b")]
    report = make_report([entry("-2", key=names[0]), entry("-1", key=names[1])], **options())
    drawn = [bar.label for bar in bars(report.currencies[0].by_key, "key", 5)]
    assert len(set(drawn)) == 2
    assert label("\u202eevil\x1b", "model") == "\\u202eevil\\x1b"
    assert label(None, "key") == "no key (web app)"
    assert label("key_1", "key", {"key_1": "CI"}) == "CI (key_1)"


@pytest.mark.parametrize(
    ("amount", "power", "text"),
    [
        ("0", 0, "0"),
        ("12.5", 0, "12.5"),
        ("0.0000097", -6, "0.0000097"),
        ("12345678901234567890123456789012345678", 36, "~1.235e+37"),
        ("1E+999", 999, "1e+999"),
    ],
)
def test_axes_have_short_numbers(amount: str, power: int, text: str) -> None:
    found = scale([Decimal(amount), Decimal(0)])
    assert found.power == power
    assert abs(found.drawn(Decimal(amount))) < 10**7
    assert short(Decimal(amount)) == text


def test_report_as_json_has_exact_text() -> None:
    found = make_report([entry("-0.10000000000000000000000000001")], **options()).to_dict()
    assert found["totals"][0]["debits"] == "0.10000000000000000000000000001"
    assert found["period"] == {"start": "2026-11-01T00:00:00Z", "end": "2026-12-01T00:00:00Z"}
    assert found["complete"] is False


def test_entries_may_be_a_walk() -> None:
    fake = demo_account(NOW)
    with fake.client() as client:
        assert isinstance(client, VeniceBilling)
        report = make_report(client.iter_usage_history(), **options())
    assert isinstance(report, Report)
    assert isinstance(report.currencies[0].requests[0], RequestSpend)
