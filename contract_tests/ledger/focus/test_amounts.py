"""Costs in a FOCUS file are products to the digit, and their sums are those of the ledger.

The official validator misses a wrong product and a wrong sum; these tests find them.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import example, given, settings

from contract_tests.ledger.account import load
from contract_tests.ledger.focus.files import PERIODS, RATE, UNIT_PRICES, Row, booked, check_products, exported, number
from contract_tests.ledger.odd_entries import ENTRIES
from venice_billing import UsageEntry
from venice_billing.ledger import Ledger
from venice_billing.ledger._focus_columns import COLUMNS
from venice_billing.ledger._focus_file import decimal_text
from venice_billing.ledger.focus import FocusTerms, focus_row


def test_quantity_times_price_is_the_cost_to_the_digit(rows: dict[str, list[Row]]) -> None:
    for row in rows["1.2"]:
        check_products(row)
    assert len({row["ListCost"] for row in rows["1.2"]}) > 8


def test_amount_that_is_no_product_is_the_effective_cost(rows: dict[str, list[Row]]) -> None:
    (row,) = [row for row in rows["1.2"] if row["x_AmountText"] == "-0.000030799999999999996"]
    assert row["EffectiveCost"] == row["PricingCurrencyEffectiveCost"] == "0.000030799999999999996"
    assert row["ListCost"] == row["ContractedCost"] == "0.01"


def test_sums_of_each_currency_are_those_of_the_ledger(synced: Ledger, rows: dict[str, list[Row]]) -> None:
    signed: defaultdict[tuple[str, str], Fraction] = defaultdict(Fraction)
    spent, bought, count = (defaultdict[tuple[str, str], Fraction](Fraction) for _ in range(3))
    for row in rows["1.2"]:
        group = row["BillingPeriodStart"][:7], row["x_Currency"]
        signed[group] += number(row["x_Amount"])
        spent[group] += number(row["PricingCurrencyEffectiveCost"])
        bought[group] += number(row["BilledCost"])
        count[group] += 1
    for total in synced.spend("month"):
        group = str(total.month), total.currency
        assert signed.pop(group) == Fraction(total.net)
        assert spent[group] == Fraction(total.debits) - Fraction(total.refunds)
        assert bought[group] == Fraction(total.purchases)
        assert count[group] == total.count
    assert signed == {}


@settings(max_examples=200)
@given(ENTRIES)
@example(
    UsageEntry.from_json(
        '{"timestamp":"9999-12-31T23:59:59.9Z","sku":" ","amount":-0.0,"currency":"\\ud800",'
        '"notes":"\\u0000","pricePerUnitUsd":-1e-40,"units":-3,"inferenceDetails":null}'
    )
)
def test_row_of_any_entry_is_exact_and_can_be_written(entry: UsageEntry) -> None:
    row = focus_row(entry, FocusTerms(account="a", diem_usd=Decimal("1.10")))
    check_products(row)
    assert row.keys() >= {column.name for columns in COLUMNS.values() for column in columns}
    assert "".join(value for value in row.values() if isinstance(value, str)).encode()
    assert all(value.strip() for value in row.values() if isinstance(value, str))
    assert row["ChargeDescription"]
    assert row["x_Amount"] == entry.amount
    for name in UNIT_PRICES:
        value = row[name]
        assert value is None or (isinstance(value, Decimal) and value >= 0)
    for value in row.values():
        assert not isinstance(value, Decimal) or Decimal(decimal_text(value) or "") == value
    for period in PERIODS:
        start, end = row[f"{period}Start"], row[f"{period}End"]
        assert isinstance(start, datetime)
        assert isinstance(end, datetime)
        assert start <= entry.timestamp
        assert start < end or entry.timestamp.year == 9999


@settings(max_examples=10, deadline=None)
@given(ENTRIES, ENTRIES)
def test_file_has_every_digit_of_any_ledger(one: UsageEntry, other: UsageEntry) -> None:
    """Through a ledger of its own: what is written is what the mapping says of the same entries."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "any.duckdb")
        with Ledger(path) as ledger:
            load(ledger, [one, other, other])
            written = exported(ledger, Path(folder, "focus.csv"))
            booked = sorted([one, other, other], key=lambda entry: entry.timestamp)
    assert [Decimal(row["x_Amount"]) for row in written] == [entry.amount for entry in booked]
    assert [row["x_UnitsText"] for row in written] == [str(entry.units) for entry in booked]


def test_signs_are_those_of_focus(rows: dict[str, list[Row]]) -> None:
    """A charge is positive, and what is given back is negative; the ledger has it the other way round."""
    by_kind: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows["1.2"]:
        by_kind[row["x_Kind"]].append(row)
    assert all(number(row["ListCost"]) > 0 and number(row["x_Amount"]) <= 0 for row in by_kind["debit"])
    for row in by_kind["refund"]:
        assert row["ChargeCategory"] == "Usage"
        assert max(number(row[name]) for name in ("ListCost", "PricingQuantity", "ConsumedQuantity")) < 0
        assert number(row["PricingCurrencyEffectiveCost"]) == -number(row["x_Amount"]) < 0
    assert [(row["BilledCost"], row["ListCost"], row["EffectiveCost"]) for row in by_kind["purchase"]] == [
        ("25.0", "25.0", "0.0")
    ]
    assert {row["ChargeCategory"] for row in by_kind["credit"]} == {"Credit"}
    assert len(by_kind["credit"]) == 4


@pytest.mark.parametrize(
    ("currency", "rate", "effective", "shown"),
    [
        ("USD", None, "2.0", "1.0"),
        ("BUNDLED_CREDITS", RATE, "2.0", "1.0"),
        ("DIEM", None, "0.0", ""),
        ("DIEM", RATE, "0.50", "0.25"),
        ("DIEM", Decimal(0), "0.0", "0.0"),
        ("VCU", RATE, "0.0", ""),
        ("EARNED_CREDITS", RATE, "0.0", ""),
        ("doubloons", RATE, "0.0", ""),
    ],
)
def test_effective_cost_of_a_currency(
    ledger: Ledger, tmp_path: Path, currency: str, rate: Decimal | None, effective: str, shown: str
) -> None:
    """Where no price is known the cost is 0, and the rate null, so that it cannot be mistaken for one of 0."""
    booked(ledger, tmp_path, {"amount": -2, "units": 2, "currency": currency})
    (row,) = exported(ledger, tmp_path / "f.csv", diem_usd=rate)
    assert (Decimal(row["EffectiveCost"]), row["x_UsdRate"]) == (Decimal(effective), shown)
    assert (row["PricingCurrency"], row["PricingCurrencyEffectiveCost"]) == (currency, "2.0")
    assert (row["BillingCurrency"], row["ListCost"], row["BilledCost"]) == ("USD", "2.0", "0.0")


@pytest.mark.parametrize(
    ("currency", "amount", "units", "native"),
    [
        ("DIEM", "-3.0799999999999996e-05", "0.0000154", "2.0"),
        ("VCU", "-15", "1.5", "10.0"),
        ("VCU", "-1", "3", ""),  # a third has no end
        ("VCU", "-1", "2199023255552", ""),  # a quotient of 29 digits
        ("VCU", "-1", "0", ""),
    ],
)
def test_unit_price_in_the_currency_of_the_booking(
    ledger: Ledger, tmp_path: Path, currency: str, amount: str, units: str, native: str
) -> None:
    """DIEM and bundled credits are worth a US dollar of the price list; of others, the booking tells the price."""
    numbers = {"amount": Decimal(amount), "units": Decimal(units), "pricePerUnitUsd": 2}
    (row,) = booked(ledger, tmp_path, {**numbers, "currency": currency})
    assert row["PricingCurrencyListUnitPrice"] == row["PricingCurrencyContractedUnitPrice"] == native
    assert row["ListUnitPrice"] == "2.0"


def test_purchase_of_another_currency_is_priced_in_dollars(ledger: Ledger, tmp_path: Path) -> None:
    numbers = {"amount": 10, "units": 10, "pricePerUnitUsd": Decimal("0.9")}
    (row,) = booked(ledger, tmp_path, {**numbers, "sku": "top-up", "currency": "BUNDLED_CREDITS"})
    assert (row["ChargeCategory"], row["x_Currency"], row["PricingCurrency"]) == ("Purchase", "BUNDLED_CREDITS", "USD")
    assert (row["BilledCost"], row["ListCost"], row["PricingQuantity"], row["PricingUnit"]) == (
        "9.0",
        "9.0",
        "10.0",
        "Credits",
    )
