"""Bound a whole request, from connect to last byte, in both flavours.

An httpx timeout bounds each socket operation, so that a server sending one byte now and then holds a "10 s" call for
ever.
"""

from __future__ import annotations

import math
import socket
import time
from ipaddress import ip_address
from threading import Thread
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

T = TypeVar("T")


class Interruptible(Protocol):
    """A connection whose operation can be ended from another thread."""

    def shut_down(self) -> None:
        """End the operation that is under way, if any."""
        ...


class Deadline(float):
    """Seconds that a whole request may take from now on, given to httpx in the place of its timeouts.

    httpx and httpcore hand the timeouts of a request down to each operation on the network. So the deadline reaches
    the connections of a client that was given to `bound_sync`, and no state of a thread or task has to be undone;
    to everybody else it is a plain number of seconds.

    Attributes:
        stream: The connection that the request is waiting for, while it is.
        is_reused: Whether the request was sent on a connection that had served another one before.
        is_answered: Whether a byte came in answer to it.
    """

    __slots__ = ("_expiry", "is_answered", "is_reused", "stream")
    __hash__ = object.__hash__  # two requests with the same seconds are two deadlines

    def __init__(self, seconds: float) -> None:
        self._expiry = time.monotonic() + seconds
        self.stream: Interruptible | None = None
        self.is_reused = False
        self.is_answered = False

    def __eq__(self, other: object) -> bool:
        return self is other

    @property
    def is_stale(self) -> bool:
        """Whether the connection had served a request before, and ended without a word about this one."""
        return self.is_reused and not self.is_answered

    def begin(self) -> None:
        """Note that a request is about to be sent, nothing of which is known yet."""
        self.is_reused = self.is_answered = False

    def left(self, expired: type[Exception]) -> float:
        """Return the seconds that are left; raise `expired` if there are none."""
        left = self._expiry - time.monotonic()
        if left <= 0:
            raise expired("the deadline of the request has passed")
        return left

    def cancel(self) -> None:
        """End the request at once, from any thread: what it is doing on the network fails."""
        self._expiry = -math.inf
        waiting = self.stream
        if waiting is not None:
            waiting.shut_down()

    def extensions(self) -> dict[str, Any]:
        """Return the extensions of a request that is to end in time."""
        return {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), self)}


def within(seconds: float | None) -> dict[str, Any]:
    """Return the extensions of a request that may take so many seconds as a whole from now on; None sets no bound."""
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
    """Return what is left of a timeout, if it is a `Deadline`; raise `expired` if that is over."""
    return timeout.left(expired) if isinstance(timeout, Deadline) else timeout


def addresses(host: str, port: int, timeout: float | None = None) -> Iterator[tuple[str, float | None]]:
    """Yield every address of a host in the order to try them, each with its share of the time left.

    One that never answers then leaves time for the next. A look-up cannot be interrupted, so it is made in a thread
    that is left behind when the time is over.

    Raises:
        OSError: The host has no address.
        TimeoutError: It was not found in time, or the time is over.
    """
    try:
        ip_address(host)
        found = [host]
    except ValueError:
        found = _looked_up(host, port, time_left(timeout, TimeoutError))
    for waiting, address in zip(range(len(found), 0, -1), found, strict=True):
        left = time_left(timeout, TimeoutError)
        yield address, None if left is None else left / waiting


def _looked_up(host: str, port: int, timeout: float | None) -> list[str]:
    found: list[str] = []
    problems: list[OSError] = []

    def look_up() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            found.extend(dict.fromkeys(str(address[0]) for *_, address in answers))
        except OSError as error:
            problems.append(error)

    thread = Thread(target=look_up, name="venice-billing-look-up", daemon=True)
    thread.start()
    thread.join(timeout)
    if problems:
        raise problems[0]
    if thread.is_alive():
        raise TimeoutError(f"the name {host} was not resolved in time")
    if not found:
        raise OSError(f"{host} has no address")
    return found
