"""Which way a range is walked: by its cursors or by windows, forwards or backwards. Pure."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from venice_billing._walk import MILLISECOND, Bounds, Deliver, Place, Together, sequential
from venice_billing._windows import Windows

if TYPE_CHECKING:
    from collections.abc import Generator
    from datetime import datetime

    from venice_billing._call import Outcome, Send, Wait
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
    found = yield from _first(sequential(ledger, Bounds(bounds.start, end), "asc", Place(), 10))
    if found is not None:
        oldest = Bounds(ledger.stamp(found.rows[0]), bounds.end)
        yield Together(Windows(ledger, oldest, "desc", place, now=now, page_size=page_size, concurrency=concurrency))


def _first(walk: Walk[Row]) -> Generator[Send | Wait, Outcome | None, Deliver[Row] | None]:
    """Return the first rows of a walk, and leave it there; None if there are none."""
    outcome: Outcome | None = None
    with closing(walk):
        while True:
            try:
                step = walk.send(outcome)
            except StopIteration:
                return None
            if isinstance(step, Deliver):
                return step
            if isinstance(step, Together):
                raise TypeError("a probe is walked in sequence")
            outcome = yield step


def _just(step: Together[Row]) -> Walk[Row]:
    yield step
