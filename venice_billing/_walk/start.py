"""From arguments to a walk: filters, the position to continue at, which source, which order. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._walk.checkpoint import Filters, resumed
from venice_billing._walk.original_source import OriginalSource
from venice_billing._walk.sequential import first_not_retired, sequential
from venice_billing._walk.sources import HistorySource
from venice_billing._walk.tracker import check_all_seen
from venice_billing._walk.types import MILLISECOND, Batch, Bounds, Order, PageSource, Position, RunConcurrently, Walk
from venice_billing._walk.windows import Windows
from venice_billing.errors import InvalidParameterError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from venice_billing._arguments import Moment
    from venice_billing._call import Outcome, Policy, Send, Wait

Row = TypeVar("Row")
Begin: TypeAlias = Callable[[], Walk[UsageEntry]]


@frozen
class WalkStart:
    """What a walk starts from: filters, the position it continues at, and the maximum number of entries."""

    filters: Filters
    position: Position
    begin: Begin
    max_items: int | None


def usage(
    policy: Policy,
    *,
    page_size: int | None,
    max_items: int | None,
    currency: str | None,
    start_date: Moment | None,
    end_date: Moment | None,
    sort_order: str | None,
    checkpoint: str | None,
    concurrency: int,
) -> WalkStart:
    """Start a walk through the first ledger that still exists: the history, or else the original one."""
    filters, position = _start(
        checkpoint, currency, ("start_date", start_date), ("end_date", end_date), sort_order, "desc"
    )
    max_items = arguments.optional_integer("max_items", max_items, 1)
    size, concurrency = sizes(page_size, concurrency)

    def begin() -> Walk[UsageEntry]:
        history = partial(_history_walk, policy, filters, size, concurrency)
        original = OriginalSource(policy, filters.currency)
        return first_not_retired(
            [history, lambda at: sequential(original, filters.bounds, filters.order, at, size)], position
        )

    return WalkStart(filters, position, begin, max_items)


def usage_history(
    policy: Policy,
    *,
    page_size: int | None,
    max_items: int | None,
    currency: str | None,
    start_timestamp: Moment | None,
    end_timestamp: Moment | None,
    sort_order: str | None,
    checkpoint: str | None,
    concurrency: int,
) -> WalkStart:
    """Start a walk through the history."""
    filters, position = _start(
        checkpoint,
        currency,
        ("start_timestamp", start_timestamp),
        ("end_timestamp", end_timestamp),
        sort_order,
        "asc",
    )
    max_items = arguments.optional_integer("max_items", max_items, 1)
    size, concurrency = sizes(page_size, concurrency)
    begin = partial(_history_walk, policy, filters, size, concurrency, position)
    return WalkStart(filters, position, begin, max_items)


def csv_filters(currency: str | None, start_timestamp: Moment | None, end_timestamp: Moment | None) -> Filters:
    """Return the filters of an export."""
    return _filters(currency, ("start_timestamp", start_timestamp), ("end_timestamp", end_timestamp), "asc")


def sizes(page_size: int | None, concurrency: int) -> tuple[int | None, int]:
    """Return the page size and the concurrency as plain numbers."""
    width = arguments.integer("concurrency", concurrency, *arguments.CONCURRENCY)
    return arguments.optional_integer("page_size", page_size, *arguments.PAGE_SIZES), width


def _history_walk(
    policy: Policy, filters: Filters, page_size: int | None, concurrency: int, position: Position
) -> Walk[UsageEntry]:
    walk = oldest_first if filters.order == "asc" else newest_first
    return walk(
        HistorySource(policy, filters.currency),
        filters.bounds,
        position,
        now=datetime.fromtimestamp(policy.clock.time(), UTC),
        page_size=page_size,
        concurrency=concurrency,
    )


def _start(
    checkpoint: str | None,
    currency: str | None,
    start: tuple[str, Moment | None],
    end: tuple[str, Moment | None],
    sort_order: str | None,
    default_order: Order,
) -> tuple[Filters, Position]:
    given = _filters(currency, start, end, default_order if sort_order is None else sort_order)
    if checkpoint is None:
        return given, Position()
    filters, position = resumed(checkpoint, given, (start[0], end[0]))
    if sort_order is not None and sort_order != filters.order:
        raise InvalidParameterError(
            "sort_order",
            sort_order,
            f"left out or {filters.order!r}, as in the walk the checkpoint comes from",
        )
    return filters, position


def _filters(
    currency: str | None, start: tuple[str, Moment | None], end: tuple[str, Moment | None], sort_order: str
) -> Filters:
    if currency is not None:
        currency = arguments.choice("currency", currency, operations.HISTORY_CURRENCIES)
    order = cast("Order", arguments.choice("sort_order", sort_order, operations.SORT_ORDERS))
    return Filters(currency, Bounds(*arguments.window(*start, *end)), order)


def oldest_first(
    source: PageSource[Row],
    bounds: Bounds,
    position: Position,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger oldest first: in sequence by cursors, or concurrently by windows."""
    if concurrency == 1:
        return sequential(source, bounds, "asc", position, page_size)
    windows = Windows(source, bounds, "asc", position, now=now, page_size=page_size, concurrency=concurrency)
    return _single_step(RunConcurrently(windows))


def newest_first(
    source: PageSource[Row],
    bounds: Bounds,
    position: Position,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger newest first; one small request finds where the ledger begins.

    Raises:
        BrokenWalkError: Rows received before are missing from the ledger: it may be another account's.
    """
    end = position.at + MILLISECOND if position.at else bounds.end
    found = yield from _first(sequential(source, Bounds(bounds.start, end), "asc", Position(), 10))
    if found is None:
        check_all_seen(Counter(position.seen), position)
    else:
        oldest = Bounds(source.timestamp(found.rows[0]), bounds.end)
        yield RunConcurrently(
            Windows(source, oldest, "desc", position, now=now, page_size=page_size, concurrency=concurrency)
        )


def _first(walk: Walk[Row]) -> Generator[Send | Wait, Outcome | None, Batch[Row] | None]:
    """Return the first batch of a walk and close the walk; None if there are no rows."""
    outcome: Outcome | None = None
    with closing(walk):
        while True:
            try:
                step = walk.send(outcome)
            except StopIteration:
                return None
            if isinstance(step, Batch):
                return step
            if isinstance(step, RunConcurrently):
                raise TypeError("a probe is walked in sequence")
            outcome = yield step


def _single_step(step: RunConcurrently[Row]) -> Walk[Row]:
    yield step
