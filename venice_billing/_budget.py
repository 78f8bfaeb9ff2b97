"""The failure budget: more than 20 failed requests in 30 seconds block the account for 30 seconds.

All calls of a client share one budget, in all its threads and tasks; each process has its own. A request counts
against the budget from the moment it is admitted, since all requests under way may fail together. Requests are
admitted in the order in which they arrived.

The budget uses no lock, so an interrupt between two lines cannot leave one held: each operation on the shared
collections is atomic, and only the first ticket of the queue is admitted, unless there is room for all that wait. The
collections hold tickets weakly: once a call is gone, however it ended, its ticket no longer counts.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, WeakSet

from venice_billing._forks import reset_in_children

FAILURES = 15
"""Failed requests that one client allows itself in any `PERIOD`: other clients may use the same account."""
PERIOD = 30.0
_MARGIN = 1.0
_POLL = 0.01
LONGEST_POLL = 0.1
"""Longest wait, in seconds, while other requests of this client are under way; waiting for `PERIOD` takes longer."""


class Ticket:
    """One request, as the budget sees it: waiting for its turn, under way, or neither. Only its call holds it."""


class FailureBudget:
    """Admits requests as long as the budget allows all of them to fail: first come, first served."""

    def __init__(self) -> None:
        self._failed: list[float] = []
        self.reset_after_fork()
        reset_in_children(self)

    def reset_after_fork(self) -> None:
        """Begin without requests, also in a forked child; its failures stay, since the API counts them by account."""
        self._under_way: WeakSet[Ticket] = WeakSet()
        self._queue: WeakKeyDictionary[Ticket, None] = WeakKeyDictionary()  # in order of arrival

    def admit(self, ticket: Ticket, now: float) -> float:
        """Admit a request at monotonic time `now` and return 0, or return the seconds to wait and ask again.

        A ticket that was told to wait keeps its turn until it is admitted, settled, or gone.
        """
        self._queue.setdefault(ticket)
        # In this order, so that a ticket that moves from one collection to the next meanwhile counts twice, not never.
        ahead, waiting = self._position_of(ticket)
        under_way = len(self._under_way)
        failed = [moment for moment in self._failed[:] if not _is_over(moment, now)]
        if len(failed) >= FAILURES:
            return max(2 * LONGEST_POLL, failed[0] + PERIOD + _MARGIN - now)  # longer than a wait for other requests
        has_room_for_all = len(failed) + under_way + waiting <= FAILURES
        if not has_room_for_all and (ahead or len(failed) + under_way >= FAILURES):
            return min(_POLL * (1 + ahead), LONGEST_POLL)  # until a request under way is answered
        while not ahead and self._failed and _is_over(self._failed[0], now):
            del self._failed[0]
        self._under_way.add(ticket)
        self._queue.pop(ticket, None)
        return 0.0

    def settle(self, ticket: Ticket, now: float, *, failed: bool) -> None:
        """Remove a request that succeeded, failed or was given up, perhaps before it was admitted."""
        if failed:
            self._failed.append(now)
        self._under_way.discard(ticket)
        self._queue.pop(ticket, None)

    def _position_of(self, ticket: Ticket) -> tuple[int, int]:
        """Return how many tickets wait before this one, and how many wait in all."""
        waiting = [other for reference in self._queue.keyrefs() if (other := reference()) is not None]
        return next((position for position, other in enumerate(waiting) if other is ticket), len(waiting)), len(waiting)


def _is_over(moment: float, now: float) -> bool:
    return moment <= now - PERIOD - _MARGIN
