"""The demo prints correct figures: every figure is compared with the ledger of the account."""

from __future__ import annotations

import csv
import importlib.util
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.paths import ROOT
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, SeenRequest

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

SCRIPT = ROOT / "scripts" / "demo.py"
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start the demo in a folder of its own: it writes its report where it is started."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="module")
def demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location("demo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["demo"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> FakeVenice:
    """Return the account that the demo will read."""
    fake = FakeVenice(2500)
    monkeypatch.setattr(demo, "FakeVenice", lambda entries, days: fake)
    monkeypatch.delenv("VENICE_API_KEY", raising=False)
    return fake


def section(output: str, title: str) -> list[list[str]]:
    """Return the words of each line under a title."""
    after = output.split(f"\n{title}", 1)[1].split("\n\n", 1)[0]
    return [line.split() for line in after.splitlines()[1:]]


def test_demo_prints_the_figures_of_the_account(
    demo: ModuleType, fake: FakeVenice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "usage.csv"
    assert demo.main(["--output", str(target)]) == 0
    output = capsys.readouterr().out
    ledger = fake.ledger

    charges = [row for row in ledger[::-1] if row["amount"] < 0][:10]
    shown = [(words[2], words[3], words[4]) for words in section(output, "Last 10 charges")]
    assert shown == [(f"{-row['amount']:,f}", row["currency"], row["sku"]) for row in charges]

    recent = [row for row in fake.rows(start=datetime.now(UTC) - timedelta(days=30)) if row["amount"] < 0]
    spent = {currency: -total(recent, currency) for currency in {row["currency"] for row in recent}}
    per_currency = section(output, "Spend of the last 30 days, per currency")
    assert {words[0]: Decimal(words[1]) for words in per_currency} == spent
    per_model = section(output, "Spend of the last 30 days, per model")
    assert len(per_model) > 20
    for currency, amount in spent.items():
        assert sum(Decimal(words[1]) for words in per_model if words[0] == currency) == amount
    glm = [row for row in recent if row["sku"].startswith("zai-org-glm-5-1-")]
    assert ["USD", f"{-total(glm, 'USD'):,f}", "zai-org-glm-5-1"] in per_model

    agreed = section(output, "Totals of sync walk, async walk, CSV file agree")
    sums = {words[0]: Decimal(words[1].replace(",", "")) for words in agreed[:-1]}
    assert sums == {currency: total(ledger, currency) for currency in {row["currency"] for row in ledger}}
    assert output.count("2,500 entries in ") == 4
    assert str(target) in output
    with target.open(encoding="utf-8", newline="") as file:
        assert [row["timestamp"] for row in csv.DictReader(file)] == [row["timestamp"] for row in ledger]


def test_demo_ends_with_what_the_command_shows(
    demo: ModuleType,
    fake: FakeVenice,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Of the same account, whatever the configuration of the user says."""
    other = tmp_path / "config.toml"
    other.write_text('account = "other"\n[accounts.other]\nkey_command = "false"\n')
    monkeypatch.setenv("VENICE_BILLING_CONFIG", str(other))
    assert demo.main(["--output", str(tmp_path / "usage.csv")]) == 0
    lines = section(capsys.readouterr().out, "$ venice-billing spend --last 30d --by service")
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    images = [row for row in fake.rows(start=midnight - timedelta(days=29)) if "-image-" in row["sku"]]
    shown = {words[1]: (Decimal(words[2]), words[6]) for words in lines if words[0] == "image"}
    currencies = {row["currency"] for row in images if row["amount"] < 0}
    counts = {currency: sum(row["currency"] == currency for row in images) for currency in currencies}
    assert shown == {
        currency: (-total([row for row in images if row["amount"] < 0], currency), str(counts[currency]))
        for currency in currencies
    }


def total(rows: list[Row], currency: str) -> Decimal:
    return sum((row["amount"] for row in rows if row["currency"] == currency), Decimal(0))


def test_demo_asks_the_live_api_if_there_is_a_key(
    demo: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    live = FakeVenice(30, admin_key="the-live-key")
    with live.serve() as server:
        monkeypatch.setenv("VENICE_API_KEY", "the-live-key")
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
        assert demo.main(["--output", str(tmp_path / "usage.csv")]) == 0
    output = "".join(capsys.readouterr())
    assert "Asking the Venice API" in output
    assert "the-live-key" not in output
    assert {request.key for request in live.requests} == {"admin"}


def test_demo_reports_totals_that_differ(
    demo: ModuleType, fake: FakeVenice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A charge that is booked late, after the walks, is in the file alone."""

    def late(request: SeenRequest) -> list[Row]:
        first_of_file = request.headers["accept"] == "text/csv" and request.param("cursor") is None
        return [{"timestamp": fake.ledger[5]["timestamp"], "amount": "-0.5"}] if first_of_file else []

    fake.quirks.arrivals = late
    assert demo.main(["--output", str(tmp_path / "usage.csv")]) == 1
    captured = capsys.readouterr()
    assert "agree" not in captured.out
    assert "sync walk: 2,500 entries" in captured.err
    assert "async walk: 2,500 entries" in captured.err
    assert "CSV file: 2,501 entries" in captured.err


def test_demo_prints_one_line_on_an_error(
    demo: ModuleType, fake: FakeVenice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.admin_key, fake.inference_key = fake.inference_key, fake.admin_key
    fake.balance = {"no": "balance"}
    assert demo.main(["--output", str(tmp_path / "usage.csv")]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("demo: ")
    assert captured.err.count("\n") == 1


def test_demo_names_missing_columns(
    demo: ModuleType, fake: FakeVenice, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fake.quirks = Quirks(csv_layouts=[CsvLayout(header="timestamp,a,b,c,price,currency,d,e,f,g,h,i")])
    assert demo.main(["--output", str(tmp_path / "usage.csv")]) == 1
    assert "has no column amount: timestamp, a, b," in capsys.readouterr().err


def test_demo_prints_plain_text_to_a_pipe(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VENICE_")}
    command = [sys.executable, str(SCRIPT), "--entries", "300"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=True)
    assert run.stderr == f"written: {tmp_path / 'venice-report.html'}\n"
    assert "\x1b" not in run.stdout
    assert "\r" not in run.stdout
    assert (tmp_path / "venice-usage.csv").stat().st_size > 10_000
