"""What both transports know of connections: where they lead, and how long one may wait for its next request."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx

if TYPE_CHECKING:
    import socket
    import ssl

LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32)
"""For httpx's own transports; ours need none, since a client has no more requests under way than its failure budget."""
_KEEP_ALIVE = 5.0
"""Seconds, as in httpx: servers close a connection that waits for long."""


def is_proxied() -> bool:
    """Tell whether environment or system name a proxy, as httpx finds them; its own transports know what to do then."""
    return bool(getproxies())


class Server:
    """The one server that a transport goes to.

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


class Rest:
    """The time between two requests on a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._since = 0.0

    def begin(self) -> None:
        """Let it begin now."""
        self._since = time.monotonic()

    def is_over(self) -> bool:
        """Tell whether the connection has waited for too long, or was sent what nobody asked for: mostly its end."""
        return time.monotonic() >= self._since + _KEEP_ALIVE or _has_news(self._socket)


def _has_news(connection: socket.socket) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return bool(select.select([connection], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))
