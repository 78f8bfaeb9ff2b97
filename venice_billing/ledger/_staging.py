"""The pages of a sync that is under way, in a small SQLite file beside the ledger.

A page and the checkpoint of the walk after it are written in one transaction, so that a sync that is killed at any
moment goes on where it stopped. The ledger itself is not touched before the end, and does not keep the room that pages
took. The file is locked while the sync runs, and is used by the process that opened it alone.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._forks import leave_to_parent, reset_in_children
from venice_billing._held_files import read_head
from venice_billing.errors import LedgerError, LedgerUnavailableError
from venice_billing.ledger._paths import refuse_foreign_logs, refuse_irregular

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MODE = 0o600
_FORMAT = 1
_ENDINGS = ("", "-journal", "-wal", "-shm")
_HEAD, _HEAD_SIZE = b"SQLite format 3\0", 100
_MARK, _MARK_PLACE = 0x56424C53, slice(68, 72)  # the application id, in the head of the file
_TABLES = {
    "pages": ("number", "rows", "content"),
    "pass": ("format", "start", "began_at", "is_full", "owner", "sync", "checkpoint"),
}
_PRIMARY_CODE = 0xFF
_ROWS_AT_ONCE, _BYTES_AT_ONCE = 20_000, 8_000_000
"""What the ledger takes over at once at most, and a page more: enough for DuckDB's pace, and for its memory."""


@frozen
class Stretch:
    """What a pass of a sync reads.

    Attributes:
        start: From this time on; None: from the beginning.
        began_at: When the pass began; it reads everything up to then, and what is booked while it runs.
        is_full: Whether all was asked for.
        owner: A digest of the key, the address, the ledger and its latest sync, for which the pages are.
        sync: The number that the sync will have in the ledger.
    """

    start: datetime | None
    began_at: datetime
    is_full: bool
    owner: str
    sync: int


class Staging:
    """The pages of one pass. Blocking; one thread at a time uses it.

    Attributes:
        stretch: What the pass reads; None: no pass was begun.
        checkpoint: Where the walk stands; None: at the beginning.
        rows: How many rows are here.
    """

    def __init__(self, ledger: Path) -> None:
        self._path = ledger.with_name(f"{ledger.name}.sync")
        self._process = os.getpid()
        self.stretch: Stretch | None = None
        self.checkpoint: str | None = None
        self.rows = 0
        with self._errors():
            self._refuse_foreign()
            self._connection = self._open()
            reset_in_children(self)
            try:
                self._read()
            except (sqlite3.DatabaseError, ValueError, TypeError) as error:
                if _is_in_use(error):
                    self._connection.close()
                    raise
                self._start_over()  # cut or altered: fetched again

    def begin(self, stretch: Stretch) -> None:
        """Drop what is here, and begin a pass."""
        with self._transaction() as cursor:
            cursor.execute("DELETE FROM pages")
            cursor.execute("DELETE FROM pass")
            cursor.execute(
                "INSERT INTO pass VALUES (?, ?, ?, ?, ?, ?, NULL)",
                (
                    _FORMAT,
                    None if stretch.start is None else stretch.start.isoformat(),
                    stretch.began_at.isoformat(),
                    stretch.is_full,
                    stretch.owner,
                    stretch.sync,
                ),
            )
        self.stretch, self.checkpoint, self.rows = stretch, None, 0

    def append(self, content: bytes, rows: int, checkpoint: str) -> None:
        """Keep a page, and where the walk stands after it."""
        with self._transaction() as cursor:
            cursor.execute("INSERT INTO pages (rows, content) VALUES (?, ?)", (rows, content))
            cursor.execute("UPDATE pass SET checkpoint = ?", (checkpoint,))
        self.checkpoint = checkpoint
        self.rows += rows

    def documents(self) -> Iterator[str]:
        """Yield all pages, several in one JSON array."""
        with self._errors():
            contents: list[bytes] = []
            count = size = 0
            for rows, content in self._connection.execute("SELECT rows, content FROM pages ORDER BY number"):
                contents.append(content)
                count, size = count + rows, size + len(content)
                if count >= _ROWS_AT_ONCE or size >= _BYTES_AT_ONCE:
                    yield _joined(contents)
                    contents, count, size = [], 0, 0
            if contents:
                yield _joined(contents)

    def discard(self) -> None:
        """Drop the pass, which has ended. Where that fails, the next sync sees by its number that it has."""
        self.stretch, self.checkpoint, self.rows = None, None, 0
        with suppress(LedgerUnavailableError), self._transaction() as cursor:
            cursor.execute("DELETE FROM pass")
            cursor.execute("DELETE FROM pages")

    def refuse_child(self) -> None:
        """Refuse a child after a fork, before it writes anything among the pages of its parent.

        Raises:
            LedgerError: This is one.
        """
        if os.getpid() != self._process:
            raise LedgerError(f"{self._path}: of a sync that began before a fork; it goes on in the parent alone")

    def reset_after_fork(self) -> None:
        """Leave the file to the parent: to close it here could remove the log that the parent writes."""
        leave_to_parent(self._connection)

    def close(self) -> None:
        """Close the file; remove it if no pass is under way. In a child after a fork, leave it to the parent."""
        if os.getpid() != self._process:
            return
        with suppress(sqlite3.Error):
            self._connection.close()
        if self.stretch is None:
            self._remove()

    def _refuse_foreign(self) -> None:
        """Refuse what is there and was not made by a sync: it would be dropped.

        Raises:
            LedgerError: There is such a file.
        """
        for ending in _ENDINGS:
            refuse_irregular(self._path.with_name(self._path.name + ending))
        refuse_foreign_logs(self._path)
        try:
            head = read_head(self._path, _HEAD_SIZE)
        except FileNotFoundError:
            return
        is_marked = head.startswith(_HEAD) and int.from_bytes(head[_MARK_PLACE]) == _MARK
        if head and not is_marked and not (head.startswith(_HEAD) and self._has_own_tables()):
            raise LedgerError(f"{self._path}: not of a sync, which needs a file of that name; move it away")

    def _has_own_tables(self) -> bool:
        """Tell whether a file of SQLite without a mark is that of a sync: earlier versions set none."""
        with closing(sqlite3.connect(self._path, timeout=0)) as connection:
            try:
                found = set(
                    connection.execute(
                        "SELECT made.name, has.name FROM sqlite_master AS made "
                        "LEFT JOIN pragma_table_info(made.name) AS has"
                    )
                )
            except sqlite3.DatabaseError as error:
                if _is_in_use(error):
                    raise
                return False
        there = {table for table, _ in found}
        return found == {(table, column) for table, columns in _TABLES.items() if table in there for column in columns}

    def _open(self) -> sqlite3.Connection:
        with suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE))  # SQLite keeps its mode
        return sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)

    def _read(self) -> None:
        execute = self._connection.execute
        execute("PRAGMA locking_mode = EXCLUSIVE")  # until it is closed; DuckDB's own lock of the ledger can be lost
        execute(f"PRAGMA application_id = {_MARK}")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = NORMAL")  # no page is half there after a power cut; the last ones may be missing
        execute("CREATE TABLE IF NOT EXISTS pages (number INTEGER PRIMARY KEY, rows INTEGER, content BLOB)")
        execute(
            "CREATE TABLE IF NOT EXISTS pass (format INTEGER, start TEXT, began_at TEXT, is_full INTEGER, owner TEXT, "
            "sync INTEGER, checkpoint TEXT)"
        )
        found = execute("SELECT * FROM pass").fetchone()
        if found is None:
            return
        number, start, began_at, is_full, owner, sync, checkpoint = found
        if number != _FORMAT:
            raise ValueError(number)
        self.stretch = Stretch(_moment(start) if start else None, _moment(began_at), bool(is_full), owner, sync)
        self.checkpoint = checkpoint
        self.rows = execute("SELECT coalesce(sum(rows), 0) FROM pages").fetchone()[0]

    def _start_over(self) -> None:
        self._connection.close()
        self._remove()
        self._connection = self._open()
        self.stretch, self.checkpoint, self.rows = None, None, 0
        self._read()

    def _remove(self) -> None:
        for ending in _ENDINGS:
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        self.refuse_child()
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if _is_in_use(error):
                in_use = "another process syncs this ledger; wait until it has ended"
                raise LedgerUnavailableError(f"{self._path}: {in_use}") from error
            what = "make room, or check the rights of the folder"
            raise LedgerUnavailableError(f"{self._path}: {error}; {what}, and the next sync goes on") from error


def _is_in_use(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE == sqlite3.SQLITE_BUSY


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _joined(contents: list[bytes]) -> str:
    return (b"[" + b",".join(contents) + b"]").decode()
