"""`VENICE_LOG=info|debug`: what this package logs, on stderr, for programs that have not set up logging."""

from __future__ import annotations

import logging
import os

from venice_billing.errors import InvalidParameterError

_VARIABLE = "VENICE_LOG"
_LEVELS = {"info": logging.INFO, "debug": logging.DEBUG}
_log = logging.getLogger("venice_billing")


def configure_from_environment() -> None:
    """Set the level that `VENICE_LOG` names, if any; a second call changes nothing.

    The loggers of httpx and httpcore are left alone: at DEBUG the latter shows all that servers send, unmasked.

    Raises:
        InvalidParameterError: The variable names no level.
    """
    named = os.environ.get(_VARIABLE, "").strip()
    if not named:
        return
    if named.lower() not in _LEVELS:
        raise InvalidParameterError(f"the environment variable {_VARIABLE}", named, "'info' or 'debug', or left out")
    _log.setLevel(_LEVELS[named.lower()])
    _log.addHandler(_stderr)


class _Fallback(logging.StreamHandler):  # type: ignore[type-arg] # not subscriptable at run time
    """Writes to stderr as long as the program has no handler of its own, so that no line appears twice."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            super().emit(record)


_stderr = _Fallback()
_stderr.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s"))
