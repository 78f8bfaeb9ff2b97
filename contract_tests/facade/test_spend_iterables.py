"""Any iterable of entries is summarised, one entry at a time, and its iteration is closed."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.bookings import entry, single
from contract_tests.support.flavours import receive
from venice_billing import InvalidParameterError, UsageEntry
from venice_billing.spend import SpendTable, summarize

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from contract_tests.support.flavours import Face
    from venice_billing.spend import Dimension, Kind
    from venice_billing.testing import FakeVenice

DIMENSIONS: tuple[Dimension, ...] = ("day", "week", "month", "model", "service", "sku", "key", "currency")


@pytest.mark.anyio
async def test_walk_is_summarised_in_both_flavours(fake: FakeVenice, face: Face) -> None:
    expected = summarize(await receive(face.client.iter_usage_history()), by=DIMENSIONS)
    summary = summarize(face.client.iter_usage_history(page_size=50), by=DIMENSIONS)
    table = summary if isinstance(summary, SpendTable) else await summary
    assert table == expected
    assert sum(row.count for row in table) == 600
    await face.close()


@pytest.mark.anyio
async def test_async_arguments_are_checked_at_once() -> None:
    async def entries() -> AsyncIterator[UsageEntry]:
        yield entry()

    with pytest.raises(InvalidParameterError, match="by must be"):
        summarize(entries(), by="modle")  # type: ignore[arg-type]
    assert single(await summarize(entries())).count == 1


def broken() -> Iterator[UsageEntry]:
    yield entry()
    raise ConnectionError


async def broken_async() -> AsyncIterator[UsageEntry]:
    for booking in broken():
        yield booking


@pytest.mark.anyio
async def test_error_of_the_entries_is_not_swallowed() -> None:
    with pytest.raises(ConnectionError):
        summarize(broken())
    with pytest.raises(ConnectionError):
        await summarize(broken_async())


class Walk:
    """Entries whose iterations are counted while they are under way."""

    def __init__(self) -> None:
        self.open = 0

    def __iter__(self) -> Iterator[UsageEntry]:
        self.open += 1
        try:
            yield from [entry()] * 3
        finally:
            self.open -= 1


class AsyncWalk(Walk):
    __iter__ = None  # type: ignore[assignment]

    async def __aiter__(self) -> AsyncIterator[UsageEntry]:
        for booking in Walk.__iter__(self):
            yield booking


@pytest.mark.anyio
async def test_iteration_is_closed_when_a_rule_fails() -> None:
    def rule(_: UsageEntry) -> Kind:
        raise ArithmeticError

    walk, async_walk = Walk(), AsyncWalk()
    with pytest.raises(ArithmeticError) as caught:
        summarize(walk, kinds=rule)
    with pytest.raises(ArithmeticError) as caught_later:
        await summarize(async_walk, kinds=rule)
    assert (walk.open, async_walk.open) == (0, 0)
    assert caught.tb is not None  # the frames are alive: nothing was closed by chance
    assert caught_later.tb is not None


@pytest.mark.anyio
async def test_iterator_of_the_caller_stays_open() -> None:
    def rule(_: UsageEntry) -> Kind:
        raise ArithmeticError

    bookings, async_bookings = iter(Walk()), aiter(AsyncWalk())
    with pytest.raises(ArithmeticError):
        summarize(bookings, kinds=rule)
    with pytest.raises(ArithmeticError):
        await summarize(async_bookings, kinds=rule)
    assert len(list(bookings)) == 2
    assert len([booking async for booking in async_bookings]) == 2


def test_memory_does_not_grow_with_the_entries() -> None:
    """A list of the entries would hold 20,000 of them: megabytes."""

    def bookings(count: int) -> Iterator[UsageEntry]:
        for number in range(count):
            yield entry(f"-0.{number}", sku=f"unheard-of-{number}")

    summarize(bookings(10), by="month")
    tracemalloc.start()
    summarize(bookings(20_000), by=("month", "service"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


def count_of(entries: Iterable[UsageEntry]) -> int:
    return sum(row.count for row in summarize(entries))


@pytest.mark.parametrize("kind", [list, tuple, iter, set])
def test_any_iterable_of_entries_will_do(kind: Any) -> None:
    assert count_of(kind([entry("-1"), entry("-2")])) == 2
