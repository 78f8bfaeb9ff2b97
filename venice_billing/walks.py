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
    from venice_billing._walk.start import Plan
    from venice_billing._walk.types import Deliver, Place


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
    """A delivery, as far as the consumer has it: a list's iterator knows at any moment how many it has left."""

    delivery: Deliver[UsageEntry]
    rows: Sequence[UsageEntry]
    waiting: Iterator[UsageEntry]

    @property
    def place(self) -> Place:
        """Where the consumer stands."""
        count = len(self.rows) - length_hint(self.waiting)
        return self.delivery.place.after(self.rows[:count], self.delivery.ledger)


class _Progress:
    """How far one iteration of a walk has come; it changes at one stroke, and may be asked in between by anybody."""

    def __init__(self, plan: Plan) -> None:
        self._filters = plan.filters
        self._left = plan.max_items
        self._latest: Place | _Received = plan.place

    @property
    def checkpoint(self) -> str:
        """The text that names exactly what the consumer has received."""
        latest = self._latest
        return encode(self._filters, latest.place if isinstance(latest, _Received) else latest)

    @property
    def finished(self) -> bool:
        """Whether `max_items` entries were received."""
        return self._left == 0

    def begin(self, delivery: Deliver[UsageEntry]) -> Iterator[UsageEntry]:
        """Return the entries of the next delivery, as many as are to be handed on."""
        rows = list(delivery.rows if self._left is None else delivery.rows[: self._left])
        if self._left is not None:
            self._left -= len(rows)
        waiting = iter(rows)
        self._latest = _Received(delivery, rows, waiting)
        return waiting

    def end(self) -> None:
        """Let go of a delivery of which the consumer has everything."""
        if isinstance(self._latest, _Received):
            self._latest = self._latest.delivery.after


class _BaseWalk:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._latest = _Progress(plan)

    @property
    def checkpoint(self) -> str:
        """The text that names exactly what was received from the iteration begun last.

        Valid at any moment, also after an error and in another process: give it to the same method as
        `checkpoint=` and that walk goes on with exactly the rest. It holds the filters and the place, no key.
        """
        return self._latest.checkpoint

    def _progress(self) -> _Progress:
        self._latest = _Progress(self._plan)
        return self._latest

    def __repr__(self) -> str:
        filters = self._plan.filters
        return f"<{type(self).__name__} {filters.order} from {filters.bounds.start} to {filters.bounds.end}>"


class UsageWalk(_BaseWalk):
    """A walk through the ledger: iterate it for entries; each `iter()` is a walk of its own from the start."""

    def __init__(self, plan: Plan, driver: Driver) -> None:
        super().__init__(plan)
        self._driver = driver

    def __iter__(self) -> Iterator[UsageEntry]:
        """Iterate the entries."""
        return self._entries(self._progress())

    def pages(self) -> Iterator[EntryPage]:
        """Iterate the entries page by page; a page counts as received once it is handed out."""
        return self._pages(self._progress())

    def _entries(self, progress: _Progress) -> Iterator[UsageEntry]:
        for waiting in self._deliveries(progress):
            yield from waiting

    def _pages(self, progress: _Progress) -> Iterator[EntryPage]:
        for waiting in self._deliveries(progress):
            yield EntryPage(list(waiting))

    def _deliveries(self, progress: _Progress) -> Iterator[Iterator[UsageEntry]]:
        try:
            for delivery in self._driver.walk(self._plan.begin()):
                waiting = progress.begin(delivery)
                del delivery
                yield waiting
                if progress.finished:
                    return
                progress.end()
        except VeniceError as error:
            error.checkpoint = progress.checkpoint
            raise


class AsyncUsageWalk(_BaseWalk):
    """A walk through the ledger: `async for` it for entries; each iteration is a walk of its own from the start."""

    def __init__(self, plan: Plan, driver: AsyncDriver) -> None:
        super().__init__(plan)
        self._driver = driver

    def __aiter__(self) -> AsyncIterator[UsageEntry]:
        """Iterate the entries."""
        return self._entries(self._progress())

    def pages(self) -> AsyncIterator[EntryPage]:
        """Iterate the entries page by page; a page counts as received once it is handed out."""
        return self._pages(self._progress())

    async def _entries(self, progress: _Progress) -> AsyncGenerator[UsageEntry, None]:
        async with aclosing(self._deliveries(progress)) as deliveries:
            async for waiting in deliveries:
                for entry in waiting:
                    yield entry

    async def _pages(self, progress: _Progress) -> AsyncGenerator[EntryPage, None]:
        async with aclosing(self._deliveries(progress)) as deliveries:
            async for waiting in deliveries:
                yield EntryPage(list(waiting))

    async def _deliveries(self, progress: _Progress) -> AsyncGenerator[Iterator[UsageEntry], None]:
        try:
            async with aclosing(self._driver.walk(self._plan.begin())) as deliveries:
                async for delivery in deliveries:
                    waiting = progress.begin(delivery)
                    del delivery
                    yield waiting
                    if progress.finished:
                        return
                    progress.end()
        except VeniceError as error:
            error.checkpoint = progress.checkpoint
            raise
