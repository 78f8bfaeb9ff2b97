"""The transport under the synchronous client's httpx: kept-alive connections, and one deadline on all they do.

It does what a billing client needs for less than httpx's own, which has proxies and HTTP/2 to think of. Where a proxy
is configured, httpx's own it is.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import httpx

from venice_billing._connections import LIMITS, Rest, Server, is_proxied
from venice_billing._http1 import Conversation
from venice_billing_api.deadline import addresses, current_deadline, time_left

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator

    import h11

_MOST_AT_ONCE = 65_536


def client_for(base_url: str) -> httpx.Client:
    """Return an httpx client for who brings none."""
    return httpx.Client(limits=LIMITS) if is_proxied() else httpx.Client(transport=Transport(Server(base_url)))


class Transport(httpx.BaseTransport):
    """Speaks HTTP/1.1 within the `deadline` of the context; httpx's own timeouts do not count.

    It may be shared between threads. It has as many connections as there are requests under way at once.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: deque[_Connection] = deque()
        self._closed = False

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the answer once its head is there."""
        self._server.check(request.url)
        connection = self._waiting() or _Connection(_connected(self._server))
        try:
            head = connection.ask(request)
        except BaseException:
            connection.close()
            raise
        body = _Body(connection, self._put_back)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    def close(self) -> None:
        """Close the connections that wait; those in use are closed after it."""
        self._closed = True
        while (connection := self._latest()) is not None:
            connection.close()

    def _waiting(self) -> _Connection | None:
        while (connection := self._latest()) is not None:
            if not connection.rest.is_over():
                return connection
            connection.close()
        return None

    def _latest(self) -> _Connection | None:
        with suppress(IndexError):
            return self._idle.pop()
        return None

    def _put_back(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            self.close()


class _Connection:
    """One connection to a server, for one request at a time."""

    def __init__(self, connected: socket.socket) -> None:
        self.rest = Rest(connected)
        self._conversation = Conversation()
        self._socket = connected

    def ask(self, request: httpx.Request) -> h11.Response:
        """Send a request, and return the head of the answer."""
        content = request.read()
        current_deadline().socket = self._socket
        with _failing_as(httpx.WriteTimeout, httpx.WriteError):  # what is sent holds the key: no local variable does
            _bound(self._socket).sendall(self._conversation.ask(request, content))
        with _failing_as(httpx.ReadTimeout, httpx.ReadError):
            while (head := self._conversation.head()) is None:
                self._hear()
        return head

    def body(self) -> Iterator[bytes]:
        """Receive the body of the answer."""
        with _failing_as(httpx.ReadTimeout, httpx.ReadError):
            while (part := self._conversation.body()) != b"":
                if part is None:
                    self._hear()
                else:
                    yield part

    def ends_well(self) -> bool:
        """End the exchange; tell whether another may follow."""
        current_deadline().socket = None
        self.rest.begin()
        return self._conversation.can_go_on()

    def close(self) -> None:
        """Close the connection."""
        current_deadline().socket = None
        self._socket.close()

    def _hear(self) -> None:
        self._conversation.hear(_bound(self._socket).recv(_MOST_AT_ONCE))


class _Body(httpx.SyncByteStream):
    """The body of an answer; closing it frees the connection for the next request, or ends it half-way."""

    def __init__(self, connection: _Connection, put_back: Callable[[_Connection], None]) -> None:
        self._connection = connection
        self._put_back = put_back

    def __iter__(self) -> Iterator[bytes]:
        return self._connection.body()

    def close(self) -> None:
        """End the exchange."""
        if self._connection.ends_well():
            self._put_back(self._connection)
        else:
            self._connection.close()


def _connected(server: Server) -> socket.socket:
    with _failing_as(httpx.ConnectTimeout, httpx.ConnectError):
        plain = _plain(server.host, server.port)
        return _secured(plain, server.host, server.tls) if server.tls else plain


def _plain(host: str, port: int) -> socket.socket:
    """Connect to the first address that answers."""
    problem = OSError(f"{host} has no address")
    for address, share in addresses(host, port):
        try:
            plain = socket.create_connection((address, port), share)
        except OSError as error:
            problem = error
        else:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain
    raise problem


def _secured(plain: socket.socket, host: str, tls: ssl.SSLContext) -> socket.socket:
    with _closing_on_failure(plain):
        secured = tls.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    with _closing_on_failure(secured):
        current_deadline().socket = secured
        try:
            _bound(secured)
            secured.do_handshake()
        finally:
            current_deadline().socket = None
    return secured


def _bound(connected: socket.socket) -> socket.socket:
    """Let the next operation take the time that is left, and no more."""
    connected.settimeout(time_left(None, TimeoutError))
    return connected


@contextmanager
def _closing_on_failure(connection: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        connection.close()
        raise


@contextmanager
def _failing_as(expired: type[httpx.HTTPError], broken: type[httpx.HTTPError]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise expired(str(error)) from None
    except OSError as error:
        raise broken(str(error)) from None
