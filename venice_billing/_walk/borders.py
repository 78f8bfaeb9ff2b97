"""Settle whether rows that came on two pages are several charges, or one that came twice. Pure.

Rows have no id, so equal rows of one instant on two pages may be either. A page has no border within itself: where all
rows of the instant fit on one page, the page counts them. So the range is reopened at the instant, and rows are counted
there: with pages as before, if the instant fits on one of those, or else with the largest. An instant with more rows
than the largest page is counted twice, the second time with pages of half the size, which have other borders, and more
of them: if rows come twice at borders, the counts differ, and the walk is broken.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from itertools import dropwhile, takewhile
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import define

from venice_billing._walk.lost import BrokenWalkError, CheckError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from venice_billing._walk.lost import Pages
    from venice_billing._walk.types import Page, PageSource, Position

Row = TypeVar("Row")

_FREE_CHECKS = 3
_PAGES_PER_CHECK = 10


class Checks:
    """Limits how often a walk settles whether equal rows at a page border are several charges.

    They may turn out to be that three times, and once more for each ten pages: a ledger full of equal charges costs few
    requests more. Once a row has come twice, every border is checked. The windows of a walk share their limit.
    """

    def __init__(self) -> None:
        self._pages = 0
        self._genuine = 0
        self._have_found_overlap = False

    def count_page(self) -> None:
        """Note that a page was handed on."""
        self._pages += 1

    def note(self, *, overlap: bool) -> None:
        """Note what a check has found: a row that came twice, or several charges."""
        self._have_found_overlap |= overlap
        self._genuine += not overlap

    @property
    def allow_another(self) -> bool:
        """Whether there may be another check."""
        return self._have_found_overlap or self._genuine < _FREE_CHECKS + self._pages // _PAGES_PER_CHECK


class _Stage(Enum):
    COUNTING = auto()
    """The range was reopened at the instant."""
    COUNTING_LARGEST = auto()
    """The range was reopened with the largest pages."""
    DOUBTFUL = auto()
    """The instant has more rows than the largest page, and equal ones on two of these pages."""
    COUNTING_AGAIN = auto()
    """The range was reopened with pages of half the size."""


@define
class _Matter:
    """An instant with equal rows on two pages, and how often each row came there before the range was reopened."""

    at: datetime
    claimed: Counter[str]
    stage: _Stage


class Borders(Generic[Row]):
    """Watches the page borders of a range, across all its openings."""

    def __init__(self, source: PageSource[Row], checks: Checks) -> None:
        self._source = source
        self._checks = checks
        self._matter: _Matter | None = None
        self._begin: datetime | None = None
        self._found: Counter[str] = Counter()
        self._is_largest = self._is_widened = False

    @property
    def are_in_doubt(self) -> bool:
        """Whether there is an instant whose rows are being counted."""
        return self._matter is not None

    def begin_opening(self, position: Position, *, is_largest: bool, is_widened: bool) -> None:
        """Note that the range was opened at a position.

        Args:
            position: The position.
            is_largest: Whether its pages are of the largest size.
            is_widened: Whether it is a wider range, whose pages are always of that size.
        """
        self._begin = position.at
        self._found = Counter()
        self._is_largest, self._is_widened = is_largest, is_widened

    def check(self, page: Page[Row], position: Position, *, follows: bool, ends: bool) -> None:
        """Look at a page before its rows are handed on.

        Args:
            page: The page, which may have rows of the position's instant.
            position: The position of the walk before the page.
            follows: Whether the page before ended at that instant, in the same opening.
            ends: Whether no row of that instant can come on a later page.

        Raises:
            CheckError: The range is to be reopened.
            BrokenWalkError: Rows were handed on that are not there, or not handed on although they are.
        """
        if position.at is None or (page.timeless and page.rows):
            return
        if self._matter is not None and self._matter.at != position.at:
            self._matter = None
        came = Counter(self._source.fingerprint(row) for row in self._rows_at(position.at, page.rows))
        before = self._found if self._begin == position.at else position.seen
        if follows and came.keys() & before.keys():
            self._doubt(position.at, came + Counter(before), fits=came.total() + sum(before.values()) < len(page.rows))
        if self._begin == position.at:
            self._found += came
        if ends and self._matter is not None:
            self._settle(self._matter)

    def _rows_at(self, instant: datetime, rows: Iterable[Row]) -> Iterator[Row]:
        """Return the rows of an instant, which lie together."""
        there = dropwhile(lambda row: self._source.timestamp(row) != instant, rows)
        return takewhile(lambda row: self._source.timestamp(row) == instant, there)

    def _doubt(self, at: datetime, claimed: Counter[str], *, fits: bool) -> None:
        """Note that a row came on two pages.

        Args:
            at: The instant.
            claimed: How often each row came at the instant, on all pages so far.
            fits: Whether the rows so far would fit on a page.
        """
        if self._matter is None:
            if self._checks.allow_another:
                self._matter = _Matter(at, claimed, _Stage.COUNTING if fits else _Stage.COUNTING_LARGEST)
                raise _repeated("as before" if fits else "largest")
        elif self._matter.stage is _Stage.COUNTING and not self._is_largest:
            self._matter.stage = _Stage.COUNTING_LARGEST
            raise _repeated("largest")
        elif self._matter.stage is not _Stage.COUNTING_AGAIN:
            self._matter.stage = _Stage.DOUBTFUL

    def _settle(self, matter: _Matter) -> None:
        """Compare what was counted, now that all rows of the instant have come."""
        if matter.stage is _Stage.DOUBTFUL and not self._is_widened:
            matter.claimed, matter.stage = self._found, _Stage.COUNTING_AGAIN
            raise _repeated("half")
        self._matter = None
        if matter.stage is _Stage.COUNTING_AGAIN and matter.claimed != self._found:
            raise BrokenWalkError(
                f"{matter.claimed.total()} entries at {matter.at.isoformat()}, but {self._found.total()} on smaller "
                "pages: the pages overlap; start the walk anew, without the checkpoint",
                field="data",
            )
        self._checks.note(overlap=not matter.claimed <= self._found)


def _repeated(pages: Pages) -> CheckError:
    return CheckError("a row came on two pages", pages)
