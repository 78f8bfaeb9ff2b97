"""The ledger as JSON lines: as `to_json` writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import load, texts, walked
from contract_tests.ledger.export.records import odd
from contract_tests.ledger.odd_entries import ODD
from venice_billing import UsageEntry

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger
    from venice_billing.testing import FakeVenice


def test_jsonl_is_the_walk_byte_for_byte(filled: Ledger, fake: FakeVenice, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.jsonl", "jsonl")
    expected = "".join(f"{text}\n" for text in texts(walked(fake))).encode()
    assert (tmp_path / "all.jsonl").read_bytes() == expected
    assert (result.rows, result.size, result.format) == (600, len(expected), "jsonl")
    assert (result.path, result.written, result.removed) == (tmp_path / "all.jsonl", (tmp_path / "all.jsonl",), ())


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_is_read_back_from_jsonl(ledger: Ledger, tmp_path: Path, name: str) -> None:
    """Also texts that are no Unicode: JSON has escapes for them."""
    entries = load(ledger, [odd(name)] * 2)
    ledger.export(tmp_path / "odd.jsonl")
    lines = (tmp_path / "odd.jsonl").read_text("utf-8").split("\n")
    assert [UsageEntry.from_json(line) for line in lines[:-1]] == entries
