"""One call, driven by hand: which outcomes are retried, when and how often, and which error is raised."""

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


def test_successful_response_takes_one_attempt() -> None:
    value, steps = run(OK)
    assert value == b"fine"
    assert steps == [Send(BALANCE, 10.0)]


@pytest.mark.parametrize("code", [200, 201, 206, 299])
def test_any_2xx_is_passed_to_the_reader(code: int) -> None:
    assert run(Reply(code, {}, b"x"))[0] == b"x"


@pytest.mark.parametrize("bad", [status(429), status(500), status(502), status(503), Broken("ConnectError: refused")])
def test_transient_failures_are_retried(bad: Outcome) -> None:
    value, steps = run(bad, bad, OK)
    assert value == b"fine"
    assert [type(step) for step in steps] == [Send, Wait, Send, Wait, Send]


@pytest.mark.parametrize("code", [302, 400, 401, 402, 403, 404, 410, 413, 415, 418, 422, 501, 504, 520, 522])
def test_permanent_failures_are_not_retried(code: int) -> None:
    error, steps = run(status(code))
    assert isinstance(error, VeniceError)
    assert len(steps) == 1


def test_timeout_is_not_retried() -> None:
    """A request that hangs will hang again, and each retry would cost the whole timeout."""
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
def test_timeout_advises_a_day_only_for_shorter_windows(operation: Operation[Any], *, is_advised: bool) -> None:
    assert ("at least a day" in str(run(Expired(), operation=operation)[0])) == is_advised


def test_damaged_2xx_body_is_retried_then_breaks_the_contract() -> None:
    """A body cut short once is a broken connection; a body cut short on every attempt is the server's error."""
    damaged = Unreadable("the compressed body ends early")
    assert run(damaged, OK)[0] == b"fine"
    error, _ = run(damaged, damaged, damaged)
    assert type(error) is ResponseValidationError
    assert "ends early" in str(error)


def test_undecodable_2xx_raises_an_error_with_the_field() -> None:
    body = b'{"canConsume": true, "consumptionCurrency": null, "balances": {"diem": "1", "usd": 2}}'
    error, _ = run(Reply(200, {"content-type": "application/json"}, body), operation=operations.balance())
    assert type(error) is ResponseValidationError
    assert error.field == "balances.diem"
    assert error.__cause__ is None


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
def test_last_error_is_raised_after_max_retries(retries: int) -> None:
    error, steps = run(*[status(503)] * retries, status(500), max_retries=retries)
    assert type(error) is ServerError
    assert error.status_code == 500
    assert len(waits(steps)) == retries


def test_connection_error_names_its_cause() -> None:
    error, _ = run(Broken("ConnectError: refused"), max_retries=0)
    assert type(error) is APIConnectionError
    assert "refused" in str(error)


def test_backoff_doubles_up_to_a_limit_with_jitter() -> None:
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
def test_wait_follows_headers_but_is_at_least_the_backoff(answer: Reply, wait: float) -> None:
    assert waits(run(answer, OK)[1]) == [wait]


@pytest.mark.parametrize(("retries", "expected"), [(1, [31.0]), (2, [0.5, 31.0]), (3, [0.5, 1.0, 31.0])])
def test_429_without_retry_after_waits_out_the_block(retries: int, expected: list[float]) -> None:
    """The API blocks an account with too many failures for 30 s without naming a time; one such wait is enough."""
    assert waits(run(*[status(429)] * retries, OK, max_retries=retries)[1]) == expected
    assert waits(run(*[status(503)] * retries, OK, max_retries=retries)[1])[-1] < 31


def test_reset_headers_are_relative_to_the_current_time() -> None:
    clock = VirtualClock(NOW)
    clock.advance(10)
    assert waits(run(status(429, x_ratelimit_reset_requests="1790000012"), OK, clock=clock)[1]) == [2.0]


def test_wait_over_a_minute_is_raised_by_default() -> None:
    error, steps = run(status(429, retry_after="61"))
    assert type(error) is RateLimitError
    assert error.retry_after == 61
    assert waits(steps) == []


@pytest.mark.parametrize(("code", "kind"), [(429, RateLimitError), (503, ServerError)])
def test_wait_over_max_wait_is_raised_at_once(code: int, kind: type[VeniceError]) -> None:
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


def test_max_wait_does_not_limit_the_wait_for_the_budget() -> None:
    policy = make_policy(max_retries=0, max_wait=0.0)
    for _ in range(FAILURES):
        drive(call(ECHO, policy), [status(500)], policy)
    assert drive(call(ECHO, policy), [OK], policy)[0] == b"fine"


@pytest.mark.parametrize("params", [{"cursor": "abc"}, {}])
def test_400_to_a_cursor_raises_cursor_rejected(params: dict[str, str]) -> None:
    operation = evolve(ECHO, request=evolve(BALANCE, params=params))
    error, _ = run(status(400), operation=operation)
    assert type(error) is (CursorRejectedError if params else InvalidRequestError)


def test_calls_of_a_client_share_the_failure_budget() -> None:
    """After 15 failures of any of its calls, the next request waits until the first failure is 30 s old."""
    policy = make_policy(max_retries=0)
    for _ in range(FAILURES):
        drive(call(ECHO, policy), [status(500)], policy)
    value, steps = drive(call(ECHO, policy), [OK], policy)
    assert value == b"fine"
    assert [type(step) for step in steps] == [Wait, Send]
    assert 30 < steps[0].seconds < 32


@pytest.mark.parametrize("end", ["closed", "cancelled", "interrupted", "lost"])
def test_abandoned_attempts_do_not_count_as_failures(end: str) -> None:
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
def test_closed_client_raises_at_once_and_counts_no_failure(earlier: list[Outcome]) -> None:
    policy = make_policy()
    error, steps = drive(call(ECHO, policy), [*earlier, Closed()], policy)
    assert type(error) is ClientClosedError
    assert not isinstance(error, APIConnectionError)
    assert len(steps) == 1 + 2 * len(earlier)
    assert len(policy.budget._failed) == len(earlier)


def test_closing_the_client_ends_the_wait_for_the_budget() -> None:
    policy = make_policy()
    for _ in range(FAILURES):
        drive(call(ECHO, evolve(policy, max_retries=0)), [status(404)], policy)
    steps = call(ECHO, policy)
    assert isinstance(next(steps), Wait)
    with pytest.raises(ClientClosedError):
        steps.send(Closed())
    assert len(policy.budget._queue) == 0


@pytest.mark.parametrize("failures", [0, FAILURES])
def test_wait_is_queued_only_behind_requests_under_way(failures: int) -> None:
    """A queued wait does not reduce the windows of a walk, because the API has not asked it to slow down."""
    policy = make_policy(max_retries=0)
    for _ in range(failures):
        drive(call(ECHO, policy), [status(404)], policy)
    under_way = [call(ECHO, policy) for _ in range(FAILURES - failures)]
    assert all(isinstance(next(steps), Send) for steps in under_way)
    wait = next(call(ECHO, policy))
    assert isinstance(wait, Wait)
    assert wait.queued == (failures == 0)


def test_cancelled_queued_call_leaves_the_budget_unchanged() -> None:
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


def test_missing_outcome_from_the_driver_is_a_runtime_error() -> None:
    steps = call(ECHO, make_policy())
    next(steps)
    with pytest.raises(RuntimeError, match="outcome"):
        next(steps)


def test_timeout_message_names_the_seconds_as_given() -> None:
    assert re.search(r"within 2\.5 s", str(run(Expired(), timeout=2.5)[0]))


def test_undocumented_status_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """The status 527 of a proxy is not in the contract: raised like any other failure, and logged once at INFO."""
    with caplog.at_level(logging.INFO, logger="venice_billing"):
        for _ in range(2):
            error, _steps = run(status(527), max_retries=0)
            assert isinstance(error, ServerError)
    assert [record.getMessage() for record in caplog.records] == [
        "not in the contract, kept as data: HTTP status '527'"
    ]
