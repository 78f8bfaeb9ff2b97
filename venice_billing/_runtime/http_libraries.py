"""The two HTTP libraries that a client may stand on: httpx, and its successor httpx2, which has the same names.

Each has its own classes of clients, requests, transports and exceptions, and its own connection pool beneath: httpcore,
httpcore2. This is the only module that knows both. httpx2 is optional: it is never imported here, since whoever has an
object of it has imported it. To type checkers, all of it is httpx: the names in use are the same.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeGuard

import httpx

if TYPE_CHECKING:
    from types import ModuleType


def is_sync_client(value: object) -> TypeGuard[httpx.Client]:
    """Tell whether a value is a synchronous client of either library."""
    return isinstance(value, http_of(value).Client)


def is_async_client(value: object) -> TypeGuard[httpx.AsyncClient]:
    """Tell whether a value is an asynchronous client of either library."""
    return isinstance(value, http_of(value).AsyncClient)


def is_sync_stream(value: object) -> TypeGuard[httpx.SyncByteStream]:
    """Tell whether a value is the body of a response to a synchronous client."""
    return isinstance(value, http_of(value).SyncByteStream)


def is_async_stream(value: object) -> TypeGuard[httpx.AsyncByteStream]:
    """Tell whether a value is the body of a response to an asynchronous client."""
    return isinstance(value, http_of(value).AsyncByteStream)


def http_of(value: object) -> Any:
    """Return the library of a client, a transport, a response or an exception: the module `httpx` or `httpx2`."""
    return _module_of(value, "httpx2") or httpx


def core_of(pool: object) -> Any:
    """Return the library of a connection pool or a network backend: the module `httpcore` or `httpcore2`."""
    import httpcore  # noqa: PLC0415 - httpx loads it only when a client is made

    return _module_of(pool, "httpcore2") or httpcore


def faults_of(client: httpx.Client | httpx.AsyncClient) -> tuple[type[Exception], ...]:
    """Return the exceptions by which a client reports that a request failed, or that it is closed itself."""
    http = http_of(client)
    # OSError and TimeoutError: a user's own transport may raise them bare, and so does `anyio.fail_after`.
    # UnicodeError: a user's own client parses the address of a redirect even if it does not follow it.
    # RuntimeError: of a client that is closed, and the base of StreamError.
    return (http.HTTPError, http.InvalidURL, OSError, UnicodeError, RuntimeError)


def _module_of(value: object, name: str) -> ModuleType | None:
    """Return the module of that name if the class of a value, or a class that it is derived from, comes from it."""
    if any(kind.__module__.partition(".")[0] == name for kind in type(value).__mro__):
        return sys.modules.get(name)
    return None
