"""What the walking methods return: entries one by one or by pages, with a checkpoint at any moment."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from operator import length_hint
from typing import TYPE_CHECKING, overload

from attrs import frozen

from venice_billing._walk.checkpoint import encode
from venice_billing.errors import VeniceError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from venice_billing._drivers import AsyncDriver, Driver
    from venice_billing._walk.start import WalkStart
    from venice_billing._walk.types import Batch, Position

__all__ = ["AsyncUsageWalk", "EntryPage", "UsageWalk"]


class EntryPage(Sequence[UsageEntry]):
    """Some entries of a walk that came together, in its order.

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
        """Return an entry, or some."""
        return self.data[index]

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<EntryPage of {len(self.data)} entries>"


@frozen
class _Received:
    """A batch, as far as the consumer has it: an iterator of a list knows at any moment how many it has left."""

    batch: Batch[UsageEntry]
    rows: Sequence[UsageEntry]
    waiting: Iterator[UsageEntry]

    @property
    def position(self) -> Position:
        """Where the consumer stands."""
        count = len(self.rows) - length_hint(self.waiting)
        return self.batch.position.after(self.rows[:count], self.batch.source)


class _Progress:
    """How far one iteration of a walk has come; it changes at one stroke, and may be asked in between by anybody."""

    def __init__(self, start: WalkStart) -> None:
        self._filters = start.filters
        self._left = start.max_items
        self._latest: Position | _Received = start.position

    @property
    def checkpoint(self) -> str:
        """The text that names exactly what the consumer has received."""
        latest = self._latest
        return encode(self._filters, latest.position if isinstance(latest, _Received) else latest)

    @property
    def finished(self) -> bool:
        """Whether `max_items` entries were received."""
        return self._left == 0

    def begin(self, batch: Batch[UsageEntry]) -> Iterator[UsageEntry]:
        """Return the entries of the next batch, as many as are to be handed on."""
        rows = list(batch.rows if self._left is None else batch.rows[: self._left])
        if self._left is not None:
            self._left -= len(rows)
        waiting = iter(rows)
        self._latest = _Received(batch, rows, waiting)
        return waiting

    def end(self) -> None:
        """Let go of a batch of which the consumer has everything."""
        if isinstance(self._latest, _Received):
            self._latest = self._latest.batch.after


class _BaseWalk:
    def __init__(self, start: WalkStart) -> None:
        self._start = start
        self._latest = _Progress(start)

    @property
    def checkpoint(self) -> str:
        """The text that names exactly what was received from the iteration begun last.

        Valid at any moment, also after an error and in another process: give it to the same method as
        `checkpoint=` and that walk goes on with exactly the rest. It holds the filters and the position, no key.
        """
        return self._latest.checkpoint

    def _progress(self) -> _Progress:
        self._latest = _Progress(self._start)
        return self._latest

    def __repr__(self) -> str:
        filters = self._start.filters
        return f"<{type(self).__name__} {filters.order} from {filters.bounds.start} to {filters.bounds.end}>"


class UsageWalk(_BaseWalk):
    """A walk through the ledger: iterate it for entries; each `iter()` is a walk of its own from the start."""

    def __init__(self, start: WalkStart, driver: Driver) -> None:
        super().__init__(start)
        self._driver = driver

    def __iter__(self) -> Iterator[UsageEntry]:
        """Iterate the entries."""
        return self._entries(self._progress())

    def pages(self) -> Iterator[EntryPage]:
        """Iterate the entries page by page; a page counts as received once it is handed out."""
        return self._pages(self._progress())

    def _entries(self, progress: _Progress) -> Iterator[UsageEntry]:
        for waiting in self._batches(progress):
            yield from waiting

    def _pages(self, progress: _Progress) -> Iterator[EntryPage]:
        for waiting in self._batches(progress):
            yield EntryPage(list(waiting))

    def _batches(self, progress: _Progress) -> Iterator[Iterator[UsageEntry]]:
        try:
            for batch in self._driver.walk(self._start.begin()):
                waiting = progress.begin(batch)
                del batch
                yield waiting
                if progress.finished:
                    return
                progress.end()
        except VeniceError as error:
            error.checkpoint = progress.checkpoint
            raise


class AsyncUsageWalk(_BaseWalk):
    """A walk through the ledger: `async for` it for entries; each iteration is a walk of its own from the start."""

    def __init__(self, start: WalkStart, driver: AsyncDriver) -> None:
        super().__init__(start)
        self._driver = driver

    def __aiter__(self) -> AsyncIterator[UsageEntry]:
        """Iterate the entries."""
        return self._entries(self._progress())

    def pages(self) -> AsyncIterator[EntryPage]:
        """Iterate the entries page by page; a page counts as received once it is handed out."""
        return self._pages(self._progress())

    async def _entries(self, progress: _Progress) -> AsyncGenerator[UsageEntry, None]:
        async with aclosing(self._batches(progress)) as batches:
            async for waiting in batches:
                for entry in waiting:
                    yield entry

    async def _pages(self, progress: _Progress) -> AsyncGenerator[EntryPage, None]:
        async with aclosing(self._batches(progress)) as batches:
            async for waiting in batches:
                yield EntryPage(list(waiting))

    async def _batches(self, progress: _Progress) -> AsyncGenerator[Iterator[UsageEntry], None]:
        try:
            async with aclosing(self._driver.walk(self._start.begin())) as batches:
                async for batch in batches:
                    waiting = progress.begin(batch)
                    del batch
                    yield waiting
                    if progress.finished:
                        return
                    progress.end()
        except VeniceError as error:
            error.checkpoint = progress.checkpoint
            raise
