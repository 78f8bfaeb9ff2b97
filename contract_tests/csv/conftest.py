"""What the tests of exports share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.support.flavours import NOW
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def fake() -> FakeVenice:
    """Return an account of six pages of the smallest size."""
    return FakeVenice(60, now=NOW)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Return the path of a file to export to."""
    return tmp_path / "usage.csv"
