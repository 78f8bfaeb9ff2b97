"""The failure budget: more than 20 failed requests in 30 seconds block the account for 30 seconds.

Shared by all calls of a client, whatever thread or task they run in. A request counts against the budget from
the moment it is admitted, since all that are under way may fail together.
"""

from __future__ import annotations

import threading
from collections import deque

FAILURES = 15
"""Failed requests that one client allows itself in any `PERIOD`: others may be using the same account."""
PERIOD = 30.0
_MARGIN = 1.0
_POLL = 0.05


class FailureBudget:
    """Admits requests as long as even their failure keeps within the budget."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failed: deque[float] = deque()
        self._under_way = 0

    def admit(self, now: float) -> float:
        """Admit a request at monotonic time `now` and return 0, or return the seconds to wait and ask again."""
        with self._lock:
            while self._failed and self._failed[0] <= now - PERIOD - _MARGIN:
                self._failed.popleft()
            if len(self._failed) + self._under_way < FAILURES:
                self._under_way += 1
                return 0.0
            if len(self._failed) >= FAILURES:
                return max(_POLL, self._failed[0] + PERIOD + _MARGIN - now)
            return _POLL  # the answers under way decide

    def settle(self, now: float, *, failed: bool) -> None:
        """Count the end of an admitted request."""
        with self._lock:
            self._under_way -= 1
            if failed:
                self._failed.append(now)
