"""What went wrong with the file of a ledger, and what to do, in one line: from messages of DuckDB and of the system."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from venice_billing.errors import LedgerError, LedgerUnavailableError

if TYPE_CHECKING:
    from pathlib import Path

SYNC_GOES_ON = ", and the next sync goes on where this one stopped"
_HOLDER = re.compile(r"\(PID \d+\)")
_IN_USE = re.compile(r"being used by another process|Could not set lock", re.IGNORECASE)
_LONGEST_MESSAGE = 300
_INNER = re.compile(r'"exception_message":"((?:[^"\\]|\\.)*)"')
"""What happened, where DuckDB tells it within JSON."""
_NO_ROOM = re.compile(r"No space left|disk is full|File too large|quota|not enough space", re.IGNORECASE)
_NO_MEMORY = re.compile(r"Out of Memory")
_NO_RIGHT = re.compile(r"Permission denied|Read-only file system")
_EXPLANATIONS = (
    (re.compile(r"not a valid DuckDB database|does not have a valid"), "no DuckDB file; choose another path"),
    (
        re.compile(r"WAL (was created for|does not match)"),
        (
            "the log beside the file, its name with .wal, is of an earlier state of it or of another file, as where a "
            "copy of the file was restored without its log; move the log away"
        ),
    ),
    (
        re.compile(r"replaying WAL|Corrupt WAL"),
        (
            "the log beside the file, its name with .wal, is damaged; restore a copy of both, or move the log away: "
            "then what was written last is gone, and a sync reads charges again"
        ),
    ),
    (
        re.compile(r"Corrupt database|Could not read enough bytes|Serialization Error|INTERNAL"),
        "the file is damaged; restore a copy of it, or move it away and sync a new one",
    ),
    (re.compile(r"has been invalidated"), "close the ledger, and open it again"),
    (re.compile(r"No open result set"), "the ledger was closed while it was read; open it again, and read anew"),
    (_NO_ROOM, "the disk is full; make room{goes_on}"),
    (re.compile(r"version number"), "of another version of DuckDB; upgrade that: pip install --upgrade duckdb"),
    (_NO_MEMORY, "too little memory for DuckDB, and no room on the disk for the rest; make room there"),
    (_NO_RIGHT, "check the rights of the file and its folder"),
    (re.compile(r"File exists|Not a directory"), "that name is needed for a folder; move away what is there"),
    (re.compile(r"File name too long"), "choose a shorter path"),
)


def described(error: OSError) -> str:
    """Return what happened to which file."""
    return f"{error.strerror}: {error.filename}" if error.strerror and error.filename else str(error)


def failure(path: Path | str, message: str, goes_on: str = SYNC_GOES_ON) -> LedgerError:
    """Return the error of a message of DuckDB or of the file system."""
    passes = any(pattern.search(message) for pattern in (_IN_USE, _NO_ROOM, _NO_MEMORY, _NO_RIGHT))
    error = LedgerUnavailableError if passes else LedgerError
    return error(f"{path}: {explained(message, goes_on)}")


def explained(message: str, goes_on: str = SYNC_GOES_ON) -> str:
    """Return what is wrong and what to do, as one line."""
    if _IN_USE.search(message):
        holder = _HOLDER.search(message)
        return f"in use by another process{f' {holder[0]}' if holder else ''}; try again when it has ended"
    inner = _INNER.search(message)
    line = " ".join((json.loads(f'"{inner[1]}"') if inner else message).split())[:_LONGEST_MESSAGE]
    advice = next((advice for pattern, advice in _EXPLANATIONS if pattern.search(message)), None)
    return line if advice is None else f"{advice.format(goes_on=goes_on)} ({line})"
