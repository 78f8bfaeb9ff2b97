"""Create, open and lock the DuckDB file of a ledger, and explain each failure in one line that says what to do."""

from __future__ import annotations

import ctypes
import json
import os
import re
import shutil
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from venice_billing._forks import reset_in_children
from venice_billing.errors import ExportError, InvalidParameterError, LedgerError, LedgerUnavailableError
from venice_billing.ledger import _schema
from venice_billing.ledger._entries import is_unicode

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_MODE = 0o600  # a bill is private
_PRIVATE_FOLDER = 0o700
_MEMORY = "128MB"
_THREADS = "2"  # each has buffers of its own
_HOLDER = re.compile(r"\(PID \d+\)")
_IN_USE = re.compile(r"being used by another process|Could not set lock", re.IGNORECASE)
_LONGEST_MESSAGE = 300
_LONGEST_NAME = 240  # of 255 bytes: SQLite adds "-journal" to the name of the staging file
_INTERRUPTED = "Query interrupted"
_SYNC_GOES_ON = ", and the next sync goes on where this one stopped"
_INNER = re.compile(r'"exception_message":"((?:[^"\\]|\\.)*)"')
"""What happened, where DuckDB tells it within JSON."""
_OLDEST = 2
_UPGRADE = "pip install --upgrade 'venice-billing[ledger]'"

_under_way: set[tuple[int, int]] = set()
_under_way_lock = threading.Lock()


class Database:
    """A ledger file that is open. Safe in threads: each operation has a cursor of its own.

    Attributes:
        path: The absolute path of the file.
        is_read_only: Whether this user may not write the file.
    """

    def __init__(self, path: object) -> None:
        self.path = _checked(path)
        self._module = _duckdb()
        with self.errors():
            if not self.path.exists():
                self._create()
        self.is_read_only = not os.access(self.path, os.W_OK)
        self._spill = self.path.with_name(f"{self.path.name}.tmp")
        self._process = os.getpid()
        self._connection: Any = None
        reset_in_children(self)
        with self.errors():
            self._connection = self._connect()
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
    def transaction(self, goes_on: str = _SYNC_GOES_ON) -> Iterator[duckdb.DuckDBPyConnection]:
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
    def errors(self, goes_on: str = _SYNC_GOES_ON) -> Iterator[None]:
        """Turn an error of DuckDB or of the file system into a `LedgerError`; for `goes_on` see `transaction`."""
        try:
            yield
        except self._module.Error as error:
            raise _failure(self.path, str(error), goes_on) from error
        except OSError as error:
            raise _failure(self.path, _described(error), goes_on) from error
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
            raise ExportError(f"{target}: {_explained(str(error), goes_on='')}") from error

    def close(self) -> None:
        """Close the file. In a child after a fork, leave it to the parent."""
        connection, self._connection = self._connection, None
        if connection is not None and os.getpid() == self._process:
            with self.errors():
                connection.close()
            with suppress(OSError):
                self._spill.rmdir()

    def reset_after_fork(self) -> None:
        """Leave the file to the parent: DuckDB crashes in a child that lets go of a database, also at its end."""
        if self._connection is not None:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))  # no list: those are emptied at the end

    def _connect(self) -> duckdb.DuckDBPyConnection:
        if not self.is_read_only:
            self._spill.mkdir(mode=_PRIVATE_FOLDER, exist_ok=True)
        try:
            connection: duckdb.DuckDBPyConnection = self._module.connect(
                str(self.path), read_only=self.is_read_only, config={"memory_limit": _MEMORY, "threads": _THREADS}
            )
        except BaseException:
            with suppress(OSError):
                self._spill.rmdir()
            raise
        connection.execute("SET preserve_insertion_order = false")  # would hold more in memory
        connection.execute("SET GLOBAL TimeZone = 'UTC'")  # else relations have the days and months of the machine
        if not self.is_read_only:
            connection.execute(f"SET temp_directory = '{_quoted(self._spill)}'")
        return connection

    def _create(self) -> None:
        """Make an empty ledger in a private folder, then give it its name: no other process sees half of it."""
        folder = Path(tempfile.mkdtemp(prefix=f".{self.path.name[:100]}.", dir=self.path.parent))
        try:
            made = folder / "new.duckdb"
            with self._module.connect(str(made)) as connection:
                connection.execute("BEGIN")
                for statement in _schema.creation():
                    connection.execute(statement)
                connection.execute("COMMIT")
                connection.execute("CHECKPOINT")  # closing would not say that the disk is full
            made.chmod(_MODE)
            try:
                os.link(made, self.path)  # unlike a rename, replaces no file
            except FileExistsError:  # made by another process meanwhile
                return
            except OSError:  # a file system without hard links
                made.rename(self.path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

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
                    cursor.execute(statement)

    def _version(self) -> int | None:
        with self.reading() as cursor:
            try:
                versions = cursor.execute("SELECT schema_version FROM venice_ledger").fetchall()
            except (self._module.CatalogException, self._module.BinderException):
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
        """Make the file of DuckDB's log before DuckDB does, which would let others read it."""
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


def _checked(path: object) -> Path:
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
        raise _failure(name, _described(error)) from error
    if len(os.fsencode(file.name)) > _LONGEST_NAME:
        raise LedgerError(f"{file}: a name of more than {_LONGEST_NAME} bytes; choose a shorter one")
    return file


def _described(error: OSError) -> str:
    """Return what happened to which file."""
    return f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


_NO_ROOM = re.compile(r"No space left|disk is full|File too large|quota|not enough space", re.IGNORECASE)
_NO_MEMORY = re.compile(r"Out of Memory")
_NO_RIGHT = re.compile(r"Permission denied|Read-only file system")
_EXPLANATIONS = (
    (
        re.compile(r"not a valid DuckDB database|does not have a valid"),
        "no DuckDB file; choose another path",
    ),
    (_NO_ROOM, "the disk is full; make room{goes_on}"),
    (re.compile(r"version number"), "of another version of DuckDB; upgrade that: pip install --upgrade duckdb"),
    (_NO_MEMORY, "too little memory for DuckDB, and no room on the disk for the rest; make room there"),
    (_NO_RIGHT, "check the rights of the file and its folder"),
    (re.compile(r"File exists|Not a directory"), "that name is needed for a folder; move away what is there"),
    (re.compile(r"File name too long"), "choose a shorter path"),
)


def _failure(path: Path | str, message: str, goes_on: str = _SYNC_GOES_ON) -> LedgerError:
    """Return the error of a message of DuckDB or of the file system."""
    passes = any(pattern.search(message) for pattern in (_IN_USE, _NO_ROOM, _NO_MEMORY, _NO_RIGHT))
    error = LedgerUnavailableError if passes else LedgerError
    return error(f"{path}: {_explained(message, goes_on)}")


def _explained(message: str, goes_on: str = _SYNC_GOES_ON) -> str:
    """Return what is wrong and what to do, as one line."""
    if _IN_USE.search(message):
        holder = _HOLDER.search(message)
        return f"in use by another process{f' {holder[0]}' if holder else ''}; try again when it has ended"
    inner = _INNER.search(message)
    line = " ".join((json.loads(f'"{inner[1]}"') if inner else message).split())[:_LONGEST_MESSAGE]
    advice = next((advice for pattern, advice in _EXPLANATIONS if pattern.search(message)), None)
    return line if advice is None else f"{advice.format(goes_on=goes_on)} ({line})"
