"""FakeVenice: an account on a simulated server. `respond` adds refusals, waits and faults to what `_router` answers."""

from __future__ import annotations

import gzip
import random
import threading
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qsl

import httpx
from attrs import evolve

from venice_billing.testing._account import Account
from venice_billing.testing._checks import (
    bound,
    check_choice,
    check_days,
    check_entries,
    check_keys,
    check_moment,
    check_names,
    check_type,
)
from venice_billing.testing._clock import VirtualClock
from venice_billing.testing._quirks import Quirks, SeenRequest
from venice_billing.testing._responses import Response, error_response
from venice_billing.testing._router import ORIGINAL_LEDGER, PREFIX, Router, Service
from venice_billing.testing._seed import demo_rows, seeded_charge, seeded_rows
from venice_billing.testing._server import FakeServer
from venice_billing.testing._text import Row, format_instant
from venice_billing.testing._transport import FakeTransport

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing import AsyncVeniceBilling, UsageEntry, VeniceBilling
    from venice_billing.testing.faults import Fault

_FAILURES_ALLOWED = 20
_FAILURE_WINDOW = 30.0
_BLOCKED_FOR = 30.0
_MINUTE = 60.0


class FakeVenice:
    """Stand in for Venice: one account, its ledger, and every quirk of the live service as a switch.

    Args:
        entries: How many ledger rows to make up, or the rows themselves: `UsageEntry`s, or dicts by the API's field
            names, with at least a `timestamp` (an aware datetime or its text), whose numbers are `Decimal`, int or
            text.
        days: The days before `now` that made-up rows cover.
        seed: The seed of the made-up rows and of all other random choices.
        now: The time at the start; the current time if None.
        admin_key: The key that can read everything, ledgers and balance included.
        inference_key: The key that can read only the analytics.
        original: Whether `/billing/usage` answers 410, as it does since 2026-09-16, or still serves pages.
        history: Whether `/billing/usage-history` exists yet.
        quirks: The quirks of the service; `fake.quirks` may be changed at any time.
        clock: The clock to use, if other fakes share it.
        extra_fields: Names of fields that the API does not document, which rows may have nevertheless; those within
            `inferenceDetails` are named like "inferenceDetails.cached".

    Attributes:
        admin_key: The key that can read everything; `client()` uses it.
        inference_key: The key that can read only the analytics.
        clock: The clock of the account and of its clients: waits move it and take no time.
        quirks: The quirks of the service, as switches.
        requests: Every request, in the order of arrival.
        ledger: The true ledger, row by row.
        balance: The body of a balance response; may be set.

    Raises:
        TypeError: An argument or a field of a row has the wrong type; the error names it.
        ValueError: An argument or a field of a row has an invalid value; the error names it.

    Example:
        >>> fake = FakeVenice([{"timestamp": "2026-10-01T00:00:00Z", "amount": "-0.25", "currency": "USD"}])
        >>> fake.quirks.faults = [faults.status(503), faults.hang(3)]
        >>> with fake.client() as client:
        ...     [entry.amount for entry in client.iter_usage_history()]
        [Decimal('-0.25')]
        >>> with fake.serve() as server:
        ...     client = VeniceBilling(fake.admin_key, base_url=server.base_url)
    """

    def __init__(
        self,
        entries: int | Iterable[Mapping[str, Any] | UsageEntry] = 1000,
        *,
        days: float = 90,
        seed: int = 0,
        now: datetime | None = None,
        admin_key: str = "fake-admin-key",
        inference_key: str = "fake-inference-key",
        original: Literal["retired", "alive"] = "retired",
        history: bool = True,
        quirks: Quirks | None = None,
        clock: VirtualClock | None = None,
        extra_fields: Iterable[str] = (),
    ) -> None:
        check_entries(entries)
        check_days(days)
        check_moment("now", now)
        check_choice("original", original, "retired", "alive")
        check_type("history", history, bool, "True or False")
        check_keys(admin_key, inference_key)
        self.admin_key = admin_key
        self.inference_key = inference_key
        self.clock = VirtualClock(now) if clock is None else clock
        check_type("clock", self.clock, VirtualClock, "a VirtualClock")
        self.quirks = Quirks() if quirks is None else quirks
        self.requests: list[SeenRequest] = []
        start = datetime.fromtimestamp(self.clock.time(), UTC)
        rows = seeded_rows(entries, days=days, seed=seed, now=start) if isinstance(entries, int) else entries
        self._account = Account(rows, check_names("extra_fields", extra_fields))
        self._router = Router(self._account, Service(original, history), admin_key)
        self._rng = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._lock = threading.RLock()
        self._failures: deque[float] = deque(maxlen=_FAILURES_ALLOWED + 1)
        self._blocked_until = 0.0
        self._original_times: deque[float] = deque()
        self._fault_list: tuple[object, int] = ((), 0)

    @property
    def quirks(self) -> Quirks:
        """The quirks of the service, as switches."""
        return self._quirks

    @quirks.setter
    def quirks(self, quirks: Quirks) -> None:
        check_type("quirks", quirks, Quirks, "Quirks")
        self._quirks = quirks

    @property
    def ledger(self) -> list[Row]:
        """The true ledger: every row by the API's field names, in ascending order of time, then of booking."""
        return self.rows()

    def rows(
        self,
        *,
        currency: str | None = None,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
    ) -> list[Row]:
        """Return the rows of a currency and a window (start inclusive, end exclusive), in ascending order of time."""
        chosen = self._account.select(currency=currency, start=bound("start", start), end=bound("end", end))
        return [dict(entry.row) for entry in chosen]

    def book(self, row: Mapping[str, Any] | UsageEntry | None = None, *, late: timedelta = timedelta(0)) -> Row:
        """Book a charge, also while walks run, and return the row as it will be sent.

        Args:
            row: A `UsageEntry`, or the fields of the row; fields not given are made up, and its time is now unless
                given.
            late: How long ago the charge arose: its time lies so far in the past, though it is booked now.
        """
        check_type("late", late, timedelta, "a timedelta")
        moment = round((self.clock.time() - late.total_seconds()) * 1000) * 1000
        with self._lock:
            if row is not None and not isinstance(row, Mapping):
                return self._account.book(row)
            made_up = {} if row else seeded_charge(self._rng)
            return self._account.book({"timestamp": format_instant(moment), **made_up, **(row or {})})

    @property
    def balance(self) -> Row:
        """The body of a balance response: computed from the ledger, unless it was set."""
        return self._router.balance_at(self.clock.time())

    @balance.setter
    def balance(self, document: Row | None) -> None:
        self._router.balance = document

    def transport(self) -> httpx.MockTransport:
        """Return a transport for `httpx.Client` or `httpx.AsyncClient`; waits move `clock` and take no real time.

        The clients of httpx2 take it too.
        """
        return FakeTransport(self._respond, self.clock)

    def serve(self, host: str = "127.0.0.1", port: int = 0) -> FakeServer:
        """Return a context manager that serves the account over real sockets, at its `base_url`.

        Hangs and slow bodies take real time there, and `clock` moves with the wall clock.
        """
        return FakeServer(self.respond, self.clock, host, port, PREFIX)

    def client(self, **options: Any) -> VeniceBilling:
        """Return a `VeniceBilling` of this account, on the fake's transport and clock."""
        from venice_billing import VeniceBilling  # noqa: PLC0415 - the fake itself needs no client

        return VeniceBilling(http_client=httpx.Client(transport=self.transport()), **self._client_options(options))

    def async_client(self, **options: Any) -> AsyncVeniceBilling:
        """Return an `AsyncVeniceBilling` of this account, on the fake's transport and clock."""
        from venice_billing import AsyncVeniceBilling  # noqa: PLC0415 - as in client()

        http_client = httpx.AsyncClient(transport=self.transport())
        return AsyncVeniceBilling(http_client=http_client, **self._client_options(options))

    def _client_options(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the arguments of a client: those of the user, with the fake's clock and seeded jitter."""
        from venice_billing._config import Setup  # noqa: PLC0415 - as in client()

        jitter = random.Random(0).random  # noqa: S311 - repeatable, not secret
        setup = Setup(clock=self.clock, jitter=jitter, owns_http_client=True)
        base_url = f"https://api.venice.ai{PREFIX}"
        return {"api_key": self.admin_key, "base_url": base_url, "_setup": setup, **options}

    def _respond(self, request: httpx.Request) -> Response:
        return self.respond(
            request.method, request.url.host, request.url.raw_path.decode("ascii"), dict(request.headers)
        )

    def respond(self, method: str, host: str, target: str, headers: Mapping[str, str]) -> Response:
        """Answer one request: `target` is as in the request line, `headers` have lower-case names."""
        with self._lock:
            request = self._seen(method, host, target, headers)
            quirks = self.quirks
            for row in quirks.arrivals(request) if quirks.arrivals else ():
                self.book(row)
            response = self._refused(request) or self._router.respond(request, quirks)
            response = self._compressed(request, self._delayed(response))
            fault = self._next_fault(request)
            if fault is not None:
                response = fault.apply(response.in_answer_to(key=_key_in(headers.get("authorization", ""))))
            self._note(request, response)
            return response

    def _seen(self, method: str, host: str, target: str, headers: Mapping[str, str]) -> SeenRequest:
        path, _, query = target.partition("?")
        return SeenRequest(
            number=len(self.requests) + 1,
            method=method,
            host=host,
            path=path,
            params=tuple(parse_qsl(query, keep_blank_values=True)),
            headers={name: value for name, value in headers.items() if name != "authorization"},
            key=self._key_kind(headers.get("authorization")),
            time=self.clock.time(),
        )

    def _key_kind(self, authorization: str | None) -> Literal["admin", "inference", "wrong", "none"]:
        if authorization is None:
            return "none"
        kinds: dict[str | None, Literal["admin", "inference"]] = {
            self.admin_key: "admin",
            self.inference_key: "inference",
        }
        return kinds.get(_key_in(authorization), "wrong")

    def _refused(self, request: SeenRequest) -> Response | None:
        """Return the 429 that is due before the request is looked at, if any."""
        quirks = self.quirks
        if quirks.abuse_block and request.time < self._blocked_until:
            return error_response(429, "Too many failed requests: all requests are refused for 30 seconds")
        if quirks.rate_limit_every is not None and request.number % quirks.rate_limit_every == 0:
            return self._rate_limited(request, quirks.rate_limit_seconds)
        if quirks.original_per_minute is not None and request.path == ORIGINAL_LEDGER:
            return self._throttled(request, quirks.original_per_minute)
        return None

    def _throttled(self, request: SeenRequest, per_minute: int) -> Response | None:
        recent = self._original_times
        while recent and recent[0] <= request.time - _MINUTE:
            recent.popleft()
        if len(recent) >= per_minute:
            return self._rate_limited(request, recent[0] + _MINUTE - request.time)
        recent.append(request.time)
        return None

    def _rate_limited(self, request: SeenRequest, seconds: float) -> Response:
        values = {
            "retry-after": str(-int(-seconds // 1)),
            "x-ratelimit-reset-requests": str(-int(-(request.time + seconds) // 1)),
            "x-ratelimit-resets": str(round((request.time + seconds) * 1000)),
        }
        headers = tuple((name, values[name]) for name in self.quirks.rate_limit_headers)
        return error_response(429, "Rate limit exceeded", (("x-ratelimit-remaining-requests", "0"), *headers))

    def _delayed(self, response: Response) -> Response:
        latency = self.quirks.latency
        seconds = self._rng.uniform(*latency) if isinstance(latency, tuple) else latency
        return response.transmitted(headers_wait=response.transmission.headers_wait + seconds) if seconds else response

    def _compressed(self, request: SeenRequest, response: Response) -> Response:
        if not self.quirks.gzip or "gzip" not in request.headers.get("accept-encoding", ""):
            return response
        packed = gzip.compress(response.body, compresslevel=1, mtime=0)
        return evolve(response, body=packed).with_header("content-encoding", "gzip")

    def _next_fault(self, request: SeenRequest) -> Fault | None:
        faults = self.quirks.faults
        if callable(faults):
            return faults(request)
        used = self._fault_list[1] if self._fault_list[0] is faults else 0
        self._fault_list = (faults, used + 1)
        return faults[used] if used < len(faults) else None

    def _note(self, request: SeenRequest, response: Response) -> None:
        never = response.transmission.headers_wait == float("inf") or response.transmission.connect_wait == float("inf")
        self.requests.append(evolve(request, status=None if never else response.status))
        if response.status < 300 or request.time < self._blocked_until:  # noqa: PLR2004 - 2xx
            return
        self._failures.append(request.time)
        if len(self._failures) > _FAILURES_ALLOWED and request.time - self._failures[0] <= _FAILURE_WINDOW:
            self._blocked_until = request.time + _BLOCKED_FOR
            self._failures.clear()


def _key_in(authorization: str) -> str | None:
    """Return the key in an `Authorization` header; None if the header holds no bearer key."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def demo_account(now: datetime | None = None) -> FakeVenice:
    """Return the account that demonstrations show: the same rows in every run, drawn from the day they fall on.

    Args:
        now: The time at the start; the current time if None. Rows end before it, and begin 400 days before.
    """
    clock = VirtualClock(now)
    return FakeVenice(demo_rows(datetime.fromtimestamp(clock.time(), UTC)), clock=clock)


def demo_day(moment: datetime) -> FakeVenice:
    """Return the demo account with the rows of one day in UTC."""
    end = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    return FakeVenice(demo_rows(end, days_before=1), clock=VirtualClock(end))
