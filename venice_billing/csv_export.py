"""CSV pages -> one file: written beside the target, renamed at the end, resumed from a partial file.

Meanwhile two files are beside the target: the partial file, which holds nothing but CSV, and the progress file, a line
that says when the partial file was begun and how much of it was written (`_progress`). After a crash at any byte the
export continues after the last page that the line counts, or starts over if the two files do not match. Their names
hold a digest of the account and the filters, so that no other export continues them.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing._csv import TimeColumn, closed_records, joined, newline_of, without_newline
from venice_billing._files import (
    change_of,
    is_still_at,
    marked_name,
    open_own,
    release,
    sync_folder,
    target_problem,
    write_all,
)
from venice_billing._progress import Progress, read_progress
from venice_billing._targets import checked_target, explained
from venice_billing._walk.csv_source import CsvSource
from venice_billing._walk.lost import BrokenWalkError
from venice_billing._walk.start import oldest_first
from venice_billing._walk.types import Position
from venice_billing.errors import (
    ExportError,
    ResponseValidationError,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from venice_billing._call import Policy
    from venice_billing._config import Configuration
    from venice_billing._walk.checkpoint import Filters
    from venice_billing._walk.types import Walk

__all__ = ["CsvExport", "CsvProgress"]

_FRESH = timedelta(hours=1)
_LONGEST_LINE = 200  # bytes
_GOES_ON = "the same call goes on where it stopped"
_STARTS_OVER = "the same call starts over"


@frozen
class CsvExport:
    """The result of an export.

    Attributes:
        path: The absolute path of the file.
        rows: The number of charges in the file, without the header row.
        resumed_rows: How many of `rows` were already written by an export that was cut short.
        size: The size of the file in bytes.
        started_at: When the export that wrote the first row began (UTC). Charges booked later, with their time in the
            past, may be missing.
    """

    path: Path
    rows: int
    resumed_rows: int
    size: int
    started_at: datetime


@frozen
class CsvProgress:
    """How far an export has come.

    Attributes:
        rows: The number of charges written, those of an export that was cut short among them.
        size: The size of what was written, in bytes.
        latest: The time of the charge written last; they are written oldest first.
    """

    rows: int
    size: int
    latest: datetime


class CsvFile:
    """A CSV file while it is written. Blocking: the async client calls it from a worker thread.

    Attributes:
        filters: The filters of the export.
        ledger: The source to walk; it knows the header that is in the file already.
        position: The position of the walk at the end of the file.
    """

    def __init__(self, path: object, filters: Filters, configuration: Configuration, *, resume: object) -> None:
        limit = _freshness(resume)
        self._target = checked_target(path)
        self.filters = filters
        stem = marked_name(self._target, _mark(filters, configuration))
        self._partial = self._target.with_name(f"{stem}.partial")
        self._progress_path = self._target.with_name(f"{stem}.progress")
        policy = configuration.policy
        now = datetime.fromtimestamp(policy.clock.time(), UTC)
        self.source = CsvSource(policy, filters.currency, filters.bounds.start)
        self.position = Position()
        self._rows = self._resumed_rows = 0
        with _explained(self._partial):
            self._file = open_own(self._partial, locked=True)
            try:
                self._progress_file = open_own(self._progress_path)
                try:
                    self._go_on_after(self._go_on_or_begin(now, limit))
                except BaseException:
                    self._progress_file.close()
                    raise
            except BaseException:
                with suppress(OSError):
                    if os.fstat(self._file.fileno()).st_size == 0:
                        _remove(self._partial, self._file)
                release(self._file)
                raise

    def _go_on_after(self, part: _Part | None) -> None:
        """Take over the content of the partial file."""
        if part is not None:
            self._rows = self._resumed_rows = part.rows
            self.source.go_on_after(part.header, part.newline, part.column)
            self.position = self.position.after(part.tail, self.source)

    def _go_on_or_begin(self, now: datetime, limit: timedelta | None) -> _Part | None:
        """Read the partial file, and cut off the part that cannot be relied on."""
        progress = read_progress(self._progress_file.read(_LONGEST_LINE))
        part = None
        if progress and limit is not None and progress.is_fresh(now, limit) and progress.fits(self._file):
            self._file.truncate(progress.size)
            part = _read_part(self._file, self.filters.bounds.start)
        self._progress = progress if progress and part else Progress.begin(now)
        self._file.truncate(self._progress.size)
        self._file.seek(self._progress.size)
        return part

    def walk(self, policy: Policy, page_size: int | None, concurrency: int) -> Walk[bytes]:
        """Return the walk that fetches the rest of the file."""
        return oldest_first(
            self.source,
            self.filters.bounds,
            self.position,
            now=datetime.fromtimestamp(policy.clock.time(), UTC),
            page_size=page_size,
            concurrency=concurrency,
        )

    def append(self, records: Sequence[bytes]) -> None:
        """Write records, each with its bytes as sent."""
        self._check_open()
        with _explained(self._partial, self._hint):
            self._check_unchanged()
            self._write_header()
            self._write(joined(records, self.source.newline))
            self._progress_file.seek(0)
            write_all(self._progress_file, self._progress.line())
        self._rows += len(records)

    def progress(self, records: Sequence[bytes]) -> CsvProgress:
        """Return how far the export has come, with the records that were just written."""
        return CsvProgress(self._rows, self._progress.size, self.source.timestamp(records[-1]))

    def finish(self) -> CsvExport:
        """Rename the complete file to the target, and return the result of the export."""
        self._check_open()
        with _explained(self._target, self._hint):
            self._write_header()
            os.fsync(self._file.fileno())
            self._check_unchanged(every_byte=True)
            if problem := target_problem(self._target):
                raise FileExistsError(errno.EEXIST, f"meanwhile {problem} is there, which is not replaced")
            if os.name == "nt":  # there an open file cannot be renamed; elsewhere the lock is kept until the rename
                self._release()
            self._partial.replace(self._target)
            _remove(self._progress_path, self._progress_file)
            self._release()
            sync_folder(self._target.parent)
        return CsvExport(self._target, self._rows, self._resumed_rows, self._progress.size, self._progress.started)

    def close(self) -> None:
        """Close the files; they stay for the next run if they hold anything to continue."""
        if self._rows == 0 and not self._file.closed:
            _remove(self._progress_path, self._progress_file)
            _remove(self._partial, self._file)
        self._release()

    def _release(self) -> None:
        with suppress(OSError):
            self._progress_file.close()
        release(self._file)

    def _check_open(self) -> None:
        if self._file.closed:
            raise ExportError(f"{self._partial}: closed; after a fork, only the parent goes on with its export")

    def _check_unchanged(self, *, every_byte: bool = False) -> None:
        """Check that no other program has changed the partial file; if one has, there is nothing to continue.

        Args:
            every_byte: Whether to read the file again: a change in place shows neither in its size nor in its name.
        """
        change = change_of(self._partial, self._file, self._progress.size)
        if not change and every_byte and not self._progress.fits(self._file):
            change = "was changed by another program"
        if change:
            self._rows = 0
            raise OSError(errno.EIO, f"{self._partial.name} {change} meanwhile")

    def _hint(self) -> str:
        return _GOES_ON if self._rows else _STARTS_OVER

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Name the partial file as the `checkpoint` of an error, if the same call can continue with that file."""
        try:
            yield
        except VeniceError as error:
            if self.source.is_doubtful or isinstance(error, BrokenWalkError):
                self._rows = 0
            if self._rows:
                error.checkpoint = str(self._partial)
            raise

    def _write_header(self) -> None:
        if self._progress.size == 0 and self.source.header is not None:
            self._write(self.source.header + self.source.newline)

    def _write(self, data: bytes) -> None:
        write_all(self._file, data)
        self._progress = self._progress.after(data)


@frozen
class _Part:
    """The content of a partial file.

    Attributes:
        header: The header, without its line break.
        newline: The line break after the header.
        column: The column of the timestamps.
        tail: The records of the last instant.
        rows: The number of records.
    """

    header: bytes
    newline: bytes
    column: TimeColumn
    tail: Sequence[bytes]
    rows: int


def _read_part(file: io.FileIO, start: datetime | None) -> _Part | None:
    file.seek(0)
    buffered = io.BufferedReader(file)
    try:
        records = closed_records(buffered)
        first = next(records, b"")
        header = without_newline(first)
        column = TimeColumn(header, start)
        tail: list[bytes] = []
        rows = 0
        for record in records:
            if tail and column.of(record) != column.of(tail[-1]):
                tail.clear()
            tail.append(record)
            rows += 1
    finally:
        buffered.detach()
    return _Part(header, newline_of(first), column, tail, rows) if rows else None


def _freshness(resume: object) -> timedelta | None:
    """Return how long ago an export to be continued may have started; None continues none."""
    if isinstance(resume, bool):
        return _FRESH if resume else None
    return arguments.duration("resume", resume, "True, False, or ")


def _mark(filters: Filters, configuration: Configuration) -> str:
    """Return a digest of the account and the filters, the same on every machine."""
    names = (
        configuration.base_url,
        configuration.key.digest(),
        filters.currency,
        filters.bounds.start,
        filters.bounds.end,
    )
    return hashlib.blake2b("\n".join(map(str, names)).encode(), digest_size=8).hexdigest()


def _remove(path: Path, file: io.FileIO) -> None:
    """Remove a file of the export; if that fails, the next export overwrites it."""
    with suppress(OSError, ValueError):
        if os.name == "nt":  # there an open file cannot be removed
            file.close()
            path.unlink()
        elif is_still_at(path, file):
            path.unlink()


@contextmanager
def _explained(path: Path, hint: Callable[[], str] = str) -> Iterator[None]:
    """Turn an error of the file system, or a partial file that is none, into an `ExportError` that says what to do."""
    try:
        with explained(path, hint):
            yield
    except ResponseValidationError as error:
        raise ExportError(f"{path}: not a partial export ({error}); remove it, or use resume=False") from error
