"""Exports to files that the caller has opened."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.export.records import LINES

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


@pytest.mark.parametrize("kind", LINES)
def test_file_object_gets_the_bytes_of_the_file(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    filled.export(tmp_path / "all", kind)
    memory = io.BytesIO()
    result = filled.export(memory, kind)
    assert memory.getvalue() == (tmp_path / "all").read_bytes()
    assert (result.path, result.size, result.written) == (None, len(memory.getvalue()), ())


def test_raw_file_that_takes_a_part_gets_all(filled: Ledger) -> None:
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: Any) -> int:
            self.data += bytes(data[:1000])
            return min(len(data), 1000)

    slow, memory = Slow(), io.BytesIO()
    filled.export(slow, "jsonl")  # type: ignore[arg-type]
    filled.export(memory, "jsonl")
    assert slow.data == memory.getvalue()


def test_error_of_a_file_object_is_that_of_the_file_object(filled: Ledger) -> None:
    class Closed(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        filled.export(Closed(), "csv")
