"""Where an export goes: the path that a user gives, checked; and a file that is there whole or not at all."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._files import (
    change_of,
    check_length,
    is_still_at,
    marked_name,
    open_own,
    release,
    sync_folder,
    target_problem,
)
from venice_billing._held_files import is_of_open_ledger, read_head
from venice_billing.errors import ExportError, InvalidParameterError

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator

_SLASHES = f"{os.sep}{os.altsep or ''}"
_ADVICE = "make room, or check the rights of the folder"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_HEAD_SIZE = 64
_DATABASE = b"DUCK"  # from the ninth byte on
_STATEMENTS = (b'{"format": 1, "month": "', b"# Statement of ")
_BESIDE_A_LEDGER = (".wal", ".sync", ".sync-wal", ".sync-shm", ".sync-journal")
_FOLDER_BESIDE = ".tmp"  # many programs name files so, until they are complete
_MARK = "rewrite0"  # other than the digests that mark a download, so that neither goes on with the other's file


def checked_path(path: object, what: str = "file") -> Path:
    """Return a path as given, made absolute now: the program may change its folder while the export runs.

    Args:
        path: The path as given.
        what: What is to be written there: a file, or a folder, whose path may end in a slash.

    Raises:
        InvalidParameterError: It is no text or path-like, has no name or that of a file beside a ledger, or lies in a
            folder that does not exist.
    """
    try:
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    except Exception:  # noqa: BLE001 - a path-like object may be foreign code
        name = None
    if not isinstance(name, str) or not name.strip() or not _is_encodable(name):
        raise InvalidParameterError("path", path, f"the path of a {what} to write, as text or a pathlib.Path")
    name = str.__str__(name)  # a plain text: an enum member would be formatted as its name
    bare = name if what == "file" else name.rstrip(_SLASHES)
    if os.path.basename(bare) in {"", os.curdir, os.pardir}:  # noqa: PTH119 - `Path` drops a slash at the end
        allowed = "the path of a file, not of a folder" if what == "file" else "the path of a folder, by its name"
        raise InvalidParameterError("path", name, allowed)
    with explained(Path(name)):
        target = Path(name).absolute()
        check_length(target)
        if not target.parent.is_dir():
            raise InvalidParameterError("path", name, "in a folder that exists")
        if _is_beside_a_ledger(target):
            endings = ", ".join((*_BESIDE_A_LEDGER, _FOLDER_BESIDE))
            raise InvalidParameterError("path", name, f"another name: beside a ledger, files end in {endings}")
    return target


def _is_beside_a_ledger(target: Path) -> bool:
    name = target.name.lower()  # some file systems do not tell upper case from lower
    if name.endswith(_BESIDE_A_LEDGER):
        return True
    if not name.endswith(_FOLDER_BESIDE):
        return False
    ledger = target.with_name(target.name[: -len(_FOLDER_BESIDE)])
    return ledger.is_file() and _head(ledger)[8:12] == _DATABASE


def checked_target(path: object, *, is_statement: bool = False) -> Path:
    """Return the absolute path of a file that may be written or replaced.

    Args:
        path: The path as given.
        is_statement: Whether a statement is to be written, which does not replace another one: see `write_statement`.

    Raises:
        InvalidParameterError: The path is none, or names something that is no file, a DuckDB database or a statement.
        ExportError: Another user's file is there.
    """
    target = checked_path(path)
    with explained(target):
        problem = target_problem(target)
    if problem == "another user's file":
        raise ExportError(f"{target}: {problem}, which is not replaced; remove it, or export to another path")
    if problem:
        allowed = "a file, not a folder or a device"
        if target.is_symlink():
            allowed = "a file, not a symbolic link, which would be replaced and not followed; pass the path it names"
        raise InvalidParameterError("path", str(path), allowed)
    is_held = is_of_open_ledger(target)
    head = b"" if is_held else _head(target)
    if is_held or head[8:12] == _DATABASE:
        raise InvalidParameterError(
            "path", str(path), "another file: a DuckDB database, as a ledger is, is not replaced"
        )
    if head.startswith(_STATEMENTS) and not is_statement:
        raise InvalidParameterError("path", str(path), "another file: a statement of a month is not replaced")
    return target


def _head(path: Path) -> bytes:
    """Return how a file begins: some hold what the API does not give again, or what somebody has signed."""
    try:
        return read_head(path, _HEAD_SIZE)
    except OSError:
        return b""


@contextmanager
def explained(path: Path, hint: Callable[[], str] = str) -> Iterator[None]:
    """Turn an error of the file system into an `ExportError` that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            allowed = f"shorter: this system takes no path of {len(os.fsencode(path))} bytes"
            raise InvalidParameterError("path", str(path), allowed) from error
        advice = hint() or ("make room" if error.errno in _NO_ROOM else "")
        raise ExportError("; ".join(filter(None, [f"{path}: {error.strerror or error}", advice]))) from error


@frozen
class Replacement:
    """A file that is written beside its target.

    Attributes:
        path: Its path.
        file: The open file, private to this user, empty at first, and locked against other exports.
    """

    path: Path
    file: io.FileIO


@contextmanager
def replacing(target: Path) -> Iterator[Replacement]:
    """Give an empty file beside the target; at the end it becomes the target, after an error it is removed.

    A process that is killed leaves it behind, and the next export to the same target overwrites it.
    """
    partial = target.with_name(f"{marked_name(target, _MARK)}.partial")
    with explained(partial):
        file = open_own(partial, locked=True)
    try:
        with explained(partial, lambda: _ADVICE):
            file.truncate(0)
            yield Replacement(partial, file)
        with explained(target, lambda: _ADVICE):
            _rename(partial, file, target)
    except BaseException:
        with suppress(OSError, ValueError):
            if os.name == "nt":  # there an open file cannot be removed
                file.close()
                partial.unlink()
            elif is_still_at(partial, file):
                partial.unlink()
        raise
    finally:
        release(file)


def _rename(partial: Path, file: io.FileIO, target: Path) -> None:
    os.fsync(file.fileno())
    if change := change_of(partial, file, os.fstat(file.fileno()).st_size):
        raise OSError(errno.EIO, f"{partial.name} {change} meanwhile")
    if problem := target_problem(target):
        raise FileExistsError(errno.EEXIST, f"meanwhile {problem} is there, which is not replaced")
    if os.name == "nt":  # there an open file cannot be renamed; elsewhere the lock is kept until the rename
        release(file)
    partial.replace(target)
    sync_folder(target.parent)


def _is_encodable(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False
