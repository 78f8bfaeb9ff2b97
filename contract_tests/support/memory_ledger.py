"""A ledger in memory and helpers that drive walks over it without I/O: shared by the tests of walks."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from venice_billing._walk.sequential import sequential
from venice_billing._walk.start import newest_first
from venice_billing._walk.types import Batch, Bounds, Order, Page, Position, RunConcurrently
from venice_billing._walk.widening import Landmarks, widened
from venice_billing._walk.windows import work_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from venice_billing._call import Steps
    from venice_billing._walk.types import Walk
    from venice_billing.errors import BillingTimeoutError

START = datetime(2026, 9, 1, tzinfo=UTC)
NOW = START + timedelta(days=30)
EVERYTHING, BEGINNING = Bounds(), Position()


@frozen
class Row:
    at: datetime
    name: str


class LedgerOfRows:
    """What page sources in memory share: wider queries, and the rows' timestamps and fingerprints."""

    now = NOW

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        raise NotImplementedError

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError) -> Steps[Page[Row]]:
        return widened(
            lambda query: self.open(query.bounds, order, None),
            bounds,
            hang,
            now=self.now.timestamp(),
            filtered=False,
            landmarks=Landmarks(),
        )

    def timestamp(self, row: Row) -> datetime:
        return row.at

    def fingerprint(self, row: Row) -> str:
        return row.name


class MemoryLedger(LedgerOfRows):
    """Pages of rows; `spoil` gets the request number and page, and returns a page or raises."""

    def __init__(self, rows: Iterable[Row], page_size: int = 3, spoil: Any = None) -> None:
        self.rows = sorted(rows, key=lambda row: row.at)
        self.page_size = page_size
        self.largest_page = 1000
        self.spoil: Callable[[int, Page[Row]], Page[Row]] = spoil or (lambda _, page: page)
        self.opened: list[Bounds] = []
        self.sizes: list[int | None] = []
        self.requests = 0
        self.rows_sent = 0

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
        yield from ()
        self.opened.append(bounds)
        self.sizes.append(page_size)
        chosen = [row for row in self.rows if bounds.contain(row.at)]
        return self._page(chosen if order == "asc" else chosen[::-1], 0, page_size or self.page_size)

    def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
        yield from ()
        assert isinstance(page.state, tuple)
        chosen, end, size = page.state
        return self._page(chosen, end, size)

    def _page(self, chosen: Sequence[Row], start: int, size: int) -> Page[Row]:
        end = min(start + size, len(chosen))
        self.requests += 1
        self.rows_sent += end - start
        following = f"cursor-{end}" if end < len(chosen) else None
        page = self.spoil(self.requests, Page(chosen[start:end], following, (chosen, end, size)))
        return evolve(page, again=lambda: page.rows)


def ledger_rows(*seconds: float) -> list[Row]:
    return [Row(START + timedelta(seconds=second), f"row {number}") for number, second in enumerate(seconds)]


def batches(walk: Walk[Row]) -> Generator[Batch[Row], None, None]:
    with closing(walk):
        for step in walk:
            if isinstance(step, RunConcurrently):
                yield from batches(work_alone(step.windows))
            else:
                assert isinstance(step, Batch)
                assert step.rows, "a batch has rows"
                yield step


def received(walk: Walk[Row]) -> list[Row]:
    return [row for batch in batches(walk) for row in batch.rows]


def cut(walk: Walk[Row], count: int) -> tuple[list[Row], Position]:
    """Receive `count` rows, and return them with the position of the walk after them."""
    rows: list[Row] = []
    position = Position()
    with closing(batches(walk)) as steps:
        for step in steps:
            part = step.rows[: count - len(rows)]
            rows += part
            position = step.position.after(part, step.source)
            if len(rows) == count:
                break
    return rows, position


def start_walk(ledger: MemoryLedger, kind: str, position: Position, bounds: Bounds = EVERYTHING) -> Walk[Row]:
    if kind == "windows":
        return backwards(ledger, bounds, position)
    order: Order = "asc" if kind == "asc" else "desc"
    return sequential(ledger, bounds, order, position)


def backwards(
    ledger: MemoryLedger, bounds: Bounds = EVERYTHING, position: Position = BEGINNING, now: datetime = NOW
) -> Walk[Row]:
    return newest_first(ledger, bounds, position, now=now, page_size=ledger.page_size, concurrency=1)
