"""One call, driven by hand: what is retried, when, how often, and with which error it ends."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from venice_billing import (
    APIConnectionError,
    BillingTimeoutError,
    ClientClosedError,
    CursorRejectedError,
    InvalidRequestError,
    RateLimitError,
    ResponseValidationError,
    ServerError,
    VeniceError,
)
from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._budget import FAILURES, FailureBudget
from venice_billing._call import (
    Broken,
    Closed,
    Expired,
    Operation,
    Outcome,
    Policy,
    Reply,
    Request,
    Send,
    Steps,
    Unreadable,
    Wait,
    call,
)
from venice_billing.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

NOW = 1_790_000_000.0
BALANCE = Request("getBillingBalance", "GET", "/billing/balance", {}, {"Accept": "application/json"})
OK = Reply(200, {}, b"fine")
ECHO: Operation[bytes] = Operation(BALANCE, lambda reply: reply.body)


def instant(text: str) -> datetime:
    return arguments.instant("bound", text)


def make_policy(**changes: Any) -> Policy:
    defaults = Policy(timeout=10.0, max_retries=2, budget=FailureBudget(), clock=VirtualClock(NOW), jitter=lambda: 1.0)
    return evolve(defaults, **changes)


def status(code: int, **headers: str) -> Reply:
    return Reply(code, {name.replace("_", "-"): value for name, value in headers.items()}, b'{"error": "no"}')


def drive(steps: Steps[Any], outcomes: Sequence[Outcome], policy: Policy) -> tuple[Any, list[Any]]:
    """Answer each `Send` with the next outcome; return the value or the error, and the steps."""
    seen: list[Any] = []
    left = list(outcomes)
    outcome: Outcome | None = None
    try:
        while True:
            step = steps.send(outcome)
            seen.append(step)
            outcome = left.pop(0) if isinstance(step, Send) else None
            if isinstance(step, Wait):
                assert isinstance(policy.clock, VirtualClock)
                policy.clock.advance(step.seconds)
    except StopIteration as stop:
        assert not left, "fewer attempts than outcomes"
        return stop.value, seen
    except VeniceError as error:
        assert not left, "fewer attempts than outcomes"
        return error, seen


def run(*outcomes: Outcome, operation: Operation[Any] = ECHO, **changes: Any) -> tuple[Any, list[Any]]:
    policy = make_policy(**changes)
    return drive(call(operation, policy), outcomes, policy)


def waits(steps: Sequence[Any]) -> list[float]:
    return [step.seconds for step in steps if isinstance(step, Wait)]


def test_a_good_answer_is_read_at_once() -> None:
    value, steps = run(OK)
    assert value == b"fine"
    assert steps == [Send(BALANCE, 10.0)]


@pytest.mark.parametrize("code", [200, 201, 206, 299])
def test_any_2xx_is_given_to_the_reader(code: int) -> None:
    assert run(Reply(code, {}, b"x"))[0] == b"x"


@pytest.mark.parametrize("bad", [status(429), status(500), status(502), status(503), Broken("ConnectError: refused")])
def test_what_may_pass_is_tried_again(bad: Outcome) -> None:
    value, steps = run(bad, bad, OK)
    assert value == b"fine"
    assert [type(step) for step in steps] == [Send, Wait, Send, Wait, Send]


@pytest.mark.parametrize("code", [302, 400, 401, 402, 403, 404, 410, 413, 415, 418, 422, 501, 504, 520, 522])
def test_what_will_not_pass_is_not_tried_again(code: int) -> None:
    error, steps = run(status(code))
    assert isinstance(error, VeniceError)
    assert len(steps) == 1


def test_an_expired_deadline_is_not_tried_again() -> None:
    """The ledger hangs on what it hangs on, and each try would cost the whole timeout."""
    error, steps = run(Expired())
    assert type(error) is BillingTimeoutError
    assert "10 s" in str(error)
    assert len(steps) == 1


@pytest.mark.parametrize(
    ("operation", "is_advised"),
    [
        (operations.balance(), False),
        (operations.usage_analytics(start_date="2026-10-01", end_date="2026-10-01"), False),
        (operations.usage_history(), False),
        (operations.usage_history_continued("abc"), False),
        (operations.usage_history(end=instant("2026-10-01")), False),
        (operations.usage_history(start=instant("2026-09-01"), end=instant("2026-10-01")), False),
        (operations.usage_history(start=instant("2026-09-01"), end=instant("2026-09-01T23:59:59.999Z")), True),
        (operations.usage(start=instant("2026-09-01"), end=instant("2026-09-02")), False),
        (operations.usage(start=instant("2026-09-01"), end=instant("2026-09-01T00:05:00Z")), True),
    ],
)
def test_only_a_ledger_asked_for_less_than_a_day_is_told_to_be_asked_for_a_day(
    operation: Operation[Any], *, is_advised: bool
) -> None:
    assert ("at least a day" in str(run(Expired(), operation=operation)[0])) == is_advised


def test_a_2xx_whose_body_is_damaged_is_tried_again_and_then_breaks_the_contract() -> None:
    """A body cut short is a connection that broke; one that is always so is the server's doing."""
    damaged = Unreadable("the compressed body ends early")
    assert run(damaged, OK)[0] == b"fine"
    error, _ = run(damaged, damaged, damaged)
    assert type(error) is ResponseValidationError
    assert "ends early" in str(error)


def test_a_2xx_that_the_codec_refuses_names_the_field() -> None:
    body = b'{"canConsume": true, "consumptionCurrency": null, "balances": {"diem": "1", "usd": 2}}'
    error, _ = run(Reply(200, {"content-type": "application/json"}, body), operation=operations.balance())
    assert type(error) is ResponseValidationError
    assert error.field == "balances.diem"
    assert error.__cause__ is None


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_the_last_error_is_raised_after_so_many_retries(retries: int) -> None:
    error, steps = run(*[status(503)] * retries, status(500), max_retries=retries)
    assert type(error) is ServerError
    assert error.status_code == 500
    assert len(waits(steps)) == retries


def test_a_lost_connection_is_named() -> None:
    error, _ = run(Broken("ConnectError: refused"), max_retries=0)
    assert type(error) is APIConnectionError
    assert "refused" in str(error)


def test_backoff_doubles_to_a_bound_and_is_jittered() -> None:
    broken = [Broken("x")] * 7
    assert waits(run(*broken, max_retries=6)[1]) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0]
    assert waits(run(*broken, max_retries=6, jitter=lambda: 0.0)[1]) == [0.25, 0.5, 1.0, 2.0, 4.0, 4.0]


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (status(429, retry_after="7"), 7.0),
        (status(503, retry_after="7"), 7.0),
        (status(429, x_ratelimit_reset_requests="1790000012"), 12.0),
        (status(429, x_ratelimit_resets="1790000009500"), 9.5),
        (status(429, retry_after="3", x_ratelimit_reset_requests="1790000012"), 12.0),
        (status(429, retry_after="0"), 0.5),
        (status(429, retry_after="soon"), 0.5),
        (status(429, retry_after="60"), 60.0),
        (status(429), 0.5),
    ],
)
def test_the_wait_is_what_the_api_asks_for_and_never_less_than_the_backoff(answer: Reply, wait: float) -> None:
    assert waits(run(answer, OK)[1]) == [wait]


@pytest.mark.parametrize(("retries", "expected"), [(1, [31.0]), (2, [0.5, 31.0]), (3, [0.5, 1.0, 31.0])])
def test_before_the_last_attempt_after_a_429_that_names_no_time_a_block_is_waited_out(
    retries: int, expected: list[float]
) -> None:
    """That is how an account with too many failures is refused, for half a minute; and once is enough."""
    assert waits(run(*[status(429)] * retries, OK, max_retries=retries)[1]) == expected
    assert waits(run(*[status(503)] * retries, OK, max_retries=retries)[1])[-1] < 31


def test_reset_headers_count_from_the_clock_and_not_from_the_start() -> None:
    clock = VirtualClock(NOW)
    clock.advance(10)
    assert waits(run(status(429, x_ratelimit_reset_requests="1790000012"), OK, clock=clock)[1]) == [2.0]


def test_a_wait_of_more_than_a_minute_is_raised_by_default() -> None:
    error, steps = run(status(429, retry_after="61"))
    assert type(error) is RateLimitError
    assert error.retry_after == 61
    assert waits(steps) == []


@pytest.mark.parametrize(("code", "kind"), [(429, RateLimitError), (503, ServerError)])
def test_a_longer_wait_than_max_wait_is_raised_at_once(code: int, kind: type[VeniceError]) -> None:
    error, steps = run(status(code, retry_after="6"), max_wait=5.0)
    assert type(error) is kind
    assert waits(steps) == []
    assert waits(run(status(code, retry_after="6"), OK, max_wait=6.0)[1]) == [6.0]
    assert waits(run(status(code, retry_after="3000"), OK, max_wait=3000.0)[1]) == [3000.0]


def test_a_block_longer_than_max_wait_is_not_waited_out() -> None:
    error, steps = run(status(429), status(429), max_wait=30.0)
    assert type(error) is RateLimitError
    assert waits(steps) == [0.5]


@pytest.mark.parametrize("longest", [0.0, 3.0])
def test_backoff_keeps_within_max_wait(longest: float) -> None:
    assert max(waits(run(*[Broken("x")] * 6, max_retries=5, max_wait=longest)[1])) == longest


def test_the_wait_for_the_failure_budget_is_none_between_attempts() -> None:
    policy = make_policy(max_retries=0, max_wait=0.0)
    for _ in range(FAILURES):
        drive(call(ECHO, policy), [status(500)], policy)
    assert drive(call(ECHO, policy), [OK], policy)[0] == b"fine"


@pytest.mark.parametrize("params", [{"cursor": "abc"}, {}])
def test_a_400_to_a_cursor_is_about_the_cursor(params: dict[str, str]) -> None:
    operation = evolve(ECHO, request=evolve(BALANCE, params=params))
    error, _ = run(status(400), operation=operation)
    assert type(error) is (CursorRejectedError if params else InvalidRequestError)


def test_calls_of_a_client_share_the_failure_budget() -> None:
    """Fifteen failures, whosoever, and the next request waits until the first of them is half a minute old."""
    policy = make_policy(max_retries=0)
    for _ in range(FAILURES):
        drive(call(ECHO, policy), [status(500)], policy)
    value, steps = drive(call(ECHO, policy), [OK], policy)
    assert value == b"fine"
    assert [type(step) for step in steps] == [Wait, Send]
    assert 30 < steps[0].seconds < 32


@pytest.mark.parametrize("end", ["closed", "cancelled", "interrupted", "lost"])
def test_an_attempt_that_is_given_up_is_no_failure_of_the_api(end: str) -> None:
    policy = make_policy()
    for _ in range(2 * FAILURES):
        steps = call(ECHO, policy)
        assert isinstance(next(steps), Send)
        if end == "closed":
            steps.close()
        elif end == "cancelled":
            with pytest.raises(asyncio.CancelledError):
                steps.throw(asyncio.CancelledError())
        elif end == "interrupted":
            with pytest.raises(KeyboardInterrupt):
                steps.throw(KeyboardInterrupt())
        del steps
    assert isinstance(next(call(ECHO, policy)), Send)


@pytest.mark.parametrize("earlier", [[], [status(503)]])
def test_a_closed_client_is_an_error_at_once_and_no_failure_of_the_api(earlier: list[Outcome]) -> None:
    policy = make_policy()
    error, steps = drive(call(ECHO, policy), [*earlier, Closed()], policy)
    assert type(error) is ClientClosedError
    assert not isinstance(error, APIConnectionError)
    assert len(steps) == 1 + 2 * len(earlier)
    assert len(policy.budget._failed) == len(earlier)


def test_a_client_that_is_closed_ends_the_wait_for_the_failure_budget() -> None:
    policy = make_policy()
    for _ in range(FAILURES):
        drive(call(ECHO, evolve(policy, max_retries=0)), [status(404)], policy)
    steps = call(ECHO, policy)
    assert isinstance(next(steps), Wait)
    with pytest.raises(ClientClosedError):
        steps.send(Closed())
    assert len(policy.budget._queue) == 0


@pytest.mark.parametrize("failures", [0, FAILURES])
def test_a_wait_says_whether_it_is_for_other_requests_of_the_client(failures: int) -> None:
    """A walk then works on as many windows as before: the API does not ask for patience."""
    policy = make_policy(max_retries=0)
    for _ in range(failures):
        drive(call(ECHO, policy), [status(404)], policy)
    under_way = [call(ECHO, policy) for _ in range(FAILURES - failures)]
    assert all(isinstance(next(steps), Send) for steps in under_way)
    wait = next(call(ECHO, policy))
    assert isinstance(wait, Wait)
    assert wait.queued == (failures == 0)


def test_a_call_that_waits_for_its_turn_and_is_cancelled_costs_nothing() -> None:
    policy = make_policy()
    running = [call(ECHO, policy) for _ in range(FAILURES)]
    assert all(isinstance(next(steps), Send) for steps in running)
    waiting = call(ECHO, policy)
    assert isinstance(next(waiting), Wait)
    waiting.close()
    for steps in running:
        with pytest.raises(StopIteration):
            steps.send(OK)
    assert [type(next(call(ECHO, policy))) for _ in range(FAILURES)] == [Send] * FAILURES


def test_a_wait_for_the_budget_never_uses_up_a_retry() -> None:
    policy = make_policy()
    for _ in range(FAILURES):
        drive(call(ECHO, evolve(policy, max_retries=0)), [status(404)], policy)
    value, steps = drive(call(ECHO, policy), [status(503), status(503), OK], policy)
    assert value == b"fine"
    assert sum(isinstance(step, Send) for step in steps) == 3


def test_a_driver_that_forgets_the_outcome_is_a_bug_and_not_a_failed_request() -> None:
    steps = call(ECHO, make_policy())
    next(steps)
    with pytest.raises(RuntimeError, match="outcome"):
        next(steps)


def test_messages_name_the_seconds_as_given() -> None:
    assert re.search(r"within 2\.5 s", str(run(Expired(), timeout=2.5)[0]))


def test_an_undocumented_status_is_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    """A proxy's 527 is no status of the contract: it is raised like any other failure, and logged at INFO once."""
    with caplog.at_level(logging.INFO, logger="venice_billing"):
        for _ in range(2):
            error, _steps = run(status(527), max_retries=0)
            assert isinstance(error, ServerError)
    assert [record.getMessage() for record in caplog.records] == [
        "not in the contract, kept as data: HTTP status '527'"
    ]
