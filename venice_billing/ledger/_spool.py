"""Lists that may be long: texts in a temporary file of SQLite's, which ends with the last list, or with the program."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar, overload
from weakref import finalize

from venice_billing.errors import LedgerUnavailableError

T = TypeVar("T")

_WRITTEN_AT_ONCE = 1000
_READ_AT_ONCE = 500


class Spool:
    """The file of several lists: without a name, for this user alone, and in memory while it is small."""

    def __init__(self) -> None:
        with spool_errors():
            self.connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self.connection.execute("PRAGMA journal_mode = OFF")
            self.connection.execute("PRAGMA synchronous = OFF")
        finalize(self, self.connection.close)


class SpooledList(Sequence[T], Generic[T]):
    """A list that is written once, item by item, and then read as often as wanted."""

    def __init__(self, spool: Spool, name: str, write: Callable[[T], str | bytes], read: Callable[[Any], T]) -> None:
        self._spool, self._name, self._write, self._read = spool, name, write, read
        self._waiting: list[tuple[str | bytes]] = []
        self._count = 0
        with spool_errors():
            spool.connection.execute(f"CREATE TABLE {name} (place INTEGER PRIMARY KEY, content)")

    def append(self, item: T) -> None:
        """Add an item."""
        self._waiting.append((self._write(item),))
        self._count += 1
        if len(self._waiting) >= _WRITTEN_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        """Write what waits; to be called after the last item."""
        connection = self._spool.connection
        with spool_errors():
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {self._name} (content) VALUES (?)", self._waiting)
            connection.execute("COMMIT")
        self._waiting = []

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[T]:
        for first in range(0, self._count, _READ_AT_ONCE):
            yield from self._between(first, first + _READ_AT_ONCE)

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        """Return an item, or a list of items for a slice."""
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(self._count))]
        position = range(self._count)[index]
        return self._between(position, position + 1)[0]

    def __repr__(self) -> str:
        shown = ", ".join(map(repr, self[:3]))
        return f"[{shown}{f', ... {self._count - 3} more' if self._count > 3 else ''}]"  # noqa: PLR2004

    def _between(self, first: int, last: int) -> list[T]:
        query = f"SELECT content FROM {self._name} WHERE place > ? AND place <= ? ORDER BY place"
        with spool_errors():
            contents = self._spool.connection.execute(query, (first, last)).fetchall()
        return [self._read(content) for (content,) in contents]


@contextmanager
def spool_errors() -> Iterator[None]:
    """Turn an error of SQLite into a `LedgerUnavailableError`."""
    try:
        yield
    except sqlite3.Error as error:
        what = "make room in the folder of temporary files, or name another one in TMPDIR"
        raise LedgerUnavailableError(f"the results of the reconciliation: {error}; {what}") from error
