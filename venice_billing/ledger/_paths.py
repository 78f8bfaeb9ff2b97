"""What may lie at the path of a ledger, and beside it: whatever is not the ledger's own is refused, and left alone."""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from venice_billing._held_files import read_head
from venice_billing.errors import InvalidParameterError, LedgerError
from venice_billing.ledger._entries import is_unicode
from venice_billing.ledger._messages import described, failure

_LONGEST_NAME = 240  # of 255 bytes: SQLite adds "-journal" to the name of the staging file
_LOGS = {  # how files of SQLite begin; nothing but zeros after a power cut
    "-wal": (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83"),
    "-shm": ((3007000).to_bytes(4, sys.byteorder), bytes(4)),
    "-journal": (b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7",),
}
_LOG_HEAD_SIZE = 16
_MARK_PLACE, _MARK = 8, b"DUCK"  # in the head of each file of DuckDB


def checked_path(path: object) -> Path:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or not name.strip() or "\0" in name or name == ":memory:":
        raise InvalidParameterError("path", path, "the path of a ledger file")
    try:
        file = Path(os.path.realpath(name))  # a link has no log of its own: DuckDB's log is beside the file
        if "?" in str(file) or not is_unicode(str(file)):
            raise InvalidParameterError("path", path, "the path of a ledger file: Unicode, and without '?'")
        if file.is_dir():
            raise LedgerError(f"{file}: a folder; name a file in it, like {file / 'venice.duckdb'}")
        if not file.parent.is_dir():
            raise LedgerError(f"{file}: there is no folder {file.parent}; make it first")
        if file.exists() and not file.is_file():
            raise LedgerError(f"{file}: a pipe or a device; choose another path")
    except OSError as error:
        raise failure(name, described(error)) from error
    if len(os.fsencode(file.name)) > _LONGEST_NAME:
        raise LedgerError(f"{file}: a name of more than {_LONGEST_NAME} bytes; choose a shorter one")
    return file


def refuse_foreign(path: Path) -> None:
    """Refuse a file that is none of DuckDB's, which would open others too, and a log that is none.

    Raises:
        LedgerError: There is one.
    """
    log = path.with_name(f"{path.name}.wal")
    refuse_irregular(log)
    try:
        head = read_head(path, _MARK_PLACE + len(_MARK))
    except FileNotFoundError:
        if log.exists() and log.stat().st_size:
            raise LedgerError(f"{log}: a log, but {path.name} is not there; move the log away") from None
        return
    except PermissionError:  # DuckDB says it too, and who has the file in use
        return
    if not head:
        raise LedgerError(f"{path}: an empty file; remove it, or choose another path")
    if head[_MARK_PLACE:] != _MARK:
        raise LedgerError(f"{path}: no DuckDB file; choose another path")


def refuse_foreign_logs(staging: Path) -> None:
    """Refuse what is named like a log of the staging file, but is none of SQLite's, which would drop it.

    Raises:
        LedgerError: There is one.
    """
    for ending, heads in _LOGS.items():
        log = staging.with_name(f"{staging.name}{ending}")
        with suppress(FileNotFoundError):
            head = read_head(log, _LOG_HEAD_SIZE)
            if any(head) and not head.startswith(heads):
                raise LedgerError(f"{log}: no log of SQLite, which needs a file of that name; move it away")


def refuse_irregular(file: Path) -> None:
    """Refuse a link, a folder or a device where a file of the ledger's own is needed.

    Raises:
        LedgerError: There is one.
    """
    try:
        mode = file.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        what = "a symbolic link" if stat.S_ISLNK(mode) else "a folder" if stat.S_ISDIR(mode) else "a pipe or a device"
        raise LedgerError(f"{file}: {what}, but the ledger needs a file of that name; move it away")
