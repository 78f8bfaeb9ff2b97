"""Checkpoints under events between two entries: expired cursors, late bookings, another process, older checkpoints.

The machine records what was received; for any interleaving of events, the parts joined at the checkpoints are the
ledger.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contract_tests.chaos.oracle import text_of_row
from contract_tests.support.flavours import NOW
from venice_billing import VeniceError
from venice_billing.testing import FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing import UsageEntry, UsageWalk

_HOURS = st.sampled_from([0, 1, 1, 1, 2, 3, 30])
_LIFE = 60.0  # seconds that a cursor lives


def charge(hours: int, kind: int) -> dict[str, Any]:
    """Return one of few charges at one of few instants, so that identical rows are common."""
    moment = NOW - timedelta(hours=hours, seconds=1)
    return {"timestamp": moment.isoformat().replace("+00:00", ".000Z"), "notes": f"charge {kind}"}


class Checkpoints(RuleBasedStateMachine):
    """A consumer, a ledger that grows, and the checkpoints saved so far."""

    @initialize(
        rows=st.lists(st.tuples(_HOURS, st.integers(0, 1)), min_size=30, max_size=60),
        order=st.sampled_from(["asc", "desc"]),
        concurrency=st.sampled_from([1, 1, 3]),
        empty_hangs=st.booleans(),
    )
    def begin(self, rows: list[tuple[int, int]], order: str, concurrency: int, *, empty_hangs: bool) -> None:
        quirks = Quirks(cursor_lives_seconds=_LIFE, narrow_window_hangs=True, empty_result_hangs=empty_hangs)
        self.fake = FakeVenice([charge(*row) for row in rows], now=NOW, quirks=quirks)
        self.options: dict[str, Any] = {"page_size": 10, "sort_order": order, "concurrency": concurrency}
        self.received: list[UsageEntry] = []
        self.checkpoint: str | None = None
        self.saved: list[tuple[str | None, list[UsageEntry]]] = [(None, [])]
        self.walk_on()

    def walk_on(self) -> None:
        """Start a walk from the text of the checkpoint alone, as another process would."""
        client = self.fake.client(max_retries=0)
        self.walk: UsageWalk = client.iter_usage_history(checkpoint=self.checkpoint, **self.options)
        self.entries: Iterator[UsageEntry] = iter(self.walk)
        self.ended = False
        # Rows booked from here on may be delivered or not, depending on the pages already fetched; the others must be.
        self.owed = self.texts_received() | Counter(map(text_of_row, filter(self.lies_ahead, self.fake.ledger)))

    def lies_ahead(self, row: dict[str, Any]) -> bool:
        """Return whether a resumed walk must still deliver the row; rows at its current instant count."""
        if not self.received:
            return True
        moment, last = datetime.fromisoformat(row["timestamp"]), self.received[-1].timestamp
        return moment >= last if self.options["sort_order"] == "asc" else moment <= last

    def texts_received(self) -> Counter[str]:
        return Counter(text_of_row(entry.to_dict()) for entry in self.received)

    @rule(count=st.integers(1, 25))
    def take(self, count: int) -> None:
        for _ in range(count):
            try:
                self.received.append(next(self.entries))
            except StopIteration:
                self.ended = True
                break
            except VeniceError as error:
                self.checkpoint = error.checkpoint
                self.walk_on()
                break

    @rule()
    def save(self) -> None:
        self.saved.append((self.walk.checkpoint, list(self.received)))

    @rule()
    def go_on_elsewhere(self) -> None:
        self.checkpoint = self.walk.checkpoint
        self.walk_on()

    @rule(data=st.data())
    def turn_back(self, data: st.DataObject) -> None:
        checkpoint, received = data.draw(st.sampled_from(self.saved))
        self.checkpoint, self.received = checkpoint, list(received)
        self.walk_on()

    @rule()
    def let_cursors_expire(self) -> None:
        self.fake.clock.advance(_LIFE + 1)

    @rule(hours=_HOURS, kind=st.integers(0, 2))
    def book_late(self, hours: int, kind: int) -> None:
        self.fake.book(charge(hours, kind))

    @precondition(lambda self: self.received)
    @rule(kind=st.integers(0, 2), twin=st.booleans())
    def book_at_the_very_instant(self, kind: int, *, twin: bool) -> None:
        last = self.received[-1].to_dict()
        self.fake.book(last if twin else {"timestamp": last["timestamp"], "notes": f"charge {kind}"})

    @rule(fault=st.sampled_from([faults.status(500), faults.status(403), faults.reset(), faults.hang()]))
    def let_the_next_request_fail(self, fault: faults.Fault) -> None:
        self.fake.quirks.faults = [fault]

    @invariant()
    def nothing_comes_twice(self) -> None:
        assert not self.texts_received() - Counter(map(text_of_row, self.fake.ledger))

    @invariant()
    def times_never_go_back(self) -> None:
        moments = [entry.timestamp for entry in self.received]
        assert moments == sorted(moments, reverse=self.options["sort_order"] == "desc")

    def teardown(self) -> None:
        """Walk to the end: every owed row must have been received."""
        if not hasattr(self, "fake"):
            return
        owed = self.owed
        for _ in range(20):
            self.take(10_000)
            if self.ended:
                break
        assert self.ended, "the walk does not end"
        assert not (owed | self.owed) - self.texts_received(), "something was lost"
        self.nothing_comes_twice()
        self.times_never_go_back()


Checkpoints.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestCheckpoints = Checkpoints.TestCase
