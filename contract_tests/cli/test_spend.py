"""`venice-billing spend`: the account's own totals, in every format, by walk and by ledger."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from typing import TYPE_CHECKING, Any

import pytest

from venice_billing.testing import FakeVenice, demo_account

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]


def debits_of(fake: FakeVenice, start: str | None, end: str | None, *names: str) -> dict[tuple[Any, ...], Decimal]:
    """Return what was charged, by fields of the rows and by currency, from the account's own rows."""
    found: dict[tuple[Any, ...], Decimal] = defaultdict(Decimal)
    with localcontext() as context:
        context.prec = 200
        for row in fake.rows(start=start, end=end):
            group = (*(row[name] for name in names), row["currency"])
            found[group] += -row["amount"] if row["amount"] < 0 else Decimal(0)
    return found


def month_of(fake: FakeVenice, back: int) -> str:
    now = datetime.fromtimestamp(fake.clock.time(), UTC)
    first = now.replace(day=1)
    for _ in range(back):
        first = (first - timedelta(days=1)).replace(day=1)
    return f"{first:%Y-%m}"


def bounds(month: str) -> tuple[str, str]:
    first = datetime.fromisoformat(f"{month}-01T00:00:00+00:00")
    following = (first + timedelta(days=32)).replace(day=1)
    return first.isoformat(), following.isoformat()


@pytest.mark.parametrize("with_ledger", [False, True])
def test_totals_are_those_of_the_account(
    account: FakeVenice, command: Command, tmp_path: Any, *, with_ledger: bool
) -> None:
    month = month_of(account, 1)
    where = ["--ledger", str(tmp_path / "venice.duckdb")] if with_ledger else []
    done = command(*where, "spend", "--month", month, "--by", "sku", "--format", "json")
    assert done.code == 0, done.err
    shown = {(row["sku"], row["currency"]): Decimal(row["debits"]) for row in done.json["rows"]}
    assert shown == debits_of(account, *bounds(month), "sku")
    assert done.json["complete"] is True
    assert done.json["timezone"] == "UTC"
    assert done.json["period"]["start"] == f"{month}-01T00:00:00Z"


def test_every_format_says_the_same(account: FakeVenice, command: Command) -> None:
    month = month_of(account, 1)
    texts = {
        how: command("spend", "--month", month, "--format", how).out for how in ("table", "json", "jsonl", "csv", "md")
    }
    rows = list(csv.DictReader(io.StringIO(texts["csv"])))
    expected = {currency: amount for (currency,), amount in debits_of(account, *bounds(month)).items()}
    assert {row["currency"]: Decimal(row["debits"]) for row in rows} == expected
    for row in rows:
        assert row["debits"] in texts["table"]
        assert row["debits"] in texts["md"]
        assert f'"debits": "{row["debits"]}"' in texts["json"]
        assert f'"debits": "{row["debits"]}"' in texts["jsonl"]
    for how in ("table", "md"):
        assert month in texts[how]
        assert "UTC" in texts[how]


def test_groups_of_days_and_keys_add_up_to_the_account(account: FakeVenice, command: Command) -> None:
    done = command("spend", "--last", "30d", "--by", "day", "--by", "key", "--format", "json")
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for row in done.json["rows"]:
        sums[row["currency"]] += Decimal(row["debits"])
    start = done.json["period"]["start"]
    assert dict(sums) == {currency: amount for (currency,), amount in debits_of(account, start, None).items()}
    assert done.json["complete"] is False


def test_offline_reads_the_ledger_and_asks_nobody(account: FakeVenice, command: Command, tmp_path: Any) -> None:
    ledger = str(tmp_path / "venice.duckdb")
    assert command("--ledger", ledger, "sync").code == 0
    asked = len(account.requests)
    done = command("--ledger", ledger, "spend", "last-month", "--offline", "--format", "json")
    assert len(account.requests) == asked
    assert done.json["rows"]


def test_currency_alone(account: FakeVenice, command: Command) -> None:
    done = command("spend", "--last", "60d", "--currency", "USD", "--format", "json")
    assert [row["currency"] for row in done.json["rows"]] == ["USD"]
    asked = len(account.requests)
    refused = command("spend", "--currency", "EUR")
    assert (refused.code, len(account.requests)) == (2, asked)
    assert "--currency 'EUR': one of BUNDLED_CREDITS, DIEM, " in refused.err


def test_complete_leaves_out_today(account: FakeVenice, command: Command) -> None:
    account.book({"amount": "-123.5", "currency": "USD"})
    whole = command("spend", "--last", "7d", "--by", "day", "--format", "json").json
    complete = command("spend", "--last", "7d", "--by", "day", "--complete", "--format", "json").json
    today = f"{datetime.fromtimestamp(account.clock.time(), UTC):%Y-%m-%d}"
    assert today in {row["day"] for row in whole["rows"]}
    assert today not in {row["day"] for row in complete["rows"]}
    assert complete["complete"] is True
    assert "forecast" not in complete
    assert Decimal(next(one["debits"] for one in whole["today"] if one["currency"] == "USD")) >= Decimal("123.5")


def test_forecast_goes_on_like_the_seven_days_before(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    rows = [{"timestamp": now.replace(day=day, hour=9), "amount": "-2", "currency": "USD"} for day in range(11, 21)]
    rows.append({"timestamp": now.replace(hour=9), "amount": "-5", "currency": "USD"})
    monkeypatch.setattr("venice_billing.testing.demo_account", lambda: FakeVenice(rows, now=now))
    done = command("--demo", "spend", "--format", "json").json
    # 10 days at 2 and today's 5 so far; then half a day and 9 days at 2 each.
    assert [(one["currency"], Decimal(one["debits"])) for one in done["forecast"]] == [("USD", Decimal(44))]
    assert done["today"] == [{"currency": "USD", "debits": "5"}]


def test_compare_shows_the_period_before(account: FakeVenice, command: Command) -> None:
    month, before = month_of(account, 1), month_of(account, 2)
    done = command("spend", "--month", month, "--compare", "--format", "json")
    shown = {row["currency"]: Decimal(row["debits_before"]) for row in done.json["rows"]}
    expected = {currency: amount for (currency,), amount in debits_of(account, *bounds(before)).items()}
    assert {currency: amount for currency, amount in shown.items() if amount} == {
        currency: amount for currency, amount in expected.items() if amount
    }
    done = command("spend", "--compare", "--format", "json").json
    assert all(Decimal(row["debits_before_so_far"]) <= Decimal(row["debits_before"]) for row in done["rows"])
    begin, end = (text.replace("+00:00", "Z") for text in bounds(month_of(account, 1)))
    assert done["before"] == {"start": begin, "end": end}
    assert done["before_so_far"]["start"] == begin
    assert begin < done["before_so_far"]["end"] <= end
    assert f"debits before: {month_of(account, 1)} ({begin[:10]} to {end[:10]})" in command("spend", "--compare").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "modle"], "--by 'modle': one or two of day, week, month"),
        (["--by", "model", "--by", "model"], "each once"),
        (["--by", "model,key,sku"], "at most two"),
        (["--compare", "--by", "day"], "has none before it"),
        (["--timezone", "Mars/Olympus"], "--timezone must be an IANA time zone"),
        (["--format", "yaml"], "--format 'yaml': one of table, json"),
        (["--ledger", "a.duckdb", "--account", "b"], "not allowed with"),
        (["--account", "work"], "account 'work' is not in"),
        (["--offline"], "there is no ledger at"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--month", "2026-14"], "there is no such month"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], message: str
) -> None:
    done = command("spend", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_options_of_all_commands_are_taken_before_and_behind(command: Command) -> None:
    before = command("--demo", "--format", "json", "--timezone", "Europe/Berlin", "spend", "yesterday")
    behind = command("spend", "yesterday", "--timezone", "Europe/Berlin", "--format", "json", "--demo")
    assert before == behind
    assert before.json["timezone"] == "Europe/Berlin"


def test_demo_account_is_the_same_in_every_run() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)
    later = now + timedelta(days=3, hours=5)
    first, second = demo_account(now), demo_account(later)
    end = now.isoformat()
    start = (later - timedelta(days=390)).isoformat()
    assert first.rows(start=start, end=end) == second.rows(start=start, end=end)
    assert len(first.ledger) > 10_000
