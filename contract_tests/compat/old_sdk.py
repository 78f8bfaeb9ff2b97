"""Clients with the old interface in both flavours, and an account to read with them."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

import httpx

from contract_tests.support.flavours import NOW, Flavour
from venice_billing.compat import venice_ai, venice_ai_v1
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

RANGE = {"startDate": "2026-09-01T00:00:00Z", "endDate": "2026-10-01T00:00:00Z"}


def connect(flavour: Flavour, fake: FakeVenice, **options: Any) -> Any:
    """Return a client with the old interface."""
    module = venice_ai if flavour.name == "async" else venice_ai_v1
    return module.VeniceClient(fake.admin_key, http_client=flavour.http(transport=fake.transport()), **options)


async def result(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def collect(walk: Any) -> list[Any]:
    return [item async for item in walk] if hasattr(walk, "__aiter__") else list(walk)


def following_of(walk: Any) -> Callable[[], Any]:
    """Return a function that returns the next item of one iteration."""
    if hasattr(walk, "__aiter__"):
        asynchronous: Callable[[], Any] = aiter(walk).__anext__
        return asynchronous
    iterator = iter(walk)

    async def following() -> Any:
        try:
            return next(iterator)
        except StopIteration:
            raise StopAsyncIteration from None

    return following


async def exhaust(following: Callable[[], Any], into: list[Any]) -> None:
    while True:
        into.append(await following())


def rows_of(values: Sequence[Any]) -> list[dict[str, Any]]:
    return [value.to_dict() for value in values]


def multiset(rows: Sequence[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in rows)


def mixed_fake(**options: Any) -> FakeVenice:
    """An account with charges in four currencies, also the former one."""
    fake = FakeVenice(900, now=NOW, **options)
    for day in range(1, 29):
        fake.book({"timestamp": f"2026-09-{day:02}T00:00:00.000Z", "currency": "VCU", "amount": f"-0.{day}"})
    return fake


def page_of(fake: FakeVenice) -> Any:
    """Return a page in the interface of the first version."""
    client = venice_ai_v1.VeniceClient(fake.admin_key, http_client=httpx.Client(transport=fake.transport()))
    return client.billing.get_usage(limit=50)
