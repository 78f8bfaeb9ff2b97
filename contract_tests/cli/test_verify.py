"""`venice-billing verify`: by day and currency, and the exit code."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]


@pytest.mark.parametrize("how", ["table", "json", "jsonl", "csv", "md"])
def test_demo_agrees_in_every_format(command: Command, how: str) -> None:
    done = command("--demo", "verify", "--last", "4d", "--format", how)
    assert (done.code, done.err) == (0, "")
    if how == "json":
        assert (len(done.json["rows"]), done.json["ok"], done.json["timezone"]) == (6, True, "UTC")
        assert [one["reason"] for one in done.json["left_out"]] == ["not_covered"]
        assert done.json["complete"] is False
    if how == "table":
        assert "0 of 6 figures differ" in done.out


def test_difference_is_a_finding_and_each_figure_is_that_of_the_library(
    account: FakeVenice, command: Command, tmp_path: Path
) -> None:
    path = tmp_path / "venice.duckdb"
    assert command("--ledger", str(path), "sync").code == 0
    with Ledger(path) as ledger, account.client() as client:
        expected = ledger.verify(client)
        cursor = ledger._database.cursor()
        day = expected.days[0].day
        cursor.execute(
            "DELETE FROM usage_rows WHERE strftime(timestamp, '%Y-%m-%d') = $day AND kind = 'debit'", {"day": day}
        )
        changed = ledger.verify(client)
    done = command("--ledger", str(path), "verify", "--format", "json")
    assert done.code == (1 if changed.differences else 0)
    shown = {(row["day"], row["currency"]): Decimal(row["difference"]) for row in done.json["rows"]}
    assert shown == {(one.day, one.currency): one.difference for one in changed.days}
    assert done.json["differences"] == len(changed.differences)


def test_today_alone_cannot_be_told(command: Command) -> None:
    done = command("--demo", "verify", "today")
    assert (done.code, "nothing could be compared" in done.out) == (3, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tolerance", "some"], "--tolerance 'some': a number of at least 0"),
        (["--tolerance=-1"], "--tolerance '-1': a number of at least 0"),
        (["--timezone", "Europe/Berlin"], "verify compares days of UTC alone"),
        (["--offline"], "verify --offline: it asks the API"),
        (["--month", "2999-01"], "has not begun"),
        (["--since", "2026-10-01T12:00"], "whole days of UTC"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], message: str
) -> None:
    done = command("verify", *arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    assert message in done.err
