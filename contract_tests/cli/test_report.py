"""`venice-billing report`: the same figures as `spend`, into a file or to stdout, and nothing sent for bad input."""

from __future__ import annotations

import re
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from venice_billing.testing import faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice, Fault, SeenRequest

    Command = Callable[..., Done]


def debits_of(page: str) -> dict[str, Decimal]:
    return {name: Decimal(amount) for name, amount in re.findall(r'data-figure="(\w+) debits">([^<]+)<', page)}


@pytest.mark.parametrize("with_ledger", [False, True])
def test_figures_are_those_of_spend(
    account: FakeVenice, command: Command, tmp_path: Path, *, with_ledger: bool
) -> None:
    where = ["--ledger", str(tmp_path / "venice.duckdb")] if with_ledger else []
    target = tmp_path / "report.html"
    done = command(*where, "report", str(target), "last-month", "--timezone", "Europe/Berlin")
    assert (done.code, done.out) == (0, "")
    assert str(target) in done.err
    spent = command(*where, "spend", "last-month", "--timezone", "Europe/Berlin", "--format", "json").json
    page = target.read_text("utf-8")
    shown = {currency: amount for currency, amount in debits_of(page).items() if amount}  # zero: of the month before
    assert shown == {row["currency"]: Decimal(row["debits"]) for row in spent["rows"]}
    assert "Complete." in page
    assert "time zone Europe/Berlin" in page
    assert account.admin_key not in page


def test_one_currency_alone(account: FakeVenice, command: Command) -> None:
    page = command("report", "-", "--last", "60d", "--currency", "USD")
    assert page.code == 0
    assert set(debits_of(page.out)) == {"USD"}


@pytest.mark.parametrize(
    ("how", "start"), [("html", "<!DOCTYPE html>"), ("md", "# Venice spend of "), ("svg", "<svg ")]
)
def test_stdout_takes_text(command: Command, how: str, start: str) -> None:
    done = command("--demo", "report", "-", "yesterday", "--format", how)
    assert done.code == 0
    assert done.out.lstrip().startswith(start)
    assert done.err == ""


@pytest.mark.parametrize("how", ["html", "md", "svg"])
def test_keys_have_the_names_that_their_owner_gave(account: FakeVenice, command: Command, how: str) -> None:
    page = command("report", "-", "--last", "60d", "--format", how)
    assert page.code == 0
    assert "Production (key_4f1c09b7d2)" in page.out
    (analytics,) = [request for request in account.requests if request.path.endswith("/billing/usage-analytics")]
    assert analytics.params == (("lookback", "60d"),)


def test_report_of_long_ago_asks_for_the_longest_lookback(account: FakeVenice, command: Command) -> None:
    assert command("report", "-", "--last", "12m", "--format", "md").code == 0
    (analytics,) = [request for request in account.requests if request.path.endswith("/billing/usage-analytics")]
    assert analytics.params == (("lookback", "90d"),)


def test_without_the_analytics_keys_have_their_ids(account: FakeVenice, command: Command) -> None:
    def fails(request: SeenRequest) -> Fault | None:
        return faults.status(403) if request.path.endswith("/billing/usage-analytics") else None

    account.quirks.faults = fails
    page = command("report", "-", "--last", "60d", "--format", "md")
    assert page.code == 0
    assert "key_4f1c09b7d2" in page.out
    assert "Production" not in page.out
    assert page.err.startswith("venice-billing: no names of keys: ")


def test_offline_reads_the_ledger_and_says_that_the_epoch_is_unknown(
    account: FakeVenice, command: Command, tmp_path: Path
) -> None:
    ledger = str(tmp_path / "venice.duckdb")
    assert command("--ledger", ledger, "sync").code == 0
    asked = len(account.requests)
    done = command("--ledger", ledger, "report", "-", "last-month", "--format", "md", "--offline")
    assert (done.code, len(account.requests)) == (0, asked)
    assert "DIEM epoch: Not known" in done.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report.pdf"], "a file that ends in .html, .md, .svg or .png"),
        (["missing/report.html"], "in a folder that exists"),
        (["-", "--format", "png"], "--format png: not to stdout; name a file"),
        (["report.html", "--format", "json"], "--format 'json': one of html, md, svg, png"),
        (["report.html", "--month", "2026-13"], "there is no such month"),
        (["report.html", "--currency", "EUR"], "--currency 'EUR': one of "),
        ([], "the following arguments are required: FILE"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice,
    command: Command,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command("report", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err
    assert not list(tmp_path.glob("report*"))


def test_without_the_extra_the_line_to_type_is_said(
    account: FakeVenice, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("venice_billing.cli.commands.report.find_spec", lambda _name: None)
    done = command("report", "-")
    assert (done.code, account.requests) == (2, [])
    assert "pip install 'venice-billing[report]'" in done.err
    assert command("report", "-", "yesterday", "--format", "md").code == 0


def test_other_commands_and_markdown_import_no_charts() -> None:
    program = (
        "import sys; from venice_billing.cli.main import main; main(sys.argv[1:]);"
        "print([name for name in sys.modules if name.split('.')[0] in ('altair', 'vl_convert', 'jinja2')])"
    )
    for arguments in (["--demo", "spend"], ["--demo", "report", "-", "yesterday", "--format", "md"]):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120, check=True
        )
        assert done.stdout.splitlines()[-1] == "[]"
