"""The folder of a dataset: it is private, holds nothing else, and has one writer."""

from __future__ import annotations

import os
import shutil
import stat
import threading
from pathlib import Path
from typing import Any

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.dataset.contents import files, ledger_sums, sums
from venice_billing import ExportError, InvalidParameterError
from venice_billing.ledger import Ledger, _folders


@pytest.mark.parametrize(
    "foreign",
    [
        "notes.txt",
        "data.parquet",
        "month=2026-10/data.parquet",
        "month=2026-10/currency=USD/data_0.parquet",
        "month=2026-10/currency=USD/more/entries.parquet",
        "month=10/currency=USD/entries.parquet",
        "year=2026/entries.parquet",
    ],
)
def test_folder_with_other_files_is_refused_and_left_alone(filled: Ledger, folder: Path, foreign: str) -> None:
    filled.export(folder, "dataset")
    (folder / foreign).parent.mkdir(parents=True, exist_ok=True)
    (folder / foreign).write_bytes(b"mine")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(ExportError, match="is of no dataset of a ledger"):
        filled.export(folder, "dataset")
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    assert sorted(path.name for path in folder.parent.iterdir() if path.name.startswith(".")) == []


@pytest.mark.parametrize("place", ["month=2026-10/currency=USD", "month=2026-10/currency=EUR"])
@pytest.mark.parametrize("content", [b"my own notes", b"PAR1 my own notes", bytes(9000)], ids=["text", "head", "zeros"])
def test_file_in_our_layout_that_is_no_parquet_is_refused_and_left_alone(
    filled: Ledger, folder: Path, place: str, content: bytes
) -> None:
    """Where the ledger has rows for it, and where it has none and the file would go."""
    filled.export(folder, "dataset")
    mine = folder / place / "entries.parquet"
    mine.parent.mkdir(parents=True, exist_ok=True)
    mine.write_bytes(content)
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    with pytest.raises(
        ExportError, match=f"holds {place}/entries.parquet, which is no Parquet .* remove it and export"
    ):
        filled.export(folder, "dataset")
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before
    mine.unlink()
    filled.export(folder, "dataset")
    assert sums(folder) == ledger_sums(filled)


def test_damaged_file_of_another_ledger_is_refused_and_left_alone(filled: Ledger, folder: Path, tmp_path: Path) -> None:
    filled.export(folder, "dataset")
    for name in files(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:-10])
    with Ledger(tmp_path / "other.duckdb") as other:
        load(other, list(filled.entries()))
        with pytest.raises(ExportError, match="no Parquet file, or not all of one"):
            other.export(folder, "dataset")
    assert len(filled.export(folder, "dataset").written) == len(files(folder))


@pytest.mark.parametrize("mine", ["notes.txt", "month=2026-10/notes.txt", "month=2026-10/currency=USD/entries.parquet"])
def test_files_in_the_folder_of_a_killed_export_that_are_not_its_own_are_kept(
    filled: Ledger, folder: Path, mine: str
) -> None:
    near = folder.with_name(f".{folder.name}.dataset0")
    (near / mine).parent.mkdir(parents=True)
    (near / mine).write_text("mine")
    with pytest.raises(ExportError, match=f"{near}: holds {mine}, .*; move it away"):
        filled.export(folder, "dataset")
    assert ((near / mine).read_text(), folder.exists()) == ("mine", False)


@pytest.mark.parametrize("content", [b"", b"PAR1 and not to its end"])
def test_leftovers_of_a_killed_export_are_removed(filled: Ledger, folder: Path, content: bytes) -> None:
    near = folder.with_name(f".{folder.name}.dataset0")
    place = near / "month=2020-01" / "currency=OLD"
    place.mkdir(parents=True)
    (place / "entries.parquet").write_bytes(content)
    filled.export(folder, "dataset")
    assert (near.exists(), sums(folder)) == (False, ledger_sums(filled))


def test_parquet_file_of_another_program_in_our_layout_is_refused(filled: Ledger, folder: Path) -> None:
    place = folder / "month=2026-10" / "currency=USD"
    place.mkdir(parents=True)
    with duckdb.connect() as other:
        other.execute(f"COPY (SELECT 1 AS one) TO '{place / 'entries.parquet'}' (FORMAT parquet)")
    with pytest.raises(ExportError, match="is of no dataset"):
        filled.export(folder, "dataset")


def test_hidden_files_which_engines_pass_over_stay(filled: Ledger, folder: Path) -> None:
    folder.mkdir()
    for name in (".DS_Store", "_SUCCESS"):
        (folder / name).write_bytes(b"")
    filled.export(folder, "dataset")
    assert len(filled.export(folder, "dataset").written) == 0
    assert {".DS_Store", "_SUCCESS"} <= set(files(folder))


def test_link_and_file_are_refused(filled: Ledger, tmp_path: Path, folder: Path) -> None:
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    (tmp_path / "file").write_bytes(b"mine")
    for name, match in (("link", "not a symbolic link"), ("file", "not a file"), ("none/data", "exists")):
        with pytest.raises(InvalidParameterError, match=match):
            filled.export(tmp_path / name, "dataset")
    assert ((tmp_path / "file").read_bytes(), files(folder)) == (b"mine", [])
    filled.export(folder, "dataset")
    shutil.move(folder / "month=2026-08", tmp_path / "elsewhere")
    (folder / "month=2026-08").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ExportError, match="is of no dataset"):
        filled.export(folder, "dataset")


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of Unix")
def test_all_files_and_folders_are_private(filled: Ledger, folder: Path) -> None:
    os.umask(previous := os.umask(0))
    filled.export(folder, "dataset")
    assert os.umask(previous) == previous
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {0o700, 0o600}


@pytest.mark.skipif(os.name == "nt", reason="folders cannot be locked there")
def test_two_exports_to_one_dataset_do_not_mix(filled: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish, held, go = _folders.Staged.publish, threading.Event(), threading.Event()

    def slowly(*arguments: Any) -> None:
        held.set()
        assert go.wait(60)
        publish(*arguments)

    monkeypatch.setattr(_folders.Staged, "publish", slowly)
    first = threading.Thread(target=filled.export, args=(folder, "dataset"))
    first.start()
    try:
        assert held.wait(60)
        with pytest.raises(ExportError, match="another export is writing this dataset"):
            filled.export(folder, "dataset")
    finally:
        go.set()
        first.join(60)
    assert sums(folder) == ledger_sums(filled)


def test_dataset_on_a_mount_is_staged_inside(filled: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    monkeypatch.setattr(Path, "is_mount", lambda _: True)
    filled.export(folder, "dataset")
    assert sums(folder) == ledger_sums(filled)
    assert {path.name[:6] for path in folder.iterdir()} == {"month="}
