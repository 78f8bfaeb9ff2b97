"""A dataset that is exported again: what has changed is written, and nothing else."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.dataset.contents import (
    AUGUST,
    SEPTEMBER,
    entry,
    ledger_sums,
    named_alike,
    paths,
    stamps,
    sums,
    sync,
)
from venice_billing import ExportError, UsageEntry
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice


def test_nothing_is_written_where_nothing_changed(filled: Ledger, fake: FakeVenice, folder: Path) -> None:
    filled.export(folder, "dataset")
    before = stamps(folder)
    sync(filled, fake)
    result = filled.export(str(folder) + os.sep, "dataset")
    assert (result.written, result.removed, result.rows) == ((), (), 5)
    assert stamps(folder) == before


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda fake: fake.book({"sku": "late", "timestamp": AUGUST, "currency": "USD"}), "month=2026-08/currency=USD"),
        (lambda fake: fake.book({"sku": "new", "currency": "USD"}), "month=2026-11/currency=USD"),
        (lambda fake: fake.book({"sku": "new", "currency": "DIEM"}), "month=2026-11/currency=DIEM"),
    ],
)
def test_late_and_new_rows_change_their_files_alone(
    filled: Ledger, fake: FakeVenice, folder: Path, change: Any, expected: str
) -> None:
    filled.export(folder, "dataset")
    before = stamps(folder)
    change(fake)
    sync(filled, fake)
    result = filled.export(folder, "dataset")
    name = f"{expected}/entries.parquet"
    assert result.written == (folder / name,)
    after = stamps(folder)
    assert {other: after[other] for other in before if other != name} == {
        other: before[other] for other in before if other != name
    }
    assert after[name] != before.get(name)
    assert sums(folder) == ledger_sums(filled)


FIELD_CHANGES: list[dict[str, Any]] = [
    {"amount": Decimal("-0.50")},  # the digits alone
    {"amount": Decimal("-0.6")},
    {"notes": "other"},
    {"apiKeyId": "key"},
    {"units": Decimal("3.0")},
    {"timestamp": "2026-10-01T10:00:00.000001Z"},
    {"sku": "other"},
    {"more": 1},
    {"inferenceDetails": {"requestId": "r", "promptTokens": 1, "completionTokens": None, "inferenceExecutionTime": 1}},
]


@pytest.mark.parametrize("change", FIELD_CHANGES, ids=lambda change: next(iter(change)))
def test_change_of_any_field_is_seen(tmp_path: Path, folder: Path, change: dict[str, Any]) -> None:
    before, after = entry(), UsageEntry.from_dict({**entry().to_dict(), **change})
    for number, (rows, written) in enumerate([([before], 1), ([before], 0), ([after], 1)]):
        with Ledger(tmp_path / f"{number}.duckdb") as ledger:
            named_alike(ledger)
            load(ledger, rows)
            assert len(ledger.export(folder, "dataset").written) == written


@pytest.mark.parametrize("counts", [(1, 3), (2, 4), (1, 2), (4, 2), (3, 1)])
def test_number_of_identical_rows_is_seen(tmp_path: Path, folder: Path, counts: tuple[int, int]) -> None:
    for count in counts:
        with Ledger(tmp_path / f"{count}.duckdb") as ledger:
            named_alike(ledger)
            load(ledger, [entry()] * count)
            assert len(ledger.export(folder, "dataset").written) == 1
            assert sums(folder) == ledger_sums(ledger)


def test_month_and_currency_that_vanished_are_removed(tmp_path: Path, filled: Ledger, folder: Path) -> None:
    named_alike(filled)
    filled.export(folder, "dataset")
    kept = "month=2026-09/currency=USD/entries.parquet"
    with Ledger(tmp_path / "other.duckdb") as other:
        named_alike(other)
        load(other, [one for one in filled.entries() if one.timestamp == SEPTEMBER])
        before = stamps(folder)[kept]
        result = other.export(folder, "dataset")
    assert (result.written, len(result.removed)) == ((), 3)
    assert stamps(folder) == {kept: before}
    assert [path.name for path in folder.iterdir()] == ["month=2026-09"]


@pytest.mark.parametrize("damage", ["removed", "cut", "emptied"])
def test_damaged_file_is_written_again(filled: Ledger, folder: Path, damage: str) -> None:
    filled.export(folder, "dataset")
    whole = {name: (folder / name).read_bytes() for name in paths(folder)}
    name = paths(folder)[1]
    if damage == "removed":
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(whole[name][:-10] if damage == "cut" else b"")
    assert filled.export(folder, "dataset").written == (folder / name,)
    assert {name: (folder / name).read_bytes() for name in paths(folder)} == whole


def test_dataset_of_a_range_is_that_range(filled: Ledger, folder: Path) -> None:
    result = filled.export(folder, "dataset", start="2026-08-15", end="2026-10-01")
    assert (result.rows, paths(folder)) == (2, ["month=2026-09/currency=USD/entries.parquet"])
    before = stamps(folder)
    others: list[dict[str, Any]] = [{}, {"start": "2026-08-15"}, {"start": "2026-08-14", "end": "2026-10-01"}]
    for other in others:
        with pytest.raises(ExportError, match="another range of time"):
            filled.export(folder, "dataset", **other)
    assert filled.export(folder, "dataset", start="2026-08-15", end="2026-10-01").written == ()
    assert stamps(folder) == before
