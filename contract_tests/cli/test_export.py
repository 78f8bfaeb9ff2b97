"""`venice-billing export`: every format to a file and a pipe, against the library's own exports; kills; bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.cli.test_spend import bounds, month_of
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]

PROGRAM = [sys.executable, "-m", "venice_billing"]
SECONDS = 120


@pytest.fixture
def ledger(account: FakeVenice, command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "venice.duckdb"
    assert command("--ledger", str(path), "sync").code == 0
    return path


@pytest.mark.parametrize(
    ("name", "arguments", "options"),
    [
        ("out.csv", [], {}),
        ("out.jsonl", [], {}),
        ("out.ndjson", [], {}),
        ("out.parquet", [], {}),
        ("out.csv", ["--bare-texts"], {"escape_formulas": False}),
        ("out.csv", ["--as", "focus", "--diem-usd", "0.25"], {"format": "focus", "diem_usd": Decimal("0.25")}),
        (
            "out.csv",
            ["--as", "focus", "--focus-version", "1.4", "--account-name", "Acme"],
            {"format": "focus", "focus_version": "1.4", "account": "Acme"},
        ),
        ("out.parquet", ["--as", "focus"], {"format": "focus"}),
        ("out.txt", ["--as", "jsonl"], {"format": "jsonl"}),
    ],
)
def test_file_is_that_of_the_library(  # noqa: PLR0917 - fixtures, and the parts of a case
    account: FakeVenice,
    command: Command,
    ledger: Path,
    tmp_path: Path,
    name: str,
    arguments: list[str],
    options: dict[str, Any],
) -> None:
    month, target, expected = month_of(account, 1), tmp_path / name, tmp_path / f"expected-{name}"
    done = command(
        "--ledger", str(ledger), "--offline", "export", str(target), "--month", month, *arguments, "--format", "json"
    )
    assert done.code == 0, done.err
    start, end = bounds(month)
    with Ledger(ledger) as opened:
        export = opened.export(expected, **{"start": start, "end": end, **options})
    assert target.read_bytes() == expected.read_bytes()
    assert target.stat().st_mode & 0o777 == 0o600
    (row,) = done.json["rows"]
    assert (row["path"], row["rows"], row["bytes"]) == (str(target), export.rows, export.size)
    assert (done.json["complete"], done.json["timezone"]) == (True, "UTC")
    assert done.json["period"]["start"] == f"{month}-01T00:00:00Z"


def test_dataset_is_of_the_whole_account_and_renewed_in_place(
    account: FakeVenice, command: Command, ledger: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "dataset"
    first = command("--ledger", str(ledger), "export", f"{folder}/")
    assert (first.code, " 0 removed" in first.out) == (0, True), first.err
    assert "the whole account" in first.out
    account.book({"amount": "-1", "currency": "USD"})
    again = command("--ledger", str(ledger), "export", str(folder), "--format", "json")
    assert again.json["rows"][0]["rows"] == len(account.ledger)
    assert "0 files written, 0 removed" in command("--ledger", str(ledger), "--offline", "export", str(folder)).out
    assert again.json["period"]["start"] is None


def test_api_csv_has_the_api_own_columns_and_needs_no_ledger(
    account: FakeVenice, command: Command, tmp_path: Path
) -> None:
    month, target = month_of(account, 1), tmp_path / "usage.csv"
    done = command("export", str(target), "--as", "api-csv", "--month", month, "--format", "json")
    assert done.code == 0, done.err
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    start, end = bounds(month)
    expected = account.rows(start=start, end=end)
    assert sorted(row["amount"] for row in rows) == sorted(str(row["amount"]) for row in expected)
    assert "pricePerUnitUsd" in rows[0]
    assert done.json["rows"][0]["rows"] == len(rows)
    assert not list(tmp_path.rglob("*.duckdb"))
    alone = command("export", "-", "--as", "api-csv", "--month", month, "--currency", "DIEM").out
    assert {row["currency"] for row in csv.DictReader(io.StringIO(alone))} == {"DIEM"}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "focus", "api-csv"])
def test_pipe_gets_what_a_file_gets(account: FakeVenice, command: Command, ledger: Path, kind: str) -> None:
    target = ledger.with_name("out.csv")
    arguments = ["--ledger", str(ledger), "export", "--as", kind, "last-month"]
    assert command(*arguments[:3], str(target), *arguments[3:]).code == 0
    done = command(*arguments[:3], "-", *arguments[3:])
    assert done.out.encode() == target.read_bytes()
    assert "UTC" in done.err
    assert "complete" in done.err


def test_demo_to_a_pipe_is_csv(command: Command) -> None:
    done = command("export", "--demo", "-", "last-month")
    rows = list(csv.DictReader(io.StringIO(done.out)))
    spent = command("--demo", "spend", "last-month", "--format", "json").json["rows"]
    assert {row["currency"]: row["count"] for row in spent} == {
        currency: sum(row["currency"] == currency for row in rows) for currency in {row["currency"] for row in rows}
    }
    assert done.err.startswith("Demo account: export of ")


def test_reader_that_goes_ends_an_export_quietly() -> None:
    process = subprocess.Popen(
        [*PROGRAM, "--demo", "export", "-", "--all", "--as", "jsonl"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    json.loads(process.stdout.readline())
    process.stdout.close()
    assert (process.wait(SECONDS), process.stderr.read()) == (0, "")
    process.stderr.close()


@pytest.mark.skipif(os.name == "nt", reason="pipes always block there")
def test_pipe_that_does_not_block_gets_every_line() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    process = subprocess.Popen(
        [*PROGRAM, "--demo", "export", "-", "--all", "--as", "jsonl"], stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert process.stderr is not None
    with os.fdopen(reading, encoding="utf-8") as source:
        lines = sum(1 for line in source if json.loads(line))
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(SECONDS) == 0
    assert f"{lines} charges" in said


def test_killed_export_of_the_api_goes_on_and_is_whole(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    """The process is killed when part of the file is there; the API then answers at once again."""
    target = tmp_path / "usage.csv"
    arguments = ["export", str(target), "--as", "api-csv", "--all"]
    program = (
        "import os, signal, sys, venice_billing.csv_export as csv_export; from venice_billing.cli.main import main\n"
        "append = csv_export.CsvFile.append\n"
        "def killed(self, records):\n"
        "    append(self, records)\n"
        "    if self._rows >= 1000: os.kill(os.getpid(), signal.SIGKILL)\n"
        "csv_export.CsvFile.append = killed\n"
        "main(sys.argv[1:])"
    )
    killed = subprocess.run([sys.executable, "-c", program, *arguments], timeout=SECONDS, check=False)
    assert killed.returncode == -9
    assert not target.exists()
    done = command(*arguments)
    assert done.code == 0, done.err
    assert "charges were there from an export that was cut short" in done.out
    rows = list(csv.DictReader(io.StringIO(target.read_text("utf-8"))))
    assert sorted(row["amount"] for row in rows) == sorted(str(row["amount"]) for row in account.rows())
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name or "progress" in path.name] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: FILE|-"),
        (["out.xls"], "FILE 'out.xls': its suffix is none of .csv"),
        (["out.csv", "--as", "xls"], "--as 'xls': one of csv, jsonl, parquet, dataset, focus, api-csv"),
        (["-", "--as", "parquet"], "cannot be written to a pipe; give a FILE, or --as csv, jsonl, focus or api-csv"),
        (["-", "--as", "dataset"], "it is a folder"),
        (["-", "--format", "json"], "give --as"),
        (["out.csv", "--diem-usd", "1"], "--diem-usd with --as csv: it is for --as focus"),
        (["out.csv", "--as", "focus", "--diem-usd", "-1"], "--diem-usd"),
        (["out.csv", "--as", "focus", "--diem-usd", "cheap"], "--diem-usd 'cheap': a number of at least 0, like 0.25"),
        (["out.csv", "--as", "focus", "--focus-version", "2.0"], "--focus-version '2.0': one of 1.2, 1.4"),
        (["out.txt", "--as", "focus"], "FOCUS is a file that ends in .csv or .parquet"),
        (["out.csv", "--as", "api-csv", "--currency", "EUR"], "--currency 'EUR': one of BUNDLED_CREDITS"),
        (["out.csv", "--no-resume"], "--no-resume with --as csv: it is for --as api-csv"),
        (["out.csv", "--all", "last-month"], "--all and a PERIOD: give one of them"),
        (["out.csv", "--month", "2999-01"], "has not begun"),
        (["out.csv", "--month", "2026-13"], "there is no such month"),
        (["nowhere/out.csv"], "in a folder that exists"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice,
    command: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    done = command("export", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err
    assert sorted(tmp_path.rglob("*")) == before


def test_words_may_stand_behind_options(command: Command, tmp_path: Path) -> None:
    target = tmp_path / "out.jsonl"
    done = command("export", str(target), "--demo", "--as", "jsonl", "yesterday", "--format", "csv")
    assert (done.code, done.out.splitlines()[0]) == (0, "path,as,rows,bytes"), done.err


@pytest.mark.parametrize("columns", ["60", "200"])
def test_narrow_terminal_without_colour(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    target = tmp_path / "out.csv"
    done = command("--demo", "export", str(target), "yesterday")
    assert (done.code, "\x1b[" in done.out) == (0, False)
    assert str(target.stat().st_size) in done.out
