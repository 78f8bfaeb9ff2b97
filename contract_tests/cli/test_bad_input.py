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
    (["spend", "--currency", ""], ["--currency ''", "USD"]),
    (["spend", "--last", "-7d"], ["--last '-7d'", "like 7d, 4w or 3m"]),
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
    (["sync", "--ledger", ""], ["--ledger ''", "a path"]),
    (["status", "--wait", "0"], ["--wait 0", "more than 0 s"]),
    (["status", "--max-age", "soon"], ["--max-age 'soon'", "30s, 5m, 1h or 2d"]),
    (["export"], ["FILE|-"]),
    (["export", ""], ["FILE ''"]),
    (["export", "charges.txt"], ["FILE 'charges.txt'", ".csv, .jsonl, .ndjson, .parquet"]),
    (["export", "a.csv", "--as", "xls"], ["--as 'xls'", "csv, jsonl, parquet, dataset, focus, api-csv"]),
    (["export", "no/such/folder/a.csv"], ["FILE 'no/such/folder/a.csv'", "a folder that exists"]),
    (["export", "a.csv", "--all", "today"], ["--all and a PERIOD"]),
    (["export", "a.csv", "--diem-usd", "1"], ["--diem-usd", "--as focus"]),
    (["export", "a.csv", "--as", "focus", "--diem-usd", "-1"], ["--diem-usd '-1'", "at least 0, like 0.25"]),
    (["export", "a.csv", "--as", "focus", "--diem-usd", "nan"], ["--diem-usd 'nan'", "at least 0, like 0.25"]),
    (["export", "a.csv", "--as", "focus", "--focus-version", "1.0"], ["--focus-version '1.0'", "1.2, 1.4"]),
    (["export", "-", "--as", "parquet"], ["--as parquet", "csv, jsonl, focus or api-csv"]),
    (["export", "a.csv", "--month", "2999-01"], ["2999-01 has not begun"]),
    (["close"], ["MONTH"]),
    (["close", "2026-13"], ["MONTH '2026-13'", "a month like 2026-10"]),
    (["close", "october"], ["MONTH 'october'", "last-month or this-month"]),
    (["close", "2026-09", "--overlap", "-1d"], ["--overlap '-1d'", "like 90s, 15m, 2h or 2d"]),
    (["close", "2026-09", "--revision", "1"], ["--revision", "--show"]),
    (["close", "2026-09", "--show", "--revision", "0"], ["--revision '0'", "from 1 on"]),
    (["close", "2026-09", "--output", ""], ["--output ''", "a path"]),
    (["adjustments", "--since", "soon"], ["--since 'soon'", "a date like 2026-10-31"]),
    (["reconcile"], ["LOG is missing", ".jsonl or .csv"]),
    (["reconcile", "log.txt"], ["LOG 'log.txt'", ".jsonl, .ndjson, .csv"]),
    (["reconcile", "no-such.csv"], ["LOG 'no-such.csv'", "No such file"]),
    (["reconcile", "-"], ["--as jsonl or --as csv"]),
    (["reconcile", "log.csv", "--show", "all"], ["--show 'all'", "matched"]),
    (["reconcile", "log.csv", "--time-tolerance", "1"], ["--time-tolerance '1'", "like 90s, 15m, 2h or 2d"]),
    (["verify", "--tolerance", "nan"], ["--tolerance 'nan'", "at least 0, like 0.000001"]),
    (["verify", "--timezone", "Europe/Berlin"], ["--timezone Europe/Berlin", "days of UTC alone"]),
    (["verify", "--since", "2026-10-01T12:00", "--until", "2026-10-03"], ["whole days of UTC"]),
    (["report"], ["FILE"]),
    (["report", "a.pdf"], [".html, .md, .svg or .png", "'a.pdf'"]),
    (["report", "-", "--format", "png"], ["--format png", "name a file"]),
    (["report", "no/such/folder/a.html"], ["in a folder that exists", "no/such/folder/a.html"]),
    (["serve-fake", "--port", "99999"], ["--port", "99999"]),
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
