"""The clock that a client lives by: what time it is, and how time passes, also for a fake."""

from __future__ import annotations

import time
from contextlib import contextmanager
from threading import Event, Lock
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing._runtime.deadline import Deadline


class Clock(Protocol):
    """Where the time comes from."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def time(self) -> float:
        """Return Unix seconds."""
        ...


class Pace(Clock, Protocol):
    """A clock that can also let time pass."""

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Let time pass for this thread, or until it is interrupted."""
        ...

    async def async_sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        ...


class SystemClock:
    """The time of this machine, and real waits."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Let time pass for this thread, or until it is interrupted."""
        if interrupt is None:
            time.sleep(seconds)
        else:
            interrupt.wait(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        import anyio  # noqa: PLC0415 - a synchronous program needs none of it

        await anyio.sleep(seconds)


class Interruption:
    """Tells worker threads to stop, whatever they are waiting for."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._requests: set[Deadline] = set()

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Let time pass, or less if it is time to stop."""
        self._event.wait(seconds)

    @contextmanager
    def ends(self, request: Deadline) -> Iterator[None]:
        """Cancel a request when the workers stop."""
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
        """Stop."""
        self._event.set()
        with self._lock:
            for request in self._requests:
                request.cancel()
