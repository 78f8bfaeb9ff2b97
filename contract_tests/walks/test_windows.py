"""The planner of windows with simulated workers: no network, no threads, time in whole requests."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.memory_ledger import LedgerOfRows, Row
from venice_billing._call import Expired, Reply, Request, Send
from venice_billing._walk.types import NARROWEST, Batch, Bounds, Page, Position
from venice_billing._walk.windows import Windows, advance, work_alone
from venice_billing.errors import BillingTimeoutError, ResponseValidationError, ServerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing._call import Steps
    from venice_billing._walk.types import Order

NOW = datetime(2026, 11, 1, tzinfo=UTC)
_REQUEST = Send(Request("getBillingUsageHistory", "GET", "/billing/usage-history", {}, {}), 10.0)


@define
class ListLedger(LedgerOfRows):
    """A ledger in a list; each page costs one step, and every requested range is recorded."""

    now = NOW
    rows: list[Row]
    default: int = 1000
    asked: list[Bounds] = field(factory=list)
    requests: int = 0
    hangs_when_empty: bool = False
    hangs: int = 0
    largest_page: int = 1000

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        assert order == "asc"
        self.asked.append(bounds)
        first = 0 if bounds.start is None else bisect_left(self.rows, bounds.start, key=self.timestamp)
        last = len(self.rows) if bounds.end is None else bisect_left(self.rows, bounds.end, key=self.timestamp)
        return self._page(first, last, page_size or self.default)

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        first, last, size = str(page.following).split("-")
        return self._page(int(first), int(last), int(size))

    def _page(self, first: int, last: int, size: int) -> Steps[Page[Row]]:
        self.requests += 1
        outcome = yield _REQUEST
        if isinstance(outcome, Expired) or (self.hangs_when_empty and first >= last):
            self.hangs += 1
            raise BillingTimeoutError("no answer")
        stop = min(first + size, last)
        return Page(self.rows[first:stop], f"{stop}-{last}-{size}" if stop < last else None)


@define
class Workers:
    """Simulates concurrent workers on a plan: every request takes one unit of time."""

    windows: Windows[Row]
    received: list[Row] = field(factory=list)
    most_pages: int = 0
    time: int = 0

    def run(self, *, until: int | None = None) -> list[Row]:
        under_way: list[tuple[int, int, Any]] = []
        numbers = iter(range(10**9))
        while not self.windows.finished:
            while (window := self.windows.claim()) is not None:
                step, result = advance(window, None)
                if step is None:
                    self.windows.record(window, result)
                else:
                    heapq.heappush(under_way, (self.time + 1, next(numbers), window))
            while (batch := self.windows.ready()) is not None:
                self.received += batch.rows
                if until is not None and len(self.received) >= until:
                    return self.received
            held = sum(len(part.pages) for part in self.windows._parts if hasattr(part, "pages"))
            self.most_pages = max(self.most_pages, held + len(under_way))
            if under_way:
                self.time, _, window = heapq.heappop(under_way)
                step, result = advance(window, Reply(200, {}, b""))
                if step is None:
                    self.windows.record(window, result)
                else:
                    heapq.heappush(under_way, (self.time + 1, next(numbers), window))
        return self.received


def plan(
    ledger: ListLedger,
    *,
    order: Order = "asc",
    concurrency: int = 8,
    page_size: int = 1000,
    bounds: Bounds | None = None,
    position: Position | None = None,
) -> Windows[Row]:
    """Plan the walk of a whole ledger, or of a range."""
    if bounds is None:
        bounds = Bounds() if order == "asc" else Bounds(ledger.rows[0].at)
    return Windows(ledger, bounds, order, position or Position(), now=NOW, page_size=page_size, concurrency=concurrency)


def ledger_of(moments: Sequence[datetime]) -> ListLedger:
    return ListLedger([Row(moment, str(number)) for number, moment in enumerate(sorted(moments))])


def even(count: int, days: float = 365, seed: int = 1) -> ListLedger:
    """Return charges at uniformly random moments, in whole milliseconds."""
    chance = random.Random(seed)
    span = int(days * 86_400_000)
    return ledger_of([NOW - timedelta(milliseconds=chance.randrange(1, span)) for _ in range(count)])


def uneven(count: int) -> ListLedger:
    """Return a ledger with a tenth of its charges in one month, then an empty year, then all others in one hour."""
    chance = random.Random(2)
    early = [NOW - timedelta(days=400, milliseconds=chance.randrange(30 * 86_400_000)) for _ in range(count // 10)]
    late = [NOW - timedelta(milliseconds=chance.randrange(1, 3_600_000)) for _ in range(count - count // 10)]
    return ledger_of(early + late)


ORDERS: list[Order] = ["asc", "desc"]
LEDGERS = {
    "even": lambda: even(30_000),
    "uneven": lambda: uneven(30_000),
    "crowded": lambda: ledger_of([NOW - timedelta(days=3)] * 3500 + [NOW - timedelta(days=1)] * 700),
    "one": lambda: ledger_of([NOW - timedelta(days=3)]),
}


def in_order(ledger: ListLedger, order: Order) -> list[Row]:
    return ledger.rows if order == "asc" else ledger.rows[::-1]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("concurrency", [1, 3, 8, 16])
@pytest.mark.parametrize("name", LEDGERS)
def test_every_row_comes_once_and_in_order(name: str, concurrency: int, order: Order) -> None:
    """At any density and with any number of workers, the delivered rows are the ledger's."""
    ledger = LEDGERS[name]()
    assert Workers(plan(ledger, order=order, concurrency=concurrency)).run() == in_order(ledger, order)


@pytest.mark.parametrize("order", ORDERS)
def test_an_even_ledger_costs_few_requests_more_than_its_pages(order: Order) -> None:
    """At most 15 % more requests than a serial walk sends."""
    ledger = even(100_000)
    Workers(plan(ledger, order=order)).run()
    assert ledger.requests <= 1.15 * 100


@pytest.mark.parametrize("order", ORDERS)
def test_a_very_uneven_ledger_costs_at_most_twice_its_pages(order: Order) -> None:
    """An empty year, then nine tenths of the charges in one hour: a few steps cross the empty year."""
    ledger = uneven(100_000)
    Workers(plan(ledger, order=order)).run()
    assert ledger.requests <= 2 * 100


@pytest.mark.parametrize("order", ORDERS)
def test_eight_workers_are_nearly_eight_times_as_fast_as_one(order: Order) -> None:
    """Counted in consecutive requests, on an even ledger of 100 pages."""
    workers = Workers(plan(even(100_000), order=order))
    workers.run()
    assert workers.time <= 100 / 8 * 1.6


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("make", [lambda: even(40_000), lambda: uneven(40_000)], ids=["even", "uneven"])
def test_pages_in_memory_stay_few(make: Any, order: Order) -> None:
    """At most two per worker; few workers may need more for a crowded hour, newest first."""
    for concurrency in (2, 3, 4, 8, 16) if order == "asc" else (8, 16):
        workers = Workers(plan(make(), order=order, concurrency=concurrency))
        workers.run()
        assert workers.most_pages <= 2 * concurrency


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", LEDGERS)
def test_no_window_is_narrower_than_a_quarter_of_an_hour(name: str, order: Order) -> None:
    """The ledger hangs on such windows."""
    ledger = LEDGERS[name]()
    Workers(plan(ledger, order=order)).run()
    assert all(
        bounds.start is None or bounds.end is None or bounds.end - bounds.start >= NARROWEST for bounds in ledger.asked
    )


@pytest.mark.parametrize("order", ORDERS)
def test_a_ledger_that_hangs_on_empty_windows_is_walked_completely(order: Order) -> None:
    """A window that hangs is read as part of a wider range, which has charges."""
    ledger = uneven(5_000)
    ledger.hangs_when_empty = True
    assert Workers(plan(ledger, order=order, concurrency=4)).run() == in_order(ledger, order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("silent", [3, 40, 165, 500], ids=lambda days: f"{days} days")
def test_a_long_empty_period_costs_few_hangs(order: Order, concurrency: int, silent: int) -> None:
    """Each hang costs a whole timeout.

    Oldest first, one response serves all windows of the empty period; newest first, the period is bisected.
    """
    dense = [NOW - timedelta(days=silent + 20, minutes=-10 * number) for number in range(2880)]
    ledger = ledger_of(dense)
    ledger.hangs_when_empty = True
    windows = plan(ledger, order=order, concurrency=concurrency, page_size=50)
    workers = Workers(windows)
    assert workers.run() == in_order(ledger, order)
    assert ledger.hangs <= (3 * concurrency if order == "asc" else 12)
    assert workers.most_pages <= 2 * 8 + 4
    assert ledger.requests <= 2 * 2880 / 50 + 20


def test_waits_reduce_the_concurrency_and_success_restores_it() -> None:
    """A wait halves the number of concurrent windows; each success adds one again."""
    windows = plan(even(200_000), concurrency=8)
    windows.slow_down()
    windows.slow_down()
    assert most_under_way(windows, requests=14) == 2
    assert most_under_way(windows, requests=150) == 8


def most_under_way(windows: Windows[Row], requests: int) -> int:
    """Run a plan for a number of requests, and return the largest number that were under way at once."""
    busy: list[Any] = []
    most = 0
    while requests:
        while (window := windows.claim()) is not None:
            step, result = advance(window, None)
            if step is None:
                windows.record(window, result)
            else:
                busy.append(window)
        most = max(most, len(busy))
        if busy:
            requests -= 1
            window = busy.pop(0)
            _, result = advance(window, Reply(200, {}, b""))
            windows.record(window, result)
        while windows.ready() is not None:
            pass
    for window in busy:
        windows.record(window, None)
    return most


class Failing(ListLedger):
    """A ledger that cannot be read from a certain timestamp on."""

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        if bounds.start is not None and bounds.start >= NOW - timedelta(days=100):
            raise ServerError("broken", status_code=500)
        return super().open(bounds, order, page_size)


def test_an_error_comes_after_all_the_rows_before_it() -> None:
    """Windows after the failed one are dropped; all rows before it are delivered."""
    whole = even(50_000)
    workers = Workers(plan(Failing(whole.rows)))
    with pytest.raises(ServerError):
        workers.run()
    assert workers.received == whole.rows[: len(workers.received)]
    assert len(workers.received) > 30_000


@pytest.mark.parametrize("order", ORDERS)
def test_a_walk_resumes_at_the_position_where_another_stopped(order: Order) -> None:
    """The position of an abandoned plan counts exactly the rows delivered, identical rows included."""
    moments = [NOW - timedelta(minutes=random.Random(5).randrange(20_000) // 50 * 50) for _ in range(3000)]
    ledger = ledger_of(moments + [moment for row in even(3000, 14).rows for moment in [row.at] * 2])
    workers = Workers(plan(ledger, order=order, page_size=100, concurrency=4))
    first = list(workers.run(until=2500))
    rest = Workers(plan(ledger, order=order, page_size=100, concurrency=3, position=workers.windows.position)).run()
    assert Counter(first + rest) == Counter(ledger.rows)
    assert [row.at for row in first + rest] == [row.at for row in in_order(ledger, order)]


def test_a_position_whose_rows_are_gone_is_refused() -> None:
    """Also newest first: received rows must still be in the ledger, or the rest would not be exact."""
    ledger = even(100)
    position = Position(ledger.rows[50].at, {"another account's": 1})
    with pytest.raises(ResponseValidationError, match="no longer in the ledger"):
        Workers(plan(ledger, order="desc", position=position)).run()


@given(
    minutes=st.lists(st.integers(0, 60 * 24 * 400), min_size=1, max_size=300),
    concurrency=st.integers(1, 16),
    page_size=st.integers(10, 40),
    order=st.sampled_from(ORDERS),
    stop=st.integers(1, 300),
)
def test_any_walk_stopped_anywhere_resumes_exactly(
    minutes: list[int], concurrency: int, page_size: int, order: Order, stop: int
) -> None:
    """The rows delivered before the stop and those of the resumed walk are the ledger's."""
    ledger = ledger_of([NOW - timedelta(minutes=minute + 1) for minute in minutes])
    workers = Workers(plan(ledger, order=order, concurrency=concurrency, page_size=page_size))
    received = list(workers.run(until=stop))
    if not workers.windows.finished:
        position = workers.windows.position
        received += Workers(
            plan(ledger, order=order, concurrency=concurrency, page_size=page_size, position=position)
        ).run()
    assert Counter(received) == Counter(ledger.rows)
    assert [row.at for row in received] == [row.at for row in in_order(ledger, order)]


def test_a_plan_without_workers_is_walked_sequentially() -> None:
    """Without workers the plan is a sequential walk: steps out, outcomes in."""
    ledger = even(5000)
    steps = work_alone(plan(ledger, order="desc", concurrency=1))
    received: list[Row] = []
    outcome: Reply | None = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration:
            break
        outcome = Reply(200, {}, b"") if isinstance(step, Send) else None
        if isinstance(step, Batch):
            received += step.rows
    assert received == ledger.rows[::-1]
