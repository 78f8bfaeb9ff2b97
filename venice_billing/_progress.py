"""The progress of an export: one line in a small file beside the partial file.

File times can be wrong, and a crash can leave any bytes. So the line holds the start of the export, the number of
bytes written, and a checksum of both; a partial file that does not match its line is not continued.
"""

from __future__ import annotations

import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from attrs import evolve, frozen

if TYPE_CHECKING:
    import io

_WIDTH = 80  # fixed, since each line overwrites the line before
_CHUNK = 1 << 20
_NOT_YET = timedelta()


@frozen
class Progress:
    """What an export has written.

    Attributes:
        started: When the export that wrote the first byte began.
        size: The number of bytes written.
        checksum: CRC-32 of `started` and of the bytes; a stronger digest would cost a tenth of an export's time.
    """

    started: datetime
    size: int
    checksum: int

    @classmethod
    def begin(cls, started: datetime) -> Progress:
        """Return the progress of an export that has written nothing yet."""
        return cls(started, 0, zlib.crc32(started.isoformat().encode()))

    def after(self, data: bytes) -> Progress:
        """Return the progress after `data` was written too."""
        return evolve(self, size=self.size + len(data), checksum=zlib.crc32(data, self.checksum))

    def is_fresh(self, now: datetime, limit: timedelta) -> bool:
        """Tell whether the export began at most `limit` ago; False for a start in the future: a clock was set."""
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
        """Return the progress as a line of fixed length."""
        text = f"{self.started.isoformat()} {self.size} {self.checksum:08x}"
        return text.ljust(_WIDTH).encode() + b"\n"


def read_progress(text: bytes) -> Progress | None:
    """Return the progress in a line, or None if there is no line or only a part of one."""
    try:
        started, size, checksum = text.decode("ascii").split("\n", 1)[0].split()
        progress = Progress(datetime.fromisoformat(started).astimezone(UTC), int(size), int(checksum, 16))
    except (ValueError, OverflowError):
        return None
    return progress if progress.size > 0 and progress.line() == text[: _WIDTH + 1] else None
