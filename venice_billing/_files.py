"""Files that are written beside a target and renamed at the end: opened only if this user owns them, and locked."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from venice_billing._forks import reset_in_children
from venice_billing._held_files import is_of_open_ledger
from venice_billing.errors import ExportError, InvalidParameterError

if TYPE_CHECKING:
    from pathlib import Path

_MODE = 0o600  # a bill is private
_ATTEMPTS = 100
_NOT_OURS = (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.EACCES, errno.EPERM)
_LONGEST_NAME = 255  # if the system does not say
_LONGEST_SUFFIX = len(".progress")
_FLAGS = os.O_RDWR | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)


def check_length(target: Path) -> None:
    """Refuse a name that is too long for a file.

    Raises:
        InvalidParameterError: The name is too long.
    """
    length, limit = _length(target.name), _longest_name(target.parent)
    if length > limit:
        raise InvalidParameterError("path", str(target), f"a file whose name has at most {limit} bytes, not {length}")


def marked_name(target: Path, mark: str) -> str:
    """Return the name of a file beside `target`, without its suffix; a long name is cut and gets another mark."""
    room = _longest_name(target.parent) - len(f".{mark}") - _LONGEST_SUFFIX
    name = target.name
    if _length(name) > room:
        mark = hashlib.blake2b(f"{mark}\n".encode() + os.fsencode(name), digest_size=len(mark) // 2).hexdigest()
        while _length(name) > room:
            name = name[:-1]
    return f"{name}.{mark}"


class OwnFile(io.FileIO):
    """A file of this process alone. It is unbuffered, so that a child after `fork()` has no buffer to write again.

    A lock belongs to the open file, which a child shares: if only the child lived on, the lock would too.
    """

    def reset_after_fork(self) -> None:
        """Close the file in a child, and leave its lock to the parent."""
        with suppress(OSError):
            self.close()


def open_own(path: Path, *, locked: bool = False) -> io.FileIO:
    """Create a file, or open one that this user owns, without changing its content.

    Args:
        path: The path of the file.
        locked: Whether to keep other exports out until `release`, and to write at the end only: then a file that is
            truncated meanwhile gets no hole.

    Raises:
        ExportError: At the path is a link, no regular file, another user's file, or a file with a second name.
        OSError: The file cannot be created or opened, or another export is writing it.
    """
    for _ in range(_ATTEMPTS):
        file = OwnFile(_descriptor(path, os.O_APPEND if locked else 0), "r+")
        try:
            reset_in_children(file)
            if is_still_at(path, file):
                _check_own(path, os.fstat(file.fileno()))
                if locked:
                    lock(file)
            # If it moved: the export that wrote it has just finished and renamed it, so this file is the target now.
            if is_still_at(path, file):
                _restrict(file)
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    raise BlockingIOError(errno.EAGAIN, "other exports keep replacing this file")


def release(file: io.FileIO) -> None:
    """Unlock and close a file; closing alone would leave the lock with a child that has not closed the file yet."""
    if file.closed:
        return
    unlock(file)
    with suppress(OSError):
        file.close()


def unlock(file: io.FileIO | int) -> None:
    """Let other exports have a file or folder that is open, also where a child after `fork()` has it open too."""
    with suppress(OSError, ImportError):
        import fcntl  # noqa: PLC0415 - not on Windows

        fcntl.flock(file, fcntl.LOCK_UN)


def lock(file: io.FileIO | int, what: str = "this file") -> None:
    """Keep other exports out of a file or folder that is open, if the system has locks.

    Raises:
        BlockingIOError: Another export is writing it.
    """
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        problem = f"another export is writing {what}; wait for its end, or export to another path"
        raise BlockingIOError(errno.EAGAIN, problem) from None
    except OSError:  # a file system without locks
        return


def is_still_at(path: Path, file: io.FileIO | int) -> bool:
    """Tell whether `path` still names this very file or folder."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(file if isinstance(file, int) else file.fileno()))
    except FileNotFoundError:
        return False


def change_of(path: Path, file: io.FileIO, size: int) -> str:
    """Return what another program did to a file, as far as its path, its links and its size show; empty if nothing."""
    found = os.fstat(file.fileno())
    if not is_still_at(path, file):
        return "was removed or replaced"
    if found.st_nlink != 1:
        return "got a second name, by which another program can change it"
    return "" if found.st_size == size else "was changed by another program"


def target_problem(target: Path) -> str:
    """Return why an export must not replace what is at its target; empty if nothing or a file of this user is there."""
    try:
        found = target.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link"
    if not stat.S_ISREG(found.st_mode):
        return "a folder" if stat.S_ISDIR(found.st_mode) else "a device or a pipe"
    return "another user's file" if is_anothers(found) else ""


def is_anothers(found: os.stat_result) -> bool:
    """Tell whether a file or folder belongs to another user."""
    return hasattr(os, "geteuid") and found.st_uid != os.geteuid()


def write_all(file: io.FileIO, data: bytes) -> None:
    """Write all of `data`: a single write to a raw file may be short."""
    written = file.write(data)
    while written < len(data):
        data = data[written:]
        written = file.write(data)


def sync_folder(folder: Path) -> None:
    """Make a new name survive a power cut, if the system supports that."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _longest_name(folder: Path) -> int:
    try:
        told = os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):
        return _LONGEST_NAME
    return told if told > 0 else _LONGEST_NAME


def _length(name: str) -> int:
    """Return the length of a name in the units that the system counts: bytes; on Windows UTF-16 units."""
    return len(name.encode("utf-16-le", "surrogatepass")) // 2 if os.name == "nt" else len(os.fsencode(name))


def _descriptor(path: Path, flags: int) -> int:
    flags |= _FLAGS
    with suppress(FileExistsError):
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, _MODE)
    if is_of_open_ledger(path):
        raise _not_ours(path, "of a ledger that is open")
    try:
        return os.open(path, flags)
    except OSError as error:
        if error.errno in _NOT_OURS:
            raise _not_ours(path, error.strerror or str(error)) from error
        raise


def _check_own(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise _not_ours(path, "no regular file")
    if is_anothers(found):
        raise _not_ours(path, "another user's file")
    if found.st_nlink != 1:
        raise _not_ours(path, "a file with a second name")


def _not_ours(path: Path, problem: str) -> ExportError:
    return ExportError(f"{path}: not a partial export of yours ({problem}); remove it, or export to another folder")


def _restrict(file: io.FileIO) -> None:
    if hasattr(os, "fchmod"):
        os.fchmod(file.fileno(), _MODE)
