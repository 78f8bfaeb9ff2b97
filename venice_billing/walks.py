"""What the `iter_` methods return: entries one by one or by pages, with a checkpoint at any moment."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, closing
from functools import partial
from itertools import chain
from operator import is_not, length_hint
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from attrs import frozen

from venice_billing._walk.checkpoint import encode
from venice_billing.errors import VeniceError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
    from typing import NoReturn, Self

    from venice_billing._drivers import AsyncDriver, Driver
    from venice_billing._walk.start import WalkStart
    from venice_billing._walk.types import Batch, Position

__all__ = ["AsyncUsageWalk", "EntryPage", "UsageWalk"]

Item = TypeVar("Item")
Row = dict[str, Any]
_IS_ITEM = partial(is_not, None)


class EntryPage(Sequence[UsageEntry]):
    """Entries of a walk that were received together, in the order of the walk.

    Attributes:
        data: The entries.
    """

    def __init__(self, data: Sequence[UsageEntry]) -> None:
        self.data = list(data)

    @overload
    def __getitem__(self, index: int) -> UsageEntry: ...
    @overload
    def __getitem__(self, index: slice) -> list[UsageEntry]: ...
    def __getitem__(self, index: int | slice) -> UsageEntry | list[UsageEntry]:
        """Return an entry, or a list of entries for a slice."""
        return self.data[index]

    def rows(self) -> Iterator[Row]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`."""
        return (entry.row() for entry in self.data)

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return self.data == other.data if isinstance(other, EntryPage) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # `data` may be changed

    def __repr__(self) -> str:
        return f"<EntryPage of {len(self.data)} entries>"


@frozen
class _Received:
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


class _Progress:
    """How far one iteration of a walk has come. Each change is atomic, so any thread may ask at any moment.

    Attributes:
        is_cut_short: Whether the iteration ended before the walk did.
    """

    def __init__(self, start: WalkStart, max_items: int | None) -> None:
        self._filters = start.filters
        self._left = max_items
        self._latest: Position | _Received = start.position
        self.is_cut_short = False
        self._completed = False

    @property
    def checkpoint(self) -> str:
        """A text that states exactly what the consumer has received."""
        latest = self._latest
        return encode(self._filters, latest.position if isinstance(latest, _Received) else latest)

    @property
    def finished(self) -> bool:
        """Whether all of `max_items` entries are on their way to the consumer."""
        return self._left == 0

    def entries(self, batch: Batch[UsageEntry]) -> Iterator[UsageEntry]:
        """Return an iterator of the next batch's entries, up to `max_items` in all."""
        rows = self._rows(batch)
        waiting = iter(rows)
        self._latest = _Received(batch, rows, waiting, 1)
        return waiting

    def page(self, batch: Batch[UsageEntry]) -> Iterator[EntryPage]:
        """Return an iterator of the same entries as one page."""
        rows = self._rows(batch)
        waiting = iter([EntryPage(rows)])
        self._latest = _Received(batch, rows, waiting, len(rows))
        return waiting

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
            self._latest = _Received(batch, batch.rows[: len(items)], waiting, 1)
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
        has_all = self.finished and not (isinstance(self._latest, _Received) and self._latest.left)
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
        if isinstance(self._latest, _Received):
            self._latest = self._latest.batch.after


class _BaseWalk:
    def __init__(self, start: WalkStart) -> None:
        self._start = start
        self._latest = _Progress(start, start.max_items)

    @property
    def checkpoint(self) -> str:
        """A text that states exactly what was received from the latest iteration.

        It is valid at any moment, also after an error and in another process: pass it to the same method as
        `checkpoint=`, and the new walk continues with exactly the rest. It holds the filters and the position, no key.
        """
        return self._latest.checkpoint

    def _progress(self, max_items: int | None = None) -> _Progress:
        self._latest = _Progress(self._start, max_items or self._start.max_items)
        return self._latest

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a walk holds its client."""
        raise TypeError(f"{type(self).__name__} cannot be pickled, since it holds a client; pickle its .checkpoint")

    def __copy__(self) -> Self:
        """Return a walk from the same start."""
        copied = type(self).__new__(type(self))
        copied.__dict__.update(self.__dict__)
        return copied

    def __repr__(self) -> str:
        filters = self._start.filters
        return f"<{type(self).__name__} {filters.order} from {filters.bounds.start} to {filters.bounds.end}>"


class UsageWalk(_BaseWalk):
    """A walk through the ledger: iterate over it for entries; each `iter()` starts a new walk from the same start.

    One iteration belongs to one thread at a time, as a generator does; threads may each start their own.
    """

    def __init__(self, start: WalkStart, driver: Driver) -> None:
        super().__init__(start)
        self._driver = driver

    def __iter__(self) -> Iterator[UsageEntry]:
        """Iterate over the entries."""
        progress = self._progress()
        return _Iteration(self._items(progress, progress.entries), progress)

    def pages(self) -> Iterator[EntryPage]:
        """Iterate over the entries page by page; a page counts as received once it is handed out."""
        progress = self._progress()
        return _Iteration(self._items(progress, progress.page), progress)

    def rows(self) -> Iterator[Row]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`.

        Example:
            >>> walk = client.iter_usage_history(start_timestamp="2026-10-01", end_timestamp="2026-10-02")
            >>> row = next(walk.rows())
            >>> list(row)[:5]
            ['timestamp', 'sku', 'model', 'service', 'units']
        """
        return self._each(UsageEntry.row)

    def _each(self, convert: Callable[[UsageEntry], Item | None], max_items: int | None = None) -> Iterator[Item]:
        """Iterate over what `convert` makes of the entries, up to `max_items` in all; None is passed over."""
        progress = self._progress(max_items)
        return _Iteration(self._items(progress, progress.each(convert)), progress)

    def _items(
        self, progress: _Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> Generator[Item, None, None]:
        with closing(self._batches(progress, begin)) as batches:
            for waiting in batches:
                yield from waiting
        progress.complete()

    def _batches(
        self, progress: _Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> Generator[Iterator[Item], None, None]:
        # Closed explicitly, as are the generators around it: an interrupt during an implicit close would be lost.
        try:
            with closing(self._driver.walk(self._start.begin())) as batches:
                for batch in batches:
                    waiting = begin(batch)
                    del batch
                    yield waiting
                    if progress.finished:
                        return
                    progress.end()
        except VeniceError as error:
            error.checkpoint = progress.checkpoint
            raise
        except Exception:
            if not sys.is_finalizing():
                raise
            raise progress.refusal("the exit of the interpreter") from None  # httpx cannot import what it needs


class _Iteration(chain[Item]):
    """One iteration of a synchronous walk; if it was cut short, asking for more raises an error.

    An exception ends the generator it comes through. A consumer that catches it and asks that generator for more would
    take the walk to be complete. So another iterator is chained behind the generator, by compiled code, which costs
    next to nothing for each entry, and leaves no moment at which an interrupt would lose one.
    """

    _items: Generator[Item, None, None]
    _progress: _Progress

    def __new__(cls, items: Generator[Item, None, None], progress: _Progress) -> Self:
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

    def __init__(self, progress: _Progress) -> None:
        self._progress = progress

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> NoReturn:
        if self._progress.is_complete:
            raise StopIteration
        raise self._progress.refusal("an error or an interrupt")


class AsyncUsageWalk(_BaseWalk):
    """A walk through the ledger: use `async for` for entries; each iteration starts a new walk from the same start.

    One iteration belongs to one task at a time, and to the event loop that it began in.
    """

    def __init__(self, start: WalkStart, driver: AsyncDriver) -> None:
        super().__init__(start)
        self._driver = driver

    def __aiter__(self) -> AsyncIterator[UsageEntry]:
        """Iterate over the entries."""
        progress = self._progress()
        return _AsyncIteration(self._items(progress, progress.entries), progress)

    def pages(self) -> AsyncIterator[EntryPage]:
        """Iterate over the entries page by page; a page counts as received once it is handed out."""
        progress = self._progress()
        return _AsyncIteration(self._items(progress, progress.page), progress)

    def rows(self) -> AsyncIterator[Row]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`."""
        return self._each(UsageEntry.row)

    def _each(self, convert: Callable[[UsageEntry], Item | None], max_items: int | None = None) -> AsyncIterator[Item]:
        """Iterate over what `convert` makes of the entries, up to `max_items` in all; None is passed over."""
        progress = self._progress(max_items)
        return _AsyncIteration(self._items(progress, progress.each(convert)), progress)

    async def _items(
        self, progress: _Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> AsyncGenerator[Item, None]:
        async with aclosing(self._batches(progress, begin)) as batches:
            async for waiting in batches:
                for item in waiting:
                    yield item
                    del item  # a page may be large

    async def _batches(
        self, progress: _Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> AsyncGenerator[Iterator[Item], None]:
        try:
            async with aclosing(self._driver.walk(self._start.begin())) as batches:
                async for batch in batches:
                    waiting = begin(batch)
                    del batch
                    yield waiting
                    if progress.finished:
                        return
                    progress.end()
        except BaseException as error:
            progress.cut_short()
            if isinstance(error, VeniceError):
                error.checkpoint = progress.checkpoint
            raise


class _AsyncIteration(Generic[Item]):
    """One iteration of an asynchronous walk; if it was cut short, asking for more raises an error.

    An event loop closes its asynchronous generators when it ends, and a cancellation ends the generator it hits. A
    consumer that asks such a generator for more, perhaps in another event loop, would take the walk to be complete.
    """

    def __init__(self, items: AsyncGenerator[Item, None], progress: _Progress) -> None:
        self._items = items
        self._progress = progress

    def __aiter__(self) -> _AsyncIteration[Item]:
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
