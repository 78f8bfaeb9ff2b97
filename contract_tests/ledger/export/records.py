"""Formats of one file, odd entries, and the records of a CSV file."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from contract_tests.ledger.odd_entries import FIELDS, ODD
from venice_billing import UsageEntry

if TYPE_CHECKING:
    from pathlib import Path

LINES = ("csv", "jsonl")
FILES = (*LINES, "parquet")


def odd(name: str) -> UsageEntry:
    return UsageEntry.from_dict({**FIELDS, **ODD[name]})


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return "" if value is None else str(value)
