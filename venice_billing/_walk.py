"""Pages -> the next request: order, places, reopening. Pure: steps out, outcomes in, as in `_call`.

A walk yields `Send`, `Wait`, `Deliver` and `Together`. It never trusts a cursor with its place: the place is the
timestamp of the last row delivered and, as a multiset, the rows delivered at that instant. From there a walk goes
on exactly, in another process and after every cursor has died. There is no row id: two identical rows are two
charges, so rows are counted, never merely recognised.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar

from attrs import Factory, evolve, field, frozen

from venice_billing._call import Outcome, Send, Steps, Wait
from venice_billing.errors import (
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    NotFoundError,
    ResponseValidationError,
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
        widened: Whether the range was widened, so that rows outside it are to be expected.
        answer: What the page was read from.
    """

    rows: Sequence[Row]
    following: str | None
    state: object = None
    widened: bool = False
    answer: object = None

    def emptied(self) -> Page[Row]:
        """Return what it takes to follow the page, without its rows."""
        return evolve(self, rows=(), answer=None)


class Ledger(Protocol[Row]):
    """Where rows come from. `open` and `follow` are calls of their own, retries and all."""

    def open(self, bounds: Bounds, order: Order, page_size: int | None, /) -> Steps[Page[Row]]:
        """Fetch the first page of a range."""
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


class LostThreadError(Exception):
    """The pages no longer lead on: a cursor came twice, or pages shifted. The place is still good."""


def sequential(
    ledger: Ledger[Row], bounds: Bounds, order: Order, place: Place, page_size: int | None = None
) -> Walk[Row]:
    """Walk in the order in which the ledger gives its pages, reopening at the place whenever their thread is lost.

    Raises:
        ServerError: The ledger cannot be read past the place, although it was reopened there.
    """
    fruitless = 0
    while True:
        before = place
        try:
            page = yield from ledger.open(_rest(bounds, order, place), order, _varied(page_size, fruitless))
            thread = _Thread(ledger, bounds, order, place)
            while True:
                if rows := thread.take(page):
                    more = page.following is not None and not thread.done
                    delivery = Deliver(rows, place, place.after(rows, ledger), ledger, more)
                    place = delivery.after
                    yield delivery
                    del delivery
                if page.following is None or thread.done:
                    thread.check_all_seen()
                    return
                # What was handed on is let go: the next page is read in half the time where the memory is still warm.
                page, rows = page.emptied(), ()
                page = yield from _follow(ledger, page, thread)
        except LostThreadError as lost:
            fruitless = fruitless + 1 if place == before else 0
            if fruitless > _REOPENINGS:
                raise _unreadable(place, lost) from None


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


class _Thread(Generic[Row]):
    """Follows the pages of one opening: what is fresh in them, and whether they still lead on."""

    def __init__(self, ledger: Ledger[Row], bounds: Bounds, order: Order, place: Place) -> None:
        self._ledger = ledger
        self._bounds = bounds
        self._ahead = 1 if order == "asc" else -1
        self._place = place
        self._unseen_again = Counter(place.seen)
        self._reached: datetime | None = None
        self._latest = ""
        self._used: set[str] = set()
        self.done = False

    def take(self, page: Page[Row]) -> Sequence[Row]:
        """Return the rows of a page that were not received before and lie in the bounds."""
        if not page.rows:
            return page.rows
        first, last = self._ledger.stamp(page.rows[0]), self._ledger.stamp(page.rows[-1])
        if self._reached is not None and self._is_ahead(self._reached, first):
            raise LostThreadError("a page went back in time")
        if self._reached != last:
            self._used = {self._latest}  # the cursor that led here: the page may name it again
        self._reached = last
        if self._bounds.contain(first) and self._bounds.contain(last) and self._is_beyond_place(first):
            self.check_all_seen()
            return page.rows
        rows = [row for row in page.rows if self.is_fresh(row)]
        outer = self._bounds.end if self._ahead > 0 else self._bounds.start
        self.done = outer is not None and not self._bounds.contain(last) and not self._is_ahead(outer, last)
        return rows

    def use(self, cursor: str) -> None:
        """Note that a cursor is used; none is used twice, or the walk might go round for ever."""
        if cursor in self._used:
            raise LostThreadError("a cursor came twice")
        self._latest = cursor
        self._used.add(cursor)

    def check_all_seen(self) -> None:
        """Refuse to go on where rows that were received are no longer there."""
        check_all_seen(self._unseen_again, self._place)

    def is_fresh(self, row: Row) -> bool:
        """Tell whether a row lies in the bounds and was not received before."""
        moment = self._ledger.stamp(row)
        if not self._bounds.contain(moment):
            return False
        if self._place.at is None or self._is_beyond_place(moment):
            return True
        if moment != self._place.at:
            return False
        identity = self._ledger.identity(row)
        if self._unseen_again[identity] > 0:
            self._unseen_again[identity] -= 1
            return False
        return True

    def _is_beyond_place(self, moment: datetime) -> bool:
        return self._place.at is None or self._is_ahead(moment, self._place.at)

    def _is_ahead(self, moment: datetime, other: datetime) -> bool:
        return moment > other if self._ahead > 0 else moment < other


def check_all_seen(unseen_again: Counter[str], place: Place) -> None:
    """Refuse to go on where rows that were received are no longer there: the rest would not be exact.

    Raises:
        ResponseValidationError: Some are missing.
    """
    if unseen_again.total() and place.at is not None:
        raise ResponseValidationError(
            f"{unseen_again.total()} entries received before, at {place.at.isoformat()}, are no longer in the "
            "ledger; start the walk anew, and check that the key is the same account's",
            field="checkpoint",
        )


def _follow(ledger: Ledger[Row], page: Page[Row], thread: _Thread[Row]) -> Steps[Page[Row]]:
    thread.use(str(page.following))
    try:
        return (yield from ledger.follow(page))
    except (CursorRejectedError, ServerError, BillingTimeoutError) as error:
        # Rejected, or dead for good: such a cursor hangs, then answers 500, each time it is used.
        raise LostThreadError(str(error)) from None


def _rest(bounds: Bounds, order: Order, place: Place) -> Bounds:
    """Return the range to ask for, in whole milliseconds: finer bounds are kept here, never trusted to the wire."""
    start, end = bounds.start, bounds.end
    if place.at is not None:
        start, end = (place.at, end) if order == "asc" else (start, place.at + MILLISECOND)
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
