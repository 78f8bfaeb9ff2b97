"""Wider queries for a range on which the ledger hangs. Pure: depends on no source, gets a function that fetches.

The ledger hangs on narrow ranges and on empty ones, so a hang does not tell whether a range is empty. The first wider
query that is answered decides: the walk reads from its start to the end of the range, and the rows inside the range
are the result, even if there are none. Queries have no end, none is narrower than a day, and at most four are asked.

Newest first, `windows` looks farther back before it sends wider queries.
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
class RangeQuery:
    """What a request to a ledger asks for.

    Attributes:
        bounds: The range, in whole milliseconds.
        any_currency: Whether the currency filter was left out, so that rows in other currencies must be dropped here.
    """

    bounds: Bounds
    any_currency: bool = False


@frozen
class Landmarks:
    """The last few hundred moments at which rows were found: a query that begins at one has a result."""

    _met: deque[datetime] = field(factory=lambda: deque(maxlen=_REMEMBERED))

    def add(self, moment: datetime) -> None:
        """Remember that a row was found at `moment`."""
        self._met.append(moment)

    def before(self, moment: datetime | None) -> datetime | None:
        """Return the last known moment before `moment`; None if there is none."""
        return None if moment is None else max((met for met in tuple(self._met) if met < moment), default=None)


def widened(
    fetch: Callable[[RangeQuery], Steps[Page[Row]]],
    bounds: Bounds,
    hang: BillingTimeoutError,
    *,
    now: float,
    filtered: bool,
    landmarks: Landmarks,
) -> Steps[Page[Row]]:
    """Fetch the first page of a wider range, from which the walk reads on.

    Args:
        fetch: Fetches the first page of one query.
        bounds: The range on which the ledger hung.
        hang: The error of that request.
        now: The time, in Unix seconds.
        filtered: Whether rows of one currency were requested.
        landmarks: Moments at which rows were found before.

    Raises:
        BillingTimeoutError: `hang`, if no query was answered.
    """
    present = datetime.fromtimestamp(now, UTC)
    for query in wider_queries(bounds, present, filtered=filtered, known=landmarks.before(bounds.start)):
        try:
            page = yield from fetch(query)
        except BillingTimeoutError:
            continue
        return evolve(page, widened=True)
    raise hang


def wider_queries(
    bounds: Bounds, now: datetime, *, filtered: bool, known: datetime | None = None
) -> Iterator[RangeQuery]:
    """Yield at most four queries that include a range, from the narrowest to the whole ledger.

    For a currency that the account never used, the ledger hangs however wide the range is. So the last queries are
    about all currencies.
    """
    asked = {RangeQuery(bounds)}
    for query in _candidates(bounds.start, now, filtered=filtered, known=known):
        if query not in asked:
            asked.add(query)
            yield query


def _candidates(
    start: datetime | None, now: datetime, *, filtered: bool, known: datetime | None
) -> Iterator[RangeQuery]:
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


def _from(start: datetime | None, *, any_currency: bool = False) -> RangeQuery:
    return RangeQuery(Bounds(start), any_currency)


def _earlier(moment: datetime, by: timedelta) -> datetime | None:
    """Return an earlier moment; None, the beginning of the ledger, if that is before the calendar begins."""
    try:
        return moment - by
    except OverflowError:
        return None
