"""The configuration file: accounts by name, where their ledgers lie, and how their keys are got.

```toml
account = "work"               # taken where no --account is given
timezone = "Europe/Berlin"

[accounts.work]
key_command = "pass show venice/admin"
ledger = "~/venice-work.duckdb"
base_url = "https://api.venice.ai/api/v1"
```
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import tomllib
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from venice_billing.cli.errors import CommandError, UsageError
from venice_billing.cli.places import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["AccountSettings", "Config", "key_of", "load"]

_APPLICATION = "venice-billing"
_TOP = ("account", "timezone", "accounts")
_ACCOUNT = ("key", "key_command", "base_url", "ledger", "timezone")
_WORD = re.compile(r"[a-z][a-z_-]{0,20}")
SECONDS = 60.0
_FAILURES: dict[type[Exception], str] = {
    ValueError: "its quotes are not closed",
    FileNotFoundError: "there is no such program",
    PermissionError: "it may not be run",
}


@frozen(kw_only=True)
class AccountSettings:
    """What the file says of an account.

    Attributes:
        name: Its name.
        key: The API key; the file must be readable by its owner alone.
        key_command: A command that prints the key.
        base_url: Where its API is.
        ledger: The file of its ledger.
        timezone: The IANA time zone of its days and months.
    """

    name: str
    key: str | None = field(default=None, repr=False)
    key_command: str | None = field(default=None, repr=False)
    base_url: str | None = None
    ledger: Path | None = None
    timezone: str | None = None


@frozen(kw_only=True)
class Config:
    """What the configuration file says.

    Attributes:
        path: The file.
        default: The account that is taken where none is named.
        timezone: The IANA time zone of days and months.
        accounts: The accounts by name.
    """

    path: Path
    default: str | None = None
    timezone: str | None = None
    accounts: Mapping[str, AccountSettings] = field(factory=dict)

    def account(self, name: str | None) -> AccountSettings | None:
        """Return the settings of an account, by default those of the default one; None: nothing is configured.

        Raises:
            UsageError: There is no such account.
        """
        wanted = self.default if name is None else name
        if wanted is None:
            return None
        if wanted not in self.accounts:
            known = ", ".join(map(repr, self.accounts)) or "none"
            raise UsageError(f"account {wanted!r} is not in {self.path}: it has {known}")
        return self.accounts[wanted]


def load(path: Path) -> Config:
    """Read the configuration file; a missing one is an empty one, unless `VENICE_BILLING_CONFIG` names it.

    Raises:
        UsageError: It cannot be read, or something in it is not as it should be.
    """
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if os.environ.get("VENICE_BILLING_CONFIG"):  # a typing error must not lead to another account or zone
            raise UsageError(f"VENICE_BILLING_CONFIG {str(path)!r}: there is no such file") from None
        return Config(path=path)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    try:
        document = tomllib.loads(text.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"{path} is no TOML: {_shown(error)}") from None
    return _config(path, document)


def key_of(account: AccountSettings, seconds: float = SECONDS) -> str | None:
    """Return the key that the settings of an account lead to; None: they name none.

    Args:
        account: The settings.
        seconds: How long a command that prints the key may take.

    Raises:
        CommandError: The command that should print it failed.
    """
    if account.key_command is not None:
        return _printed_key(account.key_command, seconds)
    return account.key if account.key is not None else _kept_key(account.name)


def _config(path: Path, document: Mapping[str, Any]) -> Config:
    _known(path, "", document, _TOP)
    tables = document.get("accounts", {})
    if not isinstance(tables, dict):
        raise UsageError(f"{path}: accounts: tables like [accounts.work]")
    accounts = {name: _account(path, name, table) for name, table in tables.items()}
    config = Config(
        path=path,
        default=_text(path, "account", document.get("account")),
        timezone=_text(path, "timezone", document.get("timezone")),
        accounts=accounts,
    )
    if any(account.key is not None for account in accounts.values()):
        _refuse_readable(path)
    if config.default is not None:
        config.account(config.default)
    return config


def _account(path: Path, name: str, table: object) -> AccountSettings:
    where = f"accounts.{name}"
    if not isinstance(table, dict):
        raise UsageError(f"{path}: {where}: a table like [{where}]")
    _known(path, f"{where}.", table, _ACCOUNT)
    texts = {key: _text(path, f"{where}.{key}", table.get(key)) for key in _ACCOUNT}
    if texts["key"] is not None and texts["key_command"] is not None:
        raise UsageError(f"{path}: {where} has key and key_command: give one of them")
    ledger = texts.pop("ledger")
    return AccountSettings(name=name, ledger=None if ledger is None else _beside(path, ledger), **texts)


def _beside(path: Path, text: str) -> Path:
    """Return a path of the file: `~` is the home, and what is relative is so to the file."""
    return path.parent / expanded(f"{path}: ledger", text)


def _known(path: Path, prefix: str, table: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in table:
        if name not in known:
            meant = get_close_matches(name.lower(), known, n=1)
            is_word = meant or _WORD.fullmatch(name)  # else it may be a key
            shown = f"{prefix}{name}" if is_word else f"a name in [{prefix.rstrip('.') or 'the top'}]"
            raise UsageError(f"{path}: {shown} is unknown: one of {', '.join(known)}")


def _text(path: Path, name: str, value: object) -> str | None:
    if value is not None and (not isinstance(value, str) or not value):
        raise UsageError(f"{path}: {name} is not a text that says something")  # the value may be a key
    return value


def _refuse_readable(path: Path) -> None:
    """Refuse a file with a key that others may read."""
    if os.name != "nt" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise UsageError(f"{path} holds a key and others may read it: chmod 600 {shlex.quote(str(path))}")


def _printed_key(command: str, seconds: float) -> str:
    try:
        words = shlex.split(command)
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=seconds)  # noqa: S603
    except subprocess.TimeoutExpired:
        raise CommandError(f"key_command failed: it took more than {seconds:g} s") from None
    except (ValueError, OSError, UnicodeDecodeError) as error:
        raise CommandError(f"key_command failed: {_FAILURES.get(type(error), type(error).__name__)}") from None
    lines = done.stdout.splitlines()
    if done.returncode or not lines or not lines[0].strip():
        reason = f"exit code {done.returncode}" if done.returncode else "it printed nothing"
        raise CommandError(f"key_command gave no key: {reason}")
    return lines[0].strip()


def _kept_key(account: str) -> str | None:
    """Return the key that the package keyring keeps for an account, where it is installed."""
    try:
        keyring = import_module("keyring")
    except ImportError:
        return None
    try:
        kept = keyring.get_password(_APPLICATION, account)
    except Exception as error:  # noqa: BLE001 - any backend may be behind it
        raise CommandError(f"keyring failed: {type(error).__name__}") from None
    return kept if isinstance(kept, str) and kept else None


def _shown(error: Exception) -> str:
    """Return what is wrong without the line it stands on, which may hold a key."""
    return f"byte {error.start}" if isinstance(error, UnicodeDecodeError) else str(error).partition(":")[0]
