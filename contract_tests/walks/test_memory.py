"""What a walk keeps: of the pages that were handed on nothing, or the next one is read into cold memory."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from venice_billing import UsageEntry, UsageWalk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from contract_tests.support.flavours import Face
    from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.anyio


def _entries() -> int:
    return sum(type(thing) is UsageEntry for thing in gc.get_objects())


async def _each(walk: Any) -> AsyncIterator[None]:
    """Step through the entries of a walk of either flavour, keeping none."""
    if isinstance(walk, UsageWalk):
        for _ in walk:
            yield
    else:
        async for _ in walk:
            yield


async def test_a_page_that_was_handed_on_is_gone_before_the_next_is_fetched(fake: FakeVenice, face: Face) -> None:
    held: list[int] = []
    before = _entries()
    fake.quirks.faults = lambda _: held.append(_entries() - before)  # asked at each request; injects nothing
    entries = 0
    async for _ in _each(face.client.iter_usage_history(page_size=100)):
        entries += 1
    assert entries == 600
    assert len(held) == 6
    assert max(held) <= 2, "the entry the consumer has, and the one it had"


async def test_where_a_walk_stands_is_known_without_its_page(fake: FakeVenice, face: Face) -> None:
    """The checkpoint after a page that is gone is the one of its last entry."""
    walk = face.client.iter_usage_history(page_size=100)
    stood: list[str] = []
    fake.quirks.faults = lambda _: stood.append(walk.checkpoint)
    at_borders = []
    entries = 0
    async for _ in _each(walk):
        entries += 1
        if entries % 100 == 0:
            at_borders.append(walk.checkpoint)
    assert stood[1:] == at_borders[:-1]
    assert len(set(at_borders)) == 6
