"""Walk one range page after page, and reopen it where the cursors are lost. Pure: steps out, outcomes in.

A walk yields `Send`, `Wait`, `Batch` and `RunConcurrently`. Its position never depends on a cursor: it is the
timestamp of the last row received and, as a multiset, the rows received at that instant. From a position a walk goes
on exactly, in another process and after every cursor has died. There is no row id: two identical rows are two
charges, so rows are counted, never merely recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from venice_billing._walk.tracker import CrowdedInstantError, PageTracker, PaginationLostError
from venice_billing._walk.types import (
    END_OF_TIME,
    MILLISECOND,
    Batch,
    Bounds,
    Order,
    Page,
    PageSource,
    Position,
    RunConcurrently,
    Silence,
    Walk,
    down_to,
    up_to,
)
from venice_billing.errors import (
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    NotFoundError,
    ServerError,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from venice_billing._call import Outcome, Send, Steps, Wait


Row = TypeVar("Row")

_REOPENINGS = 3
"""How often a walk reopens a range at one position without a new row before it gives up."""


def sequential(
    source: PageSource[Row],
    bounds: Bounds,
    order: Order,
    position: Position,
    page_size: int | None = None,
    *,
    first: Page[Row] | None = None,
    widen: bool = True,
    silence: Silence | None = None,
) -> Walk[Row]:
    """Walk a range in the order of its pages; where pagination is lost, reopen the range at the position.

    Args:
        source: Where the pages come from.
        bounds: The range.
        order: Of the rows.
        position: What was received already.
        page_size: Rows of a page; past a crowded instant, where pages of that size do not get on, the largest are read.
        first: The page that opens the walk, if it was fetched already.
        widen: Whether to ask wider questions when the ledger hangs on the range; if not, the hang is raised.
        silence: Where to note what was learnt of the time behind the range.

    Raises:
        BillingTimeoutError: The ledger hung, on wider questions too.
        ServerError: The range cannot be read past the position, although it was reopened, or its pages do not end.
    """
    fruitless = 0
    sought: datetime | None = None  # how far a wider range was read that has not reached the range yet
    while True:
        before, widened = (position, sought), False
        size = _varied(page_size, fruitless, source)
        thread = PageTracker(source, bounds, order, position)
        try:
            page = first or (
                yield from open_range(source, _rest(bounds, order, position, sought), order, size, widen=widen)
            )
            first, widen = None, True
            widened = page.widened  # such pages are the largest, whatever was asked for
            while True:
                if rows := thread.take(page):
                    more = page.following is not None and not thread.done
                    batch = Batch(rows, position, position.after(rows, source), source, more)
                    position = batch.after
                    yield batch
                    del batch
                if page.following is None or thread.done:
                    thread.check_all_seen()
                    if silence is not None and widened:
                        silence.until = thread.beyond if thread.done else END_OF_TIME
                    return
                # What was handed on is let go: the next page is read in half the time where the memory is still warm.
                page, rows = page.emptied(), ()
                page = yield from _follow(source, page, thread)
        except PaginationLostError as lost:
            is_crowded = isinstance(lost, CrowdedInstantError)
            if is_crowded and (widened or _is_largest(size, source)):
                raise ServerError(str(lost)) from None
            sought = thread.sought_since(sought)
            if is_crowded and not _is_largest(page_size, source):
                page_size, fruitless = source.largest_page, 0
                continue
            fruitless = fruitless + 1 if (position, sought) == before else 0
            if fruitless > _REOPENINGS:
                raise _unreadable(position, lost) from None


def open_range(
    source: PageSource[Row], bounds: Bounds, order: Order, page_size: int | None, *, widen: bool = True
) -> Steps[Page[Row]]:
    """Fetch the first page of a range; where the ledger hangs on it, that of a wider range.

    Only a deadline that passed here counts as a hang: a 504 names a range that is too long already.
    """
    try:
        return (yield from source.open(bounds, order, page_size))
    except BillingTimeoutError as error:
        if error.status_code is not None or not widen:
            raise
        hang = error
    return (yield from source.open_wider(bounds, order, hang))


def first_alive(walks: Sequence[Callable[[Position], Walk[Row]]], position: Position) -> Walk[Row]:
    """Walk the first ledger that is alive; when it is retired on the way, go on in the next at the same position."""
    refusal: VeniceError | None = None
    for begin in walks:
        steps = begin(position)
        step: Send | Wait | Batch[Row] | RunConcurrently[Row] | None = None
        outcome: Outcome | None = None
        try:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration:
                    return
                outcome = yield step
                if isinstance(step, Batch):
                    position = step.after
        except (EndpointRetiredError, NotFoundError) as error:
            refusal = refusal or error
            if isinstance(step, RunConcurrently):
                position = step.windows.position
        finally:
            steps.close()
    if refusal is not None:
        raise refusal


def _follow(source: PageSource[Row], page: Page[Row], thread: PageTracker[Row]) -> Steps[Page[Row]]:
    thread.use(str(page.following))
    try:
        return (yield from source.follow(page))
    except (CursorRejectedError, ServerError, BillingTimeoutError) as error:
        # Rejected, or dead for good: such a cursor hangs, then answers 500, each time it is used.
        raise PaginationLostError(str(error)) from None


def _rest(bounds: Bounds, order: Order, position: Position, sought: datetime | None = None) -> Bounds:
    """Return the range to ask for, in whole milliseconds: finer bounds are kept here, never trusted to the wire."""
    start, end = bounds.start, bounds.end
    at = position.at or sought
    if at is not None:
        start, end = (at, end) if order == "asc" else (start, at + MILLISECOND)
    return Bounds(None if start is None else down_to(start), None if end is None else up_to(end))


def _is_largest(page_size: int | None, source: PageSource[Row]) -> bool:
    return page_size is None or page_size >= source.largest_page


def _varied(page_size: int | None, fruitless: int, source: PageSource[Row]) -> int | None:
    """Return another page size for each fruitless reopening: it puts the borders, and so the cursors, elsewhere.

    The largest first: it may reach past an instant with more rows than the pages asked for so far.
    """
    if not fruitless:
        return page_size
    return source.largest_page - 7 * (fruitless - (not _is_largest(page_size, source)))


def _unreadable(position: Position, lost: PaginationLostError) -> ServerError:
    where = f"past {position.at.isoformat()}" if position.at else "from its beginning"
    return ServerError(f"the ledger cannot be read on {where}, after {_REOPENINGS} reopenings there: {lost}")
