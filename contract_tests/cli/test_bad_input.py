"""What is given wrongly: one line that names it and what is allowed, exit code 2, and nothing is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]

WITH_PERIOD = (["spend"], ["check", "--max-spend", "5USD"])
WRONG_PERIODS = [
    (["tomorrow"], ["'tomorrow'", "today, yesterday, this-month, last-month"]),
    (["--month", "2026-13"], ["--month '2026-13'", "a month like 2026-10"]),
    (["--month", "0000-01"], ["--month '0000-01'", "a month like 2026-10"]),
    (["--month", "10/2026"], ["--month '10/2026'", "a month like 2026-10"]),
    (["--month", "\uff12\uff10\uff12\uff16-10"], ["--month", "a month like 2026-10"]),
    (["--month", ""], ["--month ''", "a month like 2026-10"]),
    (["--last", "0d"], ["--last '0d'", "like 7d, 4w or 3m"]),
    (["--last", "7"], ["--last '7'", "like 7d, 4w or 3m"]),
    (["--last", "1y"], ["--last '1y'", "like 7d, 4w or 3m"]),
    (["--last=-7d"], ["--last '-7d'", "like 7d, 4w or 3m"]),
    (["--since", "2026-02-30"], ["--since '2026-02-30'", "a date like 2026-10-31"]),
    (["--since", "yesterday"], ["--since 'yesterday'", "a date like 2026-10-31"]),
    (["--since", "2999-01-01"], ["--since 2999-01-01", "future"]),
    (["--since", "2026-10-02", "--until", "2026-10-01"], ["--until 2026-10-01", "after --since 2026-10-02"]),
    (["--since", "2026-10-02", "--until", "soon"], ["--until 'soon'", "a date like 2026-10-31"]),
    (["--until", "2026-10-01"], ["--until 2026-10-01", "needs --since"]),
    (["today", "--last", "7d"], ["PERIOD and --last", "give one of"]),
]
WRONG_OF_ALL = [
    (["--timezone", "Mars/Olympus"], ["--timezone", "'Mars/Olympus'", "IANA"]),
    (["--timezone", ""], ["--timezone", "IANA"]),
    (["--timezone", "../etc/passwd"], ["--timezone", "IANA"]),
    (["--format", "xml"], ["--format 'xml'", "table, json, jsonl, csv, md"]),
    (["--account", ""], ["account ''", "it has none"]),
    (["--account", "nobody"], ["account 'nobody'", "it has none"]),
    (["--account", "a", "--ledger", "b"], ["--ledger", "not allowed with", "--account"]),
]
WRONG = [
    *[([*command, *period], said) for command in WITH_PERIOD for period, said in WRONG_PERIODS],
    *[([*command, *words], said) for command in WITH_PERIOD for words, said in WRONG_OF_ALL],
    (["spend", "--currency", "EUR"], ["--currency 'EUR'", "USD"]),
    (["spend", "--currency", "usd"], ["--currency 'usd'", "USD"]),
    (["spend", "--by", "colour"], ["'colour'", "day, week, month, model"]),
    (["spend", "--by", "day,model,key"], ["--by", "two"]),
    (["spend", "--compare", "--by", "day"], ["--compare", "day"]),
    (["spend", "--budget", "5"], ["--budget"]),
    (["check"], ["give --max-spend, --min-balance, --forecast or --per-key"]),
    *[
        (["check", rule, text], [f"{rule} {text!r}", "like 50USD"])
        for rule in ("--max-spend", "--forecast", "--per-key")
        for text in ("50", "USD", "50 %", "20%", "-5USD", "1e9USD", "NaNUSD", "")
        if not text.startswith("-")
    ],
    (["check", "--max-spend", "50EUR"], ["--max-spend 'EUR'", "USD"]),
    (["check", "--min-balance", "5EUR"], ["--min-balance '5EUR'", "USD, in DIEM, or in %"]),
    (["check", "--max-spend", "5USD", "--format", "xml"], ["--format 'xml'", "prometheus"]),
    (["balance", "--format", "prometheus"], ["--format 'prometheus'", "table, json, jsonl, csv, md"]),
    (["sync", "--offline"], ["--offline"]),
    (["spent"], ["'spent'", "spend"]),
    (["balance", "now"], ["now"]),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(words) for words, _ in WRONG])
def test_what_is_wrong_is_named_before_anything_is_sent(
    account: FakeVenice, command: Command, arguments: list[str], said: list[str]
) -> None:
    done = command(*arguments)
    assert (done.code, done.out, account.requests) == (2, "", [])
    (line,) = done.err.splitlines()
    assert line.startswith("venice-billing: ")
    assert [part for part in said if part not in line] == [], line


@pytest.mark.parametrize("name", ["spend", "sync", "check --max-spend 5USD"])
def test_file_that_is_no_ledger_is_named(account: FakeVenice, command: Command, tmp_path: Path, name: str) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG" + bytes(5000))
    for path in (picture, tmp_path):
        done = command("--ledger", str(path), *name.split())
        assert (done.code, done.out, account.requests) == (2, "", [])
        (line,) = done.err.splitlines()
        assert str(path) in line
