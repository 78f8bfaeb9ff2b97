"""However calls are interleaved, one client never fails more than 15 times in any 30 seconds."""

from __future__ import annotations

import gc
import math
import threading
from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_billing import APIConnectionError
from venice_billing._budget import FailureBudget, Ticket
from venice_billing._call import Broken, Operation, Policy, Request, Send, Wait, call

FAILURES, PERIOD = 15, 30.0  # the API blocks an account after 20, and other clients may be using the account


def most_in_a_period(moments: list[float]) -> int:
    moments = sorted(moments)
    return max((index + 1 - bisect_left(moments, moment - PERIOD) for index, moment in enumerate(moments)), default=0)


def fail(budget: FailureBudget, *moments: float) -> None:
    for moment in moments:
        ticket = Ticket()
        assert budget.admit(ticket, moment) == 0
        budget.settle(ticket, moment, failed=True)


def test_successes_use_no_budget() -> None:
    budget = FailureBudget()
    for _ in range(1000):
        ticket = Ticket()
        assert budget.admit(ticket, 0.0) == 0
        budget.settle(ticket, 0.0, failed=False)


def test_request_waits_while_15_failures_are_recent() -> None:
    budget = FailureBudget()
    fail(budget, *map(float, range(FAILURES)))
    ticket, late = Ticket(), Ticket()
    wait = budget.admit(ticket, 20.0)
    assert 10 < wait <= 12
    assert budget.admit(ticket, 20.0 + wait) == 0
    assert budget.admit(late, 20.0 + wait) > 0, "only one of the failures is over"


def test_requests_under_way_count_as_failures() -> None:
    """All requests under way may fail together, and then it would be too late to wait."""
    budget = FailureBudget()
    under_way = [Ticket() for _ in range(FAILURES)]
    assert [budget.admit(ticket, 0.0) for ticket in under_way] == [0.0] * FAILURES
    ticket = Ticket()
    assert 0 < budget.admit(ticket, 0.0) < 1, "ask again soon: the answers decide"
    budget.settle(under_way[0], 0.5, failed=False)
    assert budget.admit(ticket, 0.5) == 0


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(0, 30)), max_size=200))
def test_no_interleaving_exceeds_the_budget(steps: list[tuple[float, bool, int]]) -> None:
    """Requests start when the budget admits them and end in any order, with or without a failure."""
    budget, now = FailureBudget(), 0.0
    under_way: list[Ticket] = []
    waiting = Ticket()
    failures: list[float] = []
    for pause, fails, which in steps:
        now += pause
        if under_way and which % 2:
            budget.settle(under_way.pop(which % len(under_way)), now, failed=fails)
            failures += [now] * fails
        elif budget.admit(waiting, now) == 0:
            under_way.append(waiting)
            waiting = Ticket()
    for ticket in under_way:  # the worst case: all requests under way fail at once
        budget.settle(ticket, now, failed=True)
        failures.append(now)
    assert most_in_a_period(failures) <= FAILURES


@given(st.lists(st.floats(0, 3), min_size=20, max_size=80))
def test_caller_that_waits_as_told_is_admitted(pauses: list[float]) -> None:
    """A caller that always fails and waits as told is admitted again and again: no deadlock, no excess failures."""
    budget, now = FailureBudget(), 0.0
    failures: list[float] = []
    for pause in pauses:
        now += pause
        ticket = Ticket()
        while (wait := budget.admit(ticket, now)) > 0:
            now += wait
        budget.settle(ticket, now, failed=True)
        failures.append(now)
    assert len(failures) == len(pauses)
    assert most_in_a_period(failures) <= FAILURES


def test_threads_share_one_budget() -> None:
    budget = FailureBudget()
    admitted: list[Ticket] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            ticket = Ticket()
            if budget.admit(ticket, 0.0) == 0:
                admitted.append(ticket)
            budget.settle(ticket, 0.0, failed=ticket in admitted)

    run_all([threading.Thread(target=work, daemon=True) for _ in range(8)])
    assert 0 < len(admitted) <= FAILURES
    assert len(budget._failed) == len(admitted)


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_requests_are_admitted_in_the_order_of_arrival() -> None:
    """No matter how often later requests ask again, or whether new requests arrive when there is room."""
    budget = FailureBudget()
    busy = [Ticket() for _ in range(FAILURES)]
    assert [budget.admit(ticket, 0.0) for ticket in busy] == [0.0] * FAILURES
    waiting = [Ticket() for _ in range(4)]
    assert all(budget.admit(ticket, 0.0) > 0 for ticket in waiting)
    for number, first in enumerate(waiting):
        budget.settle(busy[number], 1.0, failed=False)
        late = Ticket()
        assert budget.admit(late, 1.0) > 0, "earlier requests are waiting"
        assert all(budget.admit(ticket, 1.0) > 0 for ticket in waiting[number + 1 :])
        assert budget.admit(first, 1.0) == 0
        del late


def test_caller_beside_15_busy_callers_gets_its_turn() -> None:
    """Each busy caller asks again as soon as it has its response, 100 times as often as the late caller."""
    budget = FailureBudget()
    busy = [Ticket() for _ in range(FAILURES)]
    for ticket in busy:
        assert budget.admit(ticket, 0.0) == 0
    late = Ticket()
    for step in range(10 * FAILURES):
        if step % 100 == 0 and budget.admit(late, float(step)) == 0:
            return
        which = step % FAILURES
        budget.settle(busy[which], float(step), failed=False)
        busy[which] = Ticket()
        budget.admit(busy[which], float(step))
    raise AssertionError("the late caller was never admitted")


def test_thread_beside_15_busy_threads_gets_its_turn() -> None:
    budget = FailureBudget()
    over = threading.Event()

    def work(times: float) -> None:
        count = 0
        while count < times and not over.is_set():
            ticket = Ticket()
            while budget.admit(ticket, 0.0) > 0 and not over.is_set():
                over.wait(0.001)
            over.wait(0.001)
            budget.settle(ticket, 0.0, failed=False)
            count += 1

    busy = [threading.Thread(target=work, args=[math.inf], daemon=True) for _ in range(FAILURES)]
    for thread in busy:
        thread.start()
    late = threading.Thread(target=work, args=[20], daemon=True)
    late.start()
    late.join(60)
    got_its_turn = not late.is_alive()
    over.set()
    for thread in [*busy, late]:
        thread.join(60)
    assert got_its_turn
    assert len(budget._under_way) == len(budget._queue) == 0


@pytest.mark.parametrize("place", ["under way", "waiting"])
def test_lost_ticket_frees_its_place(place: str) -> None:
    """The call was interrupted where it could not settle its ticket, or the thread is gone."""
    budget = FailureBudget()
    lost = [Ticket() for _ in range(FAILURES + (place == "waiting"))]
    assert [budget.admit(ticket, 0.0) for ticket in lost[:FAILURES]] == [0.0] * FAILURES
    if place == "waiting":
        assert budget.admit(lost[-1], 0.0) > 0
        budget.settle(lost.pop(0), 0.0, failed=False)  # the waiting ticket takes this place
    following = Ticket()
    assert budget.admit(following, 0.0) > 0
    lost.clear()
    gc.collect()
    assert budget.admit(following, 0.0) == 0


def test_fork_keeps_failures_and_forgets_requests_under_way() -> None:
    """Also if the forking thread is inside a call, which then continues in both processes."""
    budget = FailureBudget()
    fail(budget, *[0.0] * 5)
    under_way = [Ticket() for _ in range(10)]
    assert [budget.admit(ticket, 0.0) for ticket in under_way] == [0.0] * 10
    waiting = Ticket()
    assert budget.admit(waiting, 0.0) > 0
    budget.reset_after_fork()
    assert budget.admit(waiting, 0.0) == 0
    assert len(budget._under_way) == 1
    budget.settle(under_way[0], 0.0, failed=False)
    budget.settle(under_way[1], 0.0, failed=True)
    assert (len(budget._under_way), len(budget._failed)) == (1, 6)


class StoppedClock:
    """A clock that a test framework has stopped."""

    def monotonic(self) -> float:
        return 0.0

    def time(self) -> float:
        return 1_790_000_000.0


def test_a_stopped_clock_ends_the_wait_for_the_budget() -> None:
    """The seconds that were waited count, whatever the clock shows."""
    policy = Policy(timeout=10.0, max_retries=0, budget=FailureBudget(), clock=StoppedClock())
    request = Request("getBillingBalance", "GET", "/billing/balance", {}, {})
    waited: list[float] = []
    for _ in range(FAILURES + 3):
        steps = call(Operation(request, lambda reply: reply.body), policy)
        step = next(steps)
        while isinstance(step, Wait) and len(waited) < 100:
            waited.append(step.seconds)
            step = steps.send(None)
        assert isinstance(step, Send)
        with pytest.raises(APIConnectionError):
            steps.send(Broken("refused"))
    assert 30 < sum(waited) < 32
