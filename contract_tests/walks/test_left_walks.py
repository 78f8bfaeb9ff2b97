"""A walk that several work on, and that is left early: it ends at once, books nothing, and leaves nothing running."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from contract_tests.support.flavours import Face, Flavour, receive
from contract_tests.support.memory_ledger import BEGINNING, EVERYTHING, NOW, MemoryLedger, Row, ledger_rows
from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing._budget import FAILURES, PERIOD, FailureBudget, Ticket
from venice_billing._call import Broken, Operation, Outcome, Policy, Reply, Request, Send, Wait, call
from venice_billing._clock import Interruption, SystemClock
from venice_billing._walk.windows import Windows
from venice_billing._walk.workers import work_in_tasks, work_in_threads
from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing._call import Steps
    from venice_billing._walk.types import Bounds, Order, Page

pytestmark = pytest.mark.anyio

CREW = 4
OK = Reply(200, {}, b"")
PAGE: Operation[None] = Operation(Request("getBillingUsageHistory", "GET", "/usage-history", {}, {}), lambda _: None)


class CalledLedger(MemoryLedger):
    """A ledger in memory, each page of which costs a call under one failure budget."""

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
    return Windows(CalledLedger(policy), EVERYTHING, "asc", BEGINNING, now=NOW, page_size=50, concurrency=CREW)


class Network:
    """Performs steps: the first request is answered, and `then` gives the outcome of those after it."""

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
    """Leave a walk, by `break` or by Ctrl-C."""
    if how == "break":
        batches.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            batches.throw(KeyboardInterrupt())


def crew_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("venice-billing")]


def wait_for(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("how", ["break", "interrupt"])
def test_a_crew_that_waits_for_the_failure_budget_stops_at_once(
    windows: Windows[Row], budget: FailureBudget, how: str
) -> None:
    """Its waits end with the stop; asking the budget again and again after that would take up to half a minute."""
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
    wait_for(crew_threads())
    assert network.after_the_stop <= CREW
    assert len(budget._under_way) == len(budget._queue) == 0


@pytest.mark.parametrize("how", ["break", "interrupt"])
def test_requests_cut_short_by_leaving_a_crew_are_no_failures(
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
    wait_for(crew_threads())
    assert budget._failed == []
    assert len(budget._under_way) == len(budget._queue) == 0


def test_a_thread_that_cannot_be_interrupted_is_left_behind_and_touches_nothing(
    windows: Windows[Row], budget: FailureBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look-up of a name, say."""
    go_on = threading.Event()

    def look_up(*_: object) -> Outcome:
        go_on.wait(30)
        return OK

    network = Network(look_up)
    batches = work_in_threads(windows, network.perform)
    next(batches)
    assert network.busy.wait(60)
    batches.close()
    threads = crew_threads()
    assert threads, "they were waited for"
    monkeypatch.setattr(Windows, "record", lambda *_: pytest.fail("the plan was touched"))
    go_on.set()
    wait_for(threads)
    assert network.after_the_stop == 0
    assert budget._failed == []
    assert len(budget._under_way) == len(budget._queue) == 0


def test_a_crew_that_waits_for_other_requests_of_its_client_does_not_slow_down(
    windows: Windows[Row], budget: FailureBudget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The API is as quick as ever: with as many at work as the budget has places, there is always one that waits."""
    others = [Ticket() for _ in range(FAILURES)]
    assert [budget.admit(other, time.monotonic()) for other in others] == [0.0] * FAILURES
    waits: list[Wait] = []

    def perform(step: Send | Wait, stop: Interruption) -> Outcome | None:
        if isinstance(step, Send):
            return OK
        stop.wait(0.001)
        waits.append(step)
        if len(waits) > 10 * CREW:
            others.clear()
        return None

    monkeypatch.setattr(Windows, "slow_down", lambda _: pytest.fail("slower"))
    assert sum(len(batch.rows) for batch in work_in_threads(windows, perform)) == 1000
    assert waits


@pytest.mark.parametrize("mishap", [KeyboardInterrupt, SystemExit, ZeroDivisionError])
def test_a_mishap_of_a_thread_is_raised_where_the_walk_is_read(
    windows: Windows[Row], mishap: type[BaseException]
) -> None:
    def fail(*_: object) -> Outcome:
        raise mishap

    def read() -> None:
        for _ in work_in_threads(windows, Network(fail).perform):
            pass

    with pytest.raises(mishap):
        read()
    wait_for(crew_threads())


def test_a_thread_that_cannot_be_started_is_an_error_and_the_others_end(
    windows: Windows[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start
    started: list[threading.Thread] = []

    def start_two(thread: threading.Thread) -> None:
        if len(started) == 2:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    def wait(_: Send | Wait, stop: Interruption) -> Outcome | None:
        stop.wait(60)
        return None

    monkeypatch.setattr(threading.Thread, "start", start_two)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        next(work_in_threads(windows, wait))
    assert len(started) == 2
    wait_for(started)


async def test_a_walk_whose_tasks_somebody_else_cancelled_is_cancelled(windows: Windows[Row]) -> None:
    """It cannot go on, and must not wait for ever."""

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


async def test_requests_cut_short_by_leaving_an_asynchronous_crew_are_no_failures(
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


async def test_an_asynchronous_crew_whose_start_is_interrupted_leaves_no_task(
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


async def test_many_short_walks_left_early_hold_no_call_up(flavour: Flavour) -> None:
    """On real sockets, where the requests under way are cut: none of them counts."""
    fake = FakeVenice(2000, quirks=Quirks(latency=0.02))
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    with fake.serve() as server:
        face = Face(kind(fake.admin_key, base_url=server.base_url))
        for _ in range(8):
            walk = face.client.iter_usage_history(page_size=50, concurrency=CREW)
            assert len(await receive(walk, 60)) == 60
            assert face.client._policy.budget._failed == []
        assert (await face.call("get_balance")).can_consume
        assert len(face.client._policy.budget._under_way) == 0
        await face.close()


async def test_a_cancelled_asynchronous_call_is_no_failure() -> None:
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
