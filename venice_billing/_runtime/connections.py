"""What is done to the connections of an httpx client: bind them to a `Deadline`, end requests, prevent reuse.

All of it serves clients of httpx2 as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venice_billing._runtime.http_libraries import http_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

    from venice_billing._runtime.network import BoundBackend, TidyBackend


def bound_sync(client: httpx.Client) -> None:
    """Make the connections that a client opens from now on obey a `Deadline`; a second call does nothing.

    Other transports than `httpx.HTTPTransport` (a mock, a WSGI application) are left as they are.
    """
    for transport in _transports(client):
        if isinstance(transport, http_of(transport).HTTPTransport):
            from venice_billing._runtime.network import bound_pool  # noqa: PLC0415 - httpx loads httpcore this late too

            bound_pool(transport._pool)  # noqa: SLF001 - httpx has no public way to the pool of a transport


def bound_async(client: httpx.AsyncClient) -> None:
    """Make a client close a connection whose TLS handshake is cancelled; httpcore leaves it to garbage collection."""
    for transport in _transports(client):
        if isinstance(transport, http_of(transport).AsyncHTTPTransport):
            from venice_billing._runtime.network import tidy_pool  # noqa: PLC0415 - as above

            tidy_pool(transport._pool)  # noqa: SLF001 - as above


def shut(client: httpx.Client | httpx.AsyncClient) -> None:
    """End the requests of a client, from any thread, and let it open no more connections."""
    for backend in _backends(client):
        backend.shut()


def stop_reuse(client: httpx.Client | httpx.AsyncClient) -> None:
    """Prevent further requests on the connections that a client has open."""
    for backend in _backends(client):
        backend.stop_reuse()


def stop_reuse_unless_clean(response: httpx.Response) -> bool:
    """Prevent further requests on the connection of an answer, unless this is a success with no bytes after it.

    Surplus bytes would be taken for the next answer, and from then on each request would get the answer of the request
    before. So anything suspicious ends the connection.

    Returns:
        Whether bytes after the answer are there already.
    """
    stream = response.extensions.get("network_stream")
    if stream is None or not hasattr(stream, "has_bytes_after"):
        return False
    has_bytes_after: bool = stream.has_bytes_after(response)
    if has_bytes_after or not response.is_success:
        stream.stop_reuse()
    return has_bytes_after and "stream_id" not in response.extensions  # on HTTP/2, those of other streams may be there


def _backends(client: httpx.Client | httpx.AsyncClient) -> Iterator[BoundBackend | TidyBackend]:
    """Yield the network backends that `bound_sync` or `bound_async` has given a client."""
    from venice_billing._runtime.network import BoundBackend, TidyBackend  # noqa: PLC0415 - as above

    for transport in _transports(client):
        http = http_of(transport)
        if isinstance(transport, http.HTTPTransport | http.AsyncHTTPTransport):
            backend = transport._pool._network_backend  # noqa: SLF001 - httpcore has no public way to this
            if isinstance(backend, BoundBackend | TidyBackend):
                yield backend


def _transports(client: httpx.Client | httpx.AsyncClient) -> tuple[Any, ...]:
    return (client._transport, *client._mounts.values())  # noqa: SLF001 - httpx has no public way to these
