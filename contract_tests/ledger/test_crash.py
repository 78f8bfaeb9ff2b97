"""A sync that was killed at any moment is completed to the ledger of an undisturbed one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger import crash

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("fcntl", reason="needs the signals of Unix")


def test_sync_after_sigkill_completes_to_the_same_ledger(tmp_path: Path) -> None:
    """A handful of kills; `nox -s crash` makes fifty."""
    killed = crash.kill_and_finish(tmp_path, 5, seed=1)
    assert (killed.kills, killed.different) == (5, 0)
    assert killed.with_pages, "no kill hit a sync under way"
