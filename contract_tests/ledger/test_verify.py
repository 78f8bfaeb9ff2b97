"""The ledger against the API's analytics: a whole ledger agrees, and what is wrong is found on its day."""

from __future__ import annotations

import inspect
import json
import tempfile
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import synced
from contract_tests.support.flavours import NOW, Face, Flavour
from venice_billing import (
    BillingTimeoutError,
    InvalidParameterError,
    LedgerError,
    PermissionDeniedError,
    ResponseValidationError,
)
from venice_billing.ledger import DayFigures, Ledger, LeftOut, Verification
from venice_billing.ledger.verify import Questions, figures_of
from venice_billing.models import DailyUsage, UsageAnalytics
from venice_billing.testing import FakeVenice, faults

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TODAY = NOW.date()


async def verified(ledger: Ledger, face: Face, **options: Any) -> Verification:
    """Verify with a client of either flavour."""
    result: Any = ledger.verify(face.client, **options)
    found: Verification = await result if inspect.isawaitable(result) else result
    return found


def row(amount: str, currency: str = "USD", *, ago: timedelta = 2 * DAY, **fields: Any) -> dict[str, Any]:
    return {"timestamp": NOW - ago, "amount": amount, "currency": currency, **fields}


def of(found: Verification, day: str) -> dict[str, tuple[str, str]]:
    """Return both figures of a day, by currency."""
    days = [figures for figures in found.days if figures.day == day]
    return {figures.currency: (str(figures.ledger), str(figures.analytics)) for figures in days}


async def test_whole_ledger_agrees_by_one_request(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    before = len(fake.requests)
    found = await verified(ledger, face)
    assert (found.ok, bool(found), found.differences, found.asked_at) == (True, True, (), NOW)
    assert (found.requests, len(fake.requests) - before) == (1, 1)
    assert [figures.day for figures in found.days[::2]] == [str(TODAY - number * DAY) for number in range(89, 0, -1)]
    assert {figures.currency for figures in found.days if figures.ledger} == {"USD", "DIEM"}
    assert [each for each in found.left_out if each.reason != "currency"] == [
        LeftOut(reason="not_covered", day=str(TODAY))
    ]


async def test_debits_are_gross_and_bundled_credits_count_as_dollars(ledger: Ledger, flavour: Flavour) -> None:
    """Refunds, purchases and grants are in no sum of the analytics."""
    tokens = {"requestId": "r", "promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1}
    rows = [
        *(row("-0.5"), row("-0.25", "BUNDLED_CREDITS"), row("-0.125", "DIEM"), row("0")),
        *(row("0.5", inferenceDetails=tokens), row("50", sku="top-up"), row("7", "DIEM"), row("9", "BUNDLED_CREDITS")),
    ]
    face = flavour.connect(FakeVenice(rows, now=NOW))
    await synced(ledger, face)
    found = await verified(ledger, face)
    assert of(found, "2026-10-30") == {"USD": ("0.75", "0.75"), "DIEM": ("0.125", "0.125")}
    assert found.ok
    assert found.left_out == (LeftOut(reason="not_covered", day=str(TODAY)),)


async def test_day_is_one_of_utc(ledger: Ledger, flavour: Flavour) -> None:
    midnight = datetime(2026, 10, 30, tzinfo=UTC)
    rows = [
        {"timestamp": at, "amount": amount, "currency": "USD"}
        for at, amount in ((midnight - timedelta(milliseconds=1), "-1"), (midnight, "-2"))
    ]
    face = flavour.connect(FakeVenice(rows, now=NOW))
    await synced(ledger, face)
    found = await verified(ledger, face)
    assert found.ok
    assert (of(found, "2026-10-29")["USD"], of(found, "2026-10-30")["USD"]) == (("1", "1"), ("2", "2"))


AMOUNTS = st.sampled_from(["-1", "-0.1", "-1e-30", "-0.1234567890123456789012345678901234567890", "2", "0"])
TOKENS = {"promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1}
ROWS = st.builds(
    row,
    AMOUNTS,
    st.sampled_from(["USD", "DIEM", "BUNDLED_CREDITS", "VCU", "EARNED_CREDITS"]),
    ago=st.integers(13, 24 * 12).map(lambda hours: hours * HOUR),
    sku=st.sampled_from(["llama-3-3-70b-llm-output-mtoken", "top-up", "grant"]),
    inferenceDetails=st.sampled_from([None, {**TOKENS, "requestId": "r"}]),
)
SPOILT = st.builds(
    row,
    st.sampled_from(["-1", "-1e-30", "-0.1234567890123456789012345678901234567890"]),
    st.sampled_from(["USD", "DIEM", "BUNDLED_CREDITS"]),
    ago=st.integers(13, 24 * 12).map(lambda hours: hours * HOUR),
)


@settings(max_examples=20)
@given(st.lists(ROWS, max_size=12), SPOILT, st.sampled_from(["taken out", "altered", "doubled"]))
def test_wrong_row_is_found_on_its_day(rows: list[dict[str, Any]], spoilt: dict[str, Any], how: str) -> None:
    """A ledger of all rows agrees; one with a row taken out, altered or doubled differs by it, and nowhere else."""
    wrong = {"taken out": [], "altered": [{**spoilt, "amount": "-5"}], "doubled": [spoilt, spoilt]}[how]
    truth = FakeVenice([*rows, spoilt], now=NOW)
    assert verify_ledger_of([*rows, spoilt], truth).ok
    found = verify_ledger_of([*rows, *wrong], truth)
    (difference,) = found.differences
    currency = "DIEM" if spoilt["currency"] == "DIEM" else "USD"
    assert (difference.day, difference.currency) == (str(spoilt["timestamp"].date()), currency)
    amount = Fraction(spoilt["amount"])
    assert Fraction(difference.difference) == {"taken out": amount, "altered": 5 + amount, "doubled": -amount}[how]
    assert not found


def verify_ledger_of(rows: list[dict[str, Any]], truth: FakeVenice) -> Verification:
    """Verify a ledger of these rows against another account."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Ledger(Path(folder, "venice.duckdb")) as ledger,
        FakeVenice(rows, now=NOW).client() as source,
        truth.client() as client,
    ):
        ledger.sync(source)
        return ledger.verify(client)


async def test_currency_that_the_analytics_lack_is_left_out(ledger: Ledger, flavour: Flavour) -> None:
    face = flavour.connect(FakeVenice([row("-3", "VCU"), row("4", "EARNED_CREDITS"), row("-1")], now=NOW))
    await synced(ledger, face)
    found = await verified(ledger, face)
    assert found.ok
    assert LeftOut(reason="currency", day="2026-10-30", currency="VCU", debits=Decimal(3)) in found.left_out
    assert "EARNED_CREDITS" not in found.to_json(), "nothing of it was charged"


async def test_days_after_the_coverage_are_left_out(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.clock.advance(3 * 86400)
    fake.book(row("-1", ago=-2 * DAY))
    found = await verified(ledger, face)
    assert found.ok
    left_out = [each.day for each in found.left_out if each.reason == "not_covered"]
    assert left_out == ["2026-11-01", "2026-11-02", "2026-11-03", "2026-11-04"]


@pytest.mark.parametrize(("minutes", "reason"), [(9, "recent"), (10, None)])
async def test_day_that_has_just_ended_is_too_recent_to_tell(
    ledger: Ledger, flavour: Flavour, minutes: int, reason: str | None
) -> None:
    fake = FakeVenice([row("-1", ago=HOUR)], now=datetime(2026, 11, 2, tzinfo=UTC) + minutes * timedelta(minutes=1))
    face = flavour.connect(fake)
    await synced(ledger, face)
    found = await verified(ledger, face)
    reasons = {each.day: each.reason for each in found.left_out}
    assert reasons.get("2026-11-01") == reason
    assert bool(of(found, "2026-11-01")) is (reason is None)


async def test_late_charge_is_not_missed_because_the_answer_is_older(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    """The API answers from its cache what it knew before the charge was booked."""
    await synced(ledger, face)
    assert (await verified(ledger, face)).ok
    fake.clock.advance(60)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=20 * HOUR)
    await synced(ledger, face)
    found = await verified(ledger, face)
    assert (found.differences, [each.day for each in found.left_out if each.reason == "recent"]) == ((), ["2026-10-31"])
    fake.clock.advance(600)
    found = await verified(ledger, face)
    assert found.ok
    assert of(found, "2026-10-31")


async def test_charge_that_only_the_api_knows_is_a_difference(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.book({"amount": "-0.25", "currency": "BUNDLED_CREDITS"}, late=40 * DAY)
    found = await verified(ledger, face)
    (difference,) = found.differences
    assert (difference.day, difference.currency, str(difference.difference)) == ("2026-09-22", "USD", "-0.25")
    await synced(ledger, face, full=True)
    fake.clock.advance(700)
    assert (await verified(ledger, face)).ok


async def test_range_of_days_takes_the_start_and_leaves_out_the_end(ledger: Ledger, face: Face) -> None:
    await synced(ledger, face)
    found = await verified(ledger, face, start="2026-10-01", end=date(2026, 10, 4))
    assert [figures.day for figures in found.days[::2]] == ["2026-10-01", "2026-10-02", "2026-10-03"]
    assert len((await verified(ledger, face, end="2026-10-04")).days) == 2 * 90
    assert (await verified(ledger, face, start="2026-10-30")).days[0].day == "2026-10-30"


async def test_longer_range_is_one_request_for_each_90_days(flavour: Flavour, ledger: Ledger) -> None:
    fake = FakeVenice(300, days=300, now=NOW)
    face = flavour.connect(fake)
    await synced(ledger, face)
    found = await verified(ledger, face, start=NOW.date() - 300 * DAY)
    asked = [dict(request.params) for request in fake.requests if request.path.endswith("usage-analytics")]
    assert (found.ok, found.requests, len(asked), len(found.days)) == (True, 4, 4, 600)
    assert all(date.fromisoformat(each["endDate"]) - date.fromisoformat(each["startDate"]) < 90 * DAY for each in asked)


async def test_range_that_takes_too_long_is_halved(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.quirks.faults = [faults.status(504), faults.status(504)]
    found = await verified(ledger, face)
    assert (found.ok, found.requests, len(found.days)) == (True, 5, 2 * 89)
    fake.quirks.faults = [faults.status(504)] * 20
    before = len(fake.requests)
    with pytest.raises(BillingTimeoutError):
        await verified(ledger, face)
    assert len(fake.requests) - before == 5, "89, 44, 22, 11 and 5 days"


async def test_nothing_is_asked_where_nothing_can_be_compared(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    before = len(fake.requests)
    found = await verified(ledger, face, start=TODAY)
    assert (found.ok, found.days, found.requests, len(fake.requests)) == (False, (), 0, before)


async def test_inference_key_will_do(ledger: Ledger, face: Face, fake: FakeVenice, flavour: Flavour) -> None:
    await synced(ledger, face)
    assert (await verified(ledger, flavour.connect(fake, api_key=fake.inference_key))).ok


async def test_failure_of_the_api_is_raised(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.quirks.faults = [faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await verified(ledger, face)


async def test_tolerance_says_which_difference_counts(ledger: Ledger, flavour: Flavour) -> None:
    await synced(ledger, flavour.connect(FakeVenice([row("-1")], now=NOW)))
    other = flavour.connect(FakeVenice([row("-1.00000001")], now=NOW))
    assert len((await verified(ledger, other)).differences) == 1
    found = await verified(ledger, other, tolerance="0.00000001")
    assert (found.ok, found.tolerance) == (True, Decimal("1E-8"))
    assert not (await verified(ledger, other, tolerance="0.000000009")).ok


async def test_empty_ledger_is_refused(ledger: Ledger, face: Face) -> None:
    with pytest.raises(LedgerError, match=r"sync it first: ledger.sync\(client\)"):
        await verified(ledger, face)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "2026-10-02", "end": "2026-10-02"}, "start must be earlier than end"),
        ({"start": "2027-01-01"}, "start must be earlier than end"),
        ({"end": "2026-10-02T12:00:00Z"}, "end must be a whole day"),
        ({"start": 5}, "start must be"),
        ({"tolerance": 0.1}, "tolerance must be .* a float"),
        ({"tolerance": -1}, "tolerance must be a number that is not negative"),
    ],
)
async def test_bad_argument_is_refused(ledger: Ledger, face: Face, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        await verified(ledger, face, **options)


def test_client_must_be_one(ledger: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="client must be a VeniceBilling or an AsyncVeniceBilling"):
        ledger.verify("key")  # type: ignore[call-overload]


def test_result_is_readable_and_its_money_is_text() -> None:
    days = [("2026-10-30", "USD", "1.5", "1.25"), ("2026-10-30", "DIEM", "1E-30", "1E-30")]
    found = Verification(
        days=tuple(
            DayFigures(day=day, currency=currency, ledger=Decimal(one), analytics=Decimal(other))
            for day, currency, one, other in days
        ),
        left_out=(LeftOut(reason="recent", day="2026-10-31"),),
        asked_at=NOW,
        requests=1,
    )
    assert repr(found).splitlines() == [
        "Verification of 1 days: 1 differences; left out: 1 days too recent to tell",
        "day         currency  ledger  analytics  difference",
        "2026-10-30  USD          1.5       1.25        0.25",
    ]
    document = json.loads(found.to_json(), parse_float=pytest.fail)
    assert document["differences"] == [
        {"day": "2026-10-30", "currency": "USD", "ledger": "1.5", "analytics": "1.25", "difference": "0.25"}
    ]
    assert document["days"][1]["ledger"] == "0.000000000000000000000000000001"
    assert document["left_out"] == [{"reason": "recent", "day": "2026-10-31", "currency": None, "debits": None}]
    assert [set(each) for each in found.rows()] == [{"day", "currency", "ledger", "analytics", "difference"}] * 2


def analytics(lookback: str, *days: tuple[str, str]) -> UsageAnalytics:
    return UsageAnalytics.from_dict(
        {
            "lookback": lookback,
            "byDate": [{"date": day, "USD": Decimal(usd), "DIEM": 0} for day, usd in days],
            **{key: [] for key in ("byModel", "byKey", "byModelDaily", "byKeyDaily", "topModels", "topKeyNames")},
        }
    )


FIRST = date(2026, 10, 1)


@pytest.mark.parametrize(
    ("lookback", "told"),
    [("2026-10-01:2026-10-10", 10), ("2026-10-04:2026-10-10", 7), ("2026-10-01:2026-10-03", 3), ("10d", 10)],
)
def test_days_that_the_answer_is_not_for_are_not_taken_for_zero(lookback: str, told: int) -> None:
    questions = Questions([FIRST + number * DAY for number in range(10)])
    questions.take(analytics(lookback, ("2026-10-04", "5"), ("2025-01-01", "7")))
    assert (len(questions.answered), questions.next, questions.asked) == (told, None, 1)


def test_day_may_be_a_full_timestamp() -> None:
    days = [
        DailyUsage.from_dict({"date": day, "USD": 1, "DIEM": 2}) for day in ("2026-10-01T00:00:00.000Z", "2026-10-02")
    ]
    assert {day for day, _ in figures_of(days)} == {FIRST, FIRST + DAY}


@pytest.mark.parametrize(
    ("days", "message"),
    [
        (["2026-10-01", "2026-10-01T00:00:00Z"], r"byDate\[1\].date: the day 2026-10-01 is told twice"),
        (["2026-10-01", "yesterday"], r"byDate\[1\].date: expected a day, got 'yesterday'"),
    ],
)
def test_day_that_cannot_be_told_is_an_error(days: list[str], message: str) -> None:
    with pytest.raises(ResponseValidationError, match=message):
        figures_of(analytics("7d", *[(day, "1") for day in days]).by_date)
