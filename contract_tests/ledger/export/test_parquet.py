"""The ledger as Parquet: the columns of the view, decimals that are exact or null."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb

from contract_tests.ledger.account import load
from contract_tests.ledger.odd_entries import FIELDS
from venice_billing import UsageEntry

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


def test_parquet_has_the_columns_of_the_view(filled: Ledger, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.parquet")
    with duckdb.connect() as other:
        described = other.execute("DESCRIBE FROM read_parquet($path)", {"path": str(result.path)}).fetchall()
        raw = other.execute(
            "SELECT name, converted_type, CAST(logical_type AS VARCHAR) FROM parquet_schema($path)",
            {"path": str(result.path)},
        ).fetchall()
        sums = other.execute(
            "SELECT currency, sum(amount), count(*) FROM read_parquet($path) GROUP BY ALL ORDER BY ALL",
            {"path": str(result.path)},
        ).fetchall()
    assert [name for name, *_ in described] == filled.relation().columns
    kinds = {name: kind for name, kind, *_ in described}
    assert kinds["timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert {kinds[name] for name in ("amount", "units", "price_per_unit_usd")} == {"DECIMAL(38,28)"}
    assert kinds["additional_properties"] == "VARCHAR"
    (time,) = [(converted, logical) for name, converted, logical in raw if name == "timestamp"]
    assert time[0] == "TIMESTAMP_MICROS"
    assert "isAdjustedToUTC=1" in time[1]
    assert [(currency, total, count) for currency, total, count in sums] == [
        (row.currency, row.net, row.count) for row in filled.spend(())
    ]
    assert result.rows == 600


def test_number_that_fits_no_decimal_is_null_in_parquet_and_whole_in_its_text(ledger: Ledger, tmp_path: Path) -> None:
    amounts = ["1e-30", "-0.1234567890123456789012345678901234567890", "-3.0799999999999996e-05"]
    odd_fields = {"units": Decimal("1e-29"), "more": {"a": Decimal("1.10")}}
    load(ledger, [UsageEntry.from_dict({**FIELDS, **odd_fields, "amount": Decimal(amount)}) for amount in amounts])
    ledger.export(tmp_path / "all.parquet")
    with duckdb.connect() as other:
        columns = "amount, amount_text, units, units_text, additional_properties"
        path = str(tmp_path / "all.parquet")
        found = other.execute(
            f"SELECT {columns} FROM read_parquet($path) ORDER BY amount_text", {"path": path}
        ).fetchall()
    unit, unknown = (None, "1E-29"), '{"more":{"a":1.10}}'
    assert found == [
        (Decimal("-0.000030799999999999996"), "-0.000030799999999999996", *unit, unknown),
        (None, "-0.1234567890123456789012345678901234567890", *unit, unknown),
        (None, "1E-30", *unit, unknown),
    ]
