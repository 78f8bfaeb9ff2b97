"""The httpx clients under the public ones: their owner, the process and event loop they serve, and their end.

If two processes use one connection, one gets the answer of the other; a connection of an ended event loop is useless.
So unless the user passes an httpx client, no two processes, event loops or threads use one client at the same time.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary, ref

import httpx

from venice_billing._event_loops import has_ended, running_loop
from venice_billing._exchange import set_location_aside, set_location_aside_async
from venice_billing._forks import reset_in_children
from venice_billing._http_settings import HttpSettings
from venice_billing._runtime.connections import bound_async, bound_sync, shut, stop_reuse
from venice_billing._runtime.http_libraries import http_of
from venice_billing.errors import InvalidParameterError, VeniceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing._runtime.deadline import Deadline

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)

_KEPT = 5.0
"""Seconds that httpx keeps an idle connection."""
_NESTED = (
    "http_client is in the middle of a request of this thread: a signal handler or a __del__ cannot use it too; "
    "pass no http_client, or make another client there"
)
_OTHER_LOOP = "one that was used in another event loop"
_OF_THIS_LOOP = "used in one event loop: make one in each, or pass no http_client"


class ClosedError(Exception):
    """The client is closed."""


class Connections:
    """The httpx clients that send the requests of a synchronous client. It may be shared between threads.

    Each request under way has an httpx client to itself. A signal handler, or a `__del__` that the garbage collector
    runs, can make a call at any point of another request of its thread, where the locks of that httpx client may be
    held; a call that waited for them, in this or in another thread, would wait for ever. With one httpx client for all,
    it would also find the connections in the middle of a change.

    Only a client that the user passed is shared by all requests; there a nested call is refused.

    Args:
        base_url: The server that requests go to.
        given: The user's own client; None to make one.
        owned: Whether `close` also closes a given client.

    Raises:
        InvalidParameterError: The proxy or the certificates from the environment cannot be used, or the given client
            would send the key to a proxy in plain text.
    """

    def __init__(self, base_url: str, given: httpx.Client | None = None, *, owned: bool = False) -> None:
        _load_decoders()
        self._given = _checked(given, base_url)
        self._owned = owned
        self._has_shared_connections = given is not None and _has_connections(given)
        self._settings = None if given is not None else HttpSettings(base_url)
        self._is_closed = False
        self._is_used = False
        self._is_foreign = False
        self._entered = threading.local()
        self._inherited: list[object] = []
        # All clients made and not dropped, and those not in use, each with the time since when. Each change is atomic.
        self._clients: WeakKeyDictionary[httpx.Client, None] = WeakKeyDictionary()
        self._idle: list[tuple[httpx.Client, float]] = []
        if self._settings is not None:
            self._idle.append((self._made(self._settings), time.monotonic()))
        if given is not None:
            bound_sync(given)
            if owned:
                _add_hook(given, set_location_aside)
        reset_in_children(self)

    @property
    def is_closed(self) -> bool:
        """Whether requests can no longer be sent."""
        return self._is_closed or (self._given is not None and self._given.is_closed)

    @property
    def is_nested(self) -> bool:
        """Whether this thread is in the middle of a request whose connections it shares."""
        request: ref[Deadline] | None = getattr(self._entered, "request", None)
        return request is not None and request() is not None

    def take(self, request: Deadline) -> httpx.Client:
        """Return a client for one request, until `give_back` or `drop`.

        Raises:
            ClosedError: The client is closed.
            InvalidParameterError: The client is the user's own and was used before this process was forked.
            VeniceError: The client is the user's own, and this thread is in the middle of a request.
        """
        if self.is_closed:
            raise ClosedError
        if self._is_foreign:
            raise _foreign_client()
        self._is_used = True
        if self._settings is not None:
            return self._taken(self._settings)
        if self._given is None:
            raise ClosedError
        if self.is_nested:
            raise VeniceError(_NESTED)
        if self._has_shared_connections:
            self._entered.request = ref(request)
        return self._given

    def give_back(self, client: httpx.Client) -> None:
        """Make a client available again after its request, or close it if all are closed."""
        self._entered.request = None
        if client in self._clients:  # neither the user's, nor one of the parent process
            self._idle.append((client, time.monotonic()))
            if self._is_closed:
                self._close_idle()

    def drop(self, client: httpx.Client) -> None:
        """Leave a client after an interruption, which may have left it in any state."""
        self._entered.request = None
        self._clients.pop(client, None)

    def stop_reuse(self) -> None:
        """Do not reuse idle connections: an answer did not fit its request, and the next one may not fit either."""
        for client in self._open():
            stop_reuse(client)

    def close(self) -> None:
        """Close the connections, unless they are the user's own; requests under way end at once.

        A signal handler may call this in the middle of a request of its thread. So the clients in use are only shut,
        and the threads that use them close them.
        """
        self._is_closed = True
        if self._given is None or self._owned:
            for client in self._open():
                shut(client)
        self._close_idle()
        if self._given is not None and self._owned:
            self._given.close()

    def reset_after_fork(self) -> None:
        """Leave the connections to the parent process, untouched: a thread of the parent may have held a TLS lock."""
        if self._settings is not None:
            self._inherited.append(self._open())
            self._clients, self._idle = WeakKeyDictionary(), []
            self._settings.reset_after_fork()
        elif self._is_used and self._has_shared_connections:
            self._is_foreign = True

    def _taken(self, settings: HttpSettings) -> httpx.Client:
        try:
            client, _ = self._idle.pop()
        except IndexError:
            client = self._made(settings)
        self._close_expired()
        if self._is_closed:
            self.give_back(client)
            raise ClosedError
        return client

    def _made(self, settings: HttpSettings) -> httpx.Client:
        client = settings.make(httpx.Client)
        bound_sync(client)
        _add_hook(client, set_location_aside)
        self._clients[client] = None
        return client

    def _open(self) -> list[httpx.Client]:
        if self._given is not None:
            return [self._given]
        return [client for reference in self._clients.keyrefs() if (client := reference()) is not None]

    def _close_idle(self) -> None:
        while self._idle:
            with suppress(IndexError):  # another thread was faster
                client, _ = self._idle.pop()
                client.close()

    def _close_expired(self) -> None:
        """Close the clients that have been idle for as long as httpx keeps connections."""
        while self._idle:
            try:
                client, since = oldest = self._idle.pop(0)
            except IndexError:  # as above
                return
            if time.monotonic() - since < _KEPT:
                self._idle.insert(0, oldest)
                return
            client.close()


class AsyncConnections:
    """The httpx clients of an asynchronous client: like `Connections`, but one per event loop."""

    def __init__(self, base_url: str, given: httpx.AsyncClient | None = None, *, owned: bool = False) -> None:
        _load_decoders()
        _load_event_loops()
        self._given = _checked(given, base_url)
        self._owned = owned or given is None
        self._settings = None if given is not None else HttpSettings(base_url)
        self._is_closed = False
        self._is_used = False
        self._is_foreign = False
        self._home: Any = None
        self._clients: dict[Any, httpx.AsyncClient] = {}
        self._inherited: list[object] = []
        if given is not None:
            bound_async(given)
            if owned:
                _add_hook(given, set_location_aside_async)
        reset_in_children(self)

    @property
    def is_closed(self) -> bool:
        """Whether requests can no longer be sent."""
        return self._is_closed or (self._given is not None and self._given.is_closed)

    def client(self) -> httpx.AsyncClient:
        """Return the client to send a request with in this event loop.

        Raises:
            ClosedError: The client is closed.
            InvalidParameterError: The client is the user's own and was used before this process was forked, or in
                another event loop.
        """
        if self.is_closed:
            raise ClosedError
        if self._is_foreign:
            raise _foreign_client()
        loop = running_loop()
        if self._given is not None:
            if self._is_used and loop is not self._home and _has_connections(self._given):
                raise InvalidParameterError("http_client", _OTHER_LOOP, _OF_THIS_LOOP)
            self._is_used, self._home = True, loop
            return self._given
        client = self._clients.get(loop)
        if client is None and self._settings is not None:
            for other in [other for other in list(self._clients) if has_ended(other)]:
                self._clients.pop(other, None)
            client = self._settings.make(httpx.AsyncClient)
            bound_async(client)
            _add_hook(client, set_location_aside_async)
            self._clients[loop] = client
        if client is None:
            raise ClosedError
        return client

    def stop_reuse(self) -> None:
        """Do not reuse idle connections: an answer did not fit its request, and the next one may not fit either."""
        for client in [self._given] if self._given is not None else list(self._clients.values()):
            stop_reuse(client)

    async def close(self) -> None:
        """Close this event loop's connections, unless they are the user's own; others end with their loops."""
        self._is_closed = True
        clients, self._clients = self._clients, {}
        for client in clients.values():
            shut(client)
        here = self._given if self._owned and self._given is not None else clients.get(running_loop())
        if here is not None:
            await here.aclose()

    def reset_after_fork(self) -> None:
        """Leave the connections to the parent process, untouched: they belong to its event loops."""
        if self._settings is not None:
            self._inherited.append(self._clients)
            self._clients = {}
            self._settings.reset_after_fork()
        elif self._given is not None and self._is_used and _has_connections(self._given):
            self._is_foreign = True


def _add_hook(client: httpx.Client | httpx.AsyncClient, hook: Callable[[httpx.Response], Any]) -> None:
    """Make a client of this package call a hook with each response."""
    client.event_hooks = {**client.event_hooks, "response": [*client.event_hooks["response"], hook]}


def _load_decoders() -> None:
    """Import the decoders now: an import that is under way at a fork never ends in the child."""
    from venice_billing_api import wire  # noqa: F401, PLC0415 - not needed before there is a client


def _load_event_loops() -> None:
    """Import now what calls need: at the first call there may be no file descriptor left to import it with."""
    import anyio  # noqa: F401, PLC0415 - a synchronous program does not need it

    from venice_billing._runtime import network  # noqa: F401, PLC0415 - as above


def _checked(client: Client | None, base_url: str) -> Client | None:
    """Refuse a client that would send the key to a proxy in plain text."""
    url = http_of(client).URL(base_url)
    if client is not None and url.scheme == "http":
        pool = getattr(client._transport_for_url(url), "_pool", None)  # noqa: SLF001 - httpx has no public way to ask
        if any(getattr(pool, name, None) is not None for name in ("_proxy_url", "_proxy")):
            raise InvalidParameterError(
                "http_client", type(client), "one without a proxy for plain http: the proxy would read the key"
            )
    return client


def _has_connections(client: httpx.Client | httpx.AsyncClient) -> bool:
    transports = (client._transport, *client._mounts.values())  # noqa: SLF001 - as above
    return any(transport is not None and not _is_without_connections(transport) for transport in transports)


def _is_without_connections(transport: object) -> bool:
    http = http_of(transport)
    return isinstance(transport, http.MockTransport | http.WSGITransport | http.ASGITransport)


def _foreign_client() -> InvalidParameterError:
    return InvalidParameterError(
        "http_client",
        "one that was used before this process was forked",
        "made in this process: make client and http_client after the fork, or pass no http_client",
    )
