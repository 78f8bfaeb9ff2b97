"""A FOCUS file as CSV and Parquet: types, odd texts, numbers that do not fit, ranges, options."""

from __future__ import annotations

import csv
import io
import re
import stat
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.focus.files import (
    PLAIN_NUMBER,
    RATE,
    VERSIONS,
    Row,
    booked,
    check_products,
    details_of,
    exported,
    read,
    write,
)
from venice_billing import ExportError, InvalidParameterError, UsageEntry
from venice_billing.ledger._focus_columns import COLUMNS
from venice_billing.ledger.focus import FocusTerms, focus_row

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


def test_range_takes_the_start_and_leaves_out_the_end(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path
) -> None:
    october = exported(synced, tmp_path / "f.csv", start="2026-10-01", end="2026-10-02", diem_usd=RATE)
    assert october == [row for row in rows["1.2"] if "2026-10-01" <= row["x_Timestamp"] < "2026-10-02"] != []


@pytest.mark.parametrize("version", VERSIONS)
def test_parquet_has_the_same_rows_with_types(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path, version: str
) -> None:
    path = tmp_path / "it's.PARQUET"
    assert write(synced, path, focus_version=version, diem_usd=RATE) == len(rows[version])
    with duckdb.connect() as cursor:
        found = cursor.read_parquet(str(path))
        types = dict(zip(found.columns, map(str, found.types), strict=True))
        told = cursor.execute("SELECT decode(key), decode(value) FROM parquet_kv_metadata($path)", {"path": str(path)})
        assert ("focus_version", version) in told.fetchall()
        texts = found.select(
            ", ".join(
                f"strftime({name}::TIMESTAMP, '%Y-%m-%dT%H:%M:%S.%fZ')"
                if kind.startswith("TIMESTAMP")
                else f"{name}::VARCHAR"
                for name, kind in types.items()
            )
        ).fetchall()
    assert types["BilledCost"] == types["x_Amount"] == "DECIMAL(38,28)"
    assert types["ChargePeriodStart"] == types["x_Timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert types["x_PromptTokens"] == "BIGINT"
    assert [[_plain(text) for text in row] for row in texts] == [
        [_plain(text) for text in row.values()] for row in rows[version]
    ]


def _plain(text: str | None) -> str:
    """Return a text without the zeros that fill up a column."""
    if text and PLAIN_NUMBER.fullmatch(text):
        return str(Fraction(text))
    return re.sub(r"\.(\d+?)0*Z$", lambda found: "Z" if not found[1].strip("0") else f".{found[1]}Z", text or "")


ODD = {
    "notes": ['a "quoted"\nline\r\n, and more', "\x00", "=1+1", "\ud800", "  ", "ż ✓", "x" * 3_000_000],
    "sku": ["", "'; DROP TABLE usage_rows; --"],
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_odd_texts_come_back(ledger: Ledger, tmp_path: Path, suffix: str) -> None:
    entries = [UsageEntry.from_dict({**_WIRE, name: text}) for name, texts in ODD.items() for text in texts]
    load(ledger, entries)
    path = tmp_path / f"odd{suffix}"
    write(ledger, path)
    if suffix == ".csv":
        limit = csv.field_size_limit(1 << 24)
        found = [row["ChargeDescription"] for row in read(path)]
        csv.field_size_limit(limit)
    else:
        with duckdb.connect() as cursor:
            found = [row[0] for row in cursor.read_parquet(str(path)).select("ChargeDescription").fetchall()]
    terms = FocusTerms(account="a")
    assert found == [focus_row(entry, terms)["ChargeDescription"] for entry in entries]


_WIRE = {
    "timestamp": "2026-10-01T00:00:00Z",
    "sku": "m-llm-input-mtoken",
    "pricePerUnitUsd": 1,
    "units": 1,
    "amount": -1,
    "currency": "USD",
    "notes": "",
    "inferenceDetails": None,
}


@pytest.mark.parametrize(
    ("fields", "column"),
    [
        ({"amount": Decimal("-1e-30")}, "EffectiveCost"),
        ({"units": Decimal("1e-15"), "pricePerUnitUsd": Decimal("1e-15")}, "ContractedCost"),
        ({"amount": Decimal(-(10**10))}, "EffectiveCost"),
        ({"inferenceDetails": {**details_of("r"), "promptTokens": 2**63}}, "x_PromptTokens"),
    ],
)
def test_number_that_parquet_would_round_is_refused_and_is_whole_in_csv(
    ledger: Ledger, tmp_path: Path, fields: dict[str, Any], column: str
) -> None:
    (row,) = booked(ledger, tmp_path, fields)
    check_products(row)
    path = tmp_path / "f.parquet"
    path.write_bytes(b"before")
    with pytest.raises(
        ExportError, match=f"^{column} of the charge of 2026-10-01 .* does not fit a .* export to a .csv"
    ):
        write(ledger, path)
    assert path.read_bytes() == b"before"
    assert sorted(entry.name for entry in tmp_path.iterdir() if "duckdb" not in entry.name) == [
        "booked.csv",
        "f.parquet",
    ]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_file_is_private_and_replaced_whole(synced: Ledger, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    path.write_bytes(b"before")
    path.chmod(0o644)
    write(synced, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() != b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_ledger_without_rows_is_a_file_without_rows(ledger: Ledger, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f{suffix}"
    assert write(ledger, path) == 0
    with duckdb.connect() as cursor:
        found = cursor.sql(f"SELECT * FROM '{path}'")
        assert found.columns == [column.name for column in COLUMNS["1.2"]]
        assert found.fetchall() == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"focus_version": "1.3"}, "focus_version must be one of '1.2', '1.4'; got '1.3'"),
        ({"diem_usd": 0.25}, "diem_usd must be a Decimal of at least 0, or None; got 0.25"),
        ({"diem_usd": Decimal(-1)}, "diem_usd.*a Decimal of at least 0, or None"),
        ({"diem_usd": Decimal("NaN")}, "diem_usd.*a Decimal of at least 0, or None"),
        ({"account": " "}, "account.*a text that is not empty"),
        ({"start": "2026-13-01"}, "start.*there is no month 13"),
    ],
)
def test_bad_option_is_named_and_nothing_is_written(
    ledger: Ledger, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidParameterError, match=told):
        write(ledger, tmp_path / "f.csv", **options)
    assert not (tmp_path / "f.csv").exists()


def test_path_that_says_neither_csv_nor_parquet_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match=r"path must be .* \.csv or \.parquet, for FOCUS"):
        ledger.export(tmp_path / "f.json", format="focus")


@pytest.mark.parametrize("option", [{"focus_version": "1.4"}, {"diem_usd": RATE}, {"account": "Acme"}])
def test_option_of_focus_is_refused_for_other_formats(ledger: Ledger, tmp_path: Path, option: dict[str, Any]) -> None:
    (name,) = option
    with pytest.raises(InvalidParameterError, match=f"{name} must be left out, unless the format is 'focus'"):
        ledger.export(tmp_path / "f.csv", **option)
    assert not (tmp_path / "f.csv").exists()


def test_file_object_gets_the_bytes_of_the_file(synced: Ledger, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    done = synced.export(buffer, format="focus")
    assert (done.path, done.rows) == (None, write(synced, tmp_path / "f.csv"))
    assert buffer.getvalue() == (tmp_path / "f.csv").read_bytes()


def test_formula_is_escaped_in_texts_alone_unless_told_otherwise(ledger: Ledger, tmp_path: Path) -> None:
    """Negative numbers begin like a formula, and are none; neither are they when they are kept as text."""
    (row,) = booked(ledger, tmp_path, {"sku": "=cmd", "amount": Decimal("-1.50"), "apiKeyId": "@key"})
    assert (row["SkuId"], row["SubAccountId"], row["ChargeDescription"][:5]) == ("'=cmd", "'@key", "'=cmd")
    assert (row["x_Amount"], row["x_AmountText"]) == ("-1.5", "-1.50")
    (row,) = exported(ledger, tmp_path / "f.csv", escape_formulas=False)
    assert (row["SkuId"], row["SubAccountId"]) == ("=cmd", "@key")
