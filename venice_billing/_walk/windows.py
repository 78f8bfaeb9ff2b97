"""A range cut into windows that are read concurrently and handed on in order. Pure: plans, never fetches.

Windows that share a bound leave no gap and no overlap, so each can be read on its own. The plan adapts to the density
of the rows: a stretch of unknown density is opened as a whole and cut after its first page, the rest is cut into
windows of about two pages, and a window that turns out fuller is cut again at a row that was read. No window requests
less than a quarter of an hour, on which the ledger hangs: a narrower one requests that much and stops reading early.

The same plan, with a single worker, walks an ascending ledger newest first.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Generic, TypeVar

from venice_billing._call import Expired
from venice_billing._walk.borders import Checks
from venice_billing._walk.sequential import sequential
from venice_billing._walk.tracker import check_all_seen
from venice_billing._walk.types import (
    END_OF_TIME,
    MILLISECOND,
    NARROWEST,
    Batch,
    Bounds,
    EmptyAfter,
    Position,
    RunConcurrently,
    Window,
    WindowPlan,
)
from venice_billing._walk.widths import Gap, Widths
from venice_billing.errors import BillingTimeoutError, VeniceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from venice_billing._call import Outcome, Send, Wait
    from venice_billing._walk.types import Order, PageSource, Walk

Row = TypeVar("Row")

_PAGES_WORTH_A_CUT = 4.0  # this many pages to come are worth a cut: more than any window is planned for


class Windows(Generic[Row]):
    """The plan of a walk by windows.

    A worker claims a window, runs its steps to the next batch or to its end, and records the result; the consumer
    takes the batches that are ready, in order. Claims are bounded by the concurrency, and by the pages held in memory,
    at most twice the concurrency; the first stretch in order can always be claimed, so the walk never stalls. A
    backward walk holds that stretch as a whole, however crowded it is, since the ledger can only be read forwards.

    Args:
        source: An ascending ledger.
        bounds: The range.
        order: The order in which the rows are handed on.
        position: What was received before.
        now: The end of an open range, for planning only: the local clock is not the ledger's.
        page_size: Rows of a page.
        concurrency: How many windows may be worked on at once.
    """

    def __init__(
        self,
        source: PageSource[Row],
        bounds: Bounds,
        order: Order,
        position: Position,
        *,
        now: datetime,
        page_size: int | None,
        concurrency: int,
    ) -> None:
        self.position = position
        self.concurrency = concurrency
        self._source = source
        self._bounds = bounds
        self._now = now
        self._page_size = page_size
        self._forwards = order == "asc"
        self._checks = Checks()
        self._widths = Widths(self._forwards, now, page_size or source.largest_page)
        # Backwards, windows are held until they are read to their end: leave room for that.
        self._room = 2 * concurrency - 1 - (0 if self._forwards else 2 * (concurrency // 8))
        self.replan()

    def replan(self) -> None:
        """Plan the rest from `position`, and drop rows read but not handed on: at the beginning, and after a fork."""
        self._limit = self.concurrency
        self._since_slowdown = 0
        self._busy = 0
        self._held = 0
        # Backwards: where an earlier walk stopped. Rows at that instant that it received are dropped when handed on.
        self._resumed = self.position
        self._still_to_drop = Counter() if self._forwards else Counter(self.position.seen)
        self._parts: list[Gap | Window[Row]] = [self._whole()]

    @property
    def finished(self) -> bool:
        """Whether all rows were handed on."""
        return not self._parts

    def claim(self) -> Window[Row] | None:
        """Return a window to work on, or None if there is none at present."""
        if self._busy >= self._limit:
            return None
        for index, part in enumerate(self._parts):
            if index and self._held + self._busy >= self._room:
                return None
            if isinstance(part, Gap):
                return self._cut(index, part) if self._may_cut(part) else None
            if part.error is not None:
                return None  # rows beyond the error will not be handed on
            if not part.busy and not part.done:
                part.busy = True
                self._busy += 1
                return part
        return None

    def record(self, window: Window[Row], result: Batch[Row] | VeniceError | None) -> None:
        """Record the result of working on a window: rows, an error, or None for the end of the window."""
        self._busy -= 1
        window.busy = False
        if window.hung:
            window.hung = False
            self.slow_down()
        if isinstance(result, Batch):
            self._take(window, result)
        elif result is None:
            self._finish(window)
            self._skip_empty_time(window)
        elif not self._look_farther(window, result):
            window.error = result
            window.done = True

    def slow_down(self) -> None:
        """Work on fewer windows at once: the API asked to wait, or did not answer in time."""
        self._limit = max(1, self._limit // 2)
        self._since_slowdown = 0

    def ready(self) -> Batch[Row] | None:
        """Return the batch to hand on next, or None if it was not read yet.

        Raises:
            VeniceError: The next rows cannot be read.
        """
        while self._parts:
            window = self._parts[0]
            if isinstance(window, Gap):
                return None
            if self._forwards or (window.done and window.error is None):
                while window.pages:
                    self._held -= 1
                    if rows := self._next_rows(window):
                        batch = Batch(rows, self.position, self.position.after(rows, self._source), self._source)
                        self.position = batch.after
                        return batch
            if window.error is not None:
                raise window.error
            if not window.done:
                return None
            del self._parts[0]
        self._check_resumed()
        return None

    def close(self) -> None:
        """Close all windows."""
        for part in self._parts:
            if isinstance(part, Window):
                part.steps.close()
        self._parts.clear()

    def _next_rows(self, window: Window[Row]) -> Sequence[Row]:
        if self._forwards:
            return window.pages.popleft()
        rows = window.pages.pop()[::-1]
        return rows if self._resumed.at is None else [row for row in rows if self._is_fresh(row)]

    def _is_fresh(self, row: Row) -> bool:
        moment = self._source.timestamp(row)
        if self._resumed.at is None or moment < self._resumed.at:
            self._check_resumed()
            return True
        fingerprint = self._source.fingerprint(row)
        if moment > self._resumed.at or self._still_to_drop[fingerprint] > 0:
            self._still_to_drop[fingerprint] -= moment == self._resumed.at
            return False
        return True

    def _check_resumed(self) -> None:
        check_all_seen(self._still_to_drop, self._resumed)
        self._resumed = Position()

    def _whole(self) -> Gap:
        start, stop = self._bounds.start, self._bounds.end
        if self._forwards:
            return Gap(self.position.at or start, stop, self.position)
        return Gap(start, self.position.at + MILLISECOND if self.position.at else stop)

    def _may_cut(self, gap: Gap) -> bool:
        """Tell whether to cut a window now: backwards at unknown density, each look decides how far the next goes."""
        return self._forwards or gap.rate is not None or not self._busy

    def _cut(self, index: int, gap: Gap) -> Window[Row]:
        """Cut a window off the near end of a gap."""
        border = self._widths.border(gap)
        rest: list[Gap | Window[Row]] = []
        if border is None:
            window = self._window(gap.start, gap.stop, gap.position, wide=gap.wide)
        elif self._forwards:
            window = self._window(gap.start, border, gap.position, wide=gap.wide)
            rest = [Gap(border, gap.stop, rate=gap.rate)]
        else:
            window = self._window(border, gap.stop, Position(), wide=gap.wide)
            rest = [Gap(gap.start, border, gap.position, gap.rate, gap.reach)]
        window.unanswered = gap.unanswered
        self._parts[index : index + 1] = [window, *rest]
        self._busy += 1
        return window

    def _window(self, start: datetime | None, stop: datetime | None, position: Position, *, wide: bool) -> Window[Row]:
        end = stop if stop is None or start is None else max(stop, start + NARROWEST)
        empty_after = EmptyAfter()
        steps = sequential(
            self._source,
            Bounds(start, end),
            "asc",
            position,
            self._page_size,
            widen=self._forwards or wide,
            empty_after=empty_after,
            checks=self._checks,
        )
        return Window(start, stop, position, wide, steps, empty_after)

    def _take(self, window: Window[Row], batch: Batch[Row]) -> None:
        self._speed_up()
        last = self._source.timestamp(batch.rows[-1])
        rows = batch.rows
        stop = window.stop
        over = stop is not None and last >= stop
        if stop is not None and over:
            rows = [row for row in rows if self._source.timestamp(row) < stop]
        if rows:
            window.pages.append(rows)
            window.count += len(rows)
            self._held += 1
        if over and not (rows and batch.more):
            self._finish(window)  # no sooner: the next page shows whether the pages are in order
        elif batch.more and not over:
            self._split_if_dense(window, batch, last)

    def _speed_up(self) -> None:
        self._since_slowdown += 1
        if self._since_slowdown >= 2 * self.concurrency and self._limit < self.concurrency:
            self._limit += 1
            self._since_slowdown = 0

    def _split_if_dense(self, window: Window[Row], batch: Batch[Row], last: datetime) -> None:
        """End a window at the row just read if much more is to come, and leave the rest to other workers."""
        span = (last - self._source.timestamp(batch.rows[0])).total_seconds()
        rate = len(batch.rows) / max(span, 0.001)
        to_come = ((window.stop or self._now) - window.unanswered - last).total_seconds() * rate
        crowded = self._source.timestamp(batch.rows[-1 - len(batch.rows) // 8]) == last
        if crowded or to_come <= _PAGES_WORTH_A_CUT * self._widths.rows_of_a_page:
            return  # a window that begins at a crowded instant reads all its rows again
        rest = Gap(last, window.stop, batch.after, rate)
        if not self._forwards:  # the density at the far end says little about the near end, which is read next
            rest.rate, rest.unanswered = None, window.unanswered
            rest.reach = max(self._widths.of_window(rate), self._widths.reach_past(window.unanswered, rest))
        index = self._parts.index(window)
        self._parts.insert(index + 1 if self._forwards else index, rest)
        window.stop, window.is_cut = last, True

    def _finish(self, window: Window[Row]) -> None:
        """End a window, and pass its density to the next stretch."""
        self._close(window)
        if window.is_cut:
            return
        gap = next((part for part in self._parts[self._parts.index(window) :] if isinstance(part, Gap)), None)
        if gap is None:
            return
        if not window.count:
            gap.expect_nothing()
        elif window.start is not None:
            gap.expect(window.count, (window.stop or self._now) - window.start)

    def _close(self, window: Window[Row]) -> None:
        window.steps.close()
        window.done = True

    def _skip_empty_time(self, window: Window[Row]) -> None:
        """Drop the time after a window that is known to have no rows, so that no request is sent for it."""
        until, index = window.empty_after.until, self._parts.index(window) + 1
        gap = self._parts[index] if index < len(self._parts) else None
        if until is None or not self._forwards or not isinstance(gap, Gap) or gap.start != window.stop:
            return
        if until >= (gap.stop or END_OF_TIME):
            del self._parts[index]
        else:
            gap.start = until

    def _look_farther(self, window: Window[Row], hang: VeniceError) -> bool:
        """Look back farther if the ledger hung on a window: the window may be empty, which makes the ledger hang.

        The oldest stretch holds a charge, so this comes to an end. If other workers are reading the stretch before the
        window, or if the hang has another cause, wider requests are sent.
        """
        is_hang = isinstance(hang, BillingTimeoutError) and hang.status_code is None
        if not is_hang or self._forwards or window.wide or window.count:
            return False
        index = self._parts.index(window)
        below = self._parts[index + 1] if index + 1 < len(self._parts) else None
        if isinstance(below, Gap):
            farther = Gap(below.start, window.stop, below.position)
            farther.unanswered = (window.stop or self._now) - (window.start or below.start or self._now)
            farther.reach = self._widths.reach_past(farther.unanswered, farther)
            self._parts[index : index + 2] = [farther]
        else:
            self._parts[index] = Gap(window.start, window.stop, window.position, wide=True)
        return True


def work_alone(windows: WindowPlan[Row]) -> Walk[Row]:
    """Walk a plan with a single worker, one window after the other."""
    try:
        yield from _work_alone(windows)
    finally:
        windows.close()


def _work_alone(windows: WindowPlan[Row]) -> Walk[Row]:
    while not windows.finished:
        window = windows.claim()
        if window is not None:
            outcome: Outcome | None = None
            while True:
                step, result = advance(window, outcome)
                if step is None:
                    windows.record(window, result)
                    break
                outcome = yield step
        while (batch := windows.ready()) is not None:
            yield batch


def advance(window: Window[Row], outcome: Outcome | None) -> tuple[Send | Wait | None, Batch[Row] | VeniceError | None]:
    """Take a window one step further; return either a step to perform or a result to record."""
    window.hung |= isinstance(outcome, Expired)
    try:
        step = window.steps.send(outcome)
    except StopIteration:
        return None, None
    except VeniceError as error:
        return None, error
    if isinstance(step, Batch):
        return None, step
    if isinstance(step, RunConcurrently):
        raise TypeError("a window is walked in sequence")
    return step, None
