"""A KeyboardInterrupt anywhere in a call leaves no slot of the failure budget taken, and no entry in its queue."""

from __future__ import annotations

import gc
import sys
from contextlib import closing
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from venice_billing import VeniceError, _budget, _call
from venice_billing._budget import FAILURES, FailureBudget, Ticket
from venice_billing._call import Broken, Operation, Outcome, Policy, Reply, Request, Send, Wait, call
from venice_billing.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {_call.__file__, _budget.__file__}
BALANCE = Request("getBillingBalance", "GET", "/billing/balance", {}, {})
ECHO: Operation[bytes] = Operation(BALANCE, lambda reply: reply.body)
OK = Reply(200, {}, b"fine")


@define
class Interrupter:
    """Raises KeyboardInterrupt once: before one line or one instruction of the files under test."""

    position: int
    event: str
    reached: int = 0
    fired: bool = False
    _before: Any = field(factory=sys.gettrace)

    def trace(self, frame: Any, event: str, _: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        frame.f_trace_opcodes = self.event == "opcode"
        if event == self.event:
            self.reached += 1
            if self.reached > self.position and not self.fired:
                self.fired = True
                raise KeyboardInterrupt
        return self.trace

    def __enter__(self) -> None:
        sys.settrace(self.trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)


def make_call(policy: Policy, outcome: Outcome) -> object:
    """Make a call as a driver does; each request has the same outcome."""
    answer: Outcome | None = None
    with closing(call(ECHO, policy)) as steps:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as stop:
                return stop.value
            except VeniceError as error:
                return type(error)
            answer = outcome if isinstance(step, Send) else None
            if isinstance(step, Wait):
                policy.clock.advance(step.seconds)  # type: ignore[attr-defined]


def interrupted(policy: Policy, outcome: Outcome, position: int, event: str) -> bool:
    """Make a call with an interrupt at a position, and return whether the call reached the position."""
    interrupter = Interrupter(position, event)
    try:
        with interrupter:
            make_call(policy, outcome)
    except KeyboardInterrupt:
        pass
    return interrupter.fired


def fresh(_: FailureBudget) -> list[Ticket]:
    return []


def exhausted(budget: FailureBudget) -> list[Ticket]:
    """Use up the budget, so that the call waits until the first failure expires."""
    for _ in range(FAILURES):
        ticket = Ticket()
        budget.admit(ticket, 0.0)
        budget.settle(ticket, 0.0, failed=True)
    return []


def with_a_lost_ticket(budget: FailureBudget) -> list[Ticket]:
    """Have one call under way, and a ticket in the queue whose call is gone."""
    ticket, lost = Ticket(), Ticket()
    budget.admit(ticket, 0.0)
    budget._queue.setdefault(lost)
    return [ticket]


# Python 3.12 reports opcode events too late, and not for all instructions.
EVENTS = ["line"] if sys.version_info[:2] == (3, 12) else ["line", "opcode"]


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("outcome", [OK, Broken("refused")], ids=["success", "failure"])
@pytest.mark.parametrize("before", [fresh, exhausted, with_a_lost_ticket])
def test_an_interrupt_anywhere_in_a_call_restores_the_budget(
    before: Callable[[FailureBudget], list[Ticket]], outcome: Outcome, event: str
) -> None:
    position = 0
    for position in count():
        budget = FailureBudget()
        policy = Policy(timeout=10.0, max_retries=1, budget=budget, clock=VirtualClock(0.0), jitter=lambda: 1.0)
        others = before(budget)
        went_on = interrupted(policy, outcome, position, event)
        gc.collect(0)
        assert len(budget._under_way) == len(others), f"position {position}"
        assert not budget._queue, f"position {position}"
        assert make_call(policy, OK) == b"fine"
        assert len(budget._under_way) == len(others)
        if not went_on:
            break
    assert position > 20, "the interrupts were raised elsewhere"
