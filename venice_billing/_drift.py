"""Log what no document names: unknown fields and values are kept as data, and each is logged once at INFO."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venice_billing._secret import Secret

_log = logging.getLogger("venice_billing")
_KEPT = 1000
_NAME_LIMIT = 80
_LONGEST_READ = 4096
_noted: set[tuple[str, str]] = set()


def note(kind: str, name: str, secret: Secret | None = None, *, fate: str = "kept as data") -> None:
    """Log a name that no document has, unless it was logged before in this process.

    A server may use the key as a name; the key is masked in what is remembered and logged.
    """
    if (kind, name) in _noted:
        return
    name = name[:_LONGEST_READ]
    name = (secret.masked(name) if secret else name)[:_NAME_LIMIT]
    if (kind, name) not in _noted and len(_noted) < _KEPT:
        _noted.add((kind, name))
        _log.info("not in the contract, %s: %s %r", fate, kind, name)
