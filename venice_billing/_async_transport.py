"""The transport under the asynchronous client's httpx: what `_transport` is for the synchronous one, on anyio."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

import anyio
import httpx
from anyio.abc import SocketAttribute
from anyio.lowlevel import current_token
from anyio.streams.tls import TLSStream

from venice_billing._connections import LIMITS, Rest, Server, is_proxied
from venice_billing._http1 import Conversation

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

    import h11
    from anyio.abc import SocketStream

    Stream: TypeAlias = SocketStream | TLSStream

_MOST_AT_ONCE = 262_144  # what asyncio reads at once


def async_client_for(base_url: str) -> httpx.AsyncClient:
    """Return an httpx client for who brings none."""
    if is_proxied():
        return httpx.AsyncClient(limits=LIMITS)
    return httpx.AsyncClient(transport=AsyncTransport(Server(base_url)))


class AsyncTransport(httpx.AsyncBaseTransport):
    """Speaks HTTP/1.1 under asyncio or trio, until it is cancelled; httpx's own timeouts do not count.

    It has as many connections as there are requests under way at once.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._idle: deque[_Connection] = deque()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request, and return the answer once its head is there."""
        self._server.check(request.url)
        connection = await self._waiting() or _Connection(await _connected(self._server))
        try:
            head = await connection.ask(request)
        except BaseException:
            await connection.close()
            raise
        body = _Body(connection, self._put_back)
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=body)

    async def aclose(self) -> None:
        """Close the connections that wait; those in use are closed after it."""
        self._closed = True
        while (connection := self._latest()) is not None:
            await connection.close()

    async def _waiting(self) -> _Connection | None:
        while (connection := self._latest()) is not None:
            if not connection.rest.is_over():
                return connection
            await connection.close()
        return None

    def _latest(self) -> _Connection | None:
        """Return the connection that has waited least; one of an event loop that has ended is beyond closing."""
        here = current_token()
        while self._idle:
            connection = self._idle.pop()
            if connection.loop == here:
                return connection
        return None

    async def _put_back(self, connection: _Connection) -> None:
        self._idle.append(connection)
        if self._closed:
            await self.aclose()


class _Connection:
    """One connection to a server, for one request at a time."""

    def __init__(self, stream: Stream) -> None:
        self.loop = current_token()
        self.rest = Rest(stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - not Django's
        self._conversation = Conversation()
        self._stream = stream

    async def ask(self, request: httpx.Request) -> h11.Response:
        """Send a request, and return the head of the answer."""
        content = await request.aread()
        with _failing_as(httpx.WriteError):  # what is sent holds the key: no local variable does
            await self._stream.send(self._conversation.ask(request, content))
        with _failing_as(httpx.ReadError):
            while (head := self._conversation.head()) is None:
                await self._hear()
        return head

    async def body(self) -> AsyncIterator[bytes]:
        """Receive the body of the answer."""
        with _failing_as(httpx.ReadError):
            while (part := self._conversation.body()) != b"":
                if part is None:
                    await self._hear()
                else:
                    yield part

    def ends_well(self) -> bool:
        """End the exchange; tell whether another may follow."""
        self.rest.begin()
        return self._conversation.can_go_on()

    async def close(self) -> None:
        """Close the connection; that is done before anything is awaited, so also for a task that is cancelled."""
        await anyio.aclose_forcefully(self._stream)

    async def _hear(self) -> None:
        try:
            received = await self._stream.receive(_MOST_AT_ONCE)
        except anyio.EndOfStream:
            received = b""
        self._conversation.hear(received)


class _Body(httpx.AsyncByteStream):
    """The body of an answer; closing it frees the connection for the next request, or ends it half-way."""

    def __init__(self, connection: _Connection, put_back: Callable[[_Connection], Awaitable[None]]) -> None:
        self._connection = connection
        self._put_back = put_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._connection.body()

    async def aclose(self) -> None:
        """End the exchange."""
        if self._connection.ends_well():
            await self._put_back(self._connection)
        else:
            await self._connection.close()


async def _connected(server: Server) -> Stream:
    with _failing_as(httpx.ConnectError):
        plain = await anyio.connect_tcp(server.host, server.port)
        return await _secured(plain, server.host, server.tls) if server.tls else plain


async def _secured(plain: SocketStream, host: str, tls: ssl.SSLContext) -> TLSStream:
    try:
        return await TLSStream.wrap(plain, hostname=host, ssl_context=tls, standard_compatible=False)
    except BaseException:
        await anyio.aclose_forcefully(plain)
        raise


@contextmanager
def _failing_as(broken: type[httpx.HTTPError]) -> Iterator[None]:
    try:
        yield
    except (OSError, anyio.BrokenResourceError, anyio.ClosedResourceError, anyio.EndOfStream) as error:
        raise broken(str(error)) from None
