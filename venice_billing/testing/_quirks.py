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
    """One request as the fake saw it; the key itself is not kept.

    Attributes:
        number: The number of the request, from 1.
        method: As in the request line.
        host: The host of the request.
        path: The path, without the query.
        params: Names and values as sent, in order.
        headers: By lower-case name, without `authorization`.
        key: Which key the request carried.
        time: Unix seconds by the fake's clock.
        status: The status of the answer; None if the response never comes.
    """

    number: int
    method: str
    host: str
    path: str
    params: tuple[tuple[str, str], ...]
    headers: Mapping[str, str]
    key: Literal["admin", "inference", "wrong", "none"]
    time: float
    status: int | None = None

    def param(self, name: str) -> str | None:
        """Return the value of a query parameter."""
        return next((value for other, value in self.params if other == name), None)


@frozen
class CursorPlace:
    """A page boundary, as a cursor would name it.

    Attributes:
        page: The number of pages before the boundary in this walk, from its first request.
        timestamp: The timestamp of the last row before the boundary.
        number: The number of that row in the order of booking, from 0.
    """

    page: int
    timestamp: str
    number: int


@frozen
class CsvLayout:
    """How a CSV page is written.

    Attributes:
        line_break: What ends a record.
        bom: Whether the page begins with a byte order mark.
        final_line_break: Whether the last record ends with a line break.
        header: Another header row than the usual one.
    """

    line_break: str = "\n"
    bom: bool = False
    final_line_break: bool = True
    header: str | None = None


@define
class Quirks:
    """The ways in which the fake misbehaves.

    Attributes:
        latency: Seconds before each response, or a range to draw from (seeded).
        gzip: Compress responses for clients that accept gzip.
        narrow_window_hangs: A ledger window under 15 minutes is never answered.
        empty_result_hangs: A ledger request without a result is never answered.
        dead_cursor_every: Each n-th page boundary of a walk is dead: every use of its cursor hangs 30 seconds, then
            gets a 500.
        dead_cursors: The page boundaries that are dead, by predicate.
        dead_cursor_hang: Seconds until a dead cursor is answered with its 500.
        repeat_cursor_every: Each n-th page of a walk names its own cursor as the next one (the first page has none to
            name).
        cursor_lives_seconds: Older cursors are rejected.
        cursor_lives_requests: A cursor is rejected after more than this number of requests since it was issued.
        empty_first_page: The first page of a history walk is empty, but names a next one.
        no_progress: Every page names a fresh next one, for ever: `"empty pages"`, pages of made-up rows all at `"one
            instant"`, or pages wholly `"before range"` (beyond its end under `desc`; as usual where that side is open).
        no_progress_after: The number of normal pages of a history walk before `no_progress` begins.
        rate_limit_every: Each n-th request is a 429.
        rate_limit_seconds: Seconds until the reset of the rate limit, as the response says.
        rate_limit_headers: Which headers of a 429 say when the limit resets.
        original_per_minute: Requests per minute to the original ledger: 10, then 5, at last 1 while the API retired it.
        abuse_block: After more than 20 failed requests in 30 seconds, refuse everything for 30 seconds.
        analytics_cached: Repeat an analytics response for 10 minutes, as the live service does.
        csv_layouts: The layouts of CSV responses, used in turn.
        faults: The fault of each request: a callable (`status` is not known yet), or one item per request from now on.
        arrivals: Rows to book just before a request is answered: usage during a walk, late bookings.
    """

    latency: float | tuple[float, float] = 0.0
    gzip: bool = False
    narrow_window_hangs: bool = False
    empty_result_hangs: bool = False
    dead_cursor_every: int | None = None
    dead_cursors: Callable[[CursorPlace], bool] | None = None
    dead_cursor_hang: float = 30.0
    repeat_cursor_every: int | None = None
    cursor_lives_seconds: float | None = None
    cursor_lives_requests: int | None = None
    empty_first_page: bool = False
    no_progress: NoProgress | None = None
    no_progress_after: int = 0
    rate_limit_every: int | None = None
    rate_limit_seconds: float = 2.0
    rate_limit_headers: Sequence[RateLimitHeader] = ("retry-after",)
    original_per_minute: int | None = None
    abuse_block: bool = False
    analytics_cached: bool = False
    csv_layouts: Sequence[CsvLayout] = (CsvLayout(),)
    faults: Callable[[SeenRequest], Fault | None] | Sequence[Fault | None] = ()
    arrivals: Callable[[SeenRequest], Iterable[Mapping[str, Any]]] | None = None
