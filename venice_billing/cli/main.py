"""The entry of the command, and how it ends. Imports nothing but what every start needs."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_INTERRUPTED = 130  # 128 + SIGINT, as shells have it


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, by default that of the process, and return its exit code."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        code = _version() if given == ["--version"] else _run(given)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough
        _discard_output()
        return 0
    return code


def _run(given: list[str]) -> int:
    from venice_billing.cli.app import run  # noqa: PLC0415 - `--version` needs no parser

    return run(given)


def _version() -> int:
    from venice_billing import __version__  # noqa: PLC0415 - as above

    print(f"venice-billing {__version__}")  # noqa: T201 - the output of the command
    return 0


def _discard_output() -> None:
    """Lead what is still to be flushed nowhere, so that the exit of the interpreter does not complain."""
    sink = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(sink, stream.fileno())
        except (OSError, ValueError):  # no real file, as in a test
            continue
    os.close(sink)
