"""Create, open and lock the DuckDB file of a ledger, and explain each failure in one line that says what to do."""

from __future__ import annotations

import os
import re
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venice_billing._forks import leave_to_parent, reset_in_children
from venice_billing._held_files import note_closing, note_ledger, obstacle, one_at_a_time
from venice_billing.errors import ExportError, LedgerError, LedgerUnavailableError
from venice_billing.ledger import _schema
from venice_billing.ledger._creation import create, remove_left
from venice_billing.ledger._messages import SYNC_GOES_ON, described, explained, failure
from venice_billing.ledger._paths import checked_path, refuse_foreign, refuse_irregular

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_MODE = 0o600  # a bill is private
_PRIVATE_FOLDER = 0o700
_MEMORY = "128MB"
_MEMORY_TO_SORT = "384MB"
_THREADS = "2"  # each has buffers of its own
_INTERRUPTED = "Query interrupted"
_OLDEST = 2
_UPGRADE = "pip install --upgrade 'venice-billing[ledger]'"

_CONFIGURATION = {
    "memory_limit": _MEMORY,
    "threads": _THREADS,
    "autoinstall_known_extensions": "false",  # nothing is fetched from the internet
    "autoload_known_extensions": "false",
}
_CONTENTS = (
    "SELECT schema_version, ledger_id FROM venice_ledger",
    f"SELECT seq, {', '.join(_schema.ROW_COLUMNS)} FROM usage_rows",
    *(f"FROM {name}" for name in ("entries", "adjustments", "closings", "closing_totals", "changed_rows", "syncs")),
)
"""What a ledger of this version has."""
_under_way: set[tuple[int, int]] = set()
_under_way_lock = threading.Lock()


class Database:
    """A ledger file that is open. Safe in threads: each operation has a cursor of its own.

    Attributes:
        path: The absolute path of the file.
        is_read_only: Whether this user may not write the file.
    """

    def __init__(self, path: object) -> None:
        self.path = checked_path(path)
        self._module = _duckdb()
        self._spill: Path | None = None
        self._process = os.getpid()
        self._connection: Any = None
        reset_in_children(self)
        with self.errors(), one_at_a_time():
            self._make_if_missing()
            self.is_read_only = not all(os.access(place, os.W_OK) for place in (self.path, self.path.parent))
            self._connection = self._connect()
            note_ledger(self.path)
        try:
            with self.errors():
                self._check_version()
        except BaseException:
            self.close()
            raise

    @property
    def overflow(self) -> type[Exception]:
        """What DuckDB raises where a sum does not fit."""
        error: type[Exception] = self._module.OutOfRangeException
        return error

    @property
    def any_error(self) -> type[Exception]:
        """What all errors of DuckDB are."""
        error: type[Exception] = self._module.Error
        return error

    @property
    def ledger_id(self) -> str:
        """What tells this ledger from others; a copy of the file has the same."""
        with self.reading() as cursor:
            return str(cursor.execute("SELECT ledger_id FROM venice_ledger").fetchall()[0][0])

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a cursor, with transactions of its own.

        Raises:
            LedgerError: The ledger was closed, or opened by the parent of this process.
        """
        if self._connection is None:
            raise LedgerError(f"{self.path}: the ledger was closed; open it again with Ledger(path)")
        if os.getpid() != self._process:
            raise LedgerError(f"{self.path}: opened before a fork; open the ledger in the process that uses it")
        cursor: duckdb.DuckDBPyConnection = self._connection.cursor()
        return cursor

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor, and explain what goes wrong with it."""
        with self.errors(), self.cursor() as cursor:
            yield cursor

    @contextmanager
    def transaction(self, goes_on: str = SYNC_GOES_ON) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor for one transaction: all of it is in the file at the end, or nothing.

        Args:
            goes_on: What an error says of the time after more room was made on a full disk.
        """
        self.refuse_read_only()
        self._keep_log_private()
        with self.errors(goes_on), self.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                with suppress(self._module.Error):
                    cursor.execute("ROLLBACK")
                raise

    @contextmanager
    def snapshot(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Give a cursor whose queries all see the ledger as it is now, also while a sync goes on in another thread."""
        with self.reading() as cursor:
            cursor.execute("BEGIN TRANSACTION READ ONLY")
            try:
                yield cursor
            finally:
                with suppress(self._module.Error):
                    cursor.execute("ROLLBACK")

    @contextmanager
    def sorting(self, cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Let DuckDB take more memory for a time: a month of a large account is then sorted without the disk."""
        cursor.execute(f"SET memory_limit = '{_MEMORY_TO_SORT}'")
        try:
            yield
        finally:
            with suppress(self._module.Error):  # where another thread has more than that in use
                cursor.execute(f"SET memory_limit = '{_MEMORY}'")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Let one sync or closing of the file run at a time in this process; DuckDB keeps other processes out."""
        with self.errors():
            status = self.path.stat()
        file = (status.st_dev, status.st_ino)
        with _under_way_lock:
            if file in _under_way:
                raise LedgerUnavailableError(
                    f"{self.path}: another sync or closing of this ledger is under way; wait until it has ended"
                )
            _under_way.add(file)
        try:
            yield
        finally:
            with _under_way_lock:
                _under_way.discard(file)

    @contextmanager
    def errors(self, goes_on: str = SYNC_GOES_ON) -> Iterator[None]:
        """Turn an error of DuckDB or of the file system into a `LedgerError`; for `goes_on` see `transaction`."""
        try:
            yield
        except self._module.Error as error:
            raise failure(self.path, str(error), goes_on) from error
        except OSError as error:
            raise failure(self.path, described(error), goes_on) from error
        except RuntimeError as error:  # DuckDB loses what the handler of a signal raised
            if str(error) == _INTERRUPTED:
                raise KeyboardInterrupt from error
            raise

    @contextmanager
    def writing(self, target: Path) -> Iterator[None]:
        """Turn an error of DuckDB that writes the ledger to another file into an `ExportError`."""
        try:
            yield
        except self._module.Error as error:
            raise ExportError(f"{target}: {explained(str(error), goes_on='')}") from error

    def close(self) -> None:
        """Close the file. In a child after a fork, leave it to the parent."""
        connection, self._connection = self._connection, None
        if connection is not None and os.getpid() == self._process:
            with self.errors():
                connection.close()
            note_closing()
            self._remove_spill()

    def _remove_spill(self) -> None:
        if self._spill is not None:
            with suppress(OSError):
                self._spill.rmdir()

    def reset_after_fork(self) -> None:
        """Leave the file to the parent: DuckDB crashes in a child that lets go of a database, also at its end."""
        if self._connection is not None:
            leave_to_parent(self._connection)

    def _make_if_missing(self) -> None:
        """Refuse what must not be opened, and make the file of a new ledger."""
        if reason := obstacle(self.path):
            raise LedgerUnavailableError(f"{self.path}: {reason}")
        refuse_foreign(self.path)
        remove_left(self.path)
        if not self.path.exists():
            create(self._module, self.path)

    def _connect(self) -> duckdb.DuckDBPyConnection:
        self._spill = self._make_spill()
        try:
            connection: duckdb.DuckDBPyConnection = self._module.connect(
                str(self.path), read_only=self.is_read_only, config=_CONFIGURATION
            )
        except BaseException:
            self._remove_spill()
            raise
        connection.execute("SET preserve_insertion_order = false")  # would hold more in memory
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # else relations have the days and months of the machine
        connection.execute(f"SET temp_directory = '{_quoted(self._spill)}'")
        return connection

    def _make_spill(self) -> Path:
        """Make the folder for what does not fit into memory: beside the ledger, unless that can only be read."""
        if self.is_read_only:
            return Path(tempfile.mkdtemp(prefix="venice-billing."))
        spill = self.path.with_name(f"{self.path.name}.tmp")
        spill.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        return spill

    def _check_version(self) -> None:
        version = self._version()
        if version is None or version < 1:
            raise LedgerError(f"{self.path}: a DuckDB file, but no ledger; choose another path")
        if version > _schema.VERSION:
            raise LedgerError(
                f"{self.path}: a ledger of version {version}, but this venice-billing knows versions up to "
                f"{_schema.VERSION}; upgrade it: {_UPGRADE}"
            )
        if version < _schema.VERSION:
            if self.is_read_only:
                raise LedgerError(f"{self.path}: a read-only ledger of an earlier version; make it writable once")
            with self.transaction() as cursor:
                for statement in _schema.migration(version):
                    self._check(cursor, statement, version)
        with self.reading() as cursor:
            for query in _CONTENTS:
                self._check(cursor, f"{query} LIMIT 0", version)

    def _check(self, cursor: duckdb.DuckDBPyConnection, statement: str, version: int) -> None:
        """Run a statement that fails where the file has not the tables of its version."""
        try:
            cursor.execute(statement)
        except (self._module.CatalogException, self._module.BinderException) as error:
            raise LedgerError(
                f"{self.path}: no ledger of version {version}, as it says itself, or a damaged one; restore a copy, "
                f"or move it away and sync a new one ({explained(str(error))})"
            ) from error

    def _version(self) -> int | None:
        with self.reading() as cursor:
            try:
                versions = cursor.execute("SELECT schema_version FROM venice_ledger").fetchall()
            except (self._module.CatalogException, self._module.BinderException):
                return None
            tables = {name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not tables >= _schema.FIRST_TABLES:
            return None
        return versions[0][0] if len(versions) == 1 and isinstance(versions[0][0], int) else None

    def refuse_read_only(self) -> None:
        """Refuse a file that this user may not write.

        Raises:
            LedgerError: It is one.
        """
        if self.is_read_only:
            raise LedgerUnavailableError(f"{self.path}: this file is read-only; make it writable, or copy it")

    def _keep_log_private(self) -> None:
        """Make the file of DuckDB's log before DuckDB does, which would let others read it, or write through a link."""
        refuse_irregular(self.path.with_name(f"{self.path.name}.wal"))
        with suppress(FileExistsError):
            os.close(os.open(f"{self.path}.wal", os.O_CREAT | os.O_EXCL | os.O_WRONLY, _MODE))


def _duckdb() -> Any:
    try:
        import duckdb  # noqa: PLC0415 - an extra, and a quarter of a second
    except ModuleNotFoundError:
        raise LedgerError("a ledger needs DuckDB: pip install 'venice-billing[ledger]'") from None
    except ImportError as error:
        raise LedgerError(f"DuckDB is installed, but cannot be imported: {error}") from error
    version = getattr(duckdb, "__version__", "")
    if not re.match(rf"[1-9]\d|[{_OLDEST}-9]", version):
        found = f"DuckDB {version}" if version else f"another module of that name, {duckdb.__file__}"
        raise LedgerError(f"a ledger needs DuckDB {_OLDEST} or later, and found {found}: {_UPGRADE}")
    return duckdb


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")
