"""Walk one range page by page, and reopen it where a cursor fails. Pure: steps out, outcomes in.

A walk yields `Send`, `Wait`, `Batch` and `RunConcurrently`. Its position never depends on a cursor: it is the
timestamp of the last row received and, as a multiset, the rows received at that instant. From a position a walk
continues exactly, also in another process and after all cursors have expired. Rows have no id: two identical rows are
two charges, so rows are counted, never just compared.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Generic, TypeVar

from venice_billing import _arguments as arguments
from venice_billing._walk.lost import CheckError, CrowdedInstantError, PaginationLostError
from venice_billing._walk.tracker import STALLED_PAGES, Delivered, PageTracker
from venice_billing._walk.types import (
    END_OF_TIME,
    MILLISECOND,
    Batch,
    Bounds,
    EmptyAfter,
    Order,
    Page,
    PageSource,
    Position,
    RunConcurrently,
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
    from venice_billing._walk.borders import Checks

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
    empty_after: EmptyAfter | None = None,
    checks: Checks | None = None,
) -> Walk[Row]:
    """Walk a range in the order of its pages; where pagination fails, reopen the range at the position.

    Args:
        source: The source of the pages.
        bounds: The range.
        order: The order of the rows.
        position: What was received before.
        page_size: Rows of a page; where pages of that size do not get past a crowded instant, the largest are read.
        first: The first page of the walk, if it was fetched already.
        widen: Whether to send wider requests when the ledger hangs on the range; if not, the hang is raised.
        empty_after: Receives what the walk learns about the time after the range.
        checks: Limits how often equal rows at page borders are settled, if that is shared with other ranges.

    Raises:
        BillingTimeoutError: The ledger hung on the range, and on wider requests too.
        ServerError: The range cannot be read past the position, although it was reopened, or its pages do not end.
        ResponseValidationError: The pages are out of order, so that rows may be missing.
    """
    delivered = Delivered(source, position, order, checks)
    sizes = _Sizes(source, page_size)
    sought: datetime | None = None  # how far the walk has read in a wider range, before it reaches the range itself
    while True:
        before, widened = (position, sought), False
        size = sizes.next()
        tracker = PageTracker(source, bounds, order, position, delivered, sizes.patience)
        try:
            page = first or (
                yield from open_range(source, _rest(bounds, order, position, sought), order, size, widen=widen)
            )
            first, widen = None, True
            widened = page.widened  # pages of a wider range have the largest size, not `page_size`
            delivered.borders.begin_opening(
                position, is_largest=widened or _is_largest(size, source), is_widened=widened
            )
            while True:
                if rows := tracker.take(page, position):
                    more = page.following is not None and not tracker.done
                    batch = Batch(rows, position, position.after(rows, source), source, more)
                    position = batch.after
                    yield batch
                    del batch
                    delivered.add(page)
                if page.following is None or tracker.done:
                    tracker.check_all_seen()
                    if empty_after is not None and widened:
                        empty_after.until = tracker.beyond if tracker.done else END_OF_TIME
                    return
                # Drop delivered rows before fetching: reusing their memory halves decoding time.
                page, rows = page.emptied(), ()
                page = yield from _follow(source, page, tracker)
        except PaginationLostError as lost:
            sought = tracker.sought_since(sought)
            sizes.adapt(lost, position, has_moved=(position, sought) != before, is_widened=widened)


class _Sizes(Generic[Row]):
    """Which page size a range is opened with next, and whether it is reopened at all.

    Attributes:
        patience: How many pages in a row of the latest opening may bring no later row.
    """

    def __init__(self, source: PageSource[Row], page_size: int | None) -> None:
        self._source = source
        self._page_size = page_size
        self._latest = page_size
        self._fruitless = 0
        self._check: CheckError | None = None
        self.patience = STALLED_PAGES

    def next(self) -> int | None:
        """Return the page size of the next opening."""
        check, self._check, self.patience = self._check, None, STALLED_PAGES
        if check is None:
            self._latest = _varied(self._page_size, self._fruitless, self._source)
        elif check.pages == "half":
            self._latest, self.patience = self._source.largest_page // 2, 2 * STALLED_PAGES
        elif check.pages == "largest" and not _is_largest(self._page_size, self._source):
            self._latest = self._source.largest_page
        else:
            self._latest = self._page_size
        return self._latest

    def adapt(self, lost: PaginationLostError, position: Position, *, has_moved: bool, is_widened: bool) -> None:
        """Note why the range has to be reopened.

        Raises:
            ServerError: Reopening it does not help.
        """
        if isinstance(lost, CheckError):
            self._check = lost
            return
        is_crowded = isinstance(lost, CrowdedInstantError)
        if is_crowded and (is_widened or _is_largest(self._latest, self._source)):
            raise ServerError(str(lost)) from None
        if is_crowded and not _is_largest(self._page_size, self._source):
            self._page_size, self._fruitless = self._source.largest_page, 0
            return
        self._fruitless = 0 if has_moved else self._fruitless + 1
        if self._fruitless > _REOPENINGS:
            raise _unreadable(position, lost) from None


def open_range(
    source: PageSource[Row], bounds: Bounds, order: Order, page_size: int | None, *, widen: bool = True
) -> Steps[Page[Row]]:
    """Fetch the first page of a range; where the ledger hangs on it, the first page of a wider range.

    Only a deadline that passed in this client counts as a hang: a 504 means that the range is too long already.
    """
    try:
        return (yield from source.open(bounds, order, page_size))
    except BillingTimeoutError as error:
        if error.status_code is not None or not widen:
            raise
        hang = error
    return (yield from source.open_wider(bounds, order, hang))


def has_more(source: PageSource[Row], bounds: Bounds, count: int) -> Steps[bool]:
    """Tell whether a range has more than `count` rows, with as few requests as possible."""
    smallest, largest = arguments.PAGE_SIZES
    walk = sequential(source, bounds, "asc", Position(), min(max(count + 1, smallest), largest))
    outcome: Outcome | None = None
    with closing(walk):
        while count >= 0:
            try:
                step = walk.send(outcome)
            except StopIteration:
                return False
            outcome = None
            if isinstance(step, Batch):
                count -= len(step.rows)
            elif isinstance(step, RunConcurrently):
                raise TypeError("this range is walked in sequence")
            else:
                outcome = yield step
    return True


def first_not_retired(walks: Sequence[Callable[[Position], Walk[Row]]], position: Position) -> Walk[Row]:
    """Walk the first ledger that still exists; if it is retired meanwhile, continue in the next from the position."""
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


def _follow(source: PageSource[Row], page: Page[Row], tracker: PageTracker[Row]) -> Steps[Page[Row]]:
    tracker.use(str(page.following))
    try:
        return (yield from source.follow(page))
    except (CursorRejectedError, ServerError, BillingTimeoutError) as error:
        # The cursor was rejected, or is dead for good: a dead one hangs, then answers 500, each time it is used.
        raise PaginationLostError(str(error)) from None


def _rest(bounds: Bounds, order: Order, position: Position, sought: datetime | None = None) -> Bounds:
    """Return the range to request, in whole milliseconds; finer bounds are applied here, to the rows received."""
    start, end = bounds.start, bounds.end
    at = position.at or sought
    if at is not None:
        start, end = (at, end) if order == "asc" else (start, at + MILLISECOND)
    return Bounds(None if start is None else down_to(start), None if end is None else up_to(end))


def _is_largest(page_size: int | None, source: PageSource[Row]) -> bool:
    return page_size is None or page_size >= source.largest_page


def _varied(page_size: int | None, fruitless: int, source: PageSource[Row]) -> int | None:
    """Return another page size for each fruitless reopening: then pages end, and cursors point, elsewhere.

    The largest comes first: such a page may reach past an instant that has more rows than the pages so far.
    """
    if not fruitless:
        return page_size
    return source.largest_page - 7 * (fruitless - (not _is_largest(page_size, source)))


def _unreadable(position: Position, lost: PaginationLostError) -> ServerError:
    where = f"past {position.at.isoformat()}" if position.at else "from its beginning"
    return ServerError(f"the ledger cannot be read on {where}, after {_REOPENINGS} reopenings there: {lost}")
