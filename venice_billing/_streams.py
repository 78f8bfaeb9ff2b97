"""Bytes into a file object: all of them, also where it takes a part or, as a full pipe does, nothing yet."""

from __future__ import annotations

import io
import selectors
import time
from typing import TYPE_CHECKING, Any

from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable

_PAUSE = 0.01  # seconds, where the system cannot tell when a file takes more
_LONGEST_WAIT = 1.0  # seconds between two looks


def checked_writer(file: Any) -> Callable[[bytes], object]:
    """Return a function that writes all that it is given to a file object.

    Raises:
        InvalidParameterError: The file is open in text mode.
    """
    if isinstance(file, io.TextIOBase):
        raise InvalidParameterError("path", type(file), "a file that is open in binary mode, like sys.stdout.buffer")
    if isinstance(file, io.RawIOBase):
        return lambda data: _write_raw(file, data)
    if isinstance(file, io.BufferedWriter):
        return lambda data: _write_buffered(file, data)
    write: Callable[[bytes], object] = file.write
    return write


def _write_raw(file: Any, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        written = file.write(rest)  # None: nothing yet
        if written is None:
            _wait(file)
        rest = rest[written or 0 :]


def _write_buffered(file: io.BufferedWriter, data: bytes) -> None:
    """Write, and flush: what is left in a buffer could not be written at the exit of the interpreter."""
    rest = memoryview(data)
    while rest:
        try:
            file.write(rest)
        except BlockingIOError as error:
            rest = rest[error.characters_written :]
            _wait(file)
        else:
            break
    while True:
        try:
            file.flush()
        except BlockingIOError:
            _wait(file)
        else:
            return


def _wait(file: Any) -> None:
    """Wait until a file may take more, or a moment."""
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(file, selectors.EVENT_WRITE)
            selector.select(_LONGEST_WAIT)
    except (OSError, ValueError):  # no real file, or one of a system that cannot wait for it
        time.sleep(_PAUSE)
