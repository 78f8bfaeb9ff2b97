"""One call as a generator of steps: attempts, backoff, `Retry-After`, the failure budget. Pure.

A call yields `Send` and `Wait` and receives the outcome of each, like `httpx.Auth.auth_flow`, so that the same
decisions serve both worlds; `_drivers` does what the steps say.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Generic, Protocol, TypeAlias, TypeVar

from attrs import field, frozen

from venice_billing._drift import note
from venice_billing._secret import Secret
from venice_billing.errors import (
    DOCUMENTED,
    APIConnectionError,
    BillingTimeoutError,
    ResponseValidationError,
    VeniceError,
    error_for,
    retry_after,
)
from venice_billing_api.codec import noticing
from venice_billing_api.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from venice_billing._budget import FailureBudget

T = TypeVar("T")
_log = logging.getLogger("venice_billing")

LONGEST_WAIT = 60.0
"""Seconds between two attempts at most: who is asked to wait longer hears so instead."""
_TOO_MANY = 429
_RETRIED = frozenset({_TOO_MANY, 500, 502, 503})
_BLOCK = 31.0
"""Seconds before the last attempt after a 429 that names no time: the block of an account with too many failures
names none, and lasts 30 s. So it is waited out once."""
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0
_ADVICE = "the ledger is known never to answer for windows under 15 minutes and for empty ones: ask for at least a day"


@frozen
class Request:
    """What to ask: nothing of who asks, so that it may be logged and compared."""

    operation: str
    method: str
    path: str
    params: Mapping[str, str | int]
    headers: Mapping[str, str]


@frozen
class Send:
    """Step: send the request and read the whole answer within `timeout` seconds."""

    request: Request
    timeout: float


@frozen
class Wait:
    """Step: let `seconds` pass."""

    seconds: float


@frozen
class Reply:
    """Outcome of `Send`: an answer, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@frozen
class Expired:
    """Outcome of `Send`: the deadline passed first."""


@frozen
class Broken:
    """Outcome of `Send`: no connection, or one that broke."""

    problem: str


@frozen
class Unreadable:
    """Outcome of `Send`: a 2xx answer whose body cannot be taken as sent (cut short, too large)."""

    problem: str


Outcome: TypeAlias = Reply | Expired | Broken | Unreadable
Steps: TypeAlias = Generator[Send | Wait, Outcome | None, T]


class Clock(Protocol):
    """Where the time comes from."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...

    def time(self) -> float:
        """Return Unix seconds."""
        ...


@frozen
class Policy:
    """How calls are made: what `with_options` changes, and what the calls of a client share."""

    timeout: float
    max_retries: int
    budget: FailureBudget
    clock: Clock
    jitter: Callable[[], float] = random.random
    secret: Secret = field(default=Secret(""), repr=False)


@frozen
class Operation(Generic[T]):
    """One operation of the contract: the request, and how to read its answer."""

    request: Request
    read: Callable[[Reply], T]


def call(operation: Operation[T], policy: Policy) -> Steps[T]:
    """Make one call: the value, or the `VeniceError` of the last attempt."""
    attempt = 0
    while True:
        outcome = yield from _attempt(operation.request, policy)
        if isinstance(outcome, Reply) and 200 <= outcome.status < 300:  # noqa: PLR2004 - that is what 2xx means
            return _read(operation, outcome, policy.secret)
        wait = _wait_before_retry(outcome, attempt, policy)
        if wait is None:
            raise _error(operation.request, outcome, policy)
        _log.debug("%s: attempt %d failed, next in %.2f s", operation.request.operation, attempt + 1, wait)
        yield Wait(wait)
        attempt += 1


def _attempt(request: Request, policy: Policy) -> Steps[Outcome]:
    while (wait := policy.budget.admit(policy.clock.monotonic())) > 0:
        yield Wait(wait)
    failed = True  # also when the attempt is cancelled: the API may have seen a failure
    try:
        outcome = yield Send(request, policy.timeout)
        if outcome is None:
            raise RuntimeError("a Send step must be answered with its outcome")
        failed = not (isinstance(outcome, Reply) and 200 <= outcome.status < 300)  # noqa: PLR2004 - as above
        return outcome
    finally:
        policy.budget.settle(policy.clock.monotonic(), failed=failed)


def _wait_before_retry(outcome: Outcome, attempt: int, policy: Policy) -> float | None:
    """Return the seconds to wait before another attempt, or None if there shall be none.

    An expired deadline is not retried: the ledger hangs on what it hangs on, and each try costs the whole timeout.
    """
    if attempt >= policy.max_retries or isinstance(outcome, Expired):
        return None
    backoff = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0**attempt) * (0.5 + 0.5 * policy.jitter())
    if not isinstance(outcome, Reply):
        return backoff
    if outcome.status not in _RETRIED:
        return None
    asked = _asked_to_wait(outcome, policy)
    if asked is None:
        is_last = attempt == policy.max_retries - 1
        return _BLOCK if outcome.status == _TOO_MANY and is_last else backoff
    return None if asked > LONGEST_WAIT else max(asked, backoff)


def _asked_to_wait(reply: Reply, policy: Policy) -> float | None:
    """Return the seconds the API asks to wait: resets of a limit concern who has met it, and are sent to all."""
    headers = reply.headers
    if reply.status != _TOO_MANY:
        headers = {name: value for name, value in headers.items() if name == "retry-after"}
    return retry_after(headers, policy.clock.time())


def _read(operation: Operation[T], reply: Reply, secret: Secret) -> T:
    try:
        with noticing(partial(note, secret=secret)):
            return operation.read(reply)
    except DecodeError as error:
        problem, place = error.problem, error.location
    except ResponseValidationError as error:
        problem, place = error.problem, error.field
    # Outside of the handler: there the first error, whose text may hold the key, would be the context of this one.
    raise ResponseValidationError(secret.masked(problem), field=secret.masked(place))


def _error(request: Request, outcome: Outcome, policy: Policy) -> VeniceError:
    match outcome:
        case Reply(status, headers, body):
            if status not in DOCUMENTED:
                note("HTTP status", str(status), policy.secret)
            return error_for(
                status,
                headers,
                body,
                continuation="cursor" in request.params,
                now=policy.clock.time(),
                secret=policy.secret,
            )
        case Expired():
            advice = f"; {_ADVICE}" if request.path.endswith(("/usage", "/usage-history")) else ""
            return BillingTimeoutError(f"no whole answer within {policy.timeout:g} s{advice}")
        case Broken(problem):
            return APIConnectionError(policy.secret.masked(problem))
        case Unreadable(problem):
            return ResponseValidationError(policy.secret.masked(problem))
