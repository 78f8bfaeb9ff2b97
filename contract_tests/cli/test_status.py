"""`venice-billing status`: one line, from the cache, never waiting longer than asked."""

from __future__ import annotations

import json
import os
import stat
import time
from typing import TYPE_CHECKING

import pytest

from venice_billing.testing import Quirks, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]


def age(home: Path, seconds: float) -> None:
    (file,) = (home / "cache").rglob("*.json")
    kept = json.loads(file.read_text())
    file.write_text(json.dumps(kept | {"at": int(time.time() - seconds)}))


def test_line_is_kept_and_asked_anew_when_it_is_too_old(account: FakeVenice, home: Path, command: Command) -> None:
    first = command("status")
    assert (first.code, len(account.requests)) == (0, 1)
    assert first.out.startswith("venice ")
    assert " USD, " in first.out
    assert command("status") == first
    assert len(account.requests) == 1
    age(home, 400)
    command("status")
    assert len(account.requests) == 2
    age(home, 400)
    command("status", "--max-age", "1h")
    assert len(account.requests) == 2
    (file,) = (home / "cache").rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_old_line_is_said_with_its_age_where_the_api_is_silent(
    account: FakeVenice, home: Path, command: Command
) -> None:
    line = command("status").out.strip()
    account.quirks = Quirks(faults=lambda _seen: faults.hang(30))
    age(home, 7300)
    done = command("status", "--wait", "0.2")
    assert (done.code, done.out.strip()) == (0, f"{line} (2h old)")


def test_without_a_cache_nothing_can_be_told(account: FakeVenice, command: Command) -> None:
    account.quirks = Quirks(faults=lambda _seen: faults.hang(30))
    done = command("status", "--wait", "0.2")
    assert (done.code, done.out) == (3, "venice ?\n")


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"at": "now", "usd": 1, "diem": 2}', "\x00"])
def test_broken_cache_is_no_cache(account: FakeVenice, home: Path, command: Command, content: str) -> None:
    line = command("status")
    (file,) = (home / "cache").rglob("*.json")
    file.write_text(content)
    assert command("status") == line
    assert len(account.requests) == 2


def test_time_that_went_back_makes_the_line_too_old(account: FakeVenice, home: Path, command: Command) -> None:
    command("status")
    age(home, -5000)
    command("status")
    assert len(account.requests) == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_that_cannot_be_written(account: FakeVenice, home: Path, command: Command) -> None:
    (home / "cache").mkdir(mode=0o500)
    assert command("status").code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-age", "soon"], "--max-age 'soon': a time like 30s, 5m, 1h or 2d"),
        (["--wait", "0"], "--wait 0: more than 0 s, at most 60 s"),
        (["--wait", "2h"], "--wait 2h: more than 0 s, at most 60 s"),
    ],
)
def test_bad_input(account: FakeVenice, command: Command, arguments: list[str], message: str) -> None:
    done = command("status", *arguments)
    assert (done.code, account.requests) == (2, [])
    assert message in done.err


@pytest.mark.parametrize(
    "kept",
    [
        f'{{"at": {"9" * 400}, "usd": "1", "diem": "2"}}',
        f'{{"at": -{"9" * 400}, "usd": "1", "diem": "2"}}',
        '{"at": 1e400, "usd": "1", "diem": "2"}',
        f'{{"at": {int(time.time()) + 86_400}, "usd": "1", "diem": "2"}}',
        '{"at": 1700000000, "usd": "\\u001b[31m", "diem": "2"}',
        '{"at": 1700000000, "usd": 1, "diem": "2"}',
        "[" * 100_000,
        "",
    ],
    ids=["huge", "negative", "infinite", "future", "control", "number", "deep", "empty"],
)
def test_cache_that_says_nothing_sensible_is_done_without(
    account: FakeVenice, home: Path, command: Command, kept: str
) -> None:
    line = command("status").out
    (file,) = (home / "cache").rglob("*.json")
    file.write_text(kept)
    assert command("status", "--offline").out == "venice ?\n"
    assert command("status", "--max-age", "999999d").out == line


def test_command_that_prints_the_key_is_waited_for_no_longer(home: Path, command: Command) -> None:
    """The command would sleep for ten minutes: the test ends by its own limit, or not at all."""
    (home / "config.toml").write_text('[accounts.work]\nkey_command = "sleep 600"\n')
    done = command("--account", "work", "status", "--wait", "0.2")
    assert (done.code, done.err) == (3, "venice-billing: key_command failed: it took more than 0.2 s\n")


def test_zone_that_is_none_is_refused_though_no_day_is_shown(account: FakeVenice, command: Command) -> None:
    assert (command("status", "--timezone", "Nowhere/X").code, account.requests) == (2, [])
