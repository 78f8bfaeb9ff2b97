"""How far an export has come, and since when: a line in a small file beside the partial one.

A time of the file system can lie, and a crash can leave any bytes. So the line names the start of the export, how
many bytes were written, and a checksum of both; what does not fit together is not gone on with.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    import io

_WIDTH = 80  # of the line: it is written over the one before
_CHUNK = 1 << 20
_NOT_YET = timedelta()


@frozen
class Progress:
    """What an export has written.

    Attributes:
        started: When the export began that wrote the first byte.
        size: Bytes.
        checksum: CRC-32 of `started` and of the bytes; a stronger digest costs a tenth of an export.
    """

    started: datetime
    size: int
    checksum: int

    @classmethod
    def begin(cls, started: datetime) -> Progress:
        """Return the progress of an export that has written nothing."""
        return cls(started, 0, zlib.crc32(started.isoformat().encode()))

    def after(self, data: bytes) -> Progress:
        """Return the progress once `data` is written too."""
        return evolve(self, size=self.size + len(data), checksum=zlib.crc32(data, self.checksum))

    def is_fresh(self, now: datetime, limit: timedelta) -> bool:
        """Tell whether the export began at most `limit` ago; one from the future did not: a clock was set."""
        return _NOT_YET <= now - self.started <= limit

    def fits(self, file: io.FileIO) -> bool:
        """Tell whether a file begins with the bytes that were written."""
        file.seek(0)
        read = Progress.begin(self.started)
        while read.size < self.size:
            chunk = file.read(min(_CHUNK, self.size - read.size))
            if not chunk:
                return False
            read = read.after(chunk)
        return read == self

    def line(self) -> bytes:
        """Return the text of the progress, of the same length each time."""
        text = f"{self.started.isoformat()} {self.size} {self.checksum:08x}"
        return text.ljust(_WIDTH).encode() + b"\n"


def read_progress(text: bytes) -> Progress | None:
    """Return what a line says, or None where nothing is written or the line was cut."""
    try:
        started, size, checksum = text.decode("ascii").split("\n", 1)[0].split()
        progress = Progress(datetime.fromisoformat(started).astimezone(UTC), int(size), int(checksum, 16))
    except (ValueError, OverflowError):
        return None
    return progress if progress.size > 0 and progress.line() == text[: _WIDTH + 1] else None
