"""The known quirks of the live service, as switches: all off by default, changeable at any time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import define, field, frozen
from attrs.validators import optional

from venice_billing.testing import _switches as switches
from venice_billing.testing._fault import Fault
from venice_billing.testing._stuck import NoProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

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

    Raises:
        TypeError: A switch has a value of the wrong type, also when it is set later; the error names it.
        ValueError: A switch has an invalid value, also when it is set later; the error names it.
    """

    latency: float | tuple[float, float] = field(default=0.0, validator=switches.latency)
    gzip: bool = field(default=False, validator=switches.flag)
    narrow_window_hangs: bool = field(default=False, validator=switches.flag)
    empty_result_hangs: bool = field(default=False, validator=switches.flag)
    dead_cursor_every: int | None = field(default=None, validator=optional(switches.whole(1)))
    dead_cursors: Callable[[CursorPlace], bool] | None = field(default=None, validator=optional(switches.function))
    dead_cursor_hang: float = field(default=30.0, validator=switches.seconds)
    repeat_cursor_every: int | None = field(default=None, validator=optional(switches.whole(1)))
    cursor_lives_seconds: float | None = field(default=None, validator=optional(switches.seconds))
    cursor_lives_requests: int | None = field(default=None, validator=optional(switches.whole(0)))
    empty_first_page: bool = field(default=False, validator=switches.flag)
    no_progress: NoProgress | None = field(default=None, validator=optional(switches.one_of(*get_args(NoProgress))))
    no_progress_after: int = field(default=0, validator=switches.whole(0))
    rate_limit_every: int | None = field(default=None, validator=optional(switches.whole(1)))
    rate_limit_seconds: float = field(default=2.0, validator=switches.seconds)
    rate_limit_headers: Sequence[RateLimitHeader] = field(
        default=("retry-after",), validator=switches.several_of(*get_args(RateLimitHeader))
    )
    original_per_minute: int | None = field(default=None, validator=optional(switches.whole(1)))
    abuse_block: bool = field(default=False, validator=switches.flag)
    analytics_cached: bool = field(default=False, validator=switches.flag)
    csv_layouts: Sequence[CsvLayout] = field(default=(CsvLayout(),), validator=switches.items(CsvLayout, least=1))
    faults: Callable[[SeenRequest], Fault | None] | Sequence[Fault | None] = field(
        default=(), validator=switches.items(Fault, or_none=True, or_function=True)
    )
    arrivals: Callable[[SeenRequest], Iterable[Mapping[str, Any]]] | None = field(
        default=None, validator=optional(switches.function)
    )
