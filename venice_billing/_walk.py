"""Pages -> the next request: order, places, reopening. Pure: steps out, outcomes in, as in `_call`.

A walk yields `Send`, `Wait`, `Deliver` and `Together`. It never trusts a cursor with its place: the place is the
timestamp of the last row delivered and, as a multiset, the rows delivered at that instant. From there a walk goes
on exactly, in another process and after every cursor has died. There is no row id: two identical rows are two
charges, so rows are counted, never merely recognised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar

from attrs import Factory, define, evolve, field, frozen

from venice_billing._call import Outcome, Send, Steps, Wait
from venice_billing._tracker import LostThreadError, PageTracker
from venice_billing.errors import (
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    NotFoundError,
    ServerError,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing._windows import Windows

Row = TypeVar("Row")
Order: TypeAlias = Literal["asc", "desc"]

MILLISECOND = timedelta(milliseconds=1)
NARROWEST = timedelta(minutes=15)
"""The ledger is known to hang on windows under this width, so no walk asks for one of its own accord."""
DAY = timedelta(days=1)
_LARGEST_PAGE = 1000
_REOPENINGS = 3
"""How often a walk reopens the ledger at one place without a new row before it gives up."""
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@frozen
class Bounds:
    """A range of time: start inclusive, end exclusive; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def contain(self, moment: datetime) -> bool:
        """Tell whether `moment` lies in the range."""
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


@frozen
class Page(Generic[Row]):
    """A page as a ledger gives it.

    Attributes:
        rows: In the order of the walk.
        following: What names the next page; None on the last.
        state: What the ledger wants to remember from page to page.
        widened: Whether it opens a wider range than was asked for, so that rows outside are to be expected.
        first: When the first row was booked, rows that were left out included; None: that of the first of `rows`.
        last: When the last row was booked, rows that were sorted out included; None: that of the last of `rows`.
        timeless: Whether the rows bear no time, so that their times cannot show any progress.
    """

    rows: Sequence[Row]
    following: str | None
    state: object = None
    widened: bool = False
    first: datetime | None = None
    last: datetime | None = None
    timeless: bool = False

    def emptied(self) -> Page[Row]:
        """Return what it takes to follow the page, without its rows."""
        return evolve(self, rows=())


class Ledger(Protocol[Row]):
    """Where rows come from. `open` and `follow` are calls of their own, retries and all."""

    def open(self, bounds: Bounds, order: Order, page_size: int | None, /) -> Steps[Page[Row]]:
        """Fetch the first page of a range."""
        ...

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError, /) -> Steps[Page[Row]]:
        """Fetch the first page of a wider range, where the ledger hung on this one; if it hangs again, raise `hang`."""
        ...

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        """Fetch the page after `page`."""
        ...

    def stamp(self, row: Row) -> datetime:
        """Return the timestamp of a row."""
        ...

    def identity(self, row: Row) -> str:
        """Return a short text that is the same for the same charge, in every process."""
        ...


@frozen
class Place:
    """What was received: everything before `at`, and of the rows at that instant as many as `seen` says."""

    at: datetime | None = None
    seen: Mapping[str, int] = Factory(dict)

    def after(self, rows: Sequence[Row], ledger: Ledger[Row]) -> Place:
        """Return the place once `rows` were received too."""
        if not rows:
            return self
        at = ledger.stamp(rows[-1])
        seen: Counter[str] = Counter()
        for row in reversed(rows):
            if ledger.stamp(row) != at:
                break
            seen[ledger.identity(row)] += 1
        if self.at == at:
            seen.update(self.seen)
        return Place(at, dict(seen))


@frozen
class Deliver(Generic[Row]):
    """Step: hand these rows to whoever walks.

    Attributes:
        rows: In the order of the walk.
        place: Where the walk stood before them.
        after: Where it stands with all of them.
        more: Whether the ledger named a page after theirs.
    """

    rows: Sequence[Row]
    place: Place
    after: Place
    ledger: Ledger[Row] = field(repr=False)
    more: bool = False


@frozen
class Together(Generic[Row]):
    """Step: work on these windows, as many at once as they allow, and hand on what they have ready."""

    windows: Windows[Row]


Walk: TypeAlias = Generator[Send | Wait | Deliver[Row] | Together[Row], Outcome | None, None]


@define
class Silence:
    """What a walk learnt of the time behind its range: that there is nothing up to a moment; None if nothing."""

    until: datetime | None = None


def sequential(
    ledger: Ledger[Row],
    bounds: Bounds,
    order: Order,
    place: Place,
    page_size: int | None = None,
    *,
    first: Page[Row] | None = None,
    widen: bool = True,
    silence: Silence | None = None,
) -> Walk[Row]:
    """Walk in the order in which the ledger gives its pages, reopening at the place whenever their thread is lost.

    Args:
        ledger: What to walk.
        bounds: The range.
        order: Of the rows.
        place: What was received already.
        page_size: Rows of a page.
        first: The page that opens the walk, if it was fetched already.
        widen: Whether to ask wider questions when the ledger hangs on the range; if not, the hang is raised.
        silence: Where to note what was learnt of the time behind the range.

    Raises:
        BillingTimeoutError: The ledger hung, on wider questions too.
        ServerError: The ledger cannot be read past the place, although it was reopened there, or its pages do not end.
    """
    fruitless = 0
    sought: datetime | None = None  # how far a wider range was read that has not reached the range yet
    while True:
        before = place, sought
        thread = PageTracker(ledger, bounds, order, place)
        try:
            page = first or (
                yield from opened(
                    ledger, _rest(bounds, order, place, sought), order, _varied(page_size, fruitless), widen=widen
                )
            )
            first, widen = None, True
            widened = page.widened
            while True:
                if rows := thread.take(page):
                    more = page.following is not None and not thread.done
                    delivery = Deliver(rows, place, place.after(rows, ledger), ledger, more)
                    place = delivery.after
                    yield delivery
                    del delivery
                if page.following is None or thread.done:
                    thread.check_all_seen()
                    if silence is not None and widened:
                        silence.until = thread.beyond if thread.done else END_OF_TIME
                    return
                # What was handed on is let go: the next page is read in half the time where the memory is still warm.
                page, rows = page.emptied(), ()
                page = yield from _follow(ledger, page, thread)
        except LostThreadError as lost:
            sought = thread.sought_since(sought)
            fruitless = fruitless + 1 if (place, sought) == before else 0
            if fruitless > _REOPENINGS:
                raise _unreadable(place, lost) from None


def opened(
    ledger: Ledger[Row], bounds: Bounds, order: Order, page_size: int | None, *, widen: bool = True
) -> Steps[Page[Row]]:
    """Fetch the first page of a range; where the ledger hangs on it, that of a wider range.

    Only a deadline that passed here counts as a hang: a 504 names a range that is too long already.
    """
    try:
        return (yield from ledger.open(bounds, order, page_size))
    except BillingTimeoutError as error:
        if error.status_code is not None or not widen:
            raise
        hang = error
    return (yield from ledger.open_wider(bounds, order, hang))


def whichever(walks: Sequence[Callable[[Place], Walk[Row]]], place: Place) -> Walk[Row]:
    """Walk the first ledger that is alive; when it is retired on the way, go on in the next at the same place."""
    refusal: VeniceError | None = None
    for begin in walks:
        steps = begin(place)
        step: Send | Wait | Deliver[Row] | Together[Row] | None = None
        outcome: Outcome | None = None
        try:
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration:
                    return
                outcome = yield step
                if isinstance(step, Deliver):
                    place = step.after
        except (EndpointRetiredError, NotFoundError) as error:
            refusal = refusal or error
            if isinstance(step, Together):
                place = step.windows.place
        finally:
            steps.close()
    if refusal is not None:
        raise refusal


def _follow(ledger: Ledger[Row], page: Page[Row], thread: PageTracker[Row]) -> Steps[Page[Row]]:
    thread.use(str(page.following))
    try:
        return (yield from ledger.follow(page))
    except (CursorRejectedError, ServerError, BillingTimeoutError) as error:
        # Rejected, or dead for good: such a cursor hangs, then answers 500, each time it is used.
        raise LostThreadError(str(error)) from None


def _rest(bounds: Bounds, order: Order, place: Place, sought: datetime | None = None) -> Bounds:
    """Return the range to ask for, in whole milliseconds: finer bounds are kept here, never trusted to the wire."""
    start, end = bounds.start, bounds.end
    at = place.at or sought
    if at is not None:
        start, end = (at, end) if order == "asc" else (start, at + MILLISECOND)
    return Bounds(None if start is None else down_to(start), None if end is None else up_to(end))


def _varied(page_size: int | None, fruitless: int) -> int | None:
    """Return another page size for each fruitless reopening: it puts the borders, and so the cursors, elsewhere.

    The largest first: it may reach past an instant with more rows than the pages asked for so far.
    """
    return page_size if not fruitless else _LARGEST_PAGE - 7 * (fruitless - (page_size != _LARGEST_PAGE))


def _unreadable(place: Place, lost: LostThreadError) -> ServerError:
    where = f"past {place.at.isoformat()}" if place.at else "from its beginning"
    return ServerError(f"the ledger cannot be read on {where}, after {_REOPENINGS} reopenings there: {lost}")


def down_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or before a moment."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def up_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or after a moment."""
    down = down_to(moment)
    return down if down == moment else down + MILLISECOND
