"""An asynchronous walk that outlives its event loop, or is cancelled, never looks like a complete walk."""

from __future__ import annotations

import asyncio
import gc
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from contract_tests.support.flavours import NOW, as_wire
from venice_billing import AsyncVeniceBilling, VeniceError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator

    from venice_billing import AsyncUsageWalk

CONCURRENCY = pytest.mark.parametrize("concurrency", [1, 4])


def opened(walk: AsyncUsageWalk, *, pages: bool) -> AsyncIterator[Any]:
    return walk.pages() if pages else aiter(walk)


async def take(iterator: AsyncIterator[Any], count: int) -> list[Any]:
    with anyio.fail_after(60):
        return [await anext(iterator) for _ in range(count)]


async def take_all(iterator: AsyncIterable[Any]) -> list[Any]:
    with anyio.fail_after(60):
        return [item async for item in iterator]


def client_of(fake: FakeVenice) -> AsyncVeniceBilling:
    return fake.async_client()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("pages", [False, True])
@CONCURRENCY
def test_an_iterator_of_an_ended_event_loop_raises_with_checkpoint(
    fake: FakeVenice, backend: str, concurrency: int, *, pages: bool
) -> None:
    client = client_of(fake)
    iterator = opened(client.iter_usage_history(page_size=50, concurrency=concurrency), pages=pages)
    received = anyio.run(take, iterator, 3, backend=backend)
    for _ in range(2):
        with pytest.raises(VeniceError, match="cut short") as caught:
            anyio.run(take_all, iterator, backend=backend)
    rest = client.iter_usage_history(checkpoint=caught.value.checkpoint)
    entries = [entry for page in received for entry in page] if pages else received
    assert as_wire([*entries, *anyio.run(take_all, rest, backend=backend)]) == fake.ledger


@CONCURRENCY
@pytest.mark.parametrize("max_items", [None, 30])
def test_a_finished_iterator_stays_finished_in_another_event_loop(
    fake: FakeVenice, concurrency: int, max_items: int | None
) -> None:
    iterator = aiter(client_of(fake).iter_usage_history(max_items=max_items, concurrency=concurrency))
    assert len(asyncio.run(take_all(iterator))) == max_items or len(fake.ledger)
    assert asyncio.run(take_all(iterator)) == []


@CONCURRENCY
def test_an_iterator_that_delivered_everything_is_not_cut_short(fake: FakeVenice, concurrency: int) -> None:
    """Its event loop ended before the consumer asked for another entry."""
    iterator = aiter(client_of(fake).iter_usage_history(max_items=30, concurrency=concurrency))
    assert len(asyncio.run(take(iterator, 30))) == 30
    assert asyncio.run(take_all(iterator)) == []


@pytest.mark.anyio
@pytest.mark.parametrize("pages", [False, True])
@CONCURRENCY
async def test_an_iterator_closed_by_its_user_is_exhausted(fake: FakeVenice, concurrency: int, *, pages: bool) -> None:
    iterator: Any = opened(client_of(fake).iter_usage_history(page_size=50, concurrency=concurrency), pages=pages)
    async with aclosing(iterator):
        await take(iterator, 2)
    assert await take_all(iterator) == []


@pytest.mark.anyio
@CONCURRENCY
async def test_a_cancelled_iterator_raises_with_checkpoint(concurrency: int) -> None:
    fake = FakeVenice(2000, now=NOW)
    transport = fake.transport()
    is_silent = False

    async def handle(request: httpx.Request) -> httpx.Response:
        if is_silent:
            scope.cancel()
            await anyio.sleep_forever()
        response = transport.handle_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=response.read())

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    iterator = aiter(
        AsyncVeniceBilling(fake.admin_key, http_client=http).iter_usage_history(page_size=50, concurrency=concurrency)
    )
    received = await take(iterator, 20)
    is_silent = True
    with anyio.CancelScope() as scope:
        while True:
            received += await take(iterator, 1)
    with pytest.raises(VeniceError, match="cut short") as caught:
        await take_all(iterator)
    rest = await take_all(client_of(fake).iter_usage_history(checkpoint=caught.value.checkpoint))
    assert as_wire([*received, *rest]) == fake.ledger


@CONCURRENCY
@pytest.mark.parametrize("pages", [False, True])
def test_an_event_loop_ends_without_warnings_while_a_walk_is_open(
    fake: FakeVenice, concurrency: int, caplog: pytest.LogCaptureFixture, *, pages: bool
) -> None:
    iterator = opened(client_of(fake).iter_usage_history(page_size=50, concurrency=concurrency), pages=pages)
    with caplog.at_level(logging.WARNING):
        asyncio.run(take(iterator, 1))
        del iterator
        gc.collect()
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


@CONCURRENCY
@pytest.mark.parametrize("is_closed", [True, False])
def test_an_iterator_continued_in_another_event_loop_never_waits_for_the_first(
    fake: FakeVenice, concurrency: int, *, is_closed: bool
) -> None:
    """The first has stopped, so the tasks that read the ledger there do not run."""
    client = client_of(fake)
    iterator = opened(client.iter_usage_history(page_size=50, concurrency=concurrency), pages=False)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    received = first.run_until_complete(take(iterator, 3))
    if is_closed:
        first.run_until_complete(first.shutdown_asyncgens())
        first.close()
    try:
        try:
            while True:
                received += second.run_until_complete(take(iterator, 1))
        except StopAsyncIteration:
            rest = []
        except VeniceError as error:
            walk = client.iter_usage_history(checkpoint=error.checkpoint)
            rest = second.run_until_complete(take_all(walk))
        assert as_wire([*received, *rest]) == fake.ledger
        if not is_closed:  # there the tasks of the walk are cancelled
            first.run_until_complete(asyncio.sleep(0))
            first.run_until_complete(asyncio.sleep(0))
            assert asyncio.all_tasks(first) == set()
    finally:
        first.close()
        second.close()
