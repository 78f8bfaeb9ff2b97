"""How much time a whole request has left, from connect to last byte, synchronous or asynchronous.

`network` enforces the deadline on sockets; of an asynchronous request, the caller also bounds the whole with anyio.

An httpx timeout bounds each socket operation, so a server that sends one byte now and then can hold a "10 s" call
for ever.
"""

from __future__ import annotations

import math
import socket
import time
from _thread import start_new_thread
from contextlib import suppress
from ipaddress import ip_address
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

T = TypeVar("T")

_PART = 0.25
_CLOSED = "the client is closed"


class Interruptible(Protocol):
    """A connection whose operation can be ended from another thread."""

    def shut_down(self) -> None:
        """End the operation that is under way, if any."""
        ...


class Deadline(float):
    """Seconds that a whole request may take from now on, passed to httpx instead of its timeouts.

    httpx and httpcore pass the timeouts of a request down to each operation on the network. So the deadline reaches
    the connections of a client that was given to `bound_sync`, and no state of a thread or task has to be undone.
    Other code sees a plain number of seconds.

    Attributes:
        stream: The connection on which the request is waiting at the moment, if any.
        is_reused: Whether the request was sent on a connection that had served another request before.
        is_answered: Whether any byte of the answer has come.
    """

    __slots__ = ("__weakref__", "_expiry", "is_answered", "is_reused", "stream")
    __hash__ = object.__hash__  # two requests with equal seconds have different deadlines

    def __init__(self, seconds: float) -> None:
        self._expiry = time.monotonic() + seconds
        self.stream: Interruptible | None = None
        self.is_reused = False
        self.is_answered = False

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def is_stale(self) -> bool:
        """Whether the connection had served a request before, and ended without any answer to this one."""
        return self.is_reused and not self.is_answered

    def begin(self) -> None:
        """Reset the notes about the connection before the request is sent."""
        self.is_reused = self.is_answered = False

    def left(self, expired: type[Exception]) -> float:
        """Return the seconds that are left; raise `expired` if there are none."""
        left = self._expiry - time.monotonic()
        if left <= 0:
            raise expired("the deadline of the request has passed")
        return left

    def cancel(self) -> None:
        """End the request at once, from any thread: its operation on the network fails."""
        self._expiry = -math.inf
        waiting = self.stream
        if waiting is not None:
            waiting.shut_down()

    def extensions(self) -> dict[str, Any]:
        """Return the httpx extensions of a request that is to obey the deadline."""
        return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self)}


def within(seconds: float | None) -> dict[str, Any]:
    """Return the httpx extensions of a request that may take `seconds` as a whole from now on; None sets no bound."""
    if seconds is None:
        return {"timeout": {}}
    return Deadline(seconds).extensions()


async def await_within(seconds: float | None, call: Awaitable[T]) -> T:
    """Await a call for at most `seconds`; None sets no bound.

    Raises:
        httpx.ReadTimeout: The time is over.
    """
    from anyio import fail_after  # noqa: PLC0415 - a synchronous program never needs it

    try:
        with fail_after(seconds):
            return await call
    except TimeoutError:
        raise httpx.ReadTimeout(f"no complete answer within {seconds} s") from None


def time_left(timeout: float | None, expired: type[Exception]) -> float | None:
    """Return the time left of a `Deadline`, or raise `expired` if it is over; return any other timeout unchanged."""
    return timeout.left(expired) if isinstance(timeout, Deadline) else timeout


def parts(seconds: float) -> Iterator[float]:
    """Yield the parts of a wait: so short that whoever waits soon notices that there is no more reason to.

    The parts are counted, not measured: a program that stops the clock, as tests do, does not wait for ever.
    """
    while seconds > 0:
        yield min(seconds, _PART)
        seconds -= _PART


def addresses(
    host: str, port: int, timeout: float | None = None, is_over: Callable[[], bool] = lambda: False
) -> Iterator[tuple[str, float | None]]:
    """Yield every address of a host in the order to try them, each with its share of the time left.

    So an address that never answers leaves time for the next. A look-up cannot be interrupted, so it is made in a
    thread that is left running when the time, or the client, is over.

    Raises:
        OSError: The host has no address, or the client is closed.
        TimeoutError: The look-up was not done in time, or the time is over.
    """
    try:
        ip_address(host)
        found = [host]
    except ValueError:
        found = _looked_up(host, port, timeout, is_over)
    for waiting, address in zip(range(len(found), 0, -1), found, strict=True):
        if is_over():
            raise OSError(_CLOSED)
        left = time_left(timeout, TimeoutError)
        yield address, None if left is None else left / waiting


def _looked_up(host: str, port: int, timeout: float | None, is_over: Callable[[], bool]) -> list[str]:
    answer: SimpleQueue[list[str] | OSError] = SimpleQueue()

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.put(list(dict.fromkeys(str(address[0]) for *_, address in answers)))
        except OSError as error:
            answer.put(error)
        except UnicodeError as error:
            answer.put(OSError(str(error)))

    start_new_thread(look_up, ())  # not `Thread`, whose locks a signal handler of this thread could wait for
    left = time_left(timeout, TimeoutError)
    for part in parts(math.inf if left is None else left):
        time_left(timeout, TimeoutError)
        if is_over():
            raise OSError(_CLOSED)
        with suppress(Empty):
            found = answer.get(timeout=part)
            break
    else:
        raise TimeoutError(f"the name {host} was not resolved in time")
    if isinstance(found, OSError):
        raise found
    if not found:
        raise OSError(f"{host} has no address")
    return found
