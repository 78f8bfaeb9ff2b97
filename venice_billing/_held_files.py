"""Files that this process must not open and close, since that would give up the locks on them.

By the rules of POSIX, a process that closes one descriptor of a file gives up all locks that it has on the file. DuckDB
locks its files so, and does not see it: another process could then write to a ledger that is open here. So a file that
is open is read through the descriptor that is there, and a file of a ledger that is open is opened by nothing else.

What is open, the system tells: descriptors also of a connection that somebody forgot to close, or of a parent. Windows
has other locks, which closing leaves alone.
"""

from __future__ import annotations

import os
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from venice_billing._forks import reset_in_children

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FOLDERS = {"linux": "/proc/self/fd", "darwin": "/dev/fd"}
_MOST_DESCRIPTORS = 65536
_LOCKED_ENDINGS = (".wal", ".sync", ".sync-wal", ".sync-shm")
_HAS_POSIX_LOCKS = os.name != "nt"

_File = tuple[int, int]


class _Opening:
    """Lets one thread at a time open a file that may be, or become, one of a ledger."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        reset_in_children(self)

    def reset_after_fork(self) -> None:
        """Take a lock that no thread of the parent has."""
        self.lock = threading.RLock()


_opening = _Opening()
_ledgers: dict[_File, tuple[Path, int]] = {}
"""The name under which each ledger was opened, and by which process."""


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Keep other threads from opening files of ledgers, between a look at a file and its opening."""
    with _opening.lock:
        yield


def note_ledger(path: Path) -> None:
    """Note that a ledger is open now."""
    if _HAS_POSIX_LOCKS:
        with one_at_a_time():
            _ledgers[_file(path.stat())] = (path, os.getpid())


def note_closing() -> None:
    """Note that a ledger was closed; what still reads it keeps its file open."""
    if _HAS_POSIX_LOCKS:
        with one_at_a_time():
            _open_ledgers()


def obstacle(path: Path) -> str:
    """Return why a ledger cannot be opened in this process, though the system would allow it; empty if it can."""
    if not _HAS_POSIX_LOCKS:
        return ""
    with one_at_a_time():
        file = _file_at(path)
        for other, (name, process) in _open_ledgers().items():
            if file == other or path == name:
                return _clash(path, name, process, is_same_file=file == other)
        if file is not None and _descriptors(file):
            return "this process has the file open by other means, and would give up its lock with it; close it first"
    return ""


def _clash(path: Path, name: Path, process: int, *, is_same_file: bool) -> str:
    if process != os.getpid():
        return "opened before the fork of this process; open it in a process that is started anew"
    if path != name:
        return f"another name of {name}, which is open in this process; use one name"
    if not is_same_file:
        return "this process still has the file open that was there before; close that ledger first"
    return ""


def is_of_open_ledger(path: Path) -> bool:
    """Tell whether a file, by whatever name, is one of a ledger that is open in this process, or in its parent."""
    file = _file_at(path) if _HAS_POSIX_LOCKS else None
    if file is None:
        return False
    with one_at_a_time():
        ledgers = _open_ledgers()
        return file in ledgers or any(
            file == _file_at(name.with_name(f"{name.name}{ending}"))
            for name, _ in ledgers.values()
            for ending in _LOCKED_ENDINGS
        )


def read_head(path: Path, size: int) -> bytes:
    """Return how a file begins, at most `size` bytes.

    Raises:
        OSError: It cannot be read; also if it is open here, but not to be read.
    """
    with one_at_a_time():
        status = path.stat()
        descriptors = _descriptors(_file(status)) if _HAS_POSIX_LOCKS and stat.S_ISREG(status.st_mode) else []
        if not descriptors:
            with path.open("rb") as file:
                return file.read(size)
        for descriptor in descriptors[:-1]:
            with suppress(OSError):
                return os.pread(descriptor, size, 0)
        return os.pread(descriptors[-1], size, 0)


def _open_ledgers() -> dict[_File, tuple[Path, int]]:
    """Return the ledgers that are open, and forget those that are not any more."""
    if _ledgers:
        is_open = {file for file, _ in _all_descriptors()}
        for file in _ledgers.keys() - is_open:
            del _ledgers[file]
    return _ledgers


def _descriptors(file: _File) -> list[int]:
    return [descriptor for found, descriptor in _all_descriptors() if found == file]


def _all_descriptors() -> list[tuple[_File, int]]:
    """Return what is open in this process, each with its descriptor."""
    found = []
    for descriptor in _numbers():
        with suppress(OSError):
            found.append((_file(os.fstat(descriptor)), descriptor))
    return found


def _numbers() -> Iterator[int]:
    try:
        yield from map(int, os.listdir(_FOLDERS[sys.platform]))  # noqa: PTH208 - names alone
    except (KeyError, OSError):  # another system, or no /proc
        yield from range(min(os.sysconf("SC_OPEN_MAX"), _MOST_DESCRIPTORS))


def _file_at(path: Path) -> _File | None:
    try:
        return _file(path.stat())
    except OSError:
        return None


def _file(status: os.stat_result) -> _File:
    return (status.st_dev, status.st_ino)
