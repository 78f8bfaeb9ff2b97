"""Make the connections of an httpx client heed a `Deadline`, end what they do, or let nobody use them again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing._runtime.network import BoundBackend, TidyBackend


def bound_sync(client: httpx.Client) -> None:
    """Make the connections that a client opens from now on heed a `Deadline`; doing it twice does nothing.

    Transports that are no `httpx.HTTPTransport` (a mock, a WSGI application) are left alone.
    """
    for transport in _transports(client):
        if isinstance(transport, httpx.HTTPTransport):
            from venice_billing._runtime.network import bound_pool  # noqa: PLC0415 - httpx loads httpcore as late

            bound_pool(transport._pool)  # noqa: SLF001 - httpx has no public way to the pool of a transport


def bound_async(client: httpx.AsyncClient) -> None:
    """Make a client close a connection whose TLS handshake is cancelled; httpcore leaves that to the collector."""
    for transport in _transports(client):
        if isinstance(transport, httpx.AsyncHTTPTransport):
            from venice_billing._runtime.network import tidy_pool  # noqa: PLC0415 - as above

            tidy_pool(transport._pool)  # noqa: SLF001 - as above


def shut(client: httpx.Client | httpx.AsyncClient) -> None:
    """End what a client is doing on the network, from any thread, and let it open nothing from now on."""
    for backend in _backends(client):
        backend.shut()


def leave_all(client: httpx.Client | httpx.AsyncClient) -> None:
    """Let no other request use the connections that a client has."""
    for backend in _backends(client):
        backend.leave_all()


def leave_unless_clean(response: httpx.Response) -> None:
    """Let no other request use the connection of an answer that was read, unless it is a success and nothing more.

    Bytes that nobody asked for pass for the next answer. From then on every answer would be the one before; so
    whatever does not look right ends it.
    """
    stream = response.extensions.get("network_stream")
    if stream is not None and hasattr(stream, "leave_unless_clean"):
        stream.leave_unless_clean(response)


def _backends(client: httpx.Client | httpx.AsyncClient) -> Iterator[BoundBackend | TidyBackend]:
    """Yield the network backends of a client that `bound_sync` or `bound_async` has put there."""
    from venice_billing._runtime.network import BoundBackend, TidyBackend  # noqa: PLC0415 - as above

    for transport in _transports(client):
        if isinstance(transport, httpx.HTTPTransport | httpx.AsyncHTTPTransport):
            backend = transport._pool._network_backend  # noqa: SLF001 - nor has httpcore one to the backend of a pool
            if isinstance(backend, BoundBackend | TidyBackend):
                yield backend


def _transports(client: httpx.Client | httpx.AsyncClient) -> tuple[object, ...]:
    return (client._transport, *client._mounts.values())  # noqa: SLF001 - nor to the transports of a client
