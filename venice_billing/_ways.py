"""Which way a range is walked: by its cursors or by windows, forwards or backwards. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from venice_billing._walk import MILLISECOND, Bounds, Place, Together, sequential, up_to
from venice_billing._windows import Windows

if TYPE_CHECKING:
    from datetime import datetime

    from venice_billing._walk import Ledger, Walk

Row = TypeVar("Row")


def oldest_first(
    ledger: Ledger[Row],
    bounds: Bounds,
    place: Place,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger as it comes: alone by its cursors, or together by windows."""
    if concurrency == 1:
        return sequential(ledger, bounds, "asc", place, page_size)
    windows = Windows(ledger, bounds, "asc", place, now=now, page_size=page_size, concurrency=concurrency)
    return _just(Together(windows))


def newest_first(
    ledger: Ledger[Row],
    bounds: Bounds,
    place: Place,
    *,
    now: datetime,
    page_size: int | None,
    concurrency: int,
) -> Walk[Row]:
    """Walk an ascending ledger newest first; one small probe finds where it begins."""
    end = place.at + MILLISECOND if place.at else bounds.end
    probe = yield from ledger.open(Bounds(bounds.start, None if end is None else up_to(end)), "asc", 10)
    if probe.rows:
        # A range on which the ledger hung comes widened, and then begins with rows from before it.
        inside = next((moment for moment in map(ledger.stamp, probe.rows) if bounds.contain(moment)), bounds.start)
        oldest = Bounds(inside, bounds.end)
        yield Together(Windows(ledger, oldest, "desc", place, now=now, page_size=page_size, concurrency=concurrency))


def _just(step: Together[Row]) -> Walk[Row]:
    yield step
