"""Leaving a concurrent walk early ends it at once, books no failure, and leaves no thread, task or request behind."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from contract_tests.support.flavours import Flavour, receive
from contract_tests.support.memory_ledger import BEGINNING, EVERYTHING, NOW, MemoryLedger, Row, ledger_rows
from venice_billing import AsyncVeniceBilling
from venice_billing._budget import FAILURES, PERIOD, FailureBudget, Ticket
from venice_billing._call import Broken, Operation, Outcome, Policy, Reply, Request, Send, Wait, call
from venice_billing._clock import Interruption, SystemClock
from venice_billing._walk import workers
from venice_billing._walk.windows import Windows
from venice_billing._walk.workers import work_in_tasks, work_in_threads
from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing._call import Steps
    from venice_billing._walk.types import Bounds, Order, Page

pytestmark = pytest.mark.anyio

WORKERS = 4
OK = Reply(200, {}, b"")
PAGE: Operation[None] = Operation(Request("getBillingUsageHistory", "GET", "/usage-history", {}, {}), lambda _: None)


class CalledLedger(MemoryLedger):
    """A ledger in memory; each of its pages costs a call under one failure budget."""

    def __init__(self, policy: Policy) -> None:
        super().__init__(ledger_rows(*range(0, 864_000, 864)), page_size=50)
        self.policy = policy

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        yield from call(PAGE, self.policy)
        return (yield from super().open(bounds, order, page_size))

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        yield from call(PAGE, self.policy)
        return (yield from super().follow(page))


@pytest.fixture
def budget() -> FailureBudget:
    return FailureBudget()


@pytest.fixture
def windows(budget: FailureBudget) -> Windows[Row]:
    policy = Policy(timeout=10.0, max_retries=2, budget=budget, clock=SystemClock())
    return Windows(CalledLedger(policy), EVERYTHING, "asc", BEGINNING, now=NOW, page_size=50, concurrency=WORKERS)


class Network:
    """Performs steps: answers the first request, and takes the outcome of later steps from `then`."""

    def __init__(self, then: Callable[[Send | Wait, Interruption], Outcome | None]) -> None:
        self.then = then
        self.busy = threading.Event()
        self.after_the_stop = 0
        self._lock = threading.Lock()
        self._first = True

    def perform(self, step: Send | Wait, stop: Interruption) -> Outcome | None:
        with self._lock:
            self.after_the_stop += stop.is_set()
            first, self._first = self._first, False
        if first:
            return OK
        self.busy.set()
        return self.then(step, stop)


def left(batches: Any, how: str) -> None:
    """Leave a walk by `break` or by Ctrl-C."""
    if how == "break":
        batches.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt())


def worker_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("venice-billing")]


def wait_for(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("how", ["break", "interrupt"])
def test_workers_that_wait_for_the_failure_budget_stop_at_once(
    windows: Windows[Row], budget: FailureBudget, how: str
) -> None:
    """The stop ends their waits; asking the budget again after it would take up to half a minute."""
    waiting = threading.Event()

    def wait(step: Send | Wait, stop: Interruption) -> Outcome | None:
        if isinstance(step, Send):
            return Broken("refused")  # until the budget is used up
        if step.seconds > PERIOD / 2:
            waiting.set()
        stop.wait(step.seconds)
        return None

    now = time.monotonic()
    for _ in range(FAILURES - 1):
        ticket = Ticket()
        budget.admit(ticket, now)
        budget.settle(ticket, now, failed=True)
    network = Network(wait)
    batches = work_in_threads(windows, network.perform)
    next(batches)
    assert waiting.wait(60)
    left(batches, how)
    wait_for(worker_threads())
    assert network.after_the_stop <= WORKERS
    assert len(budget._under_way) == len(budget._queue) == 0


@pytest.mark.parametrize("how", ["break", "interrupt"])
def test_requests_cut_by_leaving_a_walk_count_as_no_failures(
    windows: Windows[Row], budget: FailureBudget, how: str
) -> None:
    def cut(step: Send | Wait, stop: Interruption) -> Outcome | None:
        stop.wait(60)
        return Broken("cut short") if isinstance(step, Send) else None

    network = Network(cut)
    batches = work_in_threads(windows, network.perform)
    next(batches)
    assert network.busy.wait(60)
    left(batches, how)
    wait_for(worker_threads())
    assert budget._failed == []
    assert len(budget._under_way) == len(budget._queue) == 0


def test_a_thread_that_cannot_be_interrupted_is_abandoned_safely(
    windows: Windows[Row], budget: FailureBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For example, a thread in a DNS look-up; when it returns, it changes nothing."""
    go_on = threading.Event()

    def look_up(*_: object) -> Outcome:
        go_on.wait(30)
        return OK

    network = Network(look_up)
    batches = work_in_threads(windows, network.perform)
    next(batches)
    assert network.busy.wait(60)
    batches.close()
    threads = worker_threads()
    assert threads, "closing the walk waited for the threads"
    monkeypatch.setattr(Windows, "record", lambda *_: pytest.fail("the plan was touched"))
    go_on.set()
    wait_for(threads)
    assert network.after_the_stop == 0
    assert budget._failed == []
    assert len(budget._under_way) == len(budget._queue) == 0


def test_waits_for_requests_of_the_same_client_keep_the_concurrency(
    windows: Windows[Row], budget: FailureBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API is not slow: with as many workers as the failure budget has slots, one of them always waits."""
    others = [Ticket() for _ in range(FAILURES)]
    assert [budget.admit(other, time.monotonic()) for other in others] == [0.0] * FAILURES
    waits: list[Wait] = []

    def perform(step: Send | Wait, stop: Interruption) -> Outcome | None:
        if isinstance(step, Send):
            return OK
        stop.wait(0.001)
        waits.append(step)
        if len(waits) > 10 * WORKERS:
            others.clear()
        return None

    monkeypatch.setattr(Windows, "slow_down", lambda _: pytest.fail("slower"))
    assert sum(len(batch.rows) for batch in work_in_threads(windows, perform)) == 1000
    assert waits


@pytest.mark.parametrize("exception", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_an_exception_in_a_worker_is_raised_in_the_consumer(
    windows: Windows[Row], exception: type[BaseException]
) -> None:
    def fail(*_: object) -> Outcome:
        raise exception

    def read() -> None:
        for _ in work_in_threads(windows, Network(fail).perform):
            pass

    with pytest.raises(exception):
        read()
    wait_for(worker_threads())


@pytest.mark.parametrize("limit", [0, 1, 2])
@pytest.mark.parametrize("leader", [True, False])
def test_a_walk_goes_on_with_the_threads_that_could_be_started(
    windows: Windows[Row], monkeypatch: pytest.MonkeyPatch, limit: int, *, leader: bool
) -> None:
    """At the system's limit of threads; without any, the consumer's thread does the work."""
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_some(thread: threading.Thread) -> None:
        if len(started) == limit:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    def start_none(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start_some)
    if not leader:
        monkeypatch.setattr(workers, "start_new_thread", start_none)
    performers: set[int] = set()

    def perform(step: Send | Wait, _: Interruption) -> Outcome | None:
        performers.add(threading.get_ident())
        return OK if isinstance(step, Send) else None

    assert sum(len(batch.rows) for batch in work_in_threads(windows, perform)) == 1000
    alone = not leader or limit == 0
    assert (performers == {threading.get_ident()}) if alone else threading.get_ident() not in performers
    assert len(started) == (limit if leader else 0)
    wait_for(started)


def test_another_error_of_a_thread_start_is_raised_and_ends_the_other_threads(
    windows: Windows[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise MemoryError
        started.append(thread)
        start(thread)

    def wait(_: Send | Wait, stop: Interruption) -> Outcome | None:
        stop.wait(60)
        return None

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(MemoryError):
        next(work_in_threads(windows, wait))
    assert len(started) == 2
    wait_for(started)


async def test_a_walk_whose_worker_tasks_are_cancelled_is_cancelled(windows: Windows[Row]) -> None:
    """The walk cannot continue, and must not wait forever."""

    async def perform(_: Send | Wait) -> Outcome | None:
        await anyio.sleep_forever()
        return None

    before = asyncio.all_tasks()
    async with aclosing(work_in_tasks(windows, perform)) as batches:
        reading = asyncio.ensure_future(anext(batches))
        await anyio.lowlevel.checkpoint()
        for task in asyncio.all_tasks() - before - {reading}:
            task.cancel()
        with anyio.fail_after(60):
            await asyncio.wait([reading])
    assert reading.cancelled()


async def test_requests_cut_by_leaving_an_async_walk_count_as_no_failures(
    windows: Windows[Row], budget: FailureBudget
) -> None:
    busy = asyncio.Event()
    sent = 0

    async def perform(step: Send | Wait) -> Outcome | None:
        nonlocal sent
        sent += 1
        if sent > 1:
            busy.set()
            await anyio.sleep_forever()
        assert isinstance(step, Send)
        return OK

    before = asyncio.all_tasks()
    async with aclosing(work_in_tasks(windows, perform)) as batches:
        await anext(batches)
        with anyio.fail_after(60):
            await busy.wait()
    assert budget._failed == []
    assert len(budget._under_way) == len(budget._queue) == 0
    assert asyncio.all_tasks() == before


async def test_an_interrupted_start_of_async_workers_leaves_no_task(
    windows: Windows[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    create_task = asyncio.create_task
    created: list[asyncio.Task[Any]] = []

    def interrupt(coroutine: Any) -> asyncio.Task[Any]:
        if len(created) == 2:
            coroutine.close()
            raise KeyboardInterrupt
        created.append(create_task(coroutine))
        return created[-1]

    async def perform(_: Send | Wait) -> Outcome | None:
        await anyio.sleep_forever()
        return None

    batches = work_in_tasks(windows, perform)
    monkeypatch.setattr(asyncio, "create_task", interrupt)
    with pytest.raises(KeyboardInterrupt):
        await anext(batches)
    monkeypatch.undo()
    assert [task.done() for task in created] == [True, True]


async def test_many_walks_left_early_do_not_delay_later_calls(flavour: Flavour) -> None:
    """On real sockets: leaving cuts the requests under way, and none of them counts as a failure."""
    fake = FakeVenice(2000, quirks=Quirks(latency=0.02))
    with fake.serve() as server:
        face = flavour.open(fake.admin_key, base_url=server.base_url)
        for _ in range(8):
            walk = face.client.iter_usage_history(page_size=50, concurrency=WORKERS)
            assert len(await receive(walk, 60)) == 60
            assert face.client._policy.budget._failed == []
        assert (await face.call("get_balance")).can_consume
        assert len(face.client._policy.budget._under_way) == 0
        await face.close()


async def test_a_cancelled_async_call_counts_as_no_failure() -> None:
    entered = anyio.Event()

    async def handle(_: httpx.Request) -> httpx.Response:
        entered.set()
        await anyio.sleep_forever()
        return httpx.Response(500)

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    client = AsyncVeniceBilling("a-long-key", http_client=http)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.get_balance)
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert client._policy.budget._failed == []
    assert len(client._policy.budget._under_way) == 0
