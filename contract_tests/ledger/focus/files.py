"""FOCUS files as the tests write and read them."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from venice_billing.ledger import Ledger


Row = dict[str, str]
RATE = Decimal("0.25")
VERSIONS = ("1.2", "1.4")
UNIT_PRICES = (
    "ContractedUnitPrice",
    "ListUnitPrice",
    "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyListUnitPrice",
)
PERIODS = ("BillingPeriod", "ChargePeriod")
TIMES = [period + end for period in PERIODS for end in ("Start", "End")]
PLAIN_NUMBER = re.compile(r"-?\d+\.\d+", re.ASCII)


def number(text: str) -> Fraction:
    return Fraction(text)


def read(path: Path) -> list[Row]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write(ledger: Ledger, path: Path, **options: Any) -> int:
    """Export a ledger as FOCUS, and return how many rows there are."""
    done = ledger.export(path, format="focus", **options)
    assert (done.path, done.format, done.written) == (path, "focus", (path,))
    assert done.size == path.stat().st_size
    return done.rows


def exported(ledger: Ledger, path: Path, **options: Any) -> list[Row]:
    write(ledger, path, **options)
    return read(path)


def booked(ledger: Ledger, tmp_path: Path, *entries: dict[str, Any]) -> list[Row]:
    """Return the rows of a ledger with these bookings; each is an hour of October 2026, unless it says otherwise."""
    usual = {"sku": "m-llm-input-mtoken", "pricePerUnitUsd": 1, "units": 1, "amount": -1, "currency": "USD"}
    first = datetime(2026, 10, 1, tzinfo=UTC)
    wire = [{"timestamp": first + hour * timedelta(hours=1), **usual, **entry} for hour, entry in enumerate(entries)]
    with FakeVenice(wire, now=datetime(2026, 11, 1, 12, tzinfo=UTC)).client() as client:
        ledger.sync(client)
    return exported(ledger, tmp_path / "booked.csv")


def details_of(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "promptTokens": 1, "completionTokens": 2, "inferenceExecutionTime": 3}


def check_products(row: Mapping[str, Any]) -> None:
    """Check that quantities times prices are costs, exactly; `row` has numbers or their texts."""
    if row["PricingQuantity"] not in (None, ""):
        quantity = Fraction(row["PricingQuantity"])
        assert quantity * Fraction(row["ListUnitPrice"]) == Fraction(row["ListCost"])
        assert quantity * Fraction(row["ContractedUnitPrice"]) == Fraction(row["ContractedCost"])
    if row["ConsumedQuantity"] not in (None, ""):
        times = int(row["PricingUnit"].split()[0]) if " " in row["PricingUnit"] else 1
        assert Fraction(row["ConsumedQuantity"]) == times * Fraction(row["PricingQuantity"])
    rate = Fraction(row["x_UsdRate"] or 0)
    assert Fraction(row["EffectiveCost"]) == rate * Fraction(row["PricingCurrencyEffectiveCost"])
