"""Deliver responses on a virtual clock, behind the public httpx interface."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

import httpx

from venice_billing._runtime.http_libraries import http_of
from venice_billing.testing._responses import header_fields

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from venice_billing.testing._clock import VirtualClock
    from venice_billing.testing._responses import Response, Transmission

_CHUNK = 65_536
_FOREVER = 3_600.0
"""How long, in seconds, an endless wait without a timeout takes."""


class FakeTransport(httpx.MockTransport):
    """A transport for either client of httpx or httpx2; its waits move the clock and take no real time."""

    def __init__(self, respond: Callable[[httpx.Request], Response], clock: VirtualClock) -> None:
        super().__init__(self._handle)
        self._respond = respond
        self._clock = clock

    # Not those of the base class, which accept no responses of httpx2.
    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of a synchronous client."""
        return self._handle(request)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request of an asynchronous client."""
        return self._handle(request)

    def _handle(self, request: httpx.Request) -> httpx.Response:
        timeouts, clock = _Timeouts(request), self._clock
        response = self._respond(request)
        transmission = response.transmission
        timeouts.wait(clock, transmission.connect_wait, "connect")
        timeouts.wait(clock, transmission.headers_wait, "read")
        if transmission.headers_rate:
            # A client that bounds the whole call passes its time left as the read timeout, so here one wait
            # represents the many reads of a real socket.
            size = sum(len(name) + len(value) + 4 for name, value in header_fields(response))
            timeouts.wait(clock, size / transmission.headers_rate, "read")
        if transmission.cut_at is not None and transmission.cut_at < 0:
            _break(request, transmission)
        http = http_of(request)
        stream = _stream_class(http)(response, request, timeouts, clock)
        answer: httpx.Response = http.Response(response.status, headers=header_fields(response), stream=stream)
        return answer


class _Timeouts:
    """The timeouts that httpx sets for single operations."""

    def __init__(self, request: httpx.Request) -> None:
        self._request = request
        self._limits: dict[str, float | None] = request.extensions.get("timeout", {})

    def wait(self, clock: VirtualClock, seconds: float, phase: str) -> None:
        limit = self._limits.get(phase)
        if seconds > (math.inf if limit is None else limit):
            clock.advance(limit or 0.0)
            self._expire(phase)
        if math.isinf(seconds):
            clock.advance(_FOREVER)
            self._expire(phase)
        clock.advance(seconds)

    def _expire(self, phase: str) -> NoReturn:
        http = http_of(self._request)
        error = http.ConnectTimeout if phase == "connect" else http.ReadTimeout
        raise error("timed out", request=self._request)


@cache
def _stream_class(http: Any) -> Any:
    """Return the class of bodies that the clients of a library accept: it derives from classes of that library."""
    return type("Body", (_Body, http.SyncByteStream, http.AsyncByteStream), {})


class _Body:
    """A body that arrives in time or times out, for either client."""

    def __init__(self, response: Response, request: httpx.Request, timeouts: _Timeouts, clock: VirtualClock) -> None:
        self._body = response.body
        self._transmission = response.transmission
        self._request = request
        self._timeouts = timeouts
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        transmission, sent = self._transmission, 0
        for end in self._ends():
            chunk = self._body[sent:end]
            if transmission.body_rate:
                self._timeouts.wait(self._clock, len(chunk) / transmission.body_rate, "read")
            yield chunk
            sent = end
            if sent == transmission.stall_at:
                self._timeouts.wait(self._clock, transmission.stall_wait, "read")
            if sent == transmission.cut_at:
                if transmission.without_length and not transmission.reset:
                    return  # the client cannot distinguish this end from the end of the whole body
                _break(self._request, transmission)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncChunks(iter(self))

    def _ends(self) -> list[int]:
        """Return where chunks end: after each byte if the body trickles, and where it stalls or is cut."""
        size = len(self._body)
        step = 1 if self._transmission.body_rate else _CHUNK
        marks = {
            mark
            for mark in (self._transmission.stall_at, self._transmission.cut_at)
            if mark is not None and mark <= size
        }
        return sorted({*range(step, size, step), size, *marks})


class _AsyncChunks:
    """An iterator, not an async generator, which its event loop would have to close if left half-way."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks

    def __aiter__(self) -> _AsyncChunks:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration


def _break(request: httpx.Request, transmission: Transmission) -> NoReturn:
    http = http_of(request)
    if transmission.reset:
        raise http.ReadError("[Errno 104] Connection reset by peer", request=request)
    raise http.RemoteProtocolError("peer closed connection without sending complete message body", request=request)
