"""`venice-billing adjustments`: each change of a sync is a row."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]


def test_late_charge_is_a_row_in_every_format(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "venice.duckdb"
    ledger = ["--ledger", str(path)]
    assert command(*ledger, "sync").code == 0
    assert "no row of time that was covered before has changed" in command(*ledger, "adjustments", "--offline").out
    account.book({"amount": "-0.25", "currency": "USD", "notes": "late"}, late=timedelta(hours=5))
    texts = {
        how: command(*ledger, "adjustments", "--format", how).out for how in ("table", "json", "jsonl", "csv", "md")
    }
    with Ledger(path) as opened:
        (found,) = opened.adjustments()
    for text in texts.values():
        assert found.entry.sku in text.replace("\\", "")
        assert "-0.25" in text
    assert texts["csv"].startswith("number,seen_at,change,timestamp,sku,currency,before,after,difference,key,")
    assert ",late," in texts["csv"]
    assert "net changed by -0.25 USD" in texts["table"]
    shown = command(*ledger, "adjustments", "--offline", "--since", "2099-01-01", "--format", "json")
    assert (shown.code, shown.json["rows"]) == (0, [])


def test_demo_has_none(command: Command) -> None:
    done = command("--demo", "adjustments", "--format", "json")
    assert (done.code, done.json["rows"], done.json["complete"], done.json["demo"]) == (0, [], True, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--since", "yesterday"], "--since 'yesterday': a date like"),
        (["--since", "2026-10-02", "--until", "2026-10-01"], "--until 2026-10-01: it must be after --since 2026-10-02"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], message: str
) -> None:
    done = command("adjustments", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err
