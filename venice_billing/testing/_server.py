"""Send responses over real sockets: a small HTTP/1.1 server on loopback, in daemon threads."""

from __future__ import annotations

import math
import select
import socket
import struct
import threading
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO, Self

from attrs import frozen

from venice_billing.testing._responses import Response, Transmission, error_response, header_fields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from venice_billing.testing._clock import VirtualClock

_LONGEST_LINE = 65_536
_JOIN_SECONDS = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _GoneError(Exception):
    """The connection is to end here."""


class FakeServer:
    """Serve responses while the context is open; hangs end at once when it closes."""

    def __init__(
        self,
        respond: Callable[[str, str, str, dict[str, str]], Response],
        clock: VirtualClock,
        host: str,
        port: int,
        prefix: str,
    ) -> None:
        self._respond = respond
        self._clock = clock
        self._prefix = prefix
        self._listener = socket.create_server((host, port), backlog=128)
        self._wake, self._waker = socket.socketpair()
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="fake-venice", daemon=True)

    @property
    def base_url(self) -> str:
        """The base URL for clients."""
        host, port = self._listener.getsockname()[:2]
        return f"http://{host}:{port}{self._prefix}"

    def __enter__(self) -> Self:
        """Start answering; the fake's clock moves with the wall clock."""
        self._clock.run()
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End every connection at once, even one that waits; a second call does nothing."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._waker.close()
        if self._acceptor.ident is not None:
            self._acceptor.join(_JOIN_SECONDS)
        self._listener.close()
        self._wake.close()
        with self._lock:
            remaining = dict(self._open)
        for connection in remaining:
            _shut(connection)
        for thread in remaining.values():
            thread.join(_JOIN_SECONDS)
        self._clock.stop()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._wake], [], [])
            if self._wake in ready:
                return
            connection, _ = self._listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            with self._lock:
                self._open[connection] = thread
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        # The client may leave, and a response may be meant to break off.
        with suppress(OSError, _GoneError), connection, connection.makefile("rb") as stream:
            while (request := _read_request(stream)) is not None:
                response = self._response(request)
                self._transmit(connection, response, with_body=request.method != "HEAD")
                if response.transmission.then == "close at next request":
                    _read_request(stream)
                is_last = response.transmission.without_length or response.transmission.then != "keep"
                if is_last or not request.keeps_alive:
                    break
        with self._lock:
            del self._open[connection]

    def _response(self, request: _Request) -> Response:
        if not request.target.startswith("/"):
            return error_response(400, "Malformed request")
        return self._respond(request.method, request.headers.get("host", ""), request.target, request.headers)

    def _transmit(self, connection: socket.socket, response: Response, *, with_body: bool) -> None:
        transmission, body = response.transmission, response.body if with_body else b""
        head = _head(response)
        if transmission == Transmission():
            connection.sendall(head + body)
            return
        self._wait(transmission.connect_wait + transmission.headers_wait)
        if transmission.cut_at is not None and transmission.cut_at < 0:
            _end(connection, transmission)
        self._send(connection, head, transmission.headers_rate)
        sent = 0
        for mark in sorted({*_marks(transmission), len(body)}):
            self._send(connection, body[sent:mark], transmission.body_rate)
            sent = mark
            if mark == transmission.stall_at:
                self._wait(transmission.stall_wait)
            if mark == transmission.cut_at:
                _end(connection, transmission)
        self._send(connection, transmission.early, None)

    def _send(self, connection: socket.socket, content: bytes, rate: float | None) -> None:
        if rate is None:
            connection.sendall(content)
            return
        for index in range(len(content)):
            self._wait(1 / rate)
            connection.sendall(content[index : index + 1])

    def _wait(self, seconds: float) -> None:
        if seconds > 0 and self._closing.wait(None if math.isinf(seconds) else seconds):
            raise _GoneError


@frozen
class _Request:
    method: str
    target: str
    headers: dict[str, str]
    keeps_alive: bool


def _read_request(stream: BinaryIO) -> _Request | None:
    """Return the next request of a connection without its body; None if there is none."""
    words = stream.readline(_LONGEST_LINE).decode("latin-1").split()
    if len(words) != 3:  # noqa: PLR2004 - method, target, version
        return None
    headers: dict[str, str] = {}
    for line in iter(lambda: stream.readline(_LONGEST_LINE), b""):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            break
        headers[name.strip().lower()] = value.strip()
    length = headers.get("content-length", "0")
    stream.read(int(length) if length.isdecimal() else 0)
    # A chunked body is left unread, so the connection cannot be used again.
    keeps_alive = headers.get("connection", "").lower() != "close" and "transfer-encoding" not in headers
    return _Request(words[0], words[1], headers, keeps_alive)


def _head(response: Response) -> bytes:
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {response.status} {reason}".encode()]
    lines += [name + b": " + value for name, value in header_fields(response)]
    return b"\r\n".join([*lines, b"", b""])


def _marks(transmission: Transmission) -> Iterator[int]:
    for mark in (transmission.stall_at, transmission.cut_at):
        if mark is not None:
            yield mark


def _end(connection: socket.socket, transmission: Transmission) -> None:
    if transmission.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    raise _GoneError


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):  # the connection's own thread has closed it already
        connection.shutdown(socket.SHUT_RDWR)
