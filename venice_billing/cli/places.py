"""Where the configuration, the ledgers and the cache of the command lie. Imports little: `status` must be quick."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path

from venice_billing.cli.errors import UsageError

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from typing import Any

_APPLICATION = "venice-billing"
_OF_LINUX = {
    "config": ("XDG_CONFIG_HOME", "~/.config"),
    "data": ("XDG_DATA_HOME", "~/.local/share"),
    "cache": ("XDG_CACHE_HOME", "~/.cache"),
}


def config_path() -> Path:
    """Return where the configuration file lies: `VENICE_BILLING_CONFIG`, or the platform's place."""
    named = os.environ.get("VENICE_BILLING_CONFIG")
    if named:
        return expanded("VENICE_BILLING_CONFIG", named)
    return _folder("config") / "config.toml"


def ledger_path(account: str | None) -> Path:
    """Return where the ledger of an account lies unless the file names another place."""
    return _folder("data") / f"{account or 'default'}.duckdb"


def cache_path() -> Path:
    """Return the folder of what may be lost at any time."""
    return _folder("cache")


def expanded(name: str, text: str) -> Path:
    """Return a path whose `~` is a home.

    Raises:
        UsageError: There is no such home, or the path is empty.
    """
    if not text.strip():
        raise UsageError(f"{name} {text!r}: a path, which has a name")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{name} {text!r}: there is no such home") from None


def _folder(kind: str) -> Path:
    """Return the user's folder of a kind, as platformdirs has it, whose import takes longer than all of `status`."""
    if sys.platform == "linux":
        variable, usual = _OF_LINUX[kind]
        named = os.environ.get(variable, "")
        return Path(named if os.path.isabs(named) else os.path.expanduser(usual), _APPLICATION)  # noqa: PTH111, PTH117
    try:
        folders: Any = import_module("platformdirs")
    except ImportError:
        raise UsageError("this needs the extra `cli`: pip install 'venice-billing[cli]'") from None
    return Path(getattr(folders, f"user_{kind}_dir")(_APPLICATION))
