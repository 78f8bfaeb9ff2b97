"""The known faults of the live service, as switches: all off by default, to be turned at any time."""

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
    """Counts from 1."""
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
    """What was answered; None where the response never comes."""

    def param(self, name: str) -> str | None:
        """Return the value of a query parameter."""
        return next((value for other, value in self.params if other == name), None)


@frozen
class CursorPlace:
    """A page boundary that a cursor would stand for."""

    page: int
    """The number of pages before it in this walk, from its first request."""
    timestamp: str
    """Of the last row before it."""
    number: int
    """In which order that row was booked, from 0."""


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
    """What the fake does beside answering properly."""

    latency: float | tuple[float, float] = 0.0
    """Seconds before each response, or a range to draw from (seeded)."""
    gzip: bool = False
    """Compress for clients that accept it."""

    narrow_window_hangs: bool = False
    """A ledger window under 15 minutes is never answered."""
    empty_result_hangs: bool = False
    """A ledger request without a result is never answered."""

    dead_cursor_every: int | None = None
    """Each n-th page boundary of a walk is dead: its cursor hangs 30 seconds, then answers 500, for ever."""
    dead_cursors: Callable[[CursorPlace], bool] | None = None
    """The page boundaries that are dead, by predicate."""
    dead_cursor_hang: float = 30.0
    repeat_cursor_every: int | None = None
    """Each n-th page of a walk names its own cursor as the next one (the first page has none to name)."""
    cursor_lives_seconds: float | None = None
    """A cursor is rejected when it is older."""
    cursor_lives_requests: int | None = None
    """A cursor is rejected when more requests than that have followed its issue."""

    empty_first_page: bool = False
    """The first page of a history walk is empty, and names a next one all the same."""
    no_progress: NoProgress | None = None
    """Every page names a fresh next one, for ever: `"empty pages"`, pages of made-up rows all at `"one instant"`, or
    pages wholly `"before range"` (beyond its end under `desc`; as usual where that side is open)."""
    no_progress_after: int = 0
    """So many pages of a history walk are as they should be before."""

    rate_limit_every: int | None = None
    """Each n-th request is a 429."""
    rate_limit_seconds: float = 2.0
    """How far away the limit's reset is said to be."""
    rate_limit_headers: Sequence[RateLimitHeader] = ("retry-after",)
    original_per_minute: int | None = None
    """The throttle on the original ledger: 10, 5 and at last 1 while it was being retired."""
    abuse_block: bool = False
    """After more than 20 failed requests in 30 seconds, refuse everything for 30 seconds."""

    analytics_cached: bool = False
    """Repeat an analytics response for 10 minutes, as the live service does."""
    csv_layouts: Sequence[CsvLayout] = (CsvLayout(),)
    """Taken in turns by the CSV responses."""

    faults: Callable[[SeenRequest], Fault | None] | Sequence[Fault | None] = ()
    """What befalls each request: a callable (`status` is not known yet), or one item per request from now."""
    arrivals: Callable[[SeenRequest], Iterable[Mapping[str, Any]]] | None = None
    """Rows to book just before a request is answered: usage that goes on during a walk, late bookings."""
