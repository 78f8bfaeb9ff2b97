"""HTTP/1.1 without I/O, on h11: a request -> bytes to send, bytes received -> an answer. Shared by both transports."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

import h11
import httpx

if TYPE_CHECKING:
    import socket
    import ssl

_LONGEST_HEAD = 100 * 1024
_KEEP_ALIVE = 5.0
"""Seconds a connection may wait for its next request, as in httpx: servers close those that wait for long."""


class Server:
    """The one server a transport goes to.

    Attributes:
        host: Its name or address.
        port: Its port.
        tls: What verifies it, as in httpx; None for plain http.
    """

    def __init__(self, base_url: str) -> None:
        url = httpx.URL(base_url)
        self._origin = (url.scheme, url.raw_host, url.port)
        self.host = url.raw_host.decode("ascii")
        self.tls: ssl.SSLContext | None = None
        if url.scheme == "https":
            self.tls = httpx.create_ssl_context()
            self.tls.set_alpn_protocols(["http/1.1"])
        self.port = url.port or (443 if self.tls else 80)

    def check(self, url: httpx.URL) -> None:
        """Refuse a request to any other server."""
        if (url.scheme, url.raw_host, url.port) != self._origin:
            raise httpx.UnsupportedProtocol(f"this transport goes to {self.host}:{self.port} only")


class Conversation:
    """What is said on one connection: requests and answers, in turn.

    Its methods raise `httpx.RemoteProtocolError` for what is no HTTP, or ends early.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._socket = connection
        self._latest = 0.0

    def ask(self, request: httpx.Request, content: bytes) -> bytes:
        """Return the bytes of a request."""
        send = self._machine.send
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [send(head), send(h11.Data(data=content)) if content else b"", send(h11.EndOfMessage())]
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from None
        return b"".join(part for part in parts if part)

    def hear(self, data: bytes) -> None:
        """Take what was received; nothing means that the server has closed the connection."""
        self._machine.receive_data(data)

    def head(self) -> h11.Response | None:
        """Return the head of the answer, or None while more of it must be received."""
        while True:
            event = self._next_event()
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                return None
            if not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("the server closed the connection without an answer")

    def body(self) -> bytes | None:
        """Return the next bytes of the body, none at its end, or None while more must be received."""
        event = self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        return None if event is h11.NEED_DATA else b""

    def can_go_on(self) -> bool:
        """Tell whether another request may follow, and prepare for it."""
        machine = self._machine
        if machine.our_state is not h11.DONE or machine.their_state is not h11.DONE or machine.trailing_data[0]:
            return False
        machine.start_next_cycle()
        self._latest = time.monotonic()
        return True

    def is_fresh(self) -> bool:
        """Tell whether a connection that has waited may be used again."""
        return time.monotonic() < self._latest + _KEEP_ALIVE and not _has_news(self._socket)

    def _next_event(self) -> object:
        try:
            return self._machine.next_event()
        except h11.ProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from None


def _has_news(waiting: socket.socket) -> bool:
    """Tell whether something arrived that nobody asked for: as a rule, the end of the connection."""
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([waiting], [], [], 0)[0])
    poll = select.poll()
    poll.register(waiting, select.POLLIN)
    return bool(poll.poll(0))
