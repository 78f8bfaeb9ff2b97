r"""Half a surrogate pair: Python and JSON have it as the API sent it, UTF-8 has the escape, as in "\ud83d".

`docs/ledger.md` says so, and how to get from one to the other.
"""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.ledger.account import load
from contract_tests.ledger.odd_entries import FIELDS
from venice_billing import UsageEntry

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger

SENT = "key \ud83d"
ESCAPED = "key \\ud83d"
MONTH = "2026-08"
ENTRY = {**FIELDS, "timestamp": f"{MONTH}-03T10:00:00Z", "apiKeyId": SENT, "notes": SENT}


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    load(ledger, [UsageEntry.from_dict(ENTRY)])
    return ledger


def test_escape_is_the_one_of_python() -> None:
    assert SENT.encode("utf-8", "backslashreplace").decode() == ESCAPED
    with pytest.raises(UnicodeEncodeError):
        SENT.encode()


def test_values_of_python_have_what_was_sent(filled: Ledger) -> None:
    (entry,), (row,), (total,) = filled.entries(), filled.rows(), filled.spend("key")
    assert [entry.notes, entry.api_key_id, row["notes"], row["api_key_id"], total.key] == [SENT] * 5


def test_statement_has_what_was_sent(filled: Ledger) -> None:
    statement = filled.close(MONTH)
    (total,) = statement.by_key
    assert total.key == SENT
    (written,) = json.loads(statement.to_json())["by_key"]
    assert written["key"] == SENT
    assert statement.to_json().isascii()


def test_sql_has_the_escape(filled: Ledger) -> None:
    assert filled.relation().project("notes, api_key_id").fetchall() == [(ESCAPED, ESCAPED)]
    found = filled.relation().filter(f"api_key_id = '{ESCAPED}'").project("amount_text")
    assert found.fetchall() == [(str(ENTRY["amount"]),)]


def test_json_lines_have_what_was_sent(filled: Ledger, tmp_path: Path) -> None:
    filled.export(tmp_path / "all.jsonl")
    (line,) = (tmp_path / "all.jsonl").read_text("ascii").splitlines()
    assert json.loads(line)["notes"] == SENT


@pytest.mark.parametrize(
    ("name", "kind", "column"),
    [("all.csv", "csv", "api_key_id"), ("focus.csv", "focus", "SubAccountId")],
)
def test_csv_and_focus_have_the_escape(filled: Ledger, tmp_path: Path, name: str, kind: Any, column: str) -> None:
    filled.export(tmp_path / name, kind)
    with (tmp_path / name).open(newline="", encoding="utf-8") as file:
        assert [record[column] for record in csv.DictReader(file)] == [ESCAPED]


@pytest.mark.parametrize(
    ("name", "kind", "column"),
    [
        ("all.parquet", "parquet", "api_key_id"),
        ("dataset", "dataset", "api_key_id"),
        ("focus.parquet", "focus", "SubAccountId"),
    ],
)
def test_parquet_datasets_and_focus_have_the_escape(
    filled: Ledger, tmp_path: Path, name: str, kind: Any, column: str
) -> None:
    filled.export(tmp_path / name, kind)
    files = f"{tmp_path / name}/**/*.parquet" if kind == "dataset" else str(tmp_path / name)
    with duckdb.connect() as other:
        found = other.execute(f"SELECT {column} FROM read_parquet($files)", {"files": files}).fetchall()
    assert found == [(ESCAPED,)]
