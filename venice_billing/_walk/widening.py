"""Wider questions for a range on which the ledger hangs. Pure: knows no source, asks what it is given.

The ledger hangs on narrow ranges and on empty ones, so silence says nothing about a range. A wider question that is
answered decides: the walk reads on from there to the end of the range, and the rows that lie in it are the answer,
also where there are none. Each question ends open, none is narrower than a day, and at most four are asked.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from attrs import evolve, field, frozen

from venice_billing._walk.types import DAY, Bounds, Page, down_to
from venice_billing.errors import BillingTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from venice_billing._call import Steps

Row = TypeVar("Row")

_MONTH = timedelta(days=31)
_REMEMBERED = 256


@frozen
class Question:
    """What was asked of a ledger.

    Attributes:
        bounds: The range, in whole milliseconds.
        any_currency: Whether the filter by currency was left out, so that its rows have to be sorted out.
    """

    bounds: Bounds
    any_currency: bool = False


@frozen
class Landmarks:
    """Moments at which rows were met, the last few hundred: a question that begins at one is never about nothing."""

    _met: deque[datetime] = field(factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, moment: datetime) -> None:
        """Remember that a row was met at `moment`."""
        self._met.append(moment)

    def before(self, moment: datetime | None) -> datetime | None:
        """Return the last known moment before another one; None if there is none."""
        return None if moment is None else max((met for met in tuple(self._met) if met < moment), default=None)


def widened(
    ask: Callable[[Question], Steps[Page[Row]]],
    bounds: Bounds,
    hang: BillingTimeoutError,
    *,
    now: float,
    filtered: bool,
    landmarks: Landmarks,
) -> Steps[Page[Row]]:
    """Fetch the first page of a wider range, to be read on from there.

    Args:
        ask: Asks one question, once.
        bounds: The range that was asked for in vain.
        hang: What came of that.
        now: Unix seconds.
        filtered: Whether rows of one currency were asked for.
        landmarks: Where rows were met before.

    Raises:
        BillingTimeoutError: `hang`, if no question was answered.
    """
    present = datetime.fromtimestamp(now, UTC)
    for question in wider_questions(bounds, present, filtered=filtered, known=landmarks.before(bounds.start)):
        try:
            page = yield from ask(question)
        except BillingTimeoutError:
            continue
        return evolve(page, widened=True)
    raise hang


def wider_questions(
    bounds: Bounds, now: datetime, *, filtered: bool, known: datetime | None = None
) -> Iterator[Question]:
    """Yield at most four questions that hold a range, from the narrowest to the whole ledger.

    An account that never used a currency is silent on every question about that currency, however wide: the last
    questions are about all currencies.
    """
    asked = {Question(bounds)}
    for question in _candidates(bounds.start, now, filtered=filtered, known=known):
        if question not in asked:
            asked.add(question)
            yield question


def _candidates(start: datetime | None, now: datetime, *, filtered: bool, known: datetime | None) -> Iterator[Question]:
    if start is not None:
        near = down_to(min(start, now - DAY))
        yield _from(near)
        if known is not None:
            yield _from(down_to(min(known, near)))
        else:
            yield _from(_earlier(near, _MONTH if filtered else DAY))
        yield _from(_earlier(near, _MONTH), any_currency=filtered)
    elif filtered:
        yield _from(None)
    yield _from(None, any_currency=filtered)


def _from(start: datetime | None, *, any_currency: bool = False) -> Question:
    return Question(Bounds(start), any_currency)


def _earlier(moment: datetime, by: timedelta) -> datetime | None:
    """Return an earlier moment; None, which is the beginning of the ledger, where the calendar has none."""
    try:
        return moment - by
    except OverflowError:
        return None
