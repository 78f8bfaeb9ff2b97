"""One call as a generator of steps: attempts, backoff, `Retry-After`, the failure budget. Pure.

A call yields `Send` and `Wait` and receives the outcome of each, like `httpx.Auth.auth_flow`, so that the same
decisions serve the synchronous and the asynchronous client; `_drivers` performs the steps.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Generator
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeAlias, TypeVar

from attrs import field, frozen

from venice_billing._budget import LONGEST_POLL, Ticket
from venice_billing._drift import note
from venice_billing._headers import retry_after
from venice_billing._runtime.codec import read_with_notice
from venice_billing._runtime.errors import DecodeError
from venice_billing._secret import Secret
from venice_billing.errors import (
    DOCUMENTED,
    APIConnectionError,
    BillingTimeoutError,
    ClientClosedError,
    ResponseValidationError,
    VeniceError,
    bounded,
    error_for,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from venice_billing._budget import FailureBudget
    from venice_billing._clock import Clock

T = TypeVar("T")
_log = logging.getLogger("venice_billing")

LONGEST_WAIT = 60.0
"""The default of `Policy.max_wait`."""
_TOO_MANY = 429
_RETRIED = frozenset({_TOO_MANY, 500, 502, 503})
_BLOCK = 31.0
"""Seconds to wait before the last attempt after a 429 that names no time: an account with too many failures is blocked
for 30 s, and the 429 of that block names no time. So the block is waited out once."""
_FIRST_BACKOFF = 0.5
_LONGEST_BACKOFF = 8.0
_DAY = 86_400.0
_LOGGED = 300  # characters
_ADVICE = "the ledger is known never to answer for windows under 15 minutes and for empty ones: ask for at least a day"


@frozen
class Request:
    """A request without the key, safe to log and to compare."""

    operation: str
    method: str
    path: str
    params: Mapping[str, str | int]
    headers: Mapping[str, str]


@frozen
class Send:
    """Step: send the request, with the user's own headers, and read the whole answer within `timeout` seconds."""

    request: Request
    timeout: float
    headers: Mapping[str, str] = field(factory=dict, repr=False)


@frozen
class Wait:
    """Step: let `seconds` pass.

    Attributes:
        queued: Whether the wait is for other requests of this client, not for the API.
    """

    seconds: float
    queued: bool = False


@frozen
class Reply:
    """Outcome of `Send`: a whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@frozen
class Expired:
    """Outcome of `Send`: the deadline passed first."""


@frozen
class Broken:
    """Outcome of `Send`: there was no connection, or it broke."""

    problem: str


@frozen
class Unreadable:
    """Outcome of `Send`: a 2xx answer whose body is unusable (cut short, too large)."""

    problem: str


@frozen
class Closed:
    """Outcome of any step: the client is closed, before the step or while it was under way."""


Outcome: TypeAlias = Reply | Expired | Broken | Unreadable | Closed
Steps: TypeAlias = Generator[Send | Wait, Outcome | None, T]


@frozen
class Policy:
    """How calls are made: the settings that `with_options` changes, and the state that calls of a client share.

    Attributes:
        timeout: Seconds for one request as a whole.
        max_retries: Further attempts after one that failed.
        max_wait: Longest wait between attempts, in seconds; if the API asks for a longer one, the error is raised.
        jitter: A random number from 0 to 1.
        headers: The user's own headers of every request, names in lower case.
    """

    timeout: float
    max_retries: int
    budget: FailureBudget
    clock: Clock
    jitter: Callable[[], float] = random.random
    max_wait: float = LONGEST_WAIT
    secret: Secret = field(default=Secret(""), repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False, eq=False)


@frozen
class Operation(Generic[T]):
    """One operation of the contract: its request, and the function that reads the answer."""

    request: Request
    read: Callable[[Reply], T]


def call(operation: Operation[T], policy: Policy) -> Steps[T]:
    """Make one call; return its value, or raise the `VeniceError` of the last attempt."""
    reply = yield from _success(operation.request, policy)
    return _read(operation, reply, policy.secret)


def call_and_keep(operation: Operation[T], policy: Policy) -> Steps[tuple[T, Callable[[], T]]]:
    """Make one call; return its value, and a function that reads the same answer again, without a notice of drift."""
    reply = yield from _success(operation.request, policy)
    return _read(operation, reply, policy.secret), partial(read_with_notice, _no_notice, operation.read, reply)


def _success(request: Request, policy: Policy) -> Steps[Reply]:
    """Make a request until it succeeds, or raise the `VeniceError` of the last attempt."""
    attempt = 0
    while True:
        outcome = yield from _attempt(request, policy)
        if isinstance(outcome, Reply) and _is_success(outcome):
            return outcome
        wait = _wait_before_retry(outcome, attempt, policy)
        if wait is None:
            raise _error(request, outcome, policy)
        _log_retry(request, outcome, policy, attempt + 1, wait)
        yield Wait(wait)
        attempt += 1


def _attempt(request: Request, policy: Policy) -> Steps[Outcome]:
    """Make one request as soon as the failure budget admits it; a request that is given up is no failure."""
    ticket = Ticket()
    failed = False
    unseen = 0.0  # seconds waited that the clock does not show, since a program may stop it, as tests do
    try:
        while (wait := policy.budget.admit(ticket, (before := policy.clock.monotonic()) + unseen)) > 0:
            if isinstance((yield Wait(wait, queued=wait <= LONGEST_POLL)), Closed):
                return Closed()
            unseen += max(0.0, before + wait - policy.clock.monotonic())
        started = policy.clock.monotonic()
        outcome = yield Send(request, policy.timeout, policy.headers)
        if outcome is None:
            raise RuntimeError("a Send step must be answered with its outcome")
        _log_attempt(request, outcome, policy, policy.clock.monotonic() - started)
        failed = not (isinstance(outcome, Closed) or _is_success(outcome))
        return outcome
    finally:
        policy.budget.settle(ticket, policy.clock.monotonic(), failed=failed)


def _is_success(outcome: Outcome) -> bool:
    return isinstance(outcome, Reply) and 200 <= outcome.status < 300  # noqa: PLR2004 - 2xx


def _wait_before_retry(outcome: Outcome, attempt: int, policy: Policy) -> float | None:
    """Return the seconds to wait before another attempt, or None if there is to be none.

    An expired deadline is not retried: the ledger hangs on the same request again, and each try costs a whole timeout.
    """
    if attempt >= policy.max_retries or isinstance(outcome, Expired | Closed):
        return None
    backoff = min(_LONGEST_BACKOFF, _FIRST_BACKOFF * 2.0**attempt) * (0.5 + 0.5 * policy.jitter())
    backoff = min(backoff, policy.max_wait)
    if not isinstance(outcome, Reply):
        return backoff
    if outcome.status not in _RETRIED:
        return None
    asked = _asked_to_wait(outcome, policy)
    if asked is None and outcome.status == _TOO_MANY and attempt == policy.max_retries - 1:
        asked = _BLOCK
    if asked is None:
        return backoff
    return None if asked > policy.max_wait else max(asked, backoff)


def _asked_to_wait(reply: Reply, policy: Policy) -> float | None:
    """Return the seconds the API asks to wait. Reset headers come with every response; heed them only on 429."""
    headers = reply.headers
    if reply.status != _TOO_MANY:
        headers = {name: value for name, value in headers.items() if name == "retry-after"}
    return retry_after(headers, policy.clock.time())


def _read(operation: Operation[T], reply: Reply, secret: Secret) -> T:
    try:
        return read_with_notice(partial(note, secret=secret), operation.read, reply)
    except DecodeError as error:
        problem, place = error.problem, error.location
    except ResponseValidationError as error:
        problem, place = error.problem, error.field
    # Outside the handler: inside, the first error, whose text may hold the key, would become the context of this one.
    raise ResponseValidationError(secret.masked(problem), field=secret.masked(place))


def _no_notice(_kind: str, _name: str) -> None:
    """Ignore what is new in an answer: it was logged when the answer was read first."""


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
            advice = f"; {_ADVICE}" if _asks_for_less_than_a_day(request, policy.clock.time()) else ""
            return BillingTimeoutError(f"no whole answer within {policy.timeout:g} s{advice}")
        case Broken(problem):
            return APIConnectionError(policy.secret.masked(problem))
        case Unreadable(problem):
            return ResponseValidationError(policy.secret.masked(problem))
        case Closed():
            return ClientClosedError("the client is closed")


def _log_attempt(request: Request, outcome: Outcome, policy: Policy, seconds: float) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        if isinstance(outcome, Reply):
            told = f"HTTP {outcome.status}, {len(outcome.body)} bytes"
        else:
            told = _described(request, outcome, policy)
        asked = policy.secret.masked(str(dict(request.params)))
        _log.debug("%s: %s %s %s: %s, %.3f s", request.operation, request.method, request.path, asked, told, seconds)


def _log_retry(request: Request, outcome: Outcome, policy: Policy, number: int, wait: float) -> None:
    if _log.isEnabledFor(logging.INFO):
        told = _described(request, outcome, policy)
        _log.info("%s: retry %d of %d in %.2f s after %s", request.operation, number, policy.max_retries, wait, told)


def _described(request: Request, outcome: Outcome, policy: Policy) -> str:
    """Return the status of a failed attempt and the reason that the API gave, or what happened instead, in one line."""
    return bounded(str(_error(request, outcome, policy)), _LOGGED)


def _asks_for_less_than_a_day(request: Request, now: float) -> bool:
    start, end = (
        request.params.get(f"{side}Timestamp", request.params.get(f"{side}Date")) for side in ("start", "end")
    )
    if start is None or not request.path.endswith(("/usage", "/usage-history")):
        return False
    until = now if end is None else datetime.fromisoformat(str(end)).timestamp()
    return until - datetime.fromisoformat(str(start)).timestamp() < _DAY
