"""`venice-billing check`: rules, their exit codes, and the formats that machines read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def charge(day: int, amount: str, currency: str = "USD", key: str | None = "key_a") -> dict[str, object]:
    return {"timestamp": NOW.replace(day=day, hour=9), "amount": amount, "currency": currency, "apiKeyId": key}


@pytest.fixture
def fake() -> FakeVenice:
    rows = [
        charge(1, "100"),  # money that came in hides no spend
        *(charge(day, "-2") for day in range(11, 21)),
        charge(12, "-3.5", key="key_b"),
        charge(21, "-7.25", key=None),
        charge(21, "-20", "DIEM"),
    ]
    return FakeVenice(rows, now=NOW)


@pytest.fixture
def demo(fake: FakeVenice, monkeypatch: pytest.MonkeyPatch) -> FakeVenice:
    monkeypatch.setattr("venice_billing.testing.demo_account", lambda: fake)
    return fake


@pytest.mark.parametrize(
    ("arguments", "code", "line"),
    [
        (["--max-spend", "30.75USD"], 0, "ok      max-spend 30.75USD: 30.75 USD in 2026-11 (UTC)"),  # exactly the limit
        (["--max-spend", "30.7499999USD"], 1, "BREACH  max-spend 30.7499999USD: 30.75 USD in 2026-11 (UTC)"),
        (["--max-spend", "20 diem"], 0, "ok      max-spend 20DIEM: 20 DIEM in 2026-11 (UTC)"),
        (["--max-spend", "7USD", "today"], 1, "BREACH  max-spend 7USD: 7.25 USD in today (UTC)"),
        (["--max-spend", "0USD", "--month", "2026-10"], 0, "ok      max-spend 0USD: 0 USD in 2026-10 (UTC)"),
        (["--per-key", "20USD"], 0, "ok      per-key 20USD: 20 USD in 2026-11 (UTC) (the key that spent most)"),
        (["--per-key", "19.99USD"], 1, "BREACH  per-key 19.99USD: 20 USD in 2026-11 (UTC) (key key_a)"),
        (["--per-key", "7USD"], 1, "BREACH  per-key 7USD: 7.25 USD in 2026-11 (UTC) (no key (the web app))"),
        # 30.75 so far; 14 + 3.5 in the seven days before, so 2 x 9.5 and what key_b adds are still to come.
        (["--forecast", "49.75USD"], 0, "ok      forecast 49.75USD: 49.75 USD in 2026-11 (UTC)"),
        (["--forecast", "49.74USD"], 1, "BREACH  forecast 49.74USD: 49.75 USD in 2026-11 (UTC)"),
        (["--min-balance", "80DIEM"], 0, "ok      min-balance 80DIEM: 80 DIEM"),
        (["--min-balance", "80.0001DIEM"], 1, "BREACH  min-balance 80.0001DIEM: 80 DIEM"),
        (["--min-balance", "80%"], 0, "ok      min-balance 80%: 80%"),
        (["--min-balance", "81%"], 1, "BREACH  min-balance 81%: 80%"),
        (["--min-balance", "69.25USD"], 0, "ok      min-balance 69.25USD: 69.25 USD"),
        (["--min-balance", "69.25usd"], 0, "ok      min-balance 69.25USD: 69.25 USD"),
    ],
)
def test_rule_and_its_exit_code(demo: FakeVenice, command: Command, arguments: list[str], code: int, line: str) -> None:
    done = command("--demo", "check", *arguments)
    assert line in done.out, done
    assert done.code == code


def test_every_rule_is_a_line_and_one_breach_is_enough(demo: FakeVenice, command: Command) -> None:
    done = command("--demo", "check", "--max-spend", "1000USD", "--max-spend", "1DIEM", "--min-balance", "1USD")
    assert [line.split()[0] for line in done.out.splitlines()] == ["ok", "BREACH", "ok"]
    assert done.code == 1


def test_json_has_figures_to_the_digit(demo: FakeVenice, command: Command) -> None:
    demo.book(charge(21, "-0.0000000000000000000000000001"))
    done = command("--demo", "check", "--max-spend", "30.75USD", "--format", "json")
    assert done.code == 1
    (row,) = done.json["rows"]
    assert (row["value"], row["limit"], row["status"]) == ("30.7500000000000000000000000001", "30.75", "breach")


def test_prometheus_text_is_read_by_its_own_rules(demo: FakeVenice, command: Command) -> None:
    done = command("--demo", "check", "--max-spend", "10USD", "--min-balance", "5%", "--format", "prometheus")
    assert done.code == 1
    samples = dict(line.rsplit(" ", 1) for line in done.out.splitlines() if not line.startswith("#"))
    assert samples['venice_billing_check_value{rule="max-spend",unit="USD",limit="10USD",remark=""}'] == "30.75"
    assert samples['venice_billing_check_breach{rule="max-spend",unit="USD",limit="10USD",remark=""}'] == "1"
    assert samples['venice_billing_check_breach{rule="min-balance",unit="%",limit="5%",remark=""}'] == "0"
    kinds = [line.split()[2] for line in done.out.splitlines() if line.startswith("# TYPE")]
    assert len(kinds) == len(set(kinds)) == 3


def test_rule_given_twice_is_one(demo: FakeVenice, command: Command) -> None:
    """No collector takes a text in which two samples have the same labels."""
    rules = ["--max-spend", "5USD", "--max-spend", "5.0USD", "--max-spend", "5usd", "--max-spend", "6USD"]
    done = command("--demo", "check", *rules, "--format", "prometheus")
    labels = [line.rsplit(" ", 1)[0] for line in done.out.splitlines() if not line.startswith("#")]
    assert len(labels) == len(set(labels)) == 6


@pytest.mark.parametrize("currency", ["Token", "two words", "$"])
def test_rule_in_any_currency_of_the_ledger(demo: FakeVenice, command: Command, tmp_path: Path, currency: str) -> None:
    demo.book(charge(21, "-3", currency))
    ledger = ["--demo", "--ledger", str(tmp_path / "a.duckdb")]
    command(*ledger, "sync")
    done = command(*ledger, "check", "--max-spend", f"2{currency}")
    assert (done.code, done.out.split(" in ")[0]) == (1, f"BREACH  max-spend 2{currency}: 3 {currency}")
    rows = command(*ledger, "spend", "--currency", currency.upper(), "--format", "json").json["rows"]
    assert [(row["currency"], row["debits"]) for row in rows] == [(currency, "3")]


def test_what_cannot_be_told_is_unknown_and_ends_3(demo: FakeVenice, command: Command) -> None:
    demo.quirks = Quirks(faults=lambda seen: None)
    demo.balance = {**demo.balance, "balances": {"usd": 1, "diem": None}, "diemEpochAllocation": 0}
    done = command("--demo", "check", "--min-balance", "20%", "--max-spend", "1000USD")
    assert "unknown min-balance 20%: ? (the account has no DIEM epoch)" in done.out
    assert done.code == 3


def test_account_that_does_not_answer_ends_3(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("VENICE_BASE_URL", "http://127.0.0.1:9/api/v1")
    done = command("check", "--max-spend", "5USD")
    assert done.code == 3
    assert "some-admin-key" not in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "check without a rule"),
        (["--max-spend", "50"], "--max-spend '50': an amount and a currency, like 50USD"),
        (["--max-spend", "USD50"], "an amount and a currency"),
        (["--max-spend", "5%"], "an amount and a currency"),
        (["--max-spend=-5USD"], "an amount and a currency"),
        (["--max-spend", "1e3USD"], "--max-spend '1e3USD': an amount and a currency"),
        (["--max-spend", "50EUR"], "--max-spend 'EUR': one of BUNDLED_CREDITS"),
        (["--min-balance", "5EUR"], "in USD, in DIEM, or in % of the DIEM epoch"),
        (["--per-key", "nanUSD"], "an amount and a currency"),
        (["--max-spend", "-5USD"], "--max-spend '-5USD': an amount and a currency"),
        (["--min-balance", "100.01%"], "--min-balance '100.01%': at most 100% of the DIEM epoch"),
    ],
)
def test_bad_rules_are_refused_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], message: str
) -> None:
    done = command("check", *arguments)
    assert (done.code, account.requests) == (2, [])
    assert message.lower() in done.err.lower()
