"""What is in a dataset: every row of the ledger, in a file for each month and currency."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.dataset.contents import entry, files, ledger_sums, paths, read, sums, sync
from contract_tests.ledger.odd_entries import AWKWARD
from contract_tests.support.flavours import NOW
from venice_billing import ExportError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


def test_dataset_has_a_file_for_each_month_and_currency(filled: Ledger, folder: Path) -> None:
    result = filled.export(folder, "dataset")
    expected = [
        "month=2026-08/currency=DIEM/entries.parquet",
        "month=2026-08/currency=USD/entries.parquet",
        "month=2026-09/currency=USD/entries.parquet",
        "month=2026-11/currency=USD/entries.parquet",
    ]
    assert paths(folder) == expected
    assert files(folder) == expected
    assert result.written == tuple(folder / name for name in expected)
    assert (result.path, result.rows, result.removed) == (folder, 5, ())
    assert result.size == sum((folder / name).stat().st_size for name in expected)


def test_dataset_has_every_row_and_column_of_the_view(tmp_path: Path, ledger: Ledger, folder: Path) -> None:
    fake = FakeVenice(500, now=NOW)
    sync(ledger, fake)
    ledger.export(folder, "dataset")
    ledger.export(tmp_path / "all.parquet")
    names = [name for name in ledger.relation().columns if name != "timestamp"]
    columns = ", ".join(["epoch_us(timestamp)", *names])
    with duckdb.connect() as other:
        expected = other.execute(f"SELECT {columns} FROM read_parquet('{tmp_path / 'all.parquet'}')").fetchall()
    assert Counter(read(folder, columns)) == Counter(expected)
    assert sums(folder) == ledger_sums(ledger)
    assert read(folder, "count(*)", "WHERE strftime(timestamp AT TIME ZONE 'UTC', '%Y-%m') <> month") == [(0,)]


@pytest.mark.parametrize("amount", AWKWARD)
def test_sums_of_numbers_that_fit_no_decimal(ledger: Ledger, folder: Path, amount: str) -> None:
    load(ledger, [entry(amount), entry("-0.25"), entry(amount)])
    ledger.export(folder, "dataset")
    assert sums(folder) == ledger_sums(ledger)
    assert all(found is None or found == Decimal(text) for found, text in read(folder, "amount, amount_text"))


CURRENCIES = [
    "x/y", "../..", "a=b", "100%", "%41", "ż", "usd", "a b", "a.", ".", "\\", "\n", "'", '"', "*?[", "{}", "a:b",
    "null", "2026-10-01", "1e5", "007", "__X__", "€ € €",
]  # fmt: skip


def test_any_currency_is_read_back_equal(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in [*CURRENCIES, "USD"]])
    ledger.export(folder, "dataset")
    assert sorted(currency for (currency,) in read(folder, "currency")) == sorted([*CURRENCIES, "USD"])
    assert len(paths(folder)) == len(CURRENCIES) + 1
    assert ledger.export(folder, "dataset").written == ()


def test_currency_named_as_engines_name_an_empty_one_has_a_file_of_its_own(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in ("", "__HIVE_DEFAULT_PARTITION__")])
    done = ledger.export(folder, "dataset")
    assert (done.rows, len(done.written)) == (2, 2)


def test_currency_too_long_for_a_folder_is_named_and_nothing_is_written(ledger: Ledger, folder: Path) -> None:
    load(ledger, [entry(currency=currency) for currency in ("USD", "$" * 100)])
    with pytest.raises(ExportError, match=r"currency '\$\$\$.*309 bytes.*as parquet"):
        ledger.export(folder, "dataset")
    assert not folder.exists()


def test_currencies_that_differ_in_case_alone_have_files_of_their_own_on_every_file_system(
    ledger: Ledger, folder: Path
) -> None:
    load(ledger, [entry(currency=currency) for currency in ("USD", "usd", "Usd")])
    ledger.export(folder, "dataset")
    assert len({path.casefold() for path in paths(folder)}) == 3


def test_row_at_the_border_of_months_is_in_the_month_of_utc(ledger: Ledger, folder: Path) -> None:
    load(
        ledger,
        [
            entry(at="2026-09-30T23:59:59.999999Z"),
            entry(at="2026-10-01T00:00:00Z"),
            entry(at="2026-10-01T01:00:00+02:00"),
            entry(at="0001-01-01T00:00:00.000001Z"),
            entry(at="9999-12-31T23:59:59.999999Z"),
        ],
    )
    ledger.export(folder, "dataset")
    found = dict(read(folder, "month, count(*)", "GROUP BY month"))
    assert found == {"0001-01": 1, "2026-09": 2, "2026-10": 1, "9999-12": 1}


def test_time_zone_of_the_machine_changes_nothing(filled: Ledger, folder: Path, tmp_path: Path) -> None:
    filled.export(folder, "dataset")
    path = filled.path
    filled.close()
    script = (
        "import sys; from venice_billing.ledger import Ledger\n"
        "print(len(Ledger(sys.argv[1]).export(sys.argv[2], 'dataset').written))\n"
        "Ledger(sys.argv[1]).export(sys.argv[3], 'dataset')"
    )
    command = [sys.executable, "-c", script, str(path), str(folder), str(tmp_path / "other")]
    done = subprocess.run(
        command, env={**os.environ, "TZ": "Pacific/Kiritimati"}, capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "0\n"
    assert {name: (folder / name).read_bytes() for name in paths(folder)} == {
        name: (tmp_path / "other" / name).read_bytes() for name in paths(tmp_path / "other")
    }


def test_empty_ledger_makes_an_empty_dataset(ledger: Ledger, fake: FakeVenice, folder: Path) -> None:
    assert ledger.export(folder, "dataset").rows == 0
    assert (folder.is_dir(), paths(folder)) == (True, [])
    sync(ledger, fake)
    assert len(ledger.export(folder, "dataset").written) == 4
