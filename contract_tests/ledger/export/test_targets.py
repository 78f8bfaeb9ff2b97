"""What an export writes to, which rows it takes, and what it refuses."""

from __future__ import annotations

import io
import os
import stat
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.account import texts, walked
from contract_tests.ledger.export.records import FILES
from contract_tests.support.flavours import NOW, files
from venice_billing import InvalidParameterError, LedgerError
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice


BESIDE = [".sync", ".sync-wal", ".sync-shm", ".sync-journal", ".wal", ".tmp"]


def test_same_rows_make_the_same_bytes_whatever_the_syncs(tmp_path: Path, fake: FakeVenice) -> None:
    """One ledger has them at once, the other in parts, one of which came late."""
    late = {"timestamp": NOW - timedelta(hours=30), "sku": "late", "amount": Decimal("-0.5"), "currency": "USD"}
    with fake.client() as client, Ledger(tmp_path / "parts.duckdb") as parts, Ledger(tmp_path / "one.duckdb") as one:
        parts.sync(client)
        fake.book(late)
        parts.sync(client)
        one.sync(client)
        for ledger in (parts, one):
            for kind in FILES:
                ledger.export(ledger.path.with_suffix(f".{kind}"))
    for kind in FILES:
        assert (tmp_path / f"parts.{kind}").read_bytes() == (tmp_path / f"one.{kind}").read_bytes()


@pytest.mark.parametrize("kind", FILES)
def test_range_takes_the_start_and_leaves_out_the_end(
    filled: Ledger, fake: FakeVenice, tmp_path: Path, kind: Any
) -> None:
    start, end = walked(fake)[100].timestamp, walked(fake)[200].timestamp
    expected = [entry for entry in walked(fake) if start <= entry.timestamp < end]
    result = filled.export(tmp_path / "part", kind, start=start, end=end)
    assert result.rows == len(expected)
    if kind == "jsonl":
        assert (tmp_path / "part").read_text("utf-8").splitlines() == texts(expected)


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of Unix")
@pytest.mark.parametrize("kind", FILES)
def test_file_is_private_and_alone(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"all.{kind}"
    for _ in range(2):
        filled.export(target)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        target.chmod(0o644)
    assert files(folder) == [target.name]


@pytest.mark.parametrize("ending", ["", *BESIDE])
@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_ledger_itself_is_never_overwritten(filled: Ledger, tmp_path: Path, ending: str, kind: Any) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "here"):
        with pytest.raises(
            InvalidParameterError, match=r"another path than that of the ledger|another name: beside a ledger"
        ):
            filled.export(folder / f"venice.duckdb{ending}", kind)
    assert len(filled) == 600


@pytest.mark.parametrize("ending", [*BESIDE, ".WAL"])
@pytest.mark.parametrize("kind", ["csv", "parquet", "dataset"])
def test_files_beside_another_ledger_are_never_overwritten(
    filled: Ledger, tmp_path: Path, ending: str, kind: Any
) -> None:
    Ledger(tmp_path / "other.duckdb").close()
    beside = tmp_path / f"other.duckdb{ending}"
    with pytest.raises(InvalidParameterError, match="another name: beside a ledger"):
        filled.export(beside, kind)
    assert not beside.exists()


def test_log_of_another_ledger_keeps_its_rows(filled: Ledger, fake: FakeVenice, tmp_path: Path) -> None:
    with Ledger(tmp_path / "other.duckdb") as other, fake.client() as client:
        other.sync(client)
        with pytest.raises(InvalidParameterError, match=r"another name: beside a ledger"):
            filled.export(f"{other.path}.wal", "csv")
    with Ledger(tmp_path / "other.duckdb") as other:
        assert len(other) == 600


def test_name_of_a_file_that_is_not_complete_yet_is_free(filled: Ledger, tmp_path: Path) -> None:
    """As many programs name it, to give it its own name at the end."""
    assert filled.export(tmp_path / "all.csv.tmp", "csv").rows == 600
    assert filled.export(tmp_path / "all.csv.tmp", "csv").rows == 600


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_other_ledger_is_not_replaced(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    other = tmp_path / "other.duckdb"
    Ledger(other).close()
    before = other.read_bytes()
    with pytest.raises(InvalidParameterError, match="another file: a DuckDB database"):
        filled.export(other, format=kind)
    assert other.read_bytes() == before


def test_folder_and_link_are_not_replaced(filled: Ledger, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    for name, match in (("folder.csv", "not a folder"), ("link.csv", "symbolic link"), ("none/all.csv", "exists")):
        with pytest.raises(InvalidParameterError, match=match):
            filled.export(tmp_path / name)
    assert not (tmp_path / "elsewhere.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"path": None}, "path must be"),
        ({"path": "all.xls", "format": None}, "format must be one of 'csv', .*all.xls does not end"),
        ({"path": "all.csv", "format": "xls"}, "format must be one of 'csv', 'jsonl', 'parquet', 'dataset'"),
        ({"path": "all.csv", "start": "yesterday"}, "start"),
        ({"path": "all.csv", "start": "2026-02-01", "end": "2026-01-01"}, "start"),
        ({"path": "all.csv", "escape_formulas": "no"}, "escape_formulas must be True or False"),
        ({"path": io.BytesIO(), "format": None}, "format must be one of"),
        ({"path": io.BytesIO(), "format": "parquet"}, "path must be"),
        ({"path": io.BytesIO(), "format": "dataset"}, "path must be"),
        ({"path": io.StringIO(), "format": "csv"}, "binary mode"),
    ],
)
def test_bad_argument_is_named_and_nothing_is_written(
    ledger: Ledger, tmp_path: Path, arguments: dict[str, Any], match: str
) -> None:
    arguments = {"format": "csv", **arguments}
    if isinstance(arguments["path"], str):
        arguments["path"] = tmp_path / arguments["path"]
    before = files(tmp_path)
    with pytest.raises(InvalidParameterError, match=match):
        ledger.export(**arguments)
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_closed_ledger_writes_nothing(ledger: Ledger, tmp_path: Path, kind: Any) -> None:
    ledger.close()
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(LedgerError, match="was closed"):
        ledger.export(folder / "all", kind)
    assert files(folder) == []


def test_read_only_ledger_is_exported(
    tmp_path: Path, filled: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled.path
    filled.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Ledger(path) as ledger:
        for kind in (*FILES, "dataset"):
            assert ledger.export(tmp_path / f"all-{kind}", kind).rows == 600  # type: ignore[arg-type]
