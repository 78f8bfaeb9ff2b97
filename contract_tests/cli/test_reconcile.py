"""`venice-billing reconcile`: logs as files and from a pipe, what differs, and the exit code."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]

SECONDS = 120


@pytest.fixture
def ledger(account: FakeVenice, command: Command, tmp_path: Path) -> Path:
    path = tmp_path / "venice.duckdb"
    assert command("--ledger", str(path), "sync").code == 0
    return path


def records(ledger: Path) -> list[dict[str, Any]]:
    with Ledger(ledger) as opened:
        return [
            {
                "request_id": row["request_id"],
                "amount": str(row["amount"]),
                "currency": row["currency"],
                "time": row["timestamp"].isoformat(),
            }
            for row in opened.rows()
            if row["request_id"]
        ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_log_that_agrees_is_0_and_one_that_differs_is_1(command: Command, ledger: Path, tmp_path: Path) -> None:
    rows = records(ledger)
    run = ["--ledger", str(ledger), "--offline", "reconcile"]
    same = command(*run, str(write(tmp_path / "log.jsonl", rows)), "--format", "json")
    assert (same.code, same.json["ok"], same.json["rows"]) == (0, True, [])
    lost = {"request_id": "chatcmpl-lost", "time": rows[5]["time"]}
    log = write(tmp_path / "other.jsonl", [*rows, lost])
    done = command(*run, str(log), "--format", "csv")
    assert done.code == 1
    assert [(row["result"], row["request_id"]) for row in csv.DictReader(io.StringIO(done.out))] == [
        ("missing", "chatcmpl-lost")
    ]
    matched = command(*run, str(log), "--show", "matched", "--format", "jsonl")
    with Ledger(ledger) as opened:
        expected = opened.reconcile(log)
    assert len(matched.out.splitlines()) == sum(1 for _ in expected.rows("matched"))
    table = command(*run, str(log)).out
    assert f"{len(expected.matched)} matched" in table
    assert "chatcmpl-lost" in table


def test_log_from_a_pipe(command: Command, ledger: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", records(ledger))
    program = [sys.executable, "-m", "venice_billing", "--ledger", str(ledger), "--offline", "reconcile", "-"]
    with log.open("rb") as source:
        done = subprocess.run(
            [*program, "--as", "jsonl"], stdin=source, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 differing, 0 missing, 0 unknown" in done.stdout


def test_log_later_than_the_ledger_cannot_be_told(command: Command, ledger: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", [{"request_id": "chatcmpl-later", "time": "2099-01-01T00:00:00Z"}])
    done = command(
        "--ledger", str(ledger), "--offline", "reconcile", str(log), "--since", "2098-01-01", "--until", "2100-01-01"
    )
    assert (done.code, "later than the ledger" in done.out) == (3, True)


def test_log_without_times_is_compared_with_all_of_the_ledger_and_says_so(
    command: Command, ledger: Path, tmp_path: Path
) -> None:
    with Ledger(ledger) as opened:
        rows = list(opened.rows())
        covered = opened.coverage().until
    log = write(tmp_path / "log.jsonl", [{"request_id": "chatcmpl-lost"}])
    found = command("--ledger", str(ledger), "--offline", "reconcile", str(log), "--format", "json").json
    assert covered is not None
    ends = [moment.isoformat().replace("+00:00", "Z") for moment in (rows[0]["timestamp"], covered)]
    assert list(found["period"].values()) == ends
    assert found["counts"]["unknown"] == len({row["request_id"] for row in rows if row["request_id"]})


def test_demo_makes_a_log_with_planted_differences_and_says_so(command: Command) -> None:
    done = command("reconcile", "--demo", "--format", "json")
    counts = done.json["counts"]
    assert (done.code, counts["differing"], counts["missing"], counts["unknown"]) == (1, 1, 1, 1)
    (differing,) = [row for row in done.json["rows"] if row["result"] == "differing"]
    assert differing["field"] == "amount"
    table = command("reconcile", "--demo").out
    assert "a made-up log, with planted differences: one amount that differs" in table


def test_amounts_of_the_table_are_no_formulas_in_csv(command: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(command("reconcile", "--demo", "--format", "csv").out)))
    assert all(not row["ledger"].startswith("'") for row in rows)


def test_text_that_a_spreadsheet_would_run_is_escaped(command: Command, ledger: Path, tmp_path: Path) -> None:
    log = write(tmp_path / "log.jsonl", [{"request_id": "=HYPERLINK(1)"}])
    done = command(
        "--ledger",
        str(ledger),
        "--offline",
        "reconcile",
        str(log),
        "--format",
        "csv",
        "--show",
        "missing",
        "--last",
        "1d",
    )
    assert "'=HYPERLINK(1)" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "LOG is missing: a .jsonl or .csv file"),
        (["none.jsonl"], "LOG 'none.jsonl': No such file or directory"),
        (["log.txt"], "LOG 'log.txt': its suffix is none of .jsonl"),
        (["-"], "reconcile -: give --as jsonl or --as csv"),
        (["log.jsonl", "--as", "xml"], "--as 'xml': jsonl or csv"),
        (["log.jsonl", "--show", "lost"], "--show 'lost': one or several of differing, missing"),
        (["log.jsonl", "--time-tolerance", "soon"], "--time-tolerance 'soon'"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], message: str
) -> None:
    done = command("reconcile", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err


def test_bad_record_names_its_line(command: Command, ledger: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    log.write_text('{"request_id": "a"}\n{"request_id": "b", "amount": "much"}\n')
    done = command("--ledger", str(ledger), "--offline", "reconcile", str(log))
    assert (done.code, "amount (log.jsonl, line 2)" in done.err) == (2, True)
