"""A kill leaves every file of a dataset whole, and the next export does the rest."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.dataset.contents import entry, ledger_sums, named_alike, sums
from contract_tests.ledger.killed_exports import export_and_kill
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
def test_kill_of_a_first_export_leaves_no_dataset_or_all_of_it(filled: Ledger, tmp_path: Path, folder: Path) -> None:
    whole = ledger_sums(filled)
    filled.close()
    kills = 0
    while export_and_kill(filled.path, folder, kills):
        kills += 1
        if folder.exists():
            assert sums(folder) == whole
            shutil.rmtree(folder)
        if kills > 100:
            pytest.fail("the export does not end")
    assert kills > 5
    assert sums(folder) == whole
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
def test_kill_at_any_moment_leaves_each_file_old_or_new_and_the_next_export_does_the_rest(
    filled: Ledger, tmp_path: Path, folder: Path
) -> None:
    """Between the two exports one file changes, one comes, one goes, and one stays as it is."""
    path = filled.path
    with filled:
        named_alike(filled)
        filled.export(folder, "dataset")
        old, entries = ledger_sums(filled), list(filled.entries())
    old_folder = tmp_path / "old"
    folder.rename(old_folder)
    path.unlink()
    with Ledger(path) as ledger:
        named_alike(ledger)
        kept = [one for one in entries if one.currency != "DIEM"]
        load(ledger, [*kept, entry(at="2026-09-05T00:00:00Z"), entry(currency="NEW")])
        new = ledger_sums(ledger)
    stays = ("2026-08", "USD")
    assert old[stays] == new[stays]
    kills, mixed = 0, 0
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old_folder, folder)
        if not export_and_kill(path, folder, kills):
            break
        kills += 1
        found = sums(folder)
        for part in {*old, *new}:
            assert found.get(part) in (old.get(part), new.get(part))
        mixed += found not in (old, new)
        with Ledger(path) as ledger:
            ledger.export(folder, "dataset")
        assert sums(folder) == new
        assert not [item.name for item in tmp_path.iterdir() if item.name.startswith(".")]
        if kills > 100:
            pytest.fail("the export does not end")
    assert kills > 5
    assert mixed, "no kill came between two renames"
    assert sums(folder) == new
