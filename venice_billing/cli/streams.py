"""The standard streams of the process, where their other end has gone, or takes nothing any more."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from typing import Any, TextIO

__all__ = ["Remarks", "discard_output"]


class Remarks:
    """Standard error, but what cannot be written there is dropped: the exit code still says what was found."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError):  # a full disk, a reader that has gone, a stream that was closed
            _discard(self._stream)
            return len(text)

    def flush(self) -> None:
        """Write out what is left, or drop it."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            _discard(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def discard_output() -> None:
    """Lead what is still to be flushed nowhere, so that the exit of the interpreter does not complain."""
    _discard(sys.stdout)


def _discard(stream: TextIO) -> None:
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, stream.fileno())
    except (OSError, ValueError):  # no real file, as in a test
        pass
    finally:
        os.close(sink)
