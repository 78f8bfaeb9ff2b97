"""The configuration file: accounts, keys that stay secret, and what is wrong with it."""

from __future__ import annotations

import stat
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice

    Command = Callable[..., Done]

KEY = "secret-key-of-the-file-0123456789"


@pytest.fixture
def served(fake: FakeVenice, home: Path) -> Iterator[str]:
    """Serve the account, and return the lines that name it in the file."""
    with fake.serve() as server:
        yield f'base_url = "{server.base_url}"\n'


def write(home: Path, text: str, mode: int = 0o600) -> None:
    file = home / "config.toml"
    file.write_text(text)
    file.chmod(mode)


def printing(text: str) -> str:
    return f'key_command = """{sys.executable} -c "print(\'{text}\')\\""""'


def test_key_comes_from_a_command(fake: FakeVenice, served: str, home: Path, command: Command) -> None:
    write(home, f'account = "work"\n[accounts.work]\n{served}{printing(fake.admin_key)}\n', 0o644)
    assert command("balance", "--format", "json").code == 0
    assert fake.requests[-1].key == "admin"


def test_key_in_clear_is_taken_from_a_private_file_alone(
    fake: FakeVenice, served: str, home: Path, command: Command
) -> None:
    text = f'[accounts.work]\n{served}key = "{fake.admin_key}"\n'
    write(home, text, 0o600)
    assert command("balance", "--account", "work").code == 0
    for mode in (0o640, 0o604, 0o644):
        write(home, text, mode)
        done = command("balance", "--account", "work")
        assert done.code == 2
        assert "others may read it: chmod 600" in done.err


def test_named_account_wins_over_the_environment(
    fake: FakeVenice, served: str, home: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "the-key-of-another-account")
    write(home, f'account = "work"\n[accounts.work]\n{served}key = "{fake.admin_key}"\n')
    assert command("balance", "--account", "work").code == 0
    done = command("balance")  # nothing named: the environment counts
    assert done.code == 3
    assert fake.requests[-1].key == "wrong"


def test_time_zone_and_ledger_of_an_account(fake: FakeVenice, served: str, home: Path, command: Command) -> None:
    write(
        home,
        f'timezone = "Europe/Berlin"\n[accounts.work]\n{served}key = "{fake.admin_key}"\nledger = "work.duckdb"\n'
        '[accounts.far]\ntimezone = "Asia/Tokyo"\nkey = "another-key-of-the-file"\n',
    )
    assert command("sync", "--account", "work").code == 0
    assert stat.S_IMODE((home / "work.duckdb").stat().st_mode) == 0o600
    done = command("spend", "--account", "work", "--offline", "--format", "json")
    assert done.json["timezone"] == "Europe/Berlin"
    asked = command("spend", "--account", "work", "--offline", "--timezone", "UTC", "--format", "json")
    assert asked.json["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("key = [", "is no TOML"),
        (f'key = "{KEY}', "is no TOML"),
        (f'[accounts.work]\nkeyy = "{KEY}"', "accounts.work.keyy is unknown: one of key, key_command"),
        (f'apikey = "{KEY}"', "apikey is unknown: one of account, timezone, accounts"),
        (f'{KEY} = "key"', "a name in [the top] is unknown: one of account, timezone, accounts"),
        (f'[accounts]\nwork = "{KEY}"', "accounts.work: a table like [accounts.work]"),
        ("[accounts.work]\nkey = 5", "accounts.work.key is not a text"),
        ('[accounts.work]\nkey = ""', "accounts.work.key is not a text"),
        (f'[accounts.work]\nkey = "{KEY}"\nkey_command = "x"', "give one of them"),
        ('account = "home"\n[accounts.work]\nkey_command = "x"', "account 'home' is not in"),
        ('account = "work"\n[accounts.work]\nkey_command = "false"', "key_command gave no key: exit code 1"),
        ('account = "work"\n[accounts.work]\nkey_command = "true"', "key_command gave no key: it printed nothing"),
        (
            'account = "work"\n[accounts.work]\nkey_command = "/no/such/command"',
            "there is no such program",
        ),
        (
            'account = "work"\n[accounts.work]\nkey_command = "unbalanced \'"',
            "its quotes are not closed",
        ),
        ('account = "work"\n[accounts.work]', "account 'work' has no key"),
        ('timezone = "Mars/Olympus"', "config.toml: timezone must be an IANA time zone"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_without_the_key(
    home: Path, command: Command, text: str, message: str
) -> None:
    write(home, text)
    done = command("spend", "today")
    assert done.code in {2, 3}
    assert message in done.err
    assert KEY not in done.err


def test_file_that_cannot_be_read(home: Path, command: Command) -> None:
    (home / "config.toml").unlink()
    (home / "config.toml").mkdir()
    done = command("balance")
    assert (done.code, done.out) == (2, "")
    assert "config.toml" in done.err


def test_bytes_that_are_no_text(home: Path, command: Command) -> None:
    (home / "config.toml").write_bytes(b"\xff\xfe")
    assert "is no TOML: byte 0" in command("balance").err


def test_missing_file_is_refused_where_it_is_named(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENICE_BILLING_CONFIG", str(home / "confg.toml"))
    done = command("spend")
    assert (done.code, done.out) == (2, "")
    assert "confg.toml': there is no such file" in done.err
