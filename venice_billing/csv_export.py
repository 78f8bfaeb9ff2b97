"""CSV pages -> one file: written beside the target, renamed at the end, resumed from what is already there.

The partial file is its own state: its last whole record tells where the export stands, so that a crash at any
byte costs at most that record. Its name holds a digest of the filters, so that another export never goes on in it.
"""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._csv import TimeColumn, closed_records, joined, newline_of, without_newline
from venice_billing._ledgers import CsvLedger
from venice_billing._walk import Place
from venice_billing.errors import (
    ExportError,
    InvalidParameterError,
    ResponseValidationError,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from typing import BinaryIO

    from venice_billing._call import Policy
    from venice_billing._checkpoint import Filters

_MODE = 0o600  # a bill is its owner's business


@frozen
class CsvExport:
    """What an export wrote.

    Attributes:
        path: The file.
        rows: The charges in it; the header row does not count.
        resumed_rows: How many of them were there already, from an export that was cut short.
        size: Bytes in the file.
    """

    path: Path
    rows: int
    resumed_rows: int
    size: int


class CsvFile:
    """A CSV file while it is written. Blocking: the async client calls it from a worker thread.

    Attributes:
        filters: What it holds.
        ledger: The ledger to walk for it; it knows the header that the file has already.
        place: Where the file ends.
    """

    def __init__(self, path: object, filters: Filters, policy: Policy, *, resume: bool) -> None:
        self._target = _target(path)
        self.filters = filters
        self._partial = self._target.with_name(f"{self._target.name}.{_mark(filters)}.partial")
        with _explained(self._partial):
            self._file = _opened(self._partial)
            try:
                part = _whole_part(self._file, filters.bounds.start) if resume else None
                self._file.seek(part.size if part else 0)
                self._file.truncate()
            except BaseException:
                self._file.close()
                raise
        self._rows = self._resumed_rows = part.rows if part else 0
        self._headed = part is not None
        self.ledger = CsvLedger(policy, filters.currency, filters.bounds.start)
        self.place = Place()
        if part is not None:
            self.ledger.go_on_after(part.header, part.newline, part.column)
            self.place = self.place.after(part.tail, self.ledger)

    def append(self, records: Sequence[bytes]) -> None:
        """Write records, each with its bytes as sent."""
        with _explained(self._partial):
            self._write_header()
            self._file.write(joined(records, self.ledger.newline))
            self._file.flush()
        self._rows += len(records)

    def finish(self) -> CsvExport:
        """Put the whole file in the place of the target, and say what it holds."""
        with _explained(self._target):
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            if os.name == "nt":  # where an open file cannot be renamed; elsewhere the lock is kept until it is
                self._file.close()
            self._partial.replace(self._target)
            self._file.close()
            _sync_folder(self._target.parent)
        return CsvExport(self._target, self._rows, self._resumed_rows, size)

    def close(self) -> None:
        """Let go of the partial file; it stays for the next run."""
        with suppress(OSError):  # on a full disk: what could not be written was told already, and is fetched again
            self._file.close()

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Name the partial file in the error of an export that is cut short: it is the export's checkpoint."""
        try:
            yield
        except VeniceError as error:
            error.checkpoint = str(self._partial)
            raise

    def _write_header(self) -> None:
        if not self._headed and self.ledger.header is not None:
            self._file.write(self.ledger.header + self.ledger.newline)
            self._headed = True


@frozen
class _Part:
    """What is whole in a partial file.

    Attributes:
        header: Without its line break.
        newline: The line break after it.
        column: Where the timestamps are.
        tail: The records of the last instant.
        rows: How many records there are.
        size: Bytes up to the end of the last one.
    """

    header: bytes
    newline: bytes
    column: TimeColumn
    tail: Sequence[bytes]
    rows: int
    size: int


def _whole_part(file: BinaryIO, start: datetime | None) -> _Part | None:
    """Read what is whole: a crash, or a full disk, may have cut the last record anywhere."""
    records = (record for record in closed_records(file) if record.endswith(b"\n"))
    first = next(records, None)
    if first is None:
        return None
    header = without_newline(first)
    column = TimeColumn(header, start)
    tail: list[bytes] = []
    rows, size = 0, len(first)
    for record in records:
        if tail and column.of(record) != column.of(tail[-1]):
            tail.clear()
        tail.append(record)
        rows += 1
        size += len(record)
    return _Part(header, newline_of(first), column, tail, rows, size)


def _mark(filters: Filters) -> str:
    """Return a digest of the filters, the same on every machine."""
    names = (filters.currency, filters.bounds.start, filters.bounds.end)
    return hashlib.blake2b("\n".join(map(str, names)).encode(), digest_size=4).hexdigest()


def _opened(path: Path) -> BinaryIO:
    """Open a partial file that no other export is writing; a link in its place is refused."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    while True:
        file = os.fdopen(os.open(path, flags, _MODE), "r+b")
        try:
            _lock(file)
            if _is_still_at(path, file):
                path.chmod(_MODE)
                return file
        except BaseException:
            file.close()
            raise
        file.close()  # the export that wrote it has just been finished, and it is the target now


def _lock(file: BinaryIO) -> None:
    """Keep other exports out until the file is closed, where the system can."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BlockingIOError(errno.EAGAIN, "another export is writing this file") from None
    except OSError:  # a file system without locks
        return


def _is_still_at(path: Path, file: BinaryIO) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    """Let the new name outlive a power cut, where the system has a way to ask for it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _is_encodable(name: str) -> bool:
    try:
        return b"\0" not in os.fsencode(name)
    except UnicodeEncodeError:
        return False


def _target(path: object) -> Path:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or not name.strip() or not _is_encodable(name):
        raise InvalidParameterError("path", path, "the path of a file to write")
    target = Path(name)
    with _explained(target):
        if target.exists() and not target.is_file():
            raise InvalidParameterError("path", name, "a file, not a folder or a device")
        if not target.parent.is_dir():
            raise InvalidParameterError("path", name, "in a folder that exists")
    return target


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what the file system says into an error of this package; the partial file stays where it is."""
    try:
        yield
    except OSError as error:
        raise ExportError(f"{path}: {error.strerror or error}; the same call goes on where it stopped") from error
    except ResponseValidationError as error:
        raise ExportError(f"{path}: not a partial export ({error}); remove it, or use resume=False") from error
