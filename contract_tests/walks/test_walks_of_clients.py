"""The walks of both clients against FakeVenice: every entry once, checkpoints, errors, fallbacks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contract_tests.support.flavours import HISTORY, NOW, ORIGINAL, Face, Flavour, as_wire, receive, row, timestamps
from venice_billing import NotFoundError, ServerError, VeniceError
from venice_billing._config import Setup
from venice_billing.testing import FakeVenice, Quirks, VirtualClock, faults

pytestmark = pytest.mark.anyio

MONTH = {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}


@pytest.mark.parametrize("page_size", [10, 37, 1000, None])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_walks_deliver_the_ledger(fake: FakeVenice, face: Face, order: str, page_size: int | None) -> None:
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    for method in ("iter_usage", "iter_usage_history"):
        walk = getattr(face.client, method)(sort_order=order, page_size=page_size)
        assert as_wire(await receive(walk)) == expected
        pages = await receive(walk, pages=True)
        assert as_wire([entry for page in pages for entry in page]) == expected
        assert all(0 < len(page) <= (page_size or 1000) for page in pages)


async def test_default_orders_of_both_walks(fake: FakeVenice, face: Face) -> None:
    assert as_wire(await receive(face.client.iter_usage(), 5)) == fake.ledger[::-1][:5]
    assert as_wire(await receive(face.client.iter_usage_history(), 5)) == fake.ledger[:5]


async def test_filters_of_walks(fake: FakeVenice, face: Face) -> None:
    expected = fake.rows(currency="DIEM", start=MONTH["start"], end=MONTH["end"])
    assert expected
    history = face.client.iter_usage_history(
        currency="DIEM", start_timestamp="2026-09-01", end_timestamp="2026-10-01", page_size=20
    )
    assert as_wire(await receive(history)) == expected
    usage = face.client.iter_usage(currency="DIEM", start_date="2026-09-01", end_date="2026-10-01", max_items=7)
    assert as_wire(await receive(usage)) == expected[::-1][:7]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("count", [0, 1, 99, 100, 101, 250, 600])
async def test_checkpoint_resumes_with_exactly_the_rest(
    fake: FakeVenice, flavour: Flavour, order: str, count: int
) -> None:
    """In another client, with another page size, after every cursor of the first client has expired."""
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    walk = flavour.connect(fake).client.iter_usage_history(sort_order=order, page_size=100)
    assert as_wire(await receive(walk, count)) == expected[:count]
    checkpoint = walk.checkpoint
    fake.quirks.cursor_lives_seconds = 0.0
    fake.clock.advance(3600)
    fake.quirks.cursor_lives_seconds = None
    other = flavour.connect(fake).client
    for method in (other.iter_usage_history, other.iter_usage):
        assert as_wire(await receive(method(checkpoint=checkpoint, page_size=70))) == expected[count:]


async def test_a_checkpoint_after_max_items_and_by_pages(fake: FakeVenice, face: Face) -> None:
    walk = face.client.iter_usage_history(max_items=25, page_size=10)
    assert len(await receive(walk)) == 25
    rest = face.client.iter_usage_history(checkpoint=walk.checkpoint)
    assert as_wire(await receive(rest)) == fake.ledger[25:]
    assert len(await receive(walk, 2, pages=True)) == 2
    rest = face.client.iter_usage_history(checkpoint=walk.checkpoint)
    assert as_wire(await receive(rest)) == fake.ledger[20:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_an_error_in_a_walk_carries_the_checkpoint(fake: FakeVenice, face: Face, order: str) -> None:
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    fake.quirks.faults = lambda request: faults.status(402) if request.number == 4 else None
    walk = face.client.iter_usage_history(sort_order=order, page_size=50)
    received: list[Any] = []
    with pytest.raises(VeniceError) as caught:
        await receive(walk, into=received)
    assert caught.value.checkpoint == walk.checkpoint
    rest = await receive(face.client.iter_usage_history(checkpoint=caught.value.checkpoint))
    assert as_wire(received + rest) == expected


async def test_each_iteration_starts_its_own_walk(fake: FakeVenice) -> None:
    walk = fake.client().iter_usage_history(page_size=10)
    one, two = iter(walk), iter(walk)
    assert [next(one).timestamp, next(two).timestamp] == [next(iter(walk)).timestamp] * 2
    assert next(one) == next(two)


async def test_a_walk_sends_nothing_before_it_is_iterated(fake: FakeVenice, face: Face) -> None:
    walk = face.client.iter_usage()
    assert walk.checkpoint
    assert fake.requests == []


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "quirks",
    [
        {"dead_cursor_every": 2},
        {"repeat_cursor_every": 2},
        {"cursor_lives_requests": 0},
        {"rate_limit_every": 3, "rate_limit_headers": ("x-ratelimit-resets",)},
        {"gzip": True},
        {"narrow_window_hangs": True, "empty_result_hangs": True},
    ],
    ids=lambda quirks: next(iter(quirks)),
)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_walks_are_exact_under_each_quirk(
    flavour: Flavour, order: str, quirks: dict[str, Any], concurrency: int
) -> None:
    fake = FakeVenice(400, now=NOW, quirks=Quirks(**quirks))
    walk = flavour.connect(fake).client.iter_usage(sort_order=order, page_size=60, concurrency=concurrency)
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])


async def test_page_with_its_own_cursor_is_not_delivered_twice(flavour: Flavour) -> None:
    instants = timestamps(NOW - timedelta(days=3), [0, 60, 120])
    fake = FakeVenice([row(instant) for instant in instants for _ in range(10)], now=NOW)
    fake.quirks.repeat_cursor_every = 2
    entries = await receive(flavour.connect(fake).client.iter_usage_history(page_size=10))
    assert as_wire(entries) == fake.ledger


async def test_slow_local_clock_loses_no_charge(fake: FakeVenice, flavour: Flavour) -> None:
    """The server decides where an open range ends, so the newest charge comes first although our clock is slow."""
    fake.book()
    face = flavour.connect(fake, _setup=Setup(clock=VirtualClock(NOW - timedelta(hours=1)), owns_http_client=True))
    assert as_wire(await receive(face.client.iter_usage(), 1)) == fake.ledger[-1:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_missing_history_falls_back_to_the_original_ledger(flavour: Flavour, order: str) -> None:
    fake = FakeVenice(500, now=NOW, original="alive", history=False)
    face = flavour.connect(fake)
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    assert as_wire(await receive(face.client.iter_usage(sort_order=order, page_size=100))) == expected
    assert {request.path for request in fake.requests[1:]} == {ORIGINAL}
    with pytest.raises(NotFoundError):
        await receive(face.client.iter_usage_history())


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_walk_falls_back_when_the_history_retires_midway(flavour: Flavour, order: str) -> None:
    fake = FakeVenice(500, now=NOW, original="alive")
    fake.quirks.faults = lambda seen: faults.status(410) if seen.path == HISTORY and seen.number > 4 else None
    walk = flavour.connect(fake).client.iter_usage(sort_order=order, page_size=60)
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])
    assert ORIGINAL in {request.path for request in fake.requests}


async def test_error_has_a_checkpoint_when_both_ledgers_are_gone(flavour: Flavour) -> None:
    fake = FakeVenice(500, now=NOW, original="alive", history=False)
    fake.quirks.faults = lambda seen: faults.status(410) if seen.path == ORIGINAL and seen.number > 3 else None
    client = flavour.connect(fake).client
    with pytest.raises(NotFoundError) as caught:
        await receive(client.iter_usage(page_size=100))
    fake.quirks.faults = ()
    rest = await receive(client.iter_usage(checkpoint=caught.value.checkpoint))
    assert as_wire(rest) == fake.ledger[::-1][200:]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_new_usage_does_not_shift_a_walk_of_the_original_ledger(flavour: Flavour, order: str) -> None:
    """Charges booked behind the walk shift the pages; the walk still delivers each earlier charge exactly once."""
    fake = FakeVenice(300, now=NOW, original="alive", history=False)
    expected = fake.ledger if order == "asc" else fake.ledger[::-1]
    (passed,) = timestamps(NOW, [-3600 if order == "desc" else -89 * 86_400])
    fake.quirks.arrivals = lambda seen: [row(passed)] if seen.number > 2 else []
    client = flavour.connect(fake).client
    assert as_wire(await receive(client.iter_usage(sort_order=order, page_size=40))) == expected
    assert len(fake.ledger) > 305


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_earliest_and_latest_datetimes_are_valid_bounds(
    fake: FakeVenice, face: Face, order: str, concurrency: int
) -> None:
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    for start, end in ((first, None), (None, last), (first, last)):
        walk = face.client.iter_usage_history(
            start_timestamp=start, end_timestamp=end, sort_order=order, concurrency=concurrency
        )
        assert len(await receive(walk)) == 600
    tomorrow = face.client.iter_usage_history(start_timestamp=NOW + timedelta(days=1), sort_order=order)
    assert await receive(tomorrow) == []


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_early_break_leaves_no_request_and_no_thread(fake: FakeVenice, face: Face, concurrency: int) -> None:
    """A walk that the caller has left sends no more requests, and none of its threads is left."""
    await receive(face.client.iter_usage_history(page_size=10, concurrency=concurrency), 3)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("venice-billing")]
    sent = len(fake.requests)
    await face.call("get_balance")
    assert len(fake.requests) == sent + 1


async def test_dead_end_is_a_server_error_with_the_last_timestamp(flavour: Flavour) -> None:
    fake = FakeVenice([row("2026-10-01T00:00:00.000Z")] * 2500, now=NOW, quirks=Quirks(dead_cursor_every=1))
    client = flavour.connect(fake).client
    with pytest.raises(ServerError, match="2026-10-01T00:00:00"):
        await receive(client.iter_usage_history(page_size=1000))
