"""The known quirks of the live service, as switches: all off by default, changeable at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import define, frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from venice_billing.testing._stuck import NoProgress
    from venice_billing.testing.faults import Fault

RateLimitHeader = Literal["retry-after", "x-ratelimit-reset-requests", "x-ratelimit-resets"]


@frozen
class SeenRequest:
    """One request as the fake saw it; the key itself is not kept."""

    number: int
    """The number of the request, from 1."""
    method: str
    host: str
    path: str
    params: tuple[tuple[str, str], ...]
    """Names and values as sent, in order."""
    headers: Mapping[str, str]
    """By lower-case name, without `authorization`."""
    key: Literal["admin", "inference", "wrong", "none"]
    time: float
    """Unix seconds by the fake's clock."""
    status: int | None = None
    """The status of the answer; None if the response never comes."""

    def param(self, name: str) -> str | None:
        """Return the value of a query parameter."""
        return next((value for other, value in self.params if other == name), None)


@frozen
class CursorPlace:
    """A page boundary, as a cursor would name it."""

    page: int
    """The number of pages before the boundary in this walk, from its first request."""
    timestamp: str
    """The timestamp of the last row before the boundary."""
    number: int
    """The number of that row in the order of booking, from 0."""


@frozen
class CsvLayout:
    """How a CSV page is written."""

    line_break: str = "\n"
    bom: bool = False
    final_line_break: bool = True
    header: str | None = None
    """Another header row than the usual one."""


@define
class Quirks:
    """The ways in which the fake misbehaves."""

    latency: float | tuple[float, float] = 0.0
    """Seconds before each response, or a range to draw from (seeded)."""
    gzip: bool = False
    """Compress responses for clients that accept gzip."""

    narrow_window_hangs: bool = False
    """A ledger window under 15 minutes is never answered."""
    empty_result_hangs: bool = False
    """A ledger request without a result is never answered."""

    dead_cursor_every: int | None = None
    """Each n-th page boundary of a walk is dead: every use of its cursor hangs 30 seconds, then gets a 500."""
    dead_cursors: Callable[[CursorPlace], bool] | None = None
    """The page boundaries that are dead, by predicate."""
    dead_cursor_hang: float = 30.0
    repeat_cursor_every: int | None = None
    """Each n-th page of a walk names its own cursor as the next one (the first page has none to name)."""
    cursor_lives_seconds: float | None = None
    """Older cursors are rejected."""
    cursor_lives_requests: int | None = None
    """A cursor is rejected after more than this number of requests since it was issued."""

    empty_first_page: bool = False
    """The first page of a history walk is empty, but names a next one."""
    no_progress: NoProgress | None = None
    """Every page names a fresh next one, for ever: `"empty pages"`, pages of made-up rows all at `"one instant"`, or
    pages wholly `"before range"` (beyond its end under `desc`; as usual where that side is open)."""
    no_progress_after: int = 0
    """The number of normal pages of a history walk before `no_progress` begins."""

    rate_limit_every: int | None = None
    """Each n-th request is a 429."""
    rate_limit_seconds: float = 2.0
    """Seconds until the reset of the rate limit, as the response says."""
    rate_limit_headers: Sequence[RateLimitHeader] = ("retry-after",)
    original_per_minute: int | None = None
    """Requests per minute to the original ledger: 10, then 5, at last 1 while the API retired it."""
    abuse_block: bool = False
    """After more than 20 failed requests in 30 seconds, refuse everything for 30 seconds."""

    analytics_cached: bool = False
    """Repeat an analytics response for 10 minutes, as the live service does."""
    csv_layouts: Sequence[CsvLayout] = (CsvLayout(),)
    """The layouts of CSV responses, used in turn."""

    faults: Callable[[SeenRequest], Fault | None] | Sequence[Fault | None] = ()
    """The fault of each request: a callable (`status` is not known yet), or one item per request from now on."""
    arrivals: Callable[[SeenRequest], Iterable[Mapping[str, Any]]] | None = None
    """Rows to book just before a request is answered: usage during a walk, late bookings."""
