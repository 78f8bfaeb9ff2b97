"""The faults of a scenario: permanent quirks of the server, and faults of the first requests.

With any schedule, enough attempts read the whole ledger, so a scenario that gets stuck is a bug, too.
"""

from __future__ import annotations

import zlib
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from contract_tests.chaos import ledgers
from venice_billing.testing import CsvLayout, CursorPlace, Fault, Quirks, SeenRequest, faults

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

HISTORY = "/api/v1/billing/usage-history"

_OTHER_HEADER = "Created At,product,price,quantity,Amount,Currency Code,remark,request,in,out,took,key"
_CHANGING = {"unknown currency"}  # changes the ledger, so there is nothing to compare with
_UNSEEN_IN_CSV = {"invalid json"}  # cuts the last byte of the body, which may belong to a field

FAULTS: dict[str, Callable[[], Fault]] = {
    **{name: make for name, make in faults.ALL.items() if name not in _CHANGING},
    **{f"status {code}": partial(faults.status, code) for code in (400, 401, 402, 403, 404, 410, 413, 422, 520)},
    "status 429": partial(faults.status, 429),
    "status 429, wait 3": partial(faults.status, 429, headers=(("retry-after", "3"),)),
    "status 429, wait 300": partial(faults.status, 429, headers=(("retry-after", "300"),)),
    "gzip bomb": partial(faults.gzip_bomb, 1 << 26),
    "bomb of lists": partial(faults.bomb_of_lists, 200_000),
    "cut at first record": partial(faults.cut_at_record, 0.0),
    "cut at last record": partial(faults.cut_at_record, 0.99),
    "short hang": partial(faults.hang, 1.5),
    "body stalls": partial(faults.body_hang, 200, 45.0),
    "slow body": partial(faults.trickle_body, 20_000.0),
    "truncated late": partial(faults.truncated, 5_000),
    "reset late": partial(faults.reset, 5_000),
}
_STORMS = ("status 429", "status 500", "status 503", "reset", "headers hang", "status 502 html")


class FaultSchedule:
    """Draws the quirks and the faults of a scenario, and counts them.

    Attributes:
        injected: The number of requests with each kind of fault.
    """

    def __init__(
        self, rng: random.Random, *, csv: bool, retries: int, rows: list[ledgers.Row], over_sockets: bool = False
    ) -> None:
        self._rng = rng
        self._rows = rows
        self._retries = retries
        self._over_sockets = over_sockets
        names = sorted(
            FAULTS.keys() - (_UNSEEN_IN_CSV if csv else set()) - (set() if over_sockets else faults.SERVED_ONLY)
        )
        self._kinds = rng.sample(names, rng.randint(1, len(names)))
        self._share = rng.choice((0.0, 0.1, 0.3, 0.6))
        self._until = rng.choice((0, 10, 40, 120))
        self._storm = range(0)
        if over_sockets:  # in real time, the faults end soon
            self._share, self._until = 0.4, rng.choice((3, 6, 12))
        elif rng.random() < 0.15:
            start = rng.randint(1, 30)
            self._storm = range(start, start + rng.randint(5, 30))
            self._storm_kind = rng.choice(_STORMS)
        self._arrival_share = rng.choice((0.0, 0.0, 0.2, 0.8))
        self.history_dies_at = rng.randint(1, 12)
        self.history_dies = False
        self.on_request: Callable[[], None] | None = None
        """Called with each request before it is answered."""
        self.injected: Counter[str] = Counter()
        self.quirks = self._draw()

    @property
    def changes_the_ledger(self) -> bool:
        """Whether charges are booked during the scenario."""
        return self._arrival_share > 0

    def _draw(self) -> Quirks:
        rng = self._rng
        salt = rng.randint(0, 9)
        quirks = Quirks(
            latency=0.0 if self._over_sockets else rng.choice((0.0, 0.0, 0.3, (0.0, 2.0))),
            gzip=rng.random() < 0.3,
            narrow_window_hangs=rng.random() < 0.4,
            empty_result_hangs=rng.random() < 0.4,
            abuse_block=rng.random() < 0.5,
            dead_cursor_hang=rng.choice((0.0, 5.0, 30.0)),
            faults=self._fault,
            arrivals=self._arrivals if self._arrival_share else None,
        )
        trouble = rng.choice(("none", "dead", "dead places", "dead instants", "repeated", "short-lived", "old"))
        if trouble == "dead":
            quirks.dead_cursor_every = rng.choice((1, 2, 3))
        elif trouble == "dead places":
            quirks.dead_cursors = partial(_is_dead, "place", salt)
        elif trouble == "dead instants":
            quirks.dead_cursors = partial(_is_dead, "instant", salt)
        elif trouble == "repeated":
            quirks.repeat_cursor_every = rng.choice((1, 2, 3))
        elif trouble == "short-lived":
            quirks.cursor_lives_requests = rng.choice((0, 1, 2))
        elif trouble == "old":
            quirks.cursor_lives_seconds = rng.choice((0.2, 5.0, 60.0))
        self.injected[f"cursors: {trouble}"] += trouble != "none"
        # With dead cursors, no request would get past an empty first page.
        quirks.empty_first_page = trouble in ("none", "repeated") and rng.random() < 0.4
        # Refusing each n-th request could block forever, in step with dead cursors or with a client without retries.
        if rng.random() < 0.2 and self._retries and not trouble.startswith("dead"):
            quirks.rate_limit_every = rng.choice((2, 3, 7))
            quirks.rate_limit_seconds = rng.choice((0.4, 2.0, 29.5))
            quirks.rate_limit_headers = rng.choice(
                (("retry-after",), ("x-ratelimit-reset-requests",), ("x-ratelimit-resets",), ())
            )
        quirks.csv_layouts = [
            CsvLayout(
                line_break=rng.choice(("\n", "\r\n")),
                bom=rng.random() < 0.3,
                final_line_break=rng.random() < 0.6,
                header=rng.choice((None, None, _OTHER_HEADER)),
            )
        ]
        return quirks

    def _fault(self, request: SeenRequest) -> Fault | None:
        if self.on_request is not None:
            self.on_request()
        name = self._fault_name(request)
        if name is None:
            return None
        self.injected[name] += 1
        return FAULTS[name]()

    def _fault_name(self, request: SeenRequest) -> str | None:
        if self.history_dies and request.path == HISTORY and request.number >= self.history_dies_at:
            return "status 404"
        if request.number in self._storm:
            return self._storm_kind
        if request.number <= self._until and self._rng.random() < self._share:
            return self._rng.choice(self._kinds)
        return None

    def _arrivals(self, request: SeenRequest) -> Iterable[dict[str, Any]]:
        rng = self._rng
        if rng.random() >= self._arrival_share:
            return
        self.injected["bookings on the way"] += 1
        now = datetime.fromtimestamp(request.time, UTC)
        yield {**ledgers.charge(rng, now - timedelta(seconds=rng.choice((0, 0, 1, 60, 7_200, 86_400))))}
        if self._rows and rng.random() < 0.5:
            yield rng.choice(self._rows)  # a late charge identical to an existing one


def _is_dead(by: str, salt: int, place: CursorPlace) -> bool:
    """Return whether a cursor is permanently dead: about every second cursor position, or every second instant."""
    what = f"{salt}{place.timestamp}{place.number if by == 'place' else ''}"
    return zlib.crc32(what.encode()) % 2 == 0
