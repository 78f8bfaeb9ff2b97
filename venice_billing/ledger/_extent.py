"""What the ledger has of the account when a sync begins: where to read from, and what is settled, follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing.ledger import _history
from venice_billing.ledger._moments import CLOCK_SKEW, moment
from venice_billing.ledger._swap import NAMES_A_REQUEST

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from venice_billing.ledger._database import Database


@frozen
class Extent:
    """How far the ledger reaches, as a pass of a sync sees it that begins at a time.

    Attributes:
        began_at: When the pass began.
        covered_until: Up to where everything was read, as far as the clocks of the syncs can be believed; None: nothing
            is covered.
        closed_until: The end of the latest month that was closed; None: none was.
        latest: The time of the latest row, and of the latest that names a request, as far as there are such rows.
    """

    began_at: datetime
    covered_until: datetime | None
    closed_until: datetime | None
    latest: tuple[datetime, ...]

    @property
    def end(self) -> datetime | None:
        """The latest time from which a pass may read without a gap; None: it has to read everything.

        It is the latest row at the latest: a clock that was wrong, or a quiet time, leaves no gap then. And the latest
        row that names a request, if one does: others, such as grants, do not tell an account from another.
        """
        if self.covered_until is None or not self.latest:
            return None
        return min(self.covered_until, self.began_at, *self.latest)

    @property
    def settled_until(self) -> datetime | None:
        """Up to where charges are settled: whatever a sync changes before that is an adjustment.

        It is what is covered, and the end of what was closed, if a month was closed before it was covered to its end.
        """
        return max((time for time in (self.covered_until, self.closed_until) if time is not None), default=None)

    def start(self, overlap: timedelta) -> datetime | None:
        """Return where a pass begins to read; None: at the beginning of the account."""
        if self.end is None:
            return None
        try:
            start = self.end - overlap
        except OverflowError:  # before the year 1
            return None
        return start if arguments.is_within_calendar(start) else None

    def adjoins(self, start: datetime | None) -> bool:
        """Tell whether a stretch that begins there leaves no gap behind what the ledger has."""
        return start is None or (self.end is not None and start <= self.end)


def extent(database: Database, began_at: datetime) -> Extent:
    """Return how far the ledger reaches for a pass that began at that time: the same until a sync has ended."""
    latest = _latest_rows(database)
    covered, synced_at = _history.coverage(database, began_at).until, _history.latest_began_at(database)
    if covered is not None and latest and synced_at is not None and synced_at > began_at + CLOCK_SKEW:
        covered = min(covered, latest[0])  # nobody knows when that sync really was
    with database.reading() as cursor:
        ((closed,),) = cursor.execute("SELECT epoch_us(max(period_end)) FROM closed_months").fetchall()
    return Extent(began_at, covered, None if closed is None else moment(closed), latest)


def _latest_rows(database: Database) -> tuple[datetime, ...]:
    query = "SELECT epoch_us(timestamp) FROM usage_rows WHERE {} ORDER BY timestamp DESC LIMIT 1"
    with database.reading() as cursor:
        rows = [row for where in ("true", NAMES_A_REQUEST) for row in cursor.execute(query.format(where)).fetchall()]
    return tuple(moment(at) for (at,) in rows)
