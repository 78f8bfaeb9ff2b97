"""Arguments of the walks -> the walk: filters, the place to continue at, which ledger, which order. Pure."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._walk.checkpoint import Filters, resumed
from venice_billing._walk.sequential import sequential, whichever
from venice_billing._walk.sources import HistoryLedger, OriginalLedger
from venice_billing._walk.types import MILLISECOND, Bounds, Deliver, Ledger, Order, Place, Together, Walk
from venice_billing._walk.windows import Windows
from venice_billing.errors import InvalidParameterError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from venice_billing._arguments import Moment
    from venice_billing._call import Outcome, Policy, Send, Wait
    from venice_billing.csv_export import CsvFile

Row = TypeVar("Row")
Begin: TypeAlias = Callable[[], Walk[UsageEntry]]


@frozen
class Plan:
    """Everything a walk starts from: its filters, the place it continues at, and where it ends by count."""

    filters: Filters
    place: Place
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
) -> Plan:
    """Plan a walk through whichever ledger is alive: the history, or the original one where a server still has it."""
    filters, place = _start(
        checkpoint, currency, ("start_date", start_date), ("end_date", end_date), sort_order, "desc"
    )
    size = _sizes(page_size, max_items, concurrency)

    def begin() -> Walk[UsageEntry]:
        history = partial(_history_walk, policy, filters, size, concurrency)
        original = OriginalLedger(policy, filters.currency)
        return whichever([history, lambda at: sequential(original, filters.bounds, filters.order, at, size)], place)

    return Plan(filters, place, begin, max_items)


def usage_history(
    policy: Policy,
    *,
    page_size: int | None,
    max_items: int | None,
    currency: str | None,
    start_timestamp: Moment | None,
    end_timestamp: Moment | None,
    sort_order: str,
    checkpoint: str | None,
    concurrency: int,
) -> Plan:
    """Plan a walk through the history."""
    wished = arguments.choice("sort_order", sort_order, operations.SORT_ORDERS)
    filters, place = _start(
        checkpoint,
        currency,
        ("start_timestamp", start_timestamp),
        ("end_timestamp", end_timestamp),
        None if wished == "asc" else wished,  # an explicit "asc" is indistinguishable from the default
        "asc",
    )
    size = _sizes(page_size, max_items, concurrency)
    begin = partial(_history_walk, policy, filters, size, concurrency, place)
    return Plan(filters, place, begin, max_items)


def csv_walk(file: CsvFile, policy: Policy, page_size: int | None, concurrency: int) -> Walk[bytes]:
    """Return the walk that fetches what a file lacks."""
    return oldest_first(
        file.ledger,
        file.filters.bounds,
        file.place,
        now=datetime.fromtimestamp(policy.clock.time(), UTC),
        page_size=page_size,
        concurrency=concurrency,
    )


def csv_filters(currency: str | None, start_timestamp: Moment | None, end_timestamp: Moment | None) -> Filters:
    """Return the filters of an export."""
    return _filters(currency, ("start_timestamp", start_timestamp), ("end_timestamp", end_timestamp), "asc")


def check_sizes(page_size: int | None, concurrency: int) -> int | None:
    """Return the page size of an export after checking it, and the concurrency beside it."""
    arguments.integer("concurrency", concurrency, *arguments.CONCURRENCY)
    return arguments.optional_integer("page_size", page_size, *arguments.PAGE_SIZES)


def _sizes(page_size: int | None, max_items: int | None, concurrency: int) -> int | None:
    arguments.optional_integer("max_items", max_items, 1)
    return check_sizes(page_size, concurrency)


def _history_walk(
    policy: Policy, filters: Filters, page_size: int | None, concurrency: int, place: Place
) -> Walk[UsageEntry]:
    walk = oldest_first if filters.order == "asc" else newest_first
    return walk(
        HistoryLedger(policy, filters.currency),
        filters.bounds,
        place,
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
) -> tuple[Filters, Place]:
    given = _filters(currency, start, end, default_order if sort_order is None else sort_order)
    if checkpoint is None:
        return given, Place()
    filters, place = resumed(checkpoint, given, (start[0], end[0]))
    if sort_order is not None and sort_order != filters.order:
        raise InvalidParameterError(
            "sort_order",
            sort_order,
            f"left out or {filters.order!r}, as in the walk the checkpoint comes from",
        )
    return filters, place


def _filters(
    currency: str | None, start: tuple[str, Moment | None], end: tuple[str, Moment | None], sort_order: str
) -> Filters:
    if currency is not None:
        currency = arguments.choice("currency", currency, operations.HISTORY_CURRENCIES)
    order = cast("Order", arguments.choice("sort_order", sort_order, operations.SORT_ORDERS))
    return Filters(currency, Bounds(*arguments.window(*start, *end)), order)


def oldest_first(
    ledger: Ledger[Row],
    bounds: Bounds,
    place: Place,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger as it comes: alone by its cursors, or together by windows."""
    if concurrency == 1:
        return sequential(ledger, bounds, "asc", place, page_size)
    windows = Windows(ledger, bounds, "asc", place, now=now, page_size=page_size, concurrency=concurrency)
    return _just(Together(windows))


def newest_first(
    ledger: Ledger[Row],
    bounds: Bounds,
    place: Place,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger newest first; one small probe finds where it begins."""
    end = place.at + MILLISECOND if place.at else bounds.end
    found = yield from _first(sequential(ledger, Bounds(bounds.start, end), "asc", Place(), 10))
    if found is not None:
        oldest = Bounds(ledger.stamp(found.rows[0]), bounds.end)
        yield Together(Windows(ledger, oldest, "desc", place, now=now, page_size=page_size, concurrency=concurrency))


def _first(walk: Walk[Row]) -> Generator[Send | Wait, Outcome | None, Deliver[Row] | None]:
    """Return the first rows of a walk, and leave it there; None if there are none."""
    outcome: Outcome | None = None
    with closing(walk):
        while True:
            try:
                step = walk.send(outcome)
            except StopIteration:
                return None
            if isinstance(step, Deliver):
                return step
            if isinstance(step, Together):
                raise TypeError("a probe is walked in sequence")
            outcome = yield step


def _just(step: Together[Row]) -> Walk[Row]:
    yield step
