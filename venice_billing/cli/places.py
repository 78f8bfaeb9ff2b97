"""Where the configuration, the ledgers and the cache of the command lie. Imports little: `status` must be quick."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from venice_billing.cli.errors import UsageError

_APPLICATION = "venice-billing"


def config_path() -> Path:
    """Return where the configuration file lies: `VENICE_BILLING_CONFIG`, or the platform's place."""
    named = os.environ.get("VENICE_BILLING_CONFIG")
    if named:
        return expanded("VENICE_BILLING_CONFIG", named)
    return Path(_folders().user_config_dir(_APPLICATION)) / "config.toml"


def ledger_path(account: str | None) -> Path:
    """Return where the ledger of an account lies unless the file names another place."""
    return Path(_folders().user_data_dir(_APPLICATION)) / f"{account or 'default'}.duckdb"


def cache_path() -> Path:
    """Return the folder of what may be lost at any time."""
    return Path(_folders().user_cache_dir(_APPLICATION))


def expanded(name: str, text: str) -> Path:
    """Return a path whose `~` is a home.

    Raises:
        UsageError: There is no such home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise UsageError(f"{name} {text!r}: there is no such home") from None


def _folders() -> Any:
    try:
        return import_module("platformdirs")
    except ImportError:
        raise UsageError("this needs the extra `cli`: pip install 'venice-billing[cli]'") from None
