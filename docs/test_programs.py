"""The programs of the pages run as a user runs them, and what they print is the truth of the account's ledger."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from venice_billing.sku import split_sku
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterable

PROGRAMS = Path(__file__).with_name("programs")
OCTOBER = "2026-10-01", "2026-11-01"


def run(name: str, *arguments: str, folder: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program, with warnings as errors."""
    command = [sys.executable, "-W", "error", str(PROGRAMS / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == code, done.stderr
    return done


def october(fake: FakeVenice, **filters: str) -> list[dict[str, Any]]:
    start, end = (f"{day}T00:00:00Z" for day in OCTOBER)
    return fake.rows(start=start, end=end, **filters)


def debits(rows: Iterable[dict[str, Any]]) -> dict[str, Decimal]:
    """Return what was charged, by currency."""
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in rows:
        found[row["currency"]] -= min(row["amount"], Decimal(0))
    return dict(found)


def by_model(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Decimal]]:
    """Return what was charged, by currency and model."""
    grouped: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["amount"] < 0:
            grouped[split_sku(row["sku"]).model].append(row)
    found: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for model, those in grouped.items():
        for currency, amount in debits(those).items():
            found[currency][model] = amount
    return dict(found)


@pytest.mark.parametrize("name", ["analyst_pandas.py", "analyst_polars.py"])
def test_analyst(served: FakeVenice, name: str) -> None:
    """A charge of 16 digits behind the point among others of six: no library rounds it."""
    served.book({"timestamp": "2026-10-31T23:59:59.999Z", "amount": "-0.1234567890123456", "currency": "USD"})
    truth = by_model(october(served))
    shown: dict[str, Decimal] = {}
    best: defaultdict[str, list[Decimal]] = defaultdict(list)
    currency = ""
    for line in run(name, *OCTOBER).stdout.splitlines():
        text, value = line.split()
        if line.startswith(" "):
            assert truth[currency][text] == Decimal(value)
            best[currency].append(Decimal(value))
        else:
            currency = text
            shown[currency] = Decimal(value)
    assert shown == {currency: sum(models.values()) for currency, models in truth.items()}
    assert dict(best) == {currency: sorted(models.values())[:-4:-1] for currency, models in truth.items()}


def test_polars_drops_no_number_in_silence(served: FakeVenice) -> None:
    served.book({"timestamp": "2026-10-31T12:00:00.000Z", "amount": "-12345678901.5", "currency": "USD"})
    assert "more than 10 digits" in run("analyst_polars.py", *OCTOBER, code=1).stderr


def test_cron(served: FakeVenice, tmp_path: Path) -> None:
    said = run("cron.py", "2026-10", folder=tmp_path).stdout
    rows = october(served)
    for currency, amount in debits(rows).items():
        count = sum(row["currency"] == currency for row in rows)
        (line,) = [line for line in said.splitlines() if line.startswith(f"2026-10 {currency}: ")]
        spent, bought = Decimal(line.split()[2]), Decimal(line.split()[4])
        assert spent == amount
        assert bought == sum(row["amount"] for row in rows if _is_purchase(row) and row["currency"] == currency)
        assert line.endswith(f"in {count} bookings")
    with (tmp_path / "2026-10.csv").open(newline="", encoding="utf-8") as file:
        assert [Decimal(record["amount"]) for record in csv.DictReader(file)] == [row["amount"] for row in rows]
    table = json.loads((tmp_path / "2026-10.json").read_text("utf-8"))
    assert sum(row["count"] for row in table["rows"]) == len(rows)


def _is_purchase(row: dict[str, Any]) -> bool:
    return bool(row["amount"] > 0 and row["inferenceDetails"] is None and "purchase" in row["notes"])


def test_cron_says_why_a_month_is_not_closed(served: FakeVenice, tmp_path: Path) -> None:
    served.quirks.faults = lambda _: faults.status(401)
    said = run("cron.py", "2026-10", folder=tmp_path, code=1)
    assert said.stderr.startswith("2026-10 is not closed: ")
    assert not list(tmp_path.glob("*.json"))


def test_cron_notices_a_charge_that_is_booked_meanwhile(served: FakeVenice, tmp_path: Path) -> None:
    late = {"timestamp": "2026-10-15T00:00:00.000Z"}
    served.quirks.arrivals = lambda request: [late] if request.headers["accept"] == "application/json" else []
    assert "booked meanwhile" in run("cron.py", "2026-10", folder=tmp_path, code=1).stderr


def test_migration(served: FakeVenice) -> None:
    said = run("migration.py").stdout.splitlines()
    usd = october(served, currency="USD")
    pages = -(-len(usd) // 100)
    page = sum((row["amount"] for row in usd[100:200]), Decimal(0))
    spent = debits(served.rows(currency="USD"))["USD"]
    assert said[:2] == [f"page 2 of {pages}", f"sum of the page {page} USD"]
    assert said[2] == f"{len(served.rows(start='2026-10-01T00:00:00Z'))} charges as CSV"
    assert Decimal(said[3].split()[1]) == spent
    assert Decimal(said[4].split()[1]) == served.balance["balances"]["usd"]
    assert len(said) == 11


def test_typed(served: FakeVenice) -> None:
    """A refund lowers what a key has spent; what the rule of the program calls a credit does not."""
    for charge in [row for row in october(served, currency="USD") if row["inferenceDetails"]][:20]:
        refund = {**charge, "amount": Decimal("0.0001")}
        served.book(refund)
        served.book({**refund, "notes": "goodwill"})
    spent: Counter[str | None] = Counter()
    for row in october(served, currency="USD"):
        if row["amount"] < 0 or (row["inferenceDetails"] and row["notes"] != "goodwill"):
            spent[row["apiKeyId"]] -= row["amount"]
    limit = sorted(spent.values())[len(spent) // 2]
    *breaches, latest = run("typed.py", f"{limit} USD").stdout.splitlines()
    expected = {key: amount for key, amount in spent.items() if amount > limit}
    assert expected
    assert sorted(breaches) == sorted(f"{key or 'no key'}: {amount} USD of {limit}" for key, amount in expected.items())
    assert latest.startswith(f"latest: {split_sku(october(served)[-1]['sku']).model} ")


def test_queue(served: FakeVenice) -> None:
    totals: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in october(served):
        totals[row["currency"]] += row["amount"]
    assert run("queue_worker.py").stdout == f"{dict(totals)}\n"


def test_logs(served: FakeVenice) -> None:
    lines = [json.loads(line) for line in run("logs.py").stdout.splitlines()]
    rows = [row for row in october(served) if row["timestamp"] >= "2026-10-31"]
    assert [(line["amount"], line["sku"]) for line in lines] == [(str(row["amount"]), row["sku"]) for row in rows]
