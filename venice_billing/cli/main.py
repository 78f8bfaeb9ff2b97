"""The entry of the command, and how it ends. Imports nothing but what every start needs."""

from __future__ import annotations

import os
import sys

from venice_billing.cli.streams import Remarks, discard_output

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_UNTOLD = 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if sys.stderr is None:  # closed by whoever started the command: what is said there is said to nobody
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - for the whole process
    stderr = sys.stderr
    remarks: Any = Remarks(stderr)
    sys.stderr = remarks
    try:
        return _ended(given)
    finally:
        remarks.flush()
        sys.stderr = stderr


def _ended(given: list[str]) -> int:
    """Run a command line to its end, whatever becomes of the output, and return the exit code."""
    try:
        if sys.stdout is None:
            return _untold("standard output is closed")
        code = _version() if given == ["--version"] else _run(given)
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough; a finding keeps its exit code, see `app`
        discard_output()
        return 0
    except OSError as error:  # a full disk
        discard_output()
        return _untold(f"the output cannot be written: {error.strerror or error}")
    return _flushed(code)


def _flushed(code: int) -> int:
    """Write out what is left of the output, and return the exit code."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        discard_output()
    except OSError as error:
        discard_output()
        return _untold(f"the output cannot be written: {error.strerror or error}")
    return code


def _run(given: list[str]) -> int:
    from venice_billing.cli.app import run  # noqa: PLC0415 - `--version` needs no parser

    return run(given)


def _version() -> int:
    from venice_billing import __version__  # noqa: PLC0415 - as above

    print(f"venice-billing {__version__}")  # noqa: T201 - the output of the command
    return 0


def _untold(reason: str) -> int:
    print(f"venice-billing: {reason}", file=sys.stderr)  # noqa: T201 - the output of the command
    return _UNTOLD
