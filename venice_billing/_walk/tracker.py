"""Follow pages: which rows are new, whether the next page is reliable, and whether the pages ever end. Pure."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from venice_billing._walk.borders import Borders, Checks
from venice_billing._walk.lost import (
    BrokenWalkError,
    CheckError,
    CrowdedInstantError,
    PagesOutOfOrderError,
    PaginationLostError,
)
from venice_billing.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from venice_billing._walk.types import Bounds, Order, Page, PageSource, Position

Row = TypeVar("Row")

STALLED_PAGES = 200
"""How many pages in a row may bring no later row.

After this many empty pages a walk gives up. Pages of rows at one instant may be genuine: a walk first continues with
the largest pages, so that it reads at least 200,000 charges at one instant (100,000 of the original ledger).
"""


_REMEMBERED_PAGES = 2


class Delivered(Generic[Row]):
    """What a walk remembers of the rows it has handed on, besides its position, across all openings of its range.

    The last pages are kept as the bytes they came in, and decoded only if a page goes back in time.
    """

    def __init__(self, source: PageSource[Row], position: Position, order: Order, checks: Checks | None = None) -> None:
        self._source = source
        self._checks = checks or Checks()
        self._begin = position.at
        self._ahead = 1 if order == "asc" else -1
        self._latest: deque[Callable[[], Sequence[Row]]] = deque(maxlen=_REMEMBERED_PAGES)
        self.borders = Borders(source, self._checks)
        self._gap_checked_at: datetime | Literal["nowhere yet"] | None = "nowhere yet"

    def add(self, page: Page[Row]) -> None:
        """Remember a page whose rows were handed on."""
        self._checks.count_page()
        if page.again is not None:
            self._latest.append(page.again)

    def check_gap(self, page: Page[Row], position: Position) -> None:
        """Doubt an empty page that names a next one: rows may have been left out there.

        Once at each instant; if the page is empty again when the range was reopened, it is followed.

        Raises:
            CheckError: The range is to be reopened.
        """
        if page.following is not None and self._gap_checked_at != position.at:
            self._gap_checked_at = position.at
            raise CheckError("an empty page names a next one")

    def check_order(self, page: Page[Row], bounds: Bounds, position: Position) -> None:
        """Refuse a page that has rows before the position which were not handed on.

        Rows from the position on come again when the range is reopened there; rows before it never would.

        Raises:
            PagesOutOfOrderError: There are such rows.
        """
        behind = Counter(self._source.fingerprint(row) for row in page.rows if self._is_behind(row, bounds, position))
        if behind:
            behind -= Counter(self._source.fingerprint(row) for again in self._latest for row in again())
        if behind:
            raise PagesOutOfOrderError(
                f"{behind.total()} entries from before {position.at}, which were not on the pages before: the pages "
                "are out of order, and entries may be missing; start anew, without the checkpoint",
                field="data",
            )

    def _is_behind(self, row: Row, bounds: Bounds, position: Position) -> bool:
        moment = self._source.timestamp(row)
        if position.at is None or not bounds.contain(moment) or not is_ahead(position.at, moment, self._ahead):
            return False
        return self._begin is None or is_ahead(moment, self._begin, self._ahead)


class PageTracker(Generic[Row]):
    """Follows the pages from one opening of a range: which rows are new, and whether the pages make progress."""

    def __init__(
        self,
        source: PageSource[Row],
        bounds: Bounds,
        order: Order,
        position: Position,
        delivered: Delivered[Row] | None = None,
        patience: int = STALLED_PAGES,
    ) -> None:
        self._source = source
        self._delivered = delivered or Delivered(source, position, order)
        self._bounds = bounds
        self._ahead = 1 if order == "asc" else -1
        self._position = position
        self._unseen_again = Counter(position.seen)
        self._reached: datetime | None = None
        self._latest = ""
        self._used: set[str] = set()
        self._stalled = 0
        self._patience = patience
        self._stalled_with_rows = False
        self.done = False
        self.beyond: datetime | None = None

    def sought_since(self, sought: datetime | None) -> datetime | None:
        """Return how far the walk has read on the way to the range; None once rows were received.

        Args:
            sought: How far the walk had read before.
        """
        near = self._bounds.start if self._ahead > 0 else self._bounds.end
        if self._position.at is not None or near is None or self._reached is None:
            return sought
        is_short = self._is_ahead(near, self._reached)
        is_farther = sought is None or self._is_ahead(self._reached, sought)
        return self._reached if is_short and is_farther else sought

    def take(self, page: Page[Row], position: Position) -> Sequence[Row]:
        """Return the rows of a page that were not received before and lie in the bounds.

        Args:
            page: The page.
            position: The position of the walk before the page.

        Raises:
            PaginationLostError: The page overlaps with the pages before it.
            CheckError: It may do so.
            BrokenWalkError: Rows were handed on that are not there, or are no longer there.
            PagesOutOfOrderError: The page lies before the one that led to it, and has rows that no page had.
            CrowdedInstantError: Too many pages in a row have brought no later row, though some have brought rows.
            ServerError: Too many pages in a row have been empty.
        """
        last = self._source.timestamp(page.rows[-1]) if page.rows and page.last is None else page.last
        if last is None:
            self._check_borders(page, position, None, None)
            self._delivered.check_gap(page, position)
            self._note_stall(page)
            return page.rows
        first = page.first or (self._source.timestamp(page.rows[0]) if page.rows else last)
        if self._reached is not None and self._is_ahead(self._reached, first):
            self._delivered.check_order(page, self._bounds, position)
            raise PaginationLostError("a page went back in time")
        self._check_borders(page, position, first, last)
        if self._reached != last:
            self._used = {self._latest}  # the cursor of this very page, which the page may name again
            self._stalled = 0
            self._stalled_with_rows = False
        elif not page.timeless:
            self._stalled_with_rows = True
            self._note_stall(page)
        self._reached = last
        if self._bounds.contain(first) and self._bounds.contain(last) and self._is_beyond_position(first):
            self.check_all_seen()
            return page.rows
        rows = [row for row in page.rows if self.is_fresh(row)]
        outer = self._bounds.end if self._ahead > 0 else self._bounds.start
        self.done = outer is not None and not self._bounds.contain(last) and not self._is_ahead(outer, last)
        if self.done and outer is not None:
            moments = map(self._source.timestamp, page.rows)
            self.beyond = next((moment for moment in moments if not self._is_ahead(outer, moment)), last)
        return rows

    def use(self, cursor: str) -> None:
        """Note that a cursor is used; using one twice could make the walk endless.

        Raises:
            PaginationLostError: The cursor was used before.
        """
        if cursor in self._used:
            raise PaginationLostError("a cursor came twice")
        self._latest = cursor
        self._used.add(cursor)

    def check_all_seen(self) -> None:
        """Refuse to continue if rows received before are missing from the ledger."""
        check_all_seen(self._unseen_again, self._position)

    def is_fresh(self, row: Row) -> bool:
        """Tell whether a row lies in the bounds and was not received before."""
        moment = self._source.timestamp(row)
        if not self._bounds.contain(moment):
            return False
        if self._position.at is None or self._is_beyond_position(moment):
            return True
        if moment != self._position.at:
            return False
        fingerprint = self._source.fingerprint(row)
        if self._unseen_again[fingerprint] > 0:
            self._unseen_again[fingerprint] -= 1
            return False
        return True

    def _check_borders(
        self, page: Page[Row], position: Position, first: datetime | None, last: datetime | None
    ) -> None:
        if position.at is None:
            return
        is_beyond = first is not None and self._is_ahead(first, position.at)
        if is_beyond and not self._delivered.borders.are_in_doubt:
            return
        ends = page.following is None or (last is not None and self._is_ahead(last, position.at))
        self._delivered.borders.check(page, position, follows=self._reached == position.at, ends=ends)

    def _note_stall(self, page: Page[Row]) -> None:
        self._stalled += 1
        if self._stalled < self._patience or page.following is None:
            return
        at = f"past {self._reached.isoformat()}" if self._reached else "at its beginning"
        problem = f"the ledger does not end {at}: {self._stalled} pages in a row brought nothing later"
        raise CrowdedInstantError(problem) if self._stalled_with_rows else ServerError(problem)

    def _is_beyond_position(self, moment: datetime) -> bool:
        return self._position.at is None or self._is_ahead(moment, self._position.at)

    def _is_ahead(self, moment: datetime, other: datetime) -> bool:
        return is_ahead(moment, other, self._ahead)


def is_ahead(moment: datetime, other: datetime, sign: int) -> bool:
    """Tell whether a moment comes after another in a walk; the sign is that of the walk's direction."""
    return moment > other if sign > 0 else moment < other


def check_all_seen(unseen_again: Counter[str], position: Position) -> None:
    """Refuse to continue if rows received before are missing from the ledger: the rest would not be exact.

    Raises:
        BrokenWalkError: Rows are missing.
    """
    if unseen_again.total() and position.at is not None:
        raise BrokenWalkError(
            f"{unseen_again.total()} entries received before, at {position.at.isoformat()}, are no longer in the "
            "ledger; start the walk anew, and check that the key is the same account's",
            field="checkpoint",
        )
