"""Exports of a ledger to pipes that take no more for the moment."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING

import pytest

from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

SECONDS = 60


@pytest.mark.skipif(os.name == "nt", reason="pipes always block there")
@pytest.mark.parametrize("buffering", [0, -1], ids=["raw", "buffered"])
def test_pipe_that_does_not_block_gets_every_byte(tmp_path: Path, buffering: int) -> None:
    """What is exported is larger than a pipe, and the reader begins late."""
    with Ledger(tmp_path / "venice.duckdb") as ledger, FakeVenice(3000).client() as client:
        ledger.sync(client)
        expected = io.BytesIO()
        ledger.export(expected, "jsonl")
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        found: list[bytes] = []

        def read() -> None:
            with os.fdopen(reading, "rb") as source:
                found.append(source.read())

        reader = threading.Timer(0.2, read)
        reader.start()
        with os.fdopen(writing, "wb", buffering=buffering) as target:
            ledger.export(target, "jsonl")
        reader.join(SECONDS)
    assert len(expected.getvalue()) > 1 << 17
    assert found == [expected.getvalue()]
