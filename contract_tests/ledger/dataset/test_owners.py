"""A dataset is of one ledger: another one, which would remove its files, is refused."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.dataset.contents import stamps, sums
from venice_billing import ExportError
from venice_billing.ledger import Ledger, datasets

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("is_empty", [True, False])
def test_dataset_of_another_ledger_is_refused_and_left_alone(
    filled: Ledger, folder: Path, tmp_path: Path, *, is_empty: bool
) -> None:
    filled.export(folder, "dataset")
    before = stamps(folder)
    with Ledger(tmp_path / "other.duckdb") as other:
        if not is_empty:
            load(other, list(filled.entries())[:2])
        with pytest.raises(ExportError, match="a dataset of another ledger; remove it, or name another folder"):
            other.export(folder, "dataset")
    assert stamps(folder) == before
    assert filled.export(folder, "dataset").written == ()


def test_copy_of_a_ledger_goes_on_with_its_dataset(filled: Ledger, folder: Path, tmp_path: Path) -> None:
    filled.export(folder, "dataset")
    filled.close()
    shutil.copy(filled.path, tmp_path / "copy.duckdb")
    with Ledger(tmp_path / "copy.duckdb") as copy:
        assert copy.export(folder, "dataset").written == ()


def test_dataset_that_does_not_say_whose_it_is_is_written_again(
    filled: Ledger, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As earlier versions wrote it."""
    with monkeypatch.context() as earlier:
        earlier.setattr(datasets, "_LEDGER", "something_else")
        filled.export(folder, "dataset")
    before = sums(folder)
    files = sorted(stamps(folder))
    assert sorted(path.relative_to(folder).as_posix() for path in filled.export(folder, "dataset").written) == files
    assert filled.export(folder, "dataset").written == ()
    assert sums(folder) == before
