"""The ledger as CSV: to the digit, and safe in spreadsheets."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import load, walked
from contract_tests.ledger.export.records import as_text, odd, records
from contract_tests.ledger.odd_entries import AWKWARD, ODD, booked, has_surrogates

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger
    from venice_billing.testing import FakeVenice


def test_csv_has_the_rows_to_the_digit(filled: Ledger, fake: FakeVenice, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.csv")
    found = records(tmp_path / "all.csv")
    assert list(found[0]) == list(walked(fake)[0].row())
    for record, entry in zip(found, walked(fake), strict=True):
        row = {name: as_text(value) for name, value in entry.row().items()}
        at = datetime.fromisoformat(record.pop("timestamp"))
        assert (at, record) == (datetime.fromisoformat(row.pop("timestamp")), row)
    assert (result.rows, result.size) == (600, (tmp_path / "all.csv").stat().st_size)


def test_csv_keeps_every_digit(ledger: Ledger, tmp_path: Path) -> None:
    with booked(AWKWARD).client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "all.csv")
    assert sorted(record["amount"] for record in records(tmp_path / "all.csv")) == sorted(
        str(Decimal(text)) for text in AWKWARD
    )


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_in_csv(ledger: Ledger, tmp_path: Path, name: str) -> None:
    (entry,) = load(ledger, [odd(name)])
    ledger.export(tmp_path / "odd.csv")
    (record,) = records(tmp_path / "odd.csv")
    if not has_surrogates([entry]):
        row = {name: as_text(value) for name, value in entry.row().items()}
        assert {**record, "timestamp": ""} == {**row, "timestamp": ""}
    else:  # UTF-8 has no form of these; a backslash shows where one was
        assert "\\ud" in json.dumps(record)
    assert Decimal(record["amount"]) == entry.amount


def test_csv_is_that_of_rfc_4180(ledger: Ledger, tmp_path: Path) -> None:
    notes = 'two\nlines, and "quotes"'
    with booked(["-0.5"], sku="m", notes=notes).client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "all.csv")
    header, rest = (tmp_path / "all.csv").read_bytes().split(b"\r\n", 1)
    assert header.startswith(b"timestamp,sku,model,service,units,price_per_unit_usd,amount,currency,notes,")
    assert b'"two\nlines, and ""quotes"""' in rest
    assert rest.endswith(b"\r\n")


def test_csv_of_no_rows_has_the_header_row(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.export(tmp_path / "none.csv").rows == 0
    (header,) = (tmp_path / "none.csv").read_text("utf-8").splitlines()
    assert header.split(",") == list(odd("key").row())


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''-1"]
HARMLESS = ["", "a=1", " =1", "'", "'a", "1-2"]


@pytest.mark.parametrize("notes", FORMULAS + HARMLESS)
def test_no_text_is_a_formula_to_a_spreadsheet(ledger: Ledger, tmp_path: Path, notes: str) -> None:
    """One apostrophe more, which is taken away again by the same rule; numbers stay numbers."""
    with booked(["-0.5"], sku="m", notes=notes, currency="=USD").client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "safe.csv")
    ledger.export(tmp_path / "exact.csv", escape_formulas=False)
    (safe,), (exact,) = records(tmp_path / "safe.csv"), records(tmp_path / "exact.csv")
    assert exact["notes"] == notes
    assert safe["notes"] == (f"'{notes}" if notes in FORMULAS else notes)
    assert (safe["amount"], safe["currency"], exact["currency"]) == ("-0.5", "'=USD", "=USD")
