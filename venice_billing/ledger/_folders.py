"""A folder of files that are replaced one by one, each by a rename: what is in it, what is new, what goes."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._files import is_anothers, is_still_at, lock, marked_name, sync_folder, unlock
from venice_billing._held_files import read_head
from venice_billing._targets import explained
from venice_billing.errors import ExportError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

FILE_NAME = "entries.parquet"
PARQUET_HEAD = b"PAR1"
_LEVELS = (re.compile(r"month=\d{4}-\d\d"), re.compile(r"currency=.*", re.DOTALL), re.compile(re.escape(FILE_NAME)))
_PASSED_OVER = (".", "_")  # engines read no file or folder of such a name
_STAGING = "dataset0"
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700  # a bill is private


def files_of(folder: Path) -> list[str]:
    """Return the files of a dataset, relative to its folder; none if there is no folder.

    Raises:
        InvalidParameterError: There is no folder but something else.
        ExportError: The folder is another user's, or holds what is of no dataset: engines would read it too.
    """
    with explained(folder):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            return []
        if not stat.S_ISDIR(status.st_mode):
            allowed = "a folder, not a symbolic link to one" if folder.is_symlink() else "a folder, not a file"
            raise InvalidParameterError("path", str(folder), allowed)
        if is_anothers(status):
            raise ExportError(f"{folder}: another user's folder, which is not written to; export to another path")
        return sorted(_files(folder, "", 0))


def _files(folder: Path, below: str, level: int) -> Iterator[str]:
    is_last = level == len(_LEVELS) - 1
    with os.scandir(folder / below) as scanned:
        items = list(scanned)
    for item in items:
        if item.name.startswith(_PASSED_OVER):
            continue
        path = f"{below}{item.name}"
        is_right = item.is_file(follow_symlinks=False) if is_last else item.is_dir(follow_symlinks=False)
        if not is_right or not _LEVELS[level].fullmatch(item.name):
            raise foreign(folder, path)
        if is_last:
            yield path
        else:
            yield from _files(folder, f"{path}/", level + 1)


def foreign(folder: Path, path: str) -> ExportError:
    """Return the error of a folder that holds a file which no export of a dataset wrote."""
    return ExportError(f"{folder}: holds {path}, which is of no dataset of a ledger; remove it, or name another folder")


@frozen
class Staged:
    """New files of a dataset, beside it.

    Attributes:
        folder: The folder of the dataset; it need not exist.
        path: Where the new files are, in a private folder.
    """

    folder: Path
    path: Path

    @contextmanager
    def file(self, path: str) -> Iterator[Path]:
        """Give the place of a new file, and see that it is private and on the disk at the end."""
        target = self.path / path
        with explained(target):
            _make_folders(target)
        yield target
        with explained(target), target.open("r+b") as file:
            target.chmod(_FILE_MODE)
            os.fsync(file.fileno())

    def publish(self, new: Sequence[str], removed: Sequence[str]) -> None:
        """Let the new files take their places, and remove those that are gone."""
        with explained(self.folder):
            if self.folder.exists():
                for path in new:
                    self._move(path)
            else:
                self.path.rename(self.folder)
            for path in removed:
                (self.folder / path).unlink(missing_ok=True)
            _remove_empty(self.folder)
            sync_folder(self.folder)
            sync_folder(self.folder.parent)

    def _move(self, path: str) -> None:
        target = self.folder / path
        _make_folders(target)
        (self.path / path).replace(target)
        sync_folder(target.parent)
        sync_folder(target.parent.parent)


@contextmanager
def staging(folder: Path) -> Iterator[Staged]:
    """Give a place for new files beside a dataset, locked against other exports to it; it is removed at the end.

    What a killed export has left there is removed at the beginning.
    """
    with explained(folder):
        # A folder that is a mount has no place beside it from which files can be renamed.
        near = folder / f".{_STAGING}" if folder.is_mount() else folder.with_name(f".{marked_name(folder, _STAGING)}")
    with _locked(near):
        yield Staged(folder, near)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Make a private folder, or take one that a killed export has left, for this export alone; then remove it."""
    with explained(folder):
        with suppress(FileExistsError):
            folder.mkdir(_FOLDER_MODE)
        status = folder.lstat()
        if not stat.S_ISDIR(status.st_mode) or is_anothers(status):
            raise ExportError(f"{folder}: not a folder of yours; remove it, or export to another path")
    if os.name == "nt":  # no folder can be opened there, so none can be locked
        _clear(folder)
        try:
            yield
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with explained(folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        with explained(folder):
            _claim(folder, descriptor)
        _clear(folder)
        try:
            yield
        finally:
            if is_still_at(folder, descriptor):  # and has not become the dataset
                shutil.rmtree(folder, ignore_errors=True)
            unlock(descriptor)
    finally:
        os.close(descriptor)


def _clear(folder: Path) -> None:
    """Remove what a killed export has left in a folder.

    Raises:
        ExportError: It holds something else, and stays as it is.
    """
    with explained(folder):
        for left in folder.rglob("*"):
            if not _is_leftover(left, len(left.relative_to(folder).parts) - 1):
                raise ExportError(
                    f"{folder}: holds {left.relative_to(folder).as_posix()}, which is none of a dataset, and an export "
                    "needs a folder of that name; move it away"
                )
        for left in folder.iterdir():
            shutil.rmtree(left)


def _is_leftover(left: Path, level: int) -> bool:
    if left.is_symlink() or level >= len(_LEVELS) or not _LEVELS[level].fullmatch(left.name):
        return False
    if level < len(_LEVELS) - 1:
        return left.is_dir()
    return left.is_file() and PARQUET_HEAD.startswith(read_head(left, len(PARQUET_HEAD)))


def _claim(folder: Path, descriptor: int) -> None:
    lock(descriptor, "this dataset")
    if not is_still_at(folder, descriptor):  # what was opened has become the dataset, by an export that ended just now
        raise BlockingIOError(errno.EAGAIN, "another export has just written this dataset; try again")


def _make_folders(place: Path) -> None:
    """Make the folders of a month and a currency, private ones."""
    for folder in (place.parent.parent, place.parent):
        folder.mkdir(_FOLDER_MODE, exist_ok=True)


def _remove_empty(folder: Path) -> None:
    """Remove folders of months and currencies that hold nothing more."""
    for month in folder.glob("month=*"):
        for currency in [*month.glob("currency=*"), month]:
            with suppress(OSError):
                currency.rmdir()
