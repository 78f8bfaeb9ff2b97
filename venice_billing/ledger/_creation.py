"""Make the file of a ledger in a private folder beside it, and remove what a process that was killed left of one."""

from __future__ import annotations

import glob
import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venice_billing._files import is_still_at, lock, unlock
from venice_billing.ledger import _schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_MODE = 0o600  # a bill is private
_NAME = "new.duckdb"
_MADE = {_NAME, f"{_NAME}.wal", f"{_NAME}.tmp"}
_LONGEST_NAME = 100
_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0)


def create(duckdb: Any, path: Path) -> None:
    """Make an empty ledger, then give it its name: no other process sees half of it."""
    with _private_folder(path) as folder:
        made = folder / _NAME
        with duckdb.connect(str(made)) as connection:
            connection.execute("BEGIN")
            for statement in _schema.creation():
                connection.execute(statement)
            connection.execute("COMMIT")
            connection.execute("CHECKPOINT")  # closing would not say that the disk is full
        made.chmod(_MODE)
        try:
            os.link(made, path)  # unlike a rename, replaces no file
        except FileExistsError:  # made by another process meanwhile
            return
        except OSError:  # a file system without hard links
            made.rename(path)


def remove_left(path: Path) -> None:
    """Remove the folders of processes that were killed; those of others, which make this ledger now, are locked."""
    for folder in path.parent.glob(f"{glob.escape(_prefix(path))}*"):
        descriptor = _claimed(folder)
        if descriptor is not None:
            if {item.name for item in folder.iterdir()} <= _MADE:  # else it is somebody's own
                shutil.rmtree(folder, ignore_errors=True)
            _release(descriptor)


@contextmanager
def _private_folder(path: Path) -> Iterator[Path]:
    folder, descriptor = _made_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            _release(descriptor)


def _made_folder(path: Path) -> tuple[Path, int | None]:
    """Make a folder, and lock it; another process may take it for one that was left, before it is locked."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=path.parent))
        descriptor = _claimed(folder)
        if descriptor is not None or os.name == "nt":  # where no folder can be opened, none is taken either
            return folder, descriptor
        shutil.rmtree(folder, ignore_errors=True)


def _claimed(folder: Path) -> int | None:
    """Lock a folder against other processes; None: one of them has it, or has removed it."""
    with suppress(OSError):
        descriptor = os.open(folder, _FLAGS)
        with suppress(BlockingIOError):
            lock(descriptor)
            if is_still_at(folder, descriptor):
                return descriptor
        os.close(descriptor)
    return None


def _release(descriptor: int) -> None:
    unlock(descriptor)
    os.close(descriptor)


def _prefix(path: Path) -> str:
    return f".{path.name[:_LONGEST_NAME]}.new0."
