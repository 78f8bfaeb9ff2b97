"""One iteration of a walk: what its consumer has received at any moment, and what follows if it was cut short."""

from __future__ import annotations

from functools import partial
from itertools import chain
from operator import is_not, length_hint
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attrs import frozen

from venice_billing._walk.checkpoint import encode
from venice_billing.errors import VeniceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
    from typing import NoReturn, Self

    from venice_billing._walk.start import WalkStart
    from venice_billing._walk.types import Batch, Position
    from venice_billing.models import UsageEntry

Item = TypeVar("Item")
_IS_ITEM = partial(is_not, None)


class Iteration(chain[Item]):
    """One iteration of a synchronous walk; if it was cut short, asking for more raises an error.

    An exception ends the generator it comes through. A consumer that catches it and asks that generator for more would
    take the walk to be complete. So another iterator is chained behind the generator, by compiled code, which costs
    next to nothing for each entry, and leaves no moment at which an interrupt would lose one.
    """

    _items: Generator[Item, None, None]
    _progress: Progress

    def __new__(cls, items: Generator[Item, None, None], progress: Progress) -> Self:
        """Chain the end of the walk behind its items."""
        iteration = super().__new__(cls, items, _End(progress))
        iteration._items = items
        iteration._progress = progress
        return iteration

    def close(self) -> None:
        """Leave the walk here; iterating further then ends at once, without an error."""
        try:
            self._items.close()
        finally:
            self._progress.complete()

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled, as a generator does."""
        raise TypeError("an iteration of a walk cannot be pickled; pickle the walk's .checkpoint")


class _End:
    """Follows the items of a synchronous iteration: ends it, or raises an error if it was cut short."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        if self._progress.is_complete:
            raise StopIteration
        raise self._progress.refusal("an error or an interrupt")


class AsyncIteration(Generic[Item]):
    """One iteration of an asynchronous walk; if it was cut short, asking for more raises an error.

    An event loop closes its asynchronous generators when it ends, and a cancellation ends the generator it hits. A
    consumer that asks such a generator for more, perhaps in another event loop, would take the walk to be complete.
    """

    def __init__(self, items: AsyncGenerator[Item, None], progress: Progress) -> None:
        self._items = items
        self._progress = progress

    def __aiter__(self) -> AsyncIteration[Item]:
        return self

    def __anext__(self) -> Awaitable[Item]:
        """Return the next entry or page.

        Raises:
            VeniceError: The iteration was cut short.
        """
        if self._progress.is_cut_short:
            raise self._progress.refusal("an error, a cancellation or the end of its event loop")
        return self._items.__anext__()

    async def aclose(self) -> None:
        """Leave the walk here; iterating further then ends at once, without an error."""
        try:
            await self._items.aclose()
        finally:
            self._progress.is_cut_short = False


class Progress:
    """How far one iteration of a walk has come. Each change is atomic, so any thread may ask at any moment.

    Attributes:
        is_cut_short: Whether the iteration ended before the walk did.
    """

    def __init__(self, start: WalkStart, max_items: int | None) -> None:
        self._filters = start.filters
        self._left = max_items
        self._latest: Position | Received = start.position
        self.is_cut_short = False
        self._completed = False

    @property
    def checkpoint(self) -> str:
        """A text that states exactly what the consumer has received."""
        latest = self._latest
        return encode(self._filters, latest.position if isinstance(latest, Received) else latest)

    @property
    def finished(self) -> bool:
        """Whether all of `max_items` entries are on their way to the consumer."""
        return self._left == 0

    def entries(self, batch: Batch[UsageEntry]) -> Iterator[UsageEntry]:
        """Return an iterator of the next batch's entries, up to `max_items` in all."""
        rows = self._rows(batch)
        waiting = iter(rows)
        self._latest = Received(batch, rows, waiting, 1)
        return waiting

    def pages(self, make: Callable[[list[UsageEntry]], Item]) -> Callable[[Batch[UsageEntry]], Iterator[Item]]:
        """Return a function like `entries` for all entries of a batch as one page, made by `make`."""

        def paged(batch: Batch[UsageEntry]) -> Iterator[Item]:
            rows = self._rows(batch)
            waiting = iter([make(rows)])
            self._latest = Received(batch, rows, waiting, len(rows))
            return waiting

        return paged

    def each(self, convert: Callable[[UsageEntry], Item | None]) -> Callable[[Batch[UsageEntry]], Iterator[Item]]:
        """Return a function like `entries` for what `convert` makes of each entry; None is passed over.

        All items of a batch are made beforehand, and passed over by compiled code, so that an interrupt loses none.
        """

        def converted(batch: Batch[UsageEntry]) -> Iterator[Item]:
            items: list[Any] = []
            for entry in batch.rows:
                if self._left == 0:
                    break
                items.append(convert(entry))
                if self._left is not None and items[-1] is not None:
                    self._left -= 1
            waiting = iter(items)
            self._latest = Received(batch, batch.rows[: len(items)], waiting, 1)
            return filter(_IS_ITEM, waiting)

        return converted

    def cut_short(self) -> None:
        """Note that the iteration ends here; it is not cut short if the consumer has all `max_items` entries."""
        self.is_cut_short = not self.is_complete

    def complete(self) -> None:
        """Note that the walk came to its end, or that its consumer left it."""
        self._completed = True

    @property
    def is_complete(self) -> bool:
        """Whether there is nothing more for the consumer to ask for."""
        has_all = self.finished and not (isinstance(self._latest, Received) and self._latest.left)
        return self._completed or has_all

    def refusal(self, cause: str) -> VeniceError:
        """Return the error for asking an iteration for more that was cut short."""
        error = VeniceError(f"this iteration of the walk was cut short, by {cause}; the walk goes on from .checkpoint")
        error.checkpoint = self.checkpoint
        return error

    def _rows(self, batch: Batch[UsageEntry]) -> list[UsageEntry]:
        rows = list(batch.rows if self._left is None else batch.rows[: self._left])
        if self._left is not None:
            self._left -= len(rows)
        return rows

    def end(self) -> None:
        """Drop a batch that the consumer has received completely."""
        if isinstance(self._latest, Received):
            self._latest = self._latest.batch.after


@frozen
class Received:
    """A batch, and how much of it the consumer has: a list iterator knows at any moment how many items are left.

    Attributes:
        batch: The whole batch.
        rows: The rows of the batch to hand out: fewer than all, where `max_items` ends the walk.
        waiting: Hands out the rows, one by one or as one page. Each item is yielded to the consumer in the same
            interpreter step in which it leaves this iterator, so no interrupt can come between.
        size: How many rows one item of `waiting` holds.
    """

    batch: Batch[UsageEntry]
    rows: Sequence[UsageEntry]
    waiting: Iterator[Any]
    size: int

    @property
    def left(self) -> int:
        """How many rows the consumer does not have yet."""
        return self.size * length_hint(self.waiting)

    @property
    def position(self) -> Position:
        """The position of the consumer."""
        return self.batch.position.after(self.rows[: len(self.rows) - self.left], self.batch.source)
