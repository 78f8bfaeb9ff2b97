"""The billing interface of the old SDK: what its paginator yields, and how an iteration ends."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.compat.old_sdk import RANGE, collect, connect, exhaust, following_of, mixed_fake, rows_of
from contract_tests.support.flavours import NOW, Flavour
from venice_billing import errors, models
from venice_billing.compat import _queries
from venice_billing.testing import FakeVenice, faults

pytestmark = pytest.mark.anyio


async def test_paginator_counts_only_what_it_yields(flavour: Flavour) -> None:
    """Also where the currency is filtered in the client, and with pages smaller than the history has."""
    fake = mixed_fake()
    walk = connect(flavour, fake).billing.iter_usage(currency="VCU", page_size=5, max_items=7, **RANGE)
    for _ in range(2):
        assert rows_of(await collect(walk)) == fake.rows(currency="VCU")[::-1][:7]


@pytest.mark.parametrize("currency", [None, "VCU"])
async def test_an_iteration_that_failed_raises_with_checkpoint(flavour: Flavour, currency: str | None) -> None:
    """A generator would end instead, as if the walk were complete: a loop that tries again would add up too little."""
    fake = mixed_fake()
    walk = connect(flavour, fake, max_retries=0).billing.iter_usage(page_size=100, currency=currency)
    following = following_of(walk)
    received = [await following()]
    fake.quirks.faults = lambda _: faults.status(503)
    with pytest.raises(errors.ServerError):
        await exhaust(following, received)
    fake.quirks.faults = ()
    for _ in range(3):
        with pytest.raises(errors.VeniceError, match="cut short") as caught:
            await following()
        assert caught.value.checkpoint == walk.walk.checkpoint
    with fake.client() as client:
        rest = list(client.iter_usage_history(checkpoint=walk.walk.checkpoint).rows())
    wanted = [row for row in rest if currency in {None, row["currency"]}]
    assert len(received) + len(wanted) == len(fake.rows(currency=currency))


async def test_an_iteration_that_ended_stays_ended(flavour: Flavour) -> None:
    fake = mixed_fake()
    for max_items in (None, 3):
        following = following_of(connect(flavour, fake).billing.iter_usage(currency="VCU", max_items=max_items))
        received: list[Any] = []
        with pytest.raises(StopAsyncIteration):
            await exhaust(following, received)
        assert len(received) == (max_items or len(fake.rows(currency="VCU")))
        with pytest.raises(StopAsyncIteration):
            await following()


@given(
    st.lists(st.integers(0, 30), max_size=8),
    st.integers(1, 50),
    st.integers(1, 5),
    st.sampled_from([None, "VCU", "USD"]),
)
def test_page_of_a_walk_is_a_slice_of_it(sizes: list[int], limit: int, page: int, currency: str | None) -> None:
    """However the walk is cut into batches."""
    entry = attrs.evolve(_entry(), notes="0")
    entries = [
        attrs.evolve(entry, notes=str(number), currency=models.Currency("VCU" if number % 3 else "USD"))
        for number in range(sum(sizes))
    ]
    wanted = _queries.range_of(("startDate", None), ("endDate", None), currency, ("sortOrder", "desc"))
    answer = _queries.PageOfWalk(_queries.page_query(wanted, limit, page))
    rest = iter(entries)
    for size in sizes:
        batch = [next(rest) for _ in range(size)]
        answer.take(entry for entry in batch if currency in {None, "VCU"} or entry.currency == currency)
    truth = [entry for entry in entries if currency in {None, entry.currency}]
    found: Any = answer.response()
    assert [value.wrapped for value in found.data] == truth[(page - 1) * limit : page * limit]
    assert found.pagination.total == len(truth)


def _entry() -> models.UsageEntry:
    with FakeVenice(1, now=NOW).client() as client:
        return client.get_usage_history().data[0]
