"""The clock of the fake and its clients: it moves only when told to, or with the wall clock while served."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime

from venice_billing.testing._checks import check_moment


class VirtualClock:
    """A clock that moves only by `sleep` and `advance`, so that hangs and waits take no real time.

    `FakeVenice.serve` lets it run with the wall clock for as long as the server is up; `advance` then still
    jumps ahead (over an abuse block, say).
    """

    def __init__(self, start: datetime | float | None = None) -> None:
        if start is None:
            start = datetime.now(UTC)
        if isinstance(start, datetime):
            check_moment("start", start)
        self._start = start.timestamp() if isinstance(start, datetime) else start
        self._elapsed = 0.0
        self._running_since: float | None = None
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        """Return the seconds since the clock was made."""
        with self._lock:
            return self._now()

    def time(self) -> float:
        """Return the Unix time in seconds."""
        with self._lock:
            return self._start + self._now()

    def advance(self, seconds: float) -> None:
        """Jump ahead."""
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds} seconds")
        with self._lock:
            self._elapsed += seconds

    def sleep(self, seconds: float, interrupt: object = None) -> None:  # noqa: ARG002 - nothing to interrupt
        """Move the clock without waiting."""
        self.advance(max(0.0, seconds))

    async def async_sleep(self, seconds: float) -> None:
        """Move the clock without waiting, and let other tasks run."""
        from anyio.lowlevel import checkpoint  # noqa: PLC0415 - imported only for asynchronous waits

        self.advance(max(0.0, seconds))
        await checkpoint()

    def run(self) -> None:
        """Move with the wall clock from now on."""
        with self._lock:
            if self._running_since is None:
                self._running_since = time.monotonic()

    def stop(self) -> None:
        """Stop moving with the wall clock."""
        with self._lock:
            self._elapsed = self._now()
            self._running_since = None

    def _now(self) -> float:
        if self._running_since is None:
            return self._elapsed
        return self._elapsed + time.monotonic() - self._running_since
