"""What the `iter_` methods return: entries one by one or by pages, with a checkpoint at any moment.

How much of them the consumer has received is in `_iterations`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, closing
from typing import TYPE_CHECKING, Any, overload

from venice_billing._iterations import AsyncIteration, Item, Iteration, Progress
from venice_billing.errors import VeniceError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterator
    from typing import NoReturn, Self

    from venice_billing._drivers import AsyncDriver, Driver
    from venice_billing._walk.start import WalkStart
    from venice_billing._walk.types import Batch

__all__ = ["AsyncUsageWalk", "EntryPage", "UsageWalk"]

Row = dict[str, Any]


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


class _BaseWalk:
    def __init__(self, start: WalkStart) -> None:
        self._start = start
        self._latest = Progress(start, start.max_items)

    @property
    def checkpoint(self) -> str:
        """A text that states exactly what was received from the latest iteration.

        It is valid at any moment, also after an error and in another process: pass it to the same method as
        `checkpoint=`, and the new walk continues with exactly the rest. It holds the filters and the position, no key.
        """
        return self._latest.checkpoint

    def _progress(self, max_items: int | None = None) -> Progress:
        self._latest = Progress(self._start, max_items or self._start.max_items)
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
        return Iteration(self._items(progress, progress.entries), progress)

    def pages(self) -> Iterator[EntryPage]:
        """Iterate over the entries page by page; a page counts as received once it is handed out."""
        progress = self._progress()
        return Iteration(self._items(progress, progress.pages(EntryPage)), progress)

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
        return Iteration(self._items(progress, progress.each(convert)), progress)

    def _items(
        self, progress: Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> Generator[Item, None, None]:
        with closing(self._batches(progress, begin)) as batches:
            for waiting in batches:
                yield from waiting
        progress.complete()

    def _batches(
        self, progress: Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
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
        return AsyncIteration(self._items(progress, progress.entries), progress)

    def pages(self) -> AsyncIterator[EntryPage]:
        """Iterate over the entries page by page; a page counts as received once it is handed out."""
        progress = self._progress()
        return AsyncIteration(self._items(progress, progress.pages(EntryPage)), progress)

    def rows(self) -> AsyncIterator[Row]:
        """Iterate over the entries as flat dicts with fixed columns: see `UsageEntry.row`."""
        return self._each(UsageEntry.row)

    def _each(self, convert: Callable[[UsageEntry], Item | None], max_items: int | None = None) -> AsyncIterator[Item]:
        """Iterate over what `convert` makes of the entries, up to `max_items` in all; None is passed over."""
        progress = self._progress(max_items)
        return AsyncIteration(self._items(progress, progress.each(convert)), progress)

    async def _items(
        self, progress: Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
    ) -> AsyncGenerator[Item, None]:
        async with aclosing(self._batches(progress, begin)) as batches:
            async for waiting in batches:
                for item in waiting:
                    yield item
                    del item  # a page may be large

    async def _batches(
        self, progress: Progress, begin: Callable[[Batch[UsageEntry]], Iterator[Item]]
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
