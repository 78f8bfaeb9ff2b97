"""The clock that a client uses, to read the time and to wait; tests replace it by a fake."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

from venice_billing.errors import VeniceError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing._runtime.deadline import Deadline


_YEAR_9999 = 253_370_764_800


class Clock(Protocol):
    """A source of the time."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def time(self) -> float:
        """Return Unix seconds."""
        ...


class Pace(Clock, Protocol):
    """A clock that can also wait."""

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Wait in this thread for `seconds`, or until interrupted."""
        ...

    async def async_sleep(self, seconds: float) -> None:
        """Wait in this task for `seconds`."""
        ...


class SystemClock:
    """The clock of this machine, with real waits."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Return Unix seconds.

        Raises:
            VeniceError: The system tells no time within the years 1970 to 9998, for which there are dates.
        """
        now = time.time()
        if not 0 <= now < _YEAR_9999:  # also if this is not a number
            raise VeniceError(f"the clock of this system is wrong: it tells {now} seconds since 1970; set it right")
        return now

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Wait in this thread for `seconds`, or until interrupted."""
        if interrupt is None:
            time.sleep(seconds)
        else:
            interrupt.wait(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Wait in this task for `seconds`."""
        import anyio  # noqa: PLC0415 - a synchronous program does not need it

        await anyio.sleep(seconds)


class Interruption:
    """Tells worker threads to stop, even while they wait."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._requests: set[Deadline] = set()

    def is_set(self) -> bool:
        """Tell whether the workers are to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Wait for `seconds`, or until the workers are to stop."""
        self._event.wait(seconds)

    @contextmanager
    def ends(self, request: Deadline) -> Iterator[None]:
        """Cancel the request when the workers stop."""
        with self._lock:
            self._requests.add(request)
        if self.is_set():
            request.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._requests.discard(request)

    def set(self) -> None:
        """Stop the workers."""
        self._event.set()
        with self._lock:
            for request in self._requests:
                request.cancel()
