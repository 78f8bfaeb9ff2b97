"""CSV pages -> one file: written beside the target, renamed at the end, resumed from what is already there.

The partial file is its own state: its last whole record tells where the export stands, so that a crash at any
byte costs at most that record. Its name holds a digest of the filters, so that another export never goes on in it.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._checkpoint import Filters, encode
from venice_billing._csv import TimeColumn, closed_records, without_newline
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
    from typing import BinaryIO

    from venice_billing._call import Policy

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
        ledger: The ledger to walk for it; it knows the header that the file has already.
        place: Where the file ends.
    """

    def __init__(self, path: object, filters: Filters, policy: Policy, *, resume: bool) -> None:
        self._target = _target(path)
        mark = hashlib.blake2b(encode(filters, Place()).encode(), digest_size=4).hexdigest()
        self._partial = self._target.with_name(f"{self._target.name}.{mark}.partial")
        with _explained(self._partial):
            descriptor = os.open(self._partial, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), _MODE)
            self._file: BinaryIO = os.fdopen(descriptor, "r+b")
            header, tail, self._rows, size = _whole_part(self._file) if resume else (None, [], 0, 0)
            self._file.seek(size)
            self._file.truncate()
        self._resumed_rows = self._rows
        self._headed = header is not None
        self.ledger = CsvLedger(policy, filters.currency, header)
        self.place = Place().after(tail, self.ledger)

    def append(self, records: Sequence[bytes]) -> None:
        """Write records, each with its bytes as sent; one that lacks its line break gets the document's."""
        with _explained(self._partial):
            self._write_header()
            self._file.writelines(records)
            if not records[-1].endswith(b"\n"):
                self._file.write(self.ledger.newline)
            self._file.flush()
        self._rows += len(records)

    def finish(self) -> CsvExport:
        """Put the whole file in the place of the target, and say what it holds."""
        with _explained(self._target):
            self._write_header()
            self._file.flush()
            os.fsync(self._file.fileno())
            size = self._file.tell()
            self._file.close()
            self._partial.replace(self._target)
        return CsvExport(self._target, self._rows, self._resumed_rows, size)

    def close(self) -> None:
        """Let go of the partial file; it stays for the next run."""
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


def _whole_part(file: BinaryIO) -> tuple[bytes | None, list[bytes], int, int]:
    """Return the header, the records of the last instant, the number of records, and the bytes up to the last one."""
    header: bytes | None = None
    tail: list[bytes] = []
    rows = size = 0
    for record in closed_records(file):
        if not record.endswith(b"\n"):
            break
        if header is None:
            header = without_newline(record)
            column = TimeColumn(header)
        else:
            if tail and column.of(record) != column.of(tail[-1]):
                tail.clear()
            tail.append(record)
            rows += 1
        size += len(record)
    return header, tail, rows, size


def _target(path: object) -> Path:
    if not isinstance(path, str | os.PathLike) or not str(path).strip():
        raise InvalidParameterError("path", path, "the path of a file to write")
    target = Path(path)
    if target.is_dir():
        raise InvalidParameterError("path", str(target), "a file, not a folder")
    if not target.parent.is_dir():
        raise InvalidParameterError("path", str(target), "in a folder that exists")
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
