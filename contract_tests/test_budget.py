"""However calls are interleaved, one client never fails more than 15 times in any 30 seconds."""

from __future__ import annotations

import threading
from bisect import bisect_left

from hypothesis import given
from hypothesis import strategies as st

from venice_billing._budget import FailureBudget

FAILURES, PERIOD = 15, 30.0  # the API blocks an account after 20, and others may be using it too


def most_in_a_period(moments: list[float]) -> int:
    moments = sorted(moments)
    return max((index + 1 - bisect_left(moments, moment - PERIOD) for index, moment in enumerate(moments)), default=0)


def test_successes_cost_nothing() -> None:
    budget = FailureBudget()
    for _ in range(1000):
        assert budget.admit(0.0) == 0
        budget.settle(0.0, failed=False)


def test_after_fifteen_failures_the_next_request_waits_for_the_first_to_be_over() -> None:
    budget = FailureBudget()
    for second in range(FAILURES):
        assert budget.admit(float(second)) == 0
        budget.settle(float(second), failed=True)
    wait = budget.admit(20.0)
    assert 10 < wait <= 12
    assert budget.admit(20.0 + wait) == 0
    assert budget.admit(20.0 + wait) > 0, "only one of the failures is over"


def test_requests_under_way_count_as_failures_until_they_are_settled() -> None:
    """They may all fail together, and then it is too late."""
    budget = FailureBudget()
    assert [budget.admit(0.0) for _ in range(FAILURES)] == [0.0] * FAILURES
    assert 0 < budget.admit(0.0) < 1, "ask again soon: the answers decide"
    budget.settle(0.5, failed=False)
    assert budget.admit(0.5) == 0


@given(st.lists(st.tuples(st.floats(0, 4), st.booleans(), st.integers(0, 30)), max_size=200))
def test_no_interleaving_fails_more_often(steps: list[tuple[float, bool, int]]) -> None:
    """Requests start when the budget admits them and end in any order, well or badly."""
    budget, now = FailureBudget(), 0.0
    under_way: list[int] = []
    failures: list[float] = []
    for number, (pause, fails, which) in enumerate(steps):
        now += pause
        if under_way and which % 2:
            under_way.pop(which % len(under_way))
            budget.settle(now, failed=fails)
            failures += [now] * fails
        elif budget.admit(now) == 0:
            under_way.append(number)
    for _ in under_way:  # the worst end: all that is under way fails at once
        budget.settle(now, failed=True)
        failures.append(now)
    assert most_in_a_period(failures) <= FAILURES


@given(st.lists(st.floats(0, 3), min_size=20, max_size=80))
def test_waiting_as_told_is_enough(pauses: list[float]) -> None:
    """A caller that fails for ever, and waits as told, is admitted again and again: no deadlock, no excess."""
    budget, now = FailureBudget(), 0.0
    failures: list[float] = []
    for pause in pauses:
        now += pause
        while (wait := budget.admit(now)) > 0:
            now += wait
        budget.settle(now, failed=True)
        failures.append(now)
    assert len(failures) == len(pauses)
    assert most_in_a_period(failures) <= FAILURES


def test_threads_share_one_budget() -> None:
    budget = FailureBudget()
    admitted: list[float] = []
    barrier = threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for _ in range(50):
            wait = budget.admit(0.0)
            if wait == 0:
                admitted.append(wait)
                budget.settle(0.0, failed=True)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(admitted) == FAILURES
