"""The vocabulary of walks: ranges, pages, positions, and the steps that a walk yields. Pure."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Generator, Mapping, Sequence
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
"""The ledger is known to hang on windows under this width, so no walk asks for one of its own accord."""
DAY = timedelta(days=1)
END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@frozen
class Bounds:
    """A range of time: start inclusive, end exclusive; None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def contain(self, moment: datetime) -> bool:
        """Tell whether `moment` lies in the range."""
        return (self.start is None or moment >= self.start) and (self.end is None or moment < self.end)


@frozen
class Page(Generic[Row]):
    """A page as a ledger gives it.

    Attributes:
        rows: In the order of the walk.
        following: What names the next page; None on the last.
        state: What the ledger wants to remember from page to page.
        widened: Whether it opens a wider range than was asked for, so that rows outside are to be expected.
        first: When the first row was booked, rows that were left out included; None: that of the first of `rows`.
        last: When the last row was booked, rows that were sorted out included; None: that of the last of `rows`.
        timeless: Whether the rows bear no time, so that their times cannot show any progress.
    """

    rows: Sequence[Row]
    following: str | None
    state: object = None
    widened: bool = False
    first: datetime | None = None
    last: datetime | None = None
    timeless: bool = False

    def emptied(self) -> Page[Row]:
        """Return what it takes to follow the page, without its rows."""
        return evolve(self, rows=())


class PageSource(Protocol[Row]):
    """Where rows come from. `open` and `follow` are calls of their own, retries and all."""

    @property
    def largest_page(self) -> int:
        """Return how many rows a page can have; without a page size, pages have as many."""
        ...

    def open(self, bounds: Bounds, order: Order, page_size: int | None, /) -> Steps[Page[Row]]:
        """Fetch the first page of a range."""
        ...

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError, /) -> Steps[Page[Row]]:
        """Fetch the first page of a wider range, where the ledger hung on this one; if it hangs again, raise `hang`."""
        ...

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        """Fetch the page after `page`."""
        ...

    def timestamp(self, row: Row) -> datetime:
        """Return the timestamp of a row."""
        ...

    def fingerprint(self, row: Row) -> str:
        """Return a short text that is the same for the same charge, in every process."""
        ...


@frozen
class Position:
    """What was received: everything before `at`, and of the rows at that instant as many as `seen` says."""

    at: datetime | None = None
    seen: Mapping[str, int] = Factory(dict)

    def after(self, rows: Sequence[Row], source: PageSource[Row]) -> Position:
        """Return the position once `rows` were received too."""
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
    """Step: hand these rows to whoever walks.

    Attributes:
        rows: In the order of the walk.
        position: Of the walk before them.
        after: Its position with all of them.
        more: Whether the ledger named a page after theirs.
    """

    rows: Sequence[Row]
    position: Position
    after: Position
    source: PageSource[Row] = field(repr=False)
    more: bool = False


class WindowPlan(Protocol[Row]):
    """A range cut into windows, and what workers ask of it; see `_walk.windows`."""

    position: Position
    concurrency: int

    @property
    def finished(self) -> bool:
        """Whether everything was handed on."""
        ...

    def claim(self) -> Window[Row] | None:
        """Return a window to work on, or None if there is none just now."""
        ...

    def record(self, window: Window[Row], result: Batch[Row] | VeniceError | None, /) -> None:
        """Note what came of a claim."""
        ...

    def ready(self) -> Batch[Row] | None:
        """Return what is to be handed on next, or None if it is not there yet."""
        ...

    def slow_down(self) -> None:
        """Work on fewer windows at once."""
        ...

    def begin_anew(self) -> None:
        """Plan again what was not handed on yet."""
        ...

    def close(self) -> None:
        """Let go of everything that was begun."""
        ...


@frozen
class RunConcurrently(Generic[Row]):
    """Step: work on these windows, as many at once as they allow, and hand on what they have ready."""

    windows: WindowPlan[Row]


Walk: TypeAlias = Generator[Send | Wait | Batch[Row] | RunConcurrently[Row], Outcome | None, None]


@define
class Silence:
    """What a walk learnt of the time behind its range: that there is nothing up to a moment; None if nothing."""

    until: datetime | None = None


@define(eq=False)
class Window(Generic[Row]):
    """A stretch of time that is being read, or was.

    Attributes:
        steps: The walk that reads it.
        pages: What was read and not handed on yet.
        count: How many rows were read.
        busy: Whether somebody is working on it.
        done: Whether it is read to its end, or to where it failed.
        error: Why it failed.
        hung: Whether a request of it was not answered in time.
        silent: Of the gap it was cut off.
    """

    start: datetime | None
    stop: datetime | None
    position: Position
    wide: bool
    steps: Walk[Row] = field(repr=False)
    silence: Silence
    pages: deque[Sequence[Row]] = Factory(deque)
    count: int = 0
    busy: bool = True
    done: bool = False
    error: VeniceError | None = None
    hung: bool = False
    silent: timedelta = timedelta(0)


def down_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or before a moment."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def up_to(moment: datetime) -> datetime:
    """Return the whole millisecond at or after a moment."""
    down = down_to(moment)
    return down if down == moment else down + MILLISECOND
