"""What a warehouse is given: entries as rows, to the digit, in lists of whole days. Without dlt."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW
from venice_billing import UsageEntry, spend
from venice_billing import _warehouse as warehouse
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS: dict[str, Any] = {
    "timestamp": "2026-10-01T23:59:59.999999Z",
    "sku": "gpt-llm-input-mtoken",
    "amount": Decimal("-0.50"),
    "currency": "USD",
    "notes": "",
    "pricePerUnitUsd": Decimal("1.10"),
    "units": 3,
    "inferenceDetails": None,
}
REQUEST = {"requestId": "r", "promptTokens": 1, "completionTokens": None, "inferenceExecutionTime": 10}
FIRST = date(2026, 10, 1)
WIDE = Context(prec=2000)


def row(**fields: Any) -> warehouse.Row:
    return warehouse.usage_row(UsageEntry.from_dict({**FIELDS, **fields}))


def test_row_has_the_columns_that_dlt_is_told() -> None:
    found = row(inferenceDetails=REQUEST, apiKeyId="key")
    assert list(found) == list(warehouse.USAGE)
    assert found == {
        "day": FIRST,
        "timestamp": datetime(2026, 10, 1, 23, 59, 59, 999999, UTC),
        "sku": "gpt-llm-input-mtoken",
        "model": "gpt",
        "service": "llm",
        "kind": "debit",
        "units": Decimal(3),
        "units_text": "3",
        "price_per_unit_usd": Decimal("1.10"),
        "price_per_unit_usd_text": "1.10",
        "amount": Decimal("-0.50"),
        "amount_text": "-0.50",
        "currency": "USD",
        "notes": "",
        "api_key_id": "key",
        "request_id": "r",
        "prompt_tokens": 1,
        "completion_tokens": None,
        "inference_execution_time": 10,
        "additional_properties": None,
        "entry_json": None,
        "is_empty_day": None,
    }


def test_day_is_that_of_utc() -> None:
    assert row(timestamp="2026-10-02T01:30:00+02:00")["day"] == FIRST


@pytest.mark.parametrize(
    "text",
    ["1e-28", "-8.250000000000001e-07", "9999999999.9999999999999999999999999999", "1E+5", "-1.5E+9", "1.50", "0E-40"],
)
def test_number_that_fits_is_an_equal_decimal(text: str) -> None:
    found = warehouse.decimal(Decimal(text))
    assert found == Decimal(text)
    assert found is not None
    exponent = found.as_tuple().exponent
    assert isinstance(exponent, int)
    assert -28 <= exponent <= 0


@pytest.mark.parametrize("text", ["1e-30", "10000000000", "-1E+30", "1E-45", "0." + "1" * 29])
def test_number_that_does_not_fit_is_null_beside_its_text(text: str) -> None:
    found = row(amount=Decimal(text))
    assert found["amount"] is None
    assert Decimal(found["amount_text"]) == Decimal(text)


def test_zeros_at_the_end_do_not_keep_a_number_from_fitting() -> None:
    assert warehouse.decimal(Decimal("0.5" + "0" * 60)) == Decimal("0.5")


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_decimal_is_equal_or_null(number: Decimal) -> None:
    found = warehouse.decimal(number)
    fits = number == 0 or (number.copy_abs() < 10**10 and number == number.quantize(Decimal("1e-28"), context=WIDE))
    assert found == number if fits else found is None


def test_unknown_fields_are_json_of_the_same_numbers() -> None:
    found = row(region={"factor": Decimal("1.10"), "tiny": Decimal("1E-7")}, inferenceDetails={**REQUEST, "cached": 2})
    assert found["additional_properties"] == {
        "region": {"factor": 1.1, "tiny": 1e-07},
        "inferenceDetails": {"cached": 2},
    }
    assert found["entry_json"] is None


@pytest.mark.parametrize(
    ("fields", "column", "held"),
    [
        ({"x": Decimal("0.1234567890123456789")}, "additional_properties", {"x": "0.1234567890123456789"}),
        ({"x": [2**63, True]}, "additional_properties", {"x": [str(2**63), True]}),
        ({"x": Decimal("1E+400")}, "additional_properties", {"x": "1E+400"}),
        ({"a\x00": "\ud800"}, "additional_properties", {"a\\x00": "\\ud800"}),
        ({"sku": "a\x00b\ud800"}, "sku", "a\\x00b\\ud800"),
        ({"currency": "E\x00"}, "currency", "E\\x00"),
        ({"inferenceDetails": {**REQUEST, "promptTokens": 2**63}}, "prompt_tokens", None),
        ({"inferenceDetails": {**REQUEST, "requestId": "\x00"}}, "request_id", "\\x00"),
    ],
)
def test_what_no_column_holds_is_whole_in_entry_json(fields: dict[str, Any], column: str, held: Any) -> None:
    found = row(**fields)
    assert found[column] == held
    assert UsageEntry.from_json(found["entry_json"]) == UsageEntry.from_dict({**FIELDS, **fields})
    assert found["entry_json"].isascii()
    assert "\x00" not in found["entry_json"]
    assert json.dumps(found["additional_properties"], ensure_ascii=False).encode()


def test_kinds_are_those_of_spend() -> None:
    entries = [UsageEntry.from_dict(row) for row in FakeVenice(300, now=NOW).ledger]
    assert [warehouse.usage_row(entry)["kind"] for entry in entries] == [spend.kind_of(entry) for entry in entries]


def on(*days: int) -> list[warehouse.Row]:
    """Return a row on each of these days of October."""
    return [{"day": date(2026, 10, day), "sku": str(number)} for number, day in enumerate(days)]


def october(day: int | None) -> date | None:
    return None if day is None else date(2026, 10, day)


def days(found: list[list[warehouse.Row]]) -> list[list[str]]:
    """Return the days of October in each list; a marker as its day in brackets."""
    return [
        [f"({row['day'].day})" if row.get("is_empty_day") else str(row["day"].day) for row in rows] for rows in found
    ]


def test_each_list_holds_whole_days() -> None:
    found = list(warehouse.by_days(on(1, 1, 2, 2, 2), FIRST, None))
    assert days(found) == [["1", "1"], ["2", "2", "2"]]


def test_day_of_many_rows_is_cut_into_parts() -> None:
    """Each part of one day, as rows arrive: no more of them are in memory."""
    read = []

    def arriving() -> Iterator[warehouse.Row]:
        for row in on(1, 1, 1, 1, 1, 2, 4):
            read.append(row)
            yield row

    parts = warehouse.by_days(arriving(), FIRST, date(2026, 10, 5), most=2)
    assert days([next(parts)]) == [["1", "1"]]
    assert len(read) == 2
    assert days(list(parts)) == [["1", "1"], ["1"], ["2"], ["(3)", "4"], ["(5)"]]


def test_days_without_rows_have_a_marker() -> None:
    """Before, between and behind the days that have rows."""
    found = list(warehouse.by_days(on(3, 5), FIRST, date(2026, 10, 7)))
    assert days(found) == [["(1)", "(2)", "3"], ["(4)", "5"], ["(6)", "(7)"]]


def test_range_without_rows_is_markers_alone() -> None:
    assert days(list(warehouse.by_days([], FIRST, date(2026, 10, 3)))) == [["(1)", "(2)", "(3)"]]
    assert list(warehouse.by_days([], None, None)) == []
    assert list(warehouse.by_days([], FIRST, None)) == []


def test_first_load_has_markers_only_between_the_days_that_have_rows() -> None:
    assert days(list(warehouse.by_days(on(2, 4), None, None))) == [["2"], ["(3)", "4"]]


def test_last_known_day_before_the_rows_adds_no_marker() -> None:
    assert days(list(warehouse.by_days(on(5), date(2026, 10, 4), date(2026, 10, 4)))) == [["(4)", "5"]]


@given(
    st.lists(st.integers(1, 20), max_size=40).map(sorted),
    st.one_of(st.none(), st.integers(1, 5)),
    st.one_of(st.none(), st.integers(5, 25)),
)
def test_every_day_of_the_range_is_in_exactly_one_list(found: list[int], first: int | None, last: int | None) -> None:
    inside = [day for day in found if first is None or day >= first]
    lists = list(warehouse.by_days(on(*inside), october(first), october(last)))
    assert [row for rows in lists for row in rows if not row.get("is_empty_day")] == on(*inside)
    seen = [{row["day"].day for row in rows} for rows in lists]
    for one, other in pairwise(seen):
        assert max(one) < min(other)
    start = first if first is not None else min(inside, default=None)
    ends = [*inside, *([last] if last is not None else [])]
    expected = set(range(start, max(ends) + 1)) if start is not None and ends else set()
    assert set().union(*seen) == (expected if inside or last is not None else set())


def test_balance_is_decimals_and_texts_with_its_time() -> None:
    fake = FakeVenice(0, now=NOW)
    fake.balance = {
        "canConsume": True,
        "consumptionCurrency": "USD",
        "balances": {"usd": Decimal("12.50"), "diem": None, "points": 3},
        "diemEpochAllocation": 0,
        "extra": "new",
    }
    with fake.client() as client:
        found = warehouse.balance_row(client.get_balance(), NOW)
    assert found == {
        "observed_at": NOW,
        "can_consume": True,
        "consumption_currency": "USD",
        "usd": Decimal("12.50"),
        "usd_text": "12.50",
        "diem": None,
        "diem_text": None,
        "diem_epoch_allocation": 0,
        "diem_epoch_allocation_text": "0",
        "additional_properties": {"extra": "new", "balances": {"points": 3}},
    }
    assert list(found) == list(warehouse.BALANCE)


def test_analytics_are_the_amounts_of_each_day_by_scope_and_currency() -> None:
    fake = FakeVenice(200, days=5, now=NOW)
    with fake.client() as client:
        analytics = client.get_usage_analytics(lookback="7d")
    rows = warehouse.analytics_rows(analytics)
    assert all(list(row) == list(warehouse.ANALYTICS) for row in rows)
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)
    totals = {(row["day"], row["currency"]): row["amount"] for row in rows if row["scope"] == "total"}
    assert totals == {
        (date.fromisoformat(day.date), currency): amount
        for day in analytics.by_date
        for currency, amount in (("USD", day.usd), ("DIEM", day.diem))
    }
    by_model = [row for row in rows if row["scope"] == "model" and row["currency"] == "USD"]
    point = (analytics.by_model_daily_usd or [])[-1]
    day = datetime.fromtimestamp(point.date / 1000, UTC).date()
    assert {row["name"]: row["amount"] for row in by_model if row["day"] == day} == point.additional_properties
