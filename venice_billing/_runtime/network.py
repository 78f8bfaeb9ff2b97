"""Connections on which each operation gets no more than the time left before the deadline of its request.

This is a module apart from `deadline`, because httpx itself loads httpcore only when a client is made.
"""

# ruff: noqa: ASYNC109 - httpcore passes a timeout to each operation of a backend
from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, finalize

import httpcore
from anyio import CancelScope

from venice_billing._runtime.deadline import Deadline, addresses, time_left
from venice_billing._runtime.http_libraries import core_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable

    import httpx

_LONGEST_WRITE = 65_536


def bound_pool(pool: httpcore.ConnectionPool) -> None:
    """Make the connections that a pool opens from now on obey the deadline; a second call does nothing."""
    backend = pool._network_backend  # noqa: SLF001 - httpcore takes a backend only when a pool is made, by httpx
    if not isinstance(backend, BoundBackend):
        pool._network_backend = BoundBackend(backend, core_of(pool))  # noqa: SLF001 - as above
        # A lock that is acquired and released in compiled code: a signal in between cannot leave it held.
        lock: Any = threading.RLock()
        pool._optional_thread_lock = lock  # noqa: SLF001 - as above


def tidy_pool(pool: httpcore.AsyncConnectionPool) -> None:
    """Make a pool close a connection whose TLS handshake is cancelled; a second call does nothing."""
    backend = pool._network_backend  # noqa: SLF001 - as above
    if not isinstance(backend, TidyBackend):
        pool._network_backend = TidyBackend(backend, core_of(pool))  # noqa: SLF001 - as above


class BoundBackend(httpcore.NetworkBackend):
    """A network backend that gives each operation no more than the time left.

    Attributes:
        core: The module whose pool this is for, `httpcore` or `httpcore2`: a pool knows its own exceptions only.
    """

    def __init__(self, backend: httpcore.NetworkBackend, core: Any) -> None:
        self._backend = backend
        self.core = core
        self._is_shut = False
        self._streams: WeakKeyDictionary[_BoundStream, None] = WeakKeyDictionary()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        connect = self._backend.connect_tcp
        if not isinstance(self._backend, self.core.SyncBackend):  # the user's own backend stays in charge
            left = time_left(timeout, self.core.ConnectTimeout)
            return self._bound(connect(host, port, left, local_address, socket_options))
        # A name may have many addresses, and each connect would get the full timeout.
        problem: Exception = self.core.ConnectError(f"{host} has no address")
        try:
            for address, share in addresses(host, port, timeout, lambda: self._is_shut):
                try:
                    return self._bound(connect(address, port, share, local_address, socket_options))
                except (self.core.ConnectError, self.core.ConnectTimeout) as error:
                    problem = error
        except TimeoutError as error:
            raise self.core.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise self.core.ConnectError(str(error)) from error
        raise problem

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        left = time_left(timeout, self.core.ConnectTimeout)
        return self._bound(self._backend.connect_unix_socket(path, left, socket_options))

    def sleep(self, seconds: float) -> None:
        self._backend.sleep(seconds)

    def shut(self) -> None:
        """Open no more connections, and end the operations under way."""
        self._is_shut = True
        for stream in _open_streams(self._streams):
            stream.shut_down()

    def stop_reuse(self) -> None:
        """Prevent further requests on the open connections."""
        for stream in _open_streams(self._streams):
            stream.stop_reuse()

    def adopt(self, stream: _BoundStream) -> _BoundStream:
        """Register a stream, so that its operations can be ended."""
        self._streams[stream] = None
        if self._is_shut:
            stream.close()
            raise self.core.ConnectError("the client is closed")
        return stream

    def _bound(self, stream: httpcore.NetworkStream) -> _BoundStream:
        return self.adopt(_BoundStream(stream, self))


class _BoundStream(httpcore.NetworkStream):
    """A connection on which each operation gets no more than the time left.

    Another thread, or a signal handler of the same thread, may close the connection. Then the system ends the operation
    under way, and the thread that runs this operation closes the socket. Closing the socket during the operation would
    remove the encryption first, and bytes just being sent would be readable.
    """

    def __init__(self, stream: httpcore.NetworkStream, backend: BoundBackend) -> None:
        self._stream = stream
        self._backend = backend
        # A signal handler may run while its own thread holds the lock: so it can be acquired again, and is acquired and
        # released in compiled code, so that a handler that raises does not leave it held.
        self._lock = threading.RLock()
        self._users = 0
        self._is_closing = False
        self._is_used = False
        self._is_not_reused = False
        found = stream.get_extra_info("socket")
        self._socket = found if isinstance(found, socket.socket) else None
        # When a client is dropped, its connections are closed, since they cannot be used any more. Not at exit: then a
        # forked child could wait for a TLS lock that a thread of its parent has held.
        finalize(self, _close_quietly, stream).atexit = False

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        self._begin(timeout, self._backend.core.ReadError)
        try:
            received = self._stream.read(max_bytes, time_left(timeout, self._backend.core.ReadTimeout))
        finally:
            self._end(timeout)
        if received:
            self._is_used = True
            if isinstance(timeout, Deadline):
                timeout.is_answered = True
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if isinstance(timeout, Deadline):
            timeout.is_reused, timeout.is_answered = self._is_used, False
        self._begin(timeout, self._backend.core.WriteError)
        try:
            for start in range(0, len(buffer), _LONGEST_WRITE):
                part = buffer[start : start + _LONGEST_WRITE]
                self._stream.write(part, time_left(timeout, self._backend.core.WriteTimeout))
        finally:
            self._end(timeout)

    def close(self) -> None:
        with self._lock:
            self._is_closing = True
            if self._users:
                self._shut_down()
                return
        self._stream.close()

    def shut_down(self) -> None:
        """End the operation that is under way, if any, and allow no other."""
        with self._lock:
            self._is_closing = True
            if self._users:
                self._shut_down()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        self._begin(timeout, self._backend.core.ConnectError)
        plain = self._socket
        try:
            if plain is not None:
                # The handshake takes over the socket: with a duplicate of it, it can still be ended from outside.
                self._socket = plain.dup()
            left = time_left(timeout, self._backend.core.ConnectTimeout)
            secured = self._stream.start_tls(ssl_context, server_hostname, left)
        except ValueError as error:  # from `ssl`, if the socket was ended before the handshake
            raise self._backend.core.ConnectError(str(error)) from None
        except BaseException:
            if plain is not None:
                plain.close()
            raise
        finally:
            if self._socket is not None and self._socket is not plain:
                self._socket.close()
            self._socket = None
            self._end(timeout)
        if secured.get_extra_info("ssl_object") is None:  # the connection was gone before the handshake could begin
            secured.close()
            raise self._backend.core.ConnectError("the connection ended before it was encrypted")
        return self._backend.adopt(_BoundStream(secured, self._backend))

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and (self._is_not_reused or self._is_closing):
            return True  # then httpcore does not use the connection again
        return self._stream.get_extra_info(info)

    def stop_reuse(self) -> None:
        """Take no further requests."""
        self._is_not_reused = True

    def has_bytes_after(self, response: httpx.Response) -> bool:
        """Tell whether bytes after an answer are there: in the parser, in TLS, or in the system if there is no TLS."""
        if _has_bytes_after(response):
            return True
        tls = self._stream.get_extra_info("ssl_object")
        return self._can_read_more() if tls is None else tls.pending() > 0

    def _can_read_more(self) -> bool:
        """Tell whether the socket has bytes; the end of the connection, which makes it readable too, has none."""
        if self._socket is None or not self._stream.get_extra_info("is_readable"):
            return False
        with suppress(OSError):
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        return False

    def _begin(self, timeout: float | None, error: type[Exception]) -> None:
        if isinstance(timeout, Deadline):
            timeout.stream = self
        with self._lock:
            # Counted before the check: a signal handler in between then finds an operation to end.
            self._users += 1
            if self._is_closing:
                self._users -= 1
                raise error("the connection is closed")

    def _end(self, timeout: float | None) -> None:
        if isinstance(timeout, Deadline):
            timeout.stream = None
        with self._lock:
            self._users = max(0, self._users - 1)
            is_over = self._is_closing and not self._users
        if is_over:
            self._stream.close()

    def _shut_down(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # not connected any more
                # Not the method of a TLS socket, which drops the encryption before it calls the system.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


Stream = TypeVar("Stream")


def _open_streams(streams: WeakKeyDictionary[Stream, None]) -> list[Stream]:
    """Return the streams in use; other threads may add some meanwhile, which fails while a `WeakSet` is iterated."""
    return [stream for reference in streams.keyrefs() if (stream := reference()) is not None]


def _close_quietly(stream: httpcore.NetworkStream) -> None:
    with suppress(Exception):
        stream.close()


class TidyBackend(httpcore.AsyncNetworkBackend):
    """A network backend that leaves no connection behind when a handshake is cancelled."""

    def __init__(self, backend: httpcore.AsyncNetworkBackend, core: Any) -> None:
        self._backend = backend
        self._core = core
        self._is_shut = False
        self._streams: WeakKeyDictionary[_TidyStream, None] = WeakKeyDictionary()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_tcp(host, port, timeout, local_address, socket_options)
        return await self.adopt(_TidyStream(stream, self))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        stream = await self._backend.connect_unix_socket(path, timeout, socket_options)
        return await self.adopt(_TidyStream(stream, self))

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)

    def shut(self) -> None:
        """Open no more connections."""
        self._is_shut = True

    def stop_reuse(self) -> None:
        """Prevent further requests on the open connections."""
        for stream in _open_streams(self._streams):
            stream.stop_reuse()

    async def adopt(self, stream: _TidyStream) -> _TidyStream:
        """Return a stream, unless the client was closed meanwhile."""
        self._streams[stream] = None
        if self._is_shut:
            await _close_even_if_cancelled(stream)
            raise self._core.ConnectError("the client is closed")
        return stream


class _TidyStream(httpcore.AsyncNetworkStream):
    """A connection that is closed when its TLS handshake fails in any way, cancellation included."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, backend: TidyBackend) -> None:
        self._stream = stream
        self._backend = backend
        self._is_used = False
        self._is_not_reused = False

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        received = await self._stream.read(max_bytes, timeout)
        if received:
            self._is_used = True
            if isinstance(timeout, Deadline):
                timeout.is_answered = True
        return received

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if isinstance(timeout, Deadline):
            timeout.is_reused, timeout.is_answered = self._is_used, False
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            secured = _TidyStream(await self._stream.start_tls(ssl_context, server_hostname, timeout), self._backend)
        except BaseException:
            await _close_even_if_cancelled(self._stream)
            raise
        return await self._backend.adopt(secured)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable" and (self._is_not_reused or _has_unread_bytes(self._stream)):
            return True
        return self._stream.get_extra_info(info)

    def stop_reuse(self) -> None:
        """Take no further requests."""
        self._is_not_reused = True

    def has_bytes_after(self, response: httpx.Response) -> bool:
        """Tell whether bytes after an answer are there: in the parser, in TLS, or in the event loop without TLS."""
        if _has_bytes_after(response):
            return True
        tls = self._stream.get_extra_info("ssl_object")
        return bool(_read_ahead(self._stream)) if tls is None else tls.pending() > 0


async def _close_even_if_cancelled(stream: httpcore.AsyncNetworkStream) -> None:
    with CancelScope(shield=True):
        await stream.aclose()


def _has_bytes_after(response: httpx.Response) -> bool:
    """Tell whether the parser of a connection holds bytes after an answer; only the parser can tell."""
    found: Any = response.stream
    # httpx wraps the stream of httpcore's pool; that holds the connection, and the connection holds the parser.
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        found = getattr(found, name, None)
    return found is not None and bool(found.trailing_data[0])


def _has_unread_bytes(stream: httpcore.AsyncNetworkStream) -> bool:
    """Tell whether the event loop or TLS has read more bytes already, which the socket does not show any more."""
    tls = stream.get_extra_info("ssl_object")
    if tls is not None and tls.pending() > 0:
        return True
    found: Any = getattr(stream, "_stream", None)  # anyio's or trio's, beneath httpcore's
    for name in ("_read_bio", "_incoming"):  # the names, in the one and the other, of the records not decrypted yet
        received = getattr(found, name, None)
        if received is not None and received.pending:
            return True
    return bool(_read_ahead(stream))


def _read_ahead(stream: httpcore.AsyncNetworkStream) -> object:
    """Return what the event loop has read already from the socket of a connection, if it is asyncio's."""
    found: Any = getattr(stream, "_stream", None)  # anyio's, beneath httpcore's
    beneath = getattr(found, "transport_stream", found)
    return getattr(getattr(beneath, "_protocol", None), "read_queue", None)
