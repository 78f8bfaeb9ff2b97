"""One interface to the sync and the async client, so that a test is written once and covers both."""

from __future__ import annotations

import importlib.util
import inspect
from contextlib import aclosing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from venice_billing import AsyncVeniceBilling, UsageEntry, UsageWalk, VeniceBilling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from venice_billing.testing import FakeVenice

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
HISTORY, ORIGINAL = "/api/v1/billing/usage-history", "/api/v1/billing/usage"


@frozen
class Flavour:
    """The kind of client under test: sync or async, on a client of its own or on one of httpx2 that is given to it."""

    name: str
    library: str = "httpx"

    def __str__(self) -> str:
        return self.name if self.library == "httpx" else f"{self.name}-{self.library}"

    def connect(self, fake: FakeVenice, **options: Any) -> Face:
        """Return a client of the fake, on its transport and clock."""
        if self.library != "httpx":
            http = self.http(transport=fake.transport())
            return Face(self.kind(http_client=http, **fake._client_options(options)), http)
        return Face(fake.client(**options) if self.name == "sync" else fake.async_client(**options))

    def open(self, api_key: str, **options: Any) -> Face:
        """Return a client for any server."""
        http = None if self.library == "httpx" or "http_client" in options else self.http()
        return Face(self.kind(api_key, **({"http_client": http} if http else {}), **options), http)

    def at(self, url: str, **options: Any) -> Face:
        """Return a client of a server, without retries."""
        return self.open("a-key", base_url=url, **{"max_retries": 0, **options})

    def mocked(self, handle: Callable[[Any], Any], api_key: str = "a-key", **options: Any) -> Face:
        """Return a client whose requests a function answers, through a mock transport."""
        transport = self.package.MockTransport(handle)
        return self.open(api_key, http_client=self.http(transport=transport), **options)

    @property
    def kind(self) -> type[VeniceBilling | AsyncVeniceBilling]:
        """The class of the client."""
        return VeniceBilling if self.name == "sync" else AsyncVeniceBilling

    @property
    def package(self) -> Any:
        """The HTTP library."""
        return importlib.import_module(self.library)

    def http(self, **options: Any) -> Any:
        """Return a client of the HTTP library."""
        return (self.package.Client if self.name == "sync" else self.package.AsyncClient)(**options)


NAMES = ("sync", "async")
WITHOUT_HTTPX2 = pytest.mark.skipif(importlib.util.find_spec("httpx2") is None, reason="httpx2 is not installed")
FLAVOURS = [Flavour(name) for name in NAMES]
FLAVOURS_ON_EACH_LIBRARY = [
    *FLAVOURS,
    *(pytest.param(Flavour(name, "httpx2"), marks=WITHOUT_HTTPX2) for name in NAMES),
]
"""Parameters of the fixture `flavour` where the HTTP library matters."""
ON_EACH_LIBRARY = pytest.mark.parametrize("flavour", FLAVOURS_ON_EACH_LIBRARY, ids=str)
"""Marks a single test of those."""


@frozen
class Face:
    """A sync or async client whose calls are all awaited; and the HTTP client that was made for it, if any."""

    client: Any
    http: Any = None

    async def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method, and await the result of an async client."""
        result = getattr(self.client, method)(*args, **kwargs)
        return await result if inspect.isawaitable(result) else result

    async def close(self) -> None:
        """Close the client, and the HTTP client that was made for it."""
        for client in filter(None, (self.client, self.http)):
            result = (client.close if hasattr(client, "close") else client.aclose)()
            if inspect.isawaitable(result):
                await result


async def receive(
    walk: Any, count: int | None = None, *, pages: bool = False, into: list[Any] | None = None
) -> list[Any]:
    """Return at most `count` entries (or pages) of a sync or async walk, and then leave the walk."""
    received: list[Any] = [] if into is None else into
    if count == 0:
        return received
    if isinstance(walk, UsageWalk):
        for item in walk.pages() if pages else walk:
            received.append(item)
            if len(received) == count:
                break
        return received
    iterator = walk.pages() if pages else aiter(walk)
    async with aclosing(iterator):
        async for item in iterator:
            received.append(item)
            if len(received) == count:
                break
    return received


def files(folder: Path) -> list[str]:
    """Return the names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def as_one_page(fake: FakeVenice, **filters: Any) -> bytes:
    """Return what an export is to hold: the ledger as the API itself sends it in a single page of CSV."""
    return bytes(fake.client().get_usage_history(format="csv", page_size=1000, **filters))


def as_wire(entries: Sequence[UsageEntry]) -> list[dict[str, Any]]:
    """Return entries in the form of the fake's ledger rows."""
    return [entry.to_dict() for entry in entries]


def row(timestamp: str, **fields: Any) -> Mapping[str, Any]:
    """Return a ledger row of the fake."""
    return {"timestamp": timestamp, **fields}


def timestamps(start: datetime, seconds: Sequence[float]) -> list[str]:
    """Return the instants `seconds` after `start` in the API's format: UTC, milliseconds, `Z`."""
    return [
        datetime.fromtimestamp(start.timestamp() + offset, UTC)
        .isoformat(timespec="milliseconds")
        .replace("+00:00", "Z")
        for offset in seconds
    ]
