"""How wide windows are, and the stretches of a range from which they are still to be cut. Pure arithmetic."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

from venice_billing._walk.types import DAY, NARROWEST, Position, down_to

if TYPE_CHECKING:
    from datetime import datetime


_PAGES_OF_A_WINDOW = 1.85  # a little less than two, so that a window seldom needs a third page for a few rows
_PAGES_OF_A_NARROW_WINDOW = 3.5  # a narrow window reads past its end, half a page on average: fewer windows waste less
_FIRST_REACH = DAY  # how far the first look backwards goes while the density is unknown
_REACH_FACTOR = 8  # how many times farther to look after a look that found nothing
_FARTHEST_REACH = timedelta(days=3650)
_SEARCHED_AT_ONCE = timedelta(hours=6)  # up to this much of a stretch is looked into at once: each look may hang


@define(eq=False)
class Gap:
    """A stretch of time that is not planned yet.

    Attributes:
        start: Inclusive; None means the beginning of the ledger.
        stop: Exclusive; None means the end of the ledger.
        position: What was received at `start` before.
        rate: Rows per second to expect; None if unknown.
        reach: Looking backwards: how far the next look goes while the rate is unknown.
        unanswered: Looking backwards: the time before `stop` on which the ledger hung; it is probably empty.
        wide: Whether the ledger hung on the whole stretch, so that wider requests come next.
    """

    start: datetime | None
    stop: datetime | None
    position: Position = Factory(Position)
    rate: float | None = None
    reach: timedelta = _FIRST_REACH
    unanswered: timedelta = timedelta(0)
    wide: bool = False

    def expect(self, count: int, span: timedelta) -> None:
        """Expect the density of the stretch beside this one."""
        rate = count / max(span.total_seconds(), 0.001)
        self.rate = rate if self.rate is None else (self.rate + rate) / 2
        self.reach = _FIRST_REACH

    def expect_nothing(self) -> None:
        """Look farther next time: the stretch beside this one had no rows."""
        self.rate = None
        self.reach = min(self.reach * _REACH_FACTOR, _FARTHEST_REACH)


@frozen
class Widths:
    """How wide windows are, and how far a look backwards goes.

    Attributes:
        forwards: Whether windows are cut off the start of a stretch; if not, off its end.
        now: The end of an open range.
        rows_of_a_page: How many rows each page is requested with.
    """

    forwards: bool
    now: datetime
    rows_of_a_page: int

    def border(self, gap: Gap) -> datetime | None:
        """Return where a window that begins at the near end of a gap ends; None if the window takes the whole gap."""
        near, far = (gap.start, gap.stop) if self.forwards else (gap.stop or self.now, gap.start)
        if near is None or gap.wide or (gap.rate is None and self.forwards):
            return None
        width = gap.reach if gap.rate is None else self.of_window(gap.rate)
        try:
            border = down_to(near + width if self.forwards else near - width)
            if self.forwards:
                return border if border < (far or self.now) - width / 4 else None
            return border if far is None or border > far + (width - gap.unanswered) / 4 else None
        except OverflowError:  # wider than the calendar
            return None

    def of_window(self, rate: float) -> timedelta:
        """Return the width of a window where `rate` rows per second are expected."""
        rows = _PAGES_OF_A_WINDOW * self.rows_of_a_page
        if rows / rate < NARROWEST.total_seconds():
            rows = _PAGES_OF_A_NARROW_WINDOW * self.rows_of_a_page
        return max(timedelta(seconds=min(rows / rate, _FARTHEST_REACH.total_seconds())), timedelta(seconds=1))

    def reach_past(self, unanswered: timedelta, gap: Gap) -> timedelta:
        """Return how far to look back past an unanswered time: much farther, at most through half of the rest."""
        farther = min(unanswered * _REACH_FACTOR, _FARTHEST_REACH)
        if gap.start is None or not unanswered:
            return farther
        span = (gap.stop or self.now) - gap.start
        return min(farther, (unanswered + span) / 2) if span - unanswered > _SEARCHED_AT_ONCE else span
