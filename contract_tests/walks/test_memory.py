"""A walk drops each delivered page before it fetches the next: reusing the memory makes decoding faster."""

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
    """Step through the entries of a sync or async walk, keeping none."""
    if isinstance(walk, UsageWalk):
        for _ in walk:
            yield
    else:
        async for _ in walk:
            yield


async def test_a_delivered_page_is_dropped_before_the_next_is_fetched(fake: FakeVenice, face: Face) -> None:
    held: list[int] = []
    before = _entries()
    fake.quirks.faults = lambda _: held.append(_entries() - before)  # called at each request; injects nothing
    entries = 0
    async for _ in _each(face.client.iter_usage_history(page_size=100)):
        entries += 1
    assert entries == 600
    assert len(held) == 6
    assert max(held) <= 2, "the consumer's current entry and its previous one"


async def test_a_walk_knows_its_checkpoint_without_its_page(fake: FakeVenice, face: Face) -> None:
    """The checkpoint after a dropped page is that of its last entry."""
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
