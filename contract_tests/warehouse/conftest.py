"""A warehouse for the tests that load with dlt; they are skipped where it is missing."""

from __future__ import annotations

import os
from functools import partialmethod
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from venice_billing import VeniceBilling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from contract_tests.warehouse.pipelines import Warehouse

_WALK = VeniceBilling.iter_usage_history
collect_ignore = [] if find_spec("dlt") and find_spec("duckdb") else ["test_accounts.py", "test_dlt_source.py"]


@pytest.fixture
def warehouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Warehouse]:
    """Return an empty warehouse. No settings of the user are read, nobody is told, and a day has several pages."""
    from contract_tests.warehouse.pipelines import Warehouse  # noqa: PLC0415 - it imports dlt

    for name in [name for name in os.environ if name.startswith(("VENICE_", "SOURCES_", "DESTINATION_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DLT_DATA_DIR", str(tmp_path / "dlt"))
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "CRITICAL")
    monkeypatch.setattr(VeniceBilling, "iter_usage_history", partialmethod(_WALK, page_size=50))
    monkeypatch.chdir(tmp_path)
    opened = Warehouse(tmp_path)
    yield opened
    if opened.pipeline is not None:
        opened.pipeline.deactivate()
