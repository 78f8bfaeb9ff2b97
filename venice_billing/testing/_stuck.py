"""Pages of a server that makes no progress: each names a next one, and none leads anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from venice_billing.testing._account import Entry, complete_row
from venice_billing.testing._text import DAY, format_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing.testing._responses import RequestedPage

NoProgress: TypeAlias = Literal["empty pages", "one instant", "before range"]

_SECOND = 1_000_000
_FAR = 365 * DAY


def stuck_instant(kind: NoProgress, requested: RequestedPage, proper: Sequence[Entry], now: int) -> int | None:
    """Return the instant of the rows of the first stuck page; None if this kind does not apply to the range.

    Args:
        kind: The kind of pages without progress.
        requested: What the request asks for.
        proper: The entries that the page should have.
        now: The time, in microseconds.
    """
    if kind == "before range":
        if requested.descending:
            return None if requested.end is None else requested.end + _FAR
        return None if requested.start is None else requested.start - _FAR
    if proper:
        return proper[0].position[0]
    return now - DAY if requested.start is None else requested.start


def stuck_entries(kind: NoProgress, requested: RequestedPage, instant: int, size: int) -> list[Entry]:
    """Return the entries of a stuck page: made up, as many as were requested, all at one instant."""
    if kind == "empty pages":
        return []
    row = complete_row(
        {"timestamp": format_instant(instant), "currency": requested.currency or "USD", "notes": "No progress"}
    )
    return [Entry((instant, 0), row)] * size


def next_instant(kind: NoProgress, requested: RequestedPage, instant: int, pages: int = 1) -> int:
    """Return the instant of a later stuck page; before the range, time advances but does not reach the range."""
    if kind != "before range":
        return instant
    return instant + pages * (-_SECOND if requested.descending else _SECOND)
