"""The vocabulary of walks: ranges, pages, positions, and the steps that a walk yields. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Generator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeAlias, TypeVar

from attrs import Factory, define, evolve, field, frozen

from venice_billing._call import Outcome, Send, Steps, Wait

if TYPE_CHECKING:
    from venice_billing.errors import BillingTimeoutError, VeniceError

Row = TypeVar("Row")
Order: TypeAlias = Literal["asc", "desc"]

MILLISECOND = timedelta(milliseconds=1)
NARROWEST = timedelta(minutes=15)
"""The ledger is known to hang on narrower windows, so walks plan none."""
DAY = timedelta(days=1)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@frozen
class Bounds:
    """A range of time: start inclusive, end exclusive; None means open."""

    start: datetime | None = None
    end: datetime | None = None

    def contain(self, moment: datetime) -> bool:
        """Tell whether `moment` lies in the range."""
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


@frozen
class Page(Generic[Row]):
    """A page as a source gives it.

    Attributes:
        rows: The rows, in the order of the walk.
        following: The cursor or number of the next page; None on the last.
        state: What the source needs to know again when it follows this page.
        widened: Whether the page opens a wider range than was requested, so that rows outside are expected.
        first: The timestamp of the first row, counting rows that were left out; None means that of `rows[0]`.
        last: The timestamp of the last row, counting rows that were left out; None means that of `rows[-1]`.
        timeless: Whether the rows have no timestamps, so that these cannot show any progress.
        again: Decodes the rows of the page once more, including any that were left out. It holds the answer's bytes,
            so that a page can be remembered without its rows; None if the source cannot.
    """

    rows: Sequence[Row]
    following: str | None
    state: object = None
    widened: bool = False
    first: datetime | None = None
    last: datetime | None = None
    timeless: bool = False
    again: Callable[[], Sequence[Row]] | None = field(default=None, eq=False, repr=False)

    def emptied(self) -> Page[Row]:
        """Return the page without its rows: enough to follow it."""
        return evolve(self, rows=())


class PageSource(Protocol[Row]):
    """A source of pages. Each `open` and each `follow` is one call, with its own retries."""

    @property
    def largest_page(self) -> int:
        """Return the maximum number of rows of a page, which is also the default."""
        ...

    def open(self, bounds: Bounds, order: Order, page_size: int | None, /) -> Steps[Page[Row]]:
        """Fetch the first page of a range."""
        ...

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError, /) -> Steps[Page[Row]]:
        """Fetch the first page of a wider range, after the ledger hung on this one; if it hangs again, raise `hang`."""
        ...

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        """Fetch the page after `page`."""
        ...

    def timestamp(self, row: Row) -> datetime:
        """Return the timestamp of a row."""
        ...

    def fingerprint(self, row: Row) -> str:
        """Return a short text that is equal for equal rows, in every process."""
        ...


@frozen
class Position:
    """What was received: everything before `at`, and of the rows at that instant those that `seen` counts."""

    at: datetime | None = None
    seen: Mapping[str, int] = Factory(dict)

    def after(self, rows: Sequence[Row], source: PageSource[Row]) -> Position:
        """Return the position after `rows` were received too."""
        if not rows:
            return self
        at = source.timestamp(rows[-1])
        seen: Counter[str] = Counter()
        for row in reversed(rows):
            if source.timestamp(row) != at:
                break
            seen[source.fingerprint(row)] += 1
        if self.at == at:
            seen.update(self.seen)
        return Position(at, dict(seen))


@frozen
class Batch(Generic[Row]):
    """Step: hand these rows to the consumer of the walk.

    Attributes:
        rows: The rows, in the order of the walk.
        position: The position of the walk before these rows.
        after: The position of the walk after these rows.
        more: Whether the ledger named another page after the page of these rows.
    """

    rows: Sequence[Row]
    position: Position
    after: Position
    source: PageSource[Row] = field(repr=False)
    more: bool = False


class WindowPlan(Protocol[Row]):
    """A range cut into windows, as workers use it; see `_walk.windows`."""

    position: Position
    concurrency: int

    @property
    def finished(self) -> bool:
        """Whether all rows were handed on."""
        ...

    def claim(self) -> Window[Row] | None:
        """Return a window to work on, or None if there is none at present."""
        ...

    def record(self, window: Window[Row], result: Batch[Row] | VeniceError | None, /) -> None:
        """Record the result of working on a window: rows, an error, or None for the end of the window."""
        ...

    def ready(self) -> Batch[Row] | None:
        """Return the batch to hand on next, or None if it was not read yet."""
        ...

    def slow_down(self) -> None:
        """Reduce the number of windows that are worked on at once."""
        ...

    def replan(self) -> None:
        """Plan the rest again, discarding rows that were read and not handed on."""
        ...

    def close(self) -> None:
        """Close all windows."""
        ...


@frozen
class RunConcurrently(Generic[Row]):
    """Step: work on these windows, as many at once as the plan allows, and hand on the rows that are ready."""

    windows: WindowPlan[Row]


Walk: TypeAlias = Generator[Send | Wait | Batch[Row] | RunConcurrently[Row], Outcome | None, None]


@define
class EmptyAfter:
    """What a walk learnt about the time after its range: no rows up to `until`; None if the walk learnt nothing."""

    until: datetime | None = None


@define(eq=False)
class Window(Generic[Row]):
    """A stretch of time that is being read or was read.

    Attributes:
        steps: The walk that reads it.
        pages: The pages that were read and not handed on yet.
        count: How many rows were read.
        busy: Whether a worker is working on the window.
        done: Whether the window was read to its end, or has failed.
        error: The error, if the window has failed.
        hung: Whether a request for the window was not answered in time.
        unanswered: `unanswered` of the gap that the window was cut from.
        is_cut: Whether the window was ended at a row, since more rows came than were expected.
    """

    start: datetime | None
    stop: datetime | None
    position: Position
    wide: bool
    steps: Walk[Row] = field(repr=False)
    empty_after: EmptyAfter
    pages: deque[Sequence[Row]] = Factory(deque)
    count: int = 0
    busy: bool = True
    done: bool = False
    error: VeniceError | None = None
    hung: bool = False
    unanswered: timedelta = timedelta(0)
    is_cut: bool = False


def down_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or before a moment."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def up_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or after a moment."""
    down = down_to(moment)
    return down if down == moment else down + MILLISECOND
