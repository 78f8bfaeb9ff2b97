"""`venice-billing close`: the statement in every format, its files, months that are open, bad input."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from venice_billing.ledger import Ledger, Statement, _closings
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeVenice:
    """An account whose time stands: which months can be closed does not depend on the day of the test."""
    fake = FakeVenice(900, days=70, seed=5, now=NOW)
    monkeypatch.setattr("venice_billing.testing.demo_account", lambda: fake)
    monkeypatch.setattr(_closings, "_now", lambda: NOW)
    return fake


@pytest.fixture
def close(fake: FakeVenice, command: Command, tmp_path: Path) -> Callable[..., Done]:
    """Return a function that runs `close` on a ledger that is kept between two runs."""
    return lambda *arguments: command("--demo", "--ledger", str(tmp_path / "acme.duckdb"), "close", *arguments)


def recorded(tmp_path: Path, month: str, **asked: Any) -> Statement:
    with Ledger(tmp_path / "acme.duckdb") as ledger:
        return ledger.statement(month, **asked)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix in (".json", ".md"))


def test_statement_in_every_format_is_that_of_the_ledger(close: Callable[..., Done], tmp_path: Path) -> None:
    texts = {how: close("2026-10", "--format", how).out for how in ("table", "json", "jsonl", "csv", "md")}
    statement = recorded(tmp_path, "2026-10")
    assert (statement.is_closed, statement.revision) == (True, 1)
    assert (texts["json"], texts["md"]) == (f"{statement.to_json()}\n", statement.to_markdown())
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    assert [(row["currency"], row["net"]) for row in rows] == [
        (row["currency"], row["net"]) for row in statement.totals.to_dict()["rows"]
    ]
    for row in rows:
        assert row["debits"] in texts["table"]
        assert f'"debits": "{row["debits"]}"' in texts["jsonl"]
    for part in ("2026-10-01 to 2026-11-01, UTC), complete", statement.digest, "revision 1"):
        assert part in texts["table"]


def test_files_are_written_where_output_says_and_a_revision_gets_its_own(
    close: Callable[..., Done], fake: FakeVenice, tmp_path: Path
) -> None:
    folder = tmp_path / "statements"
    folder.mkdir()
    assert close("last-month", "--output", str(folder)).code == 0
    first = recorded(tmp_path, "2026-10")
    assert names(folder) == ["acme-2026-10.json", "acme-2026-10.md"]
    assert (folder / "acme-2026-10.json").read_text() == f"{first.to_json()}\n"
    assert (folder / "acme-2026-10.md").read_text() == first.to_markdown()
    assert (folder / "acme-2026-10.md").stat().st_mode & 0o777 == 0o600
    fake.book({"amount": "-7", "currency": "USD"}, late=timedelta(days=37))
    path = tmp_path / "acme.duckdb"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client, full=True)
    assert close("2026-10", "--output", str(folder)).code == 0
    assert names(folder) == ["acme-2026-10-r2.json", "acme-2026-10-r2.md", "acme-2026-10.json", "acme-2026-10.md"]
    again = close("2026-10", "--show", "--revision", "1", "--format", "json")
    assert again.out == f"{first.to_json()}\n"
    assert "late 2026-10-15 " in close("2026-10", "--show").out


def test_other_file_is_not_overwritten_and_the_month_is_closed(close: Callable[..., Done], tmp_path: Path) -> None:
    target = tmp_path / "signed.md"
    target.write_text("signed")
    done = close("2026-10", "--output", str(target), "--format", "json")
    assert (done.code, target.read_text()) == (2, "signed")
    assert "2026-10 is closed, but " in done.err
    assert "not overwritten; move it away" in done.err
    assert recorded(tmp_path, "2026-10").is_closed


@pytest.mark.parametrize("format_", ["json", "table"])
def test_other_file_is_named_though_nobody_reads_the_statement(
    close: Callable[..., Done], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    def write(_text: str) -> int:
        raise BrokenPipeError

    (tmp_path / "signed.md").write_text("signed")
    monkeypatch.setattr("sys.stdout.write", write)
    done = close("2026-10", "--output", str(tmp_path / "signed.md"), "--format", format_)
    assert done.code == 2
    assert "not overwritten; move it away, or name another place with --output" in done.err


@pytest.mark.parametrize("suffix", [".json", ".md"])
@pytest.mark.parametrize("arguments", [["export", "--as", "jsonl"], ["export", "--as", "api-csv"], ["report"]])
def test_statement_is_replaced_by_nothing_else(
    close: Callable[..., Done], command: Command, tmp_path: Path, arguments: list[str], suffix: str
) -> None:
    path = tmp_path / f"signed{suffix}"
    close("2026-10", "--output", str(path))
    signed = path.read_bytes()
    options = ["--format", "md"] if arguments == ["report"] else []
    done = command("--demo", *arguments, str(path), *options)
    assert (done.code, path.read_bytes()) == (2, signed)
    assert "a statement of a month is not replaced" in done.err


def test_files_lie_beside_the_ledger_unless_told_otherwise(
    account: FakeVenice, command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_closings, "_now", lambda: datetime.now(UTC))  # the clock of the command, over the network
    ledger = ["--ledger", str(tmp_path / "acme.duckdb")]
    assert command(*ledger, "close", "2026-10", "--output", "-").code == 0
    assert names(tmp_path) == []
    for _ in range(2):
        assert command(*ledger, "close", "2026-10").code == 0
        assert names(tmp_path) == ["acme-2026-10.json", "acme-2026-10.md"]


def test_month_that_is_open_is_a_finding_and_says_what_to_do(close: Callable[..., Done], tmp_path: Path) -> None:
    done = close("2026-11")
    assert (done.code, done.out) == (1, "")
    assert "2026-11 is not over before 2026-12-01 00:00 UTC: close it then; --show shows" in done.err
    late = close("2026-10", "--overlap", "40d")
    assert late.code == 1
    assert "2026-10 may still change: close it at 2026-12-11 00:00 UTC or later, or give --allow-incomplete" in late.err
    assert not recorded(tmp_path, "2026-10").is_closed
    assert close("2026-10", "--overlap", "40d", "--allow-incomplete").code == 0
    assert not recorded(tmp_path, "2026-10").is_complete


@pytest.mark.parametrize("overlap", ["0", "0d"])
def test_late_charges_need_not_be_waited_for(close: Callable[..., Done], tmp_path: Path, overlap: str) -> None:
    assert close("2026-10", "--overlap", overlap).code == 0
    assert recorded(tmp_path, "2026-10").coverage.overlap == timedelta()


def test_month_so_far_is_shown_and_nothing_recorded(close: Callable[..., Done], tmp_path: Path) -> None:
    done = close("this-month", "--show")
    assert (done.code, done.err) == (0, "")
    assert (
        "statement so far of 2026-11 (2026-11-01 to 2026-12-01, UTC), until 2026-11-21 12:00, not complete" in done.out
    )
    assert names(tmp_path) == []
    assert not recorded(tmp_path, "2026-11").is_closed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "required: MONTH"),
        (["october"], "MONTH 'october': a month like 2026-10, or last-month or this-month"),
        (["2026-13"], "MONTH '2026-13': there is no such month"),
        (["2026-10", "--overlap", "two"], "--overlap 'two': a number of seconds, minutes, hours or days, from 0 on"),
        (["2026-10", "--overlap", "36501d"], "--overlap '36501d': from 0 to 36500d"),
        (["2026-10", "--revision", "1"], "--revision shows a statement: give --show too"),
        (["2026-10", "--show", "--revision", "0"], "--revision '0': a number from 1 on"),
        (["2026-10", "--show", "--allow-incomplete"], "closes none"),
        (["2026-10", "--output", "x.txt"], "--output 'x.txt': a folder that exists, a file that ends in .json or .md"),
        (["2026-10", "--output", "none/"], "there is no such folder"),
        (["2026-10", "--output", "none/x.md"], "in a folder that exists"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    close: Callable[..., Done], fake: FakeVenice, arguments: list[str], message: str
) -> None:
    done = close(*arguments)
    assert (done.code, done.out, fake.requests) == (2, "", [])
    assert message in done.err


def test_month_before_the_ledger_and_another_zone_are_wrong_input(close: Callable[..., Done]) -> None:
    early = close("2019-01")
    assert (early.code, "before the ledger begins" in early.err) == (2, True)
    assert close("2026-09").code == 0
    other = close("2026-10", "--timezone", "Europe/Zurich")
    assert (other.code, "closed in the time zone UTC" in other.err) == (2, True)
