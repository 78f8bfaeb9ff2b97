"""The parts of a range that is walked by windows: what is planned, and what is not yet."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import Factory, define

from venice_billing._walk.types import DAY, Position

if TYPE_CHECKING:
    from datetime import datetime


FIRST_REACH = DAY
"""How far the first look backwards goes, where nothing is known."""


@define(eq=False)
class Gap:
    """A stretch of time that is not planned yet.

    Attributes:
        start: Inclusive; None is the beginning of the ledger.
        stop: Exclusive; None is its end.
        position: What was received at the start already.
        rate: Rows per second to expect; None if unknown.
        reach: Looking backwards, how far the next look goes while the rate is unknown.
        silent: Looking backwards, how far from its stop the ledger hung: probably there is nothing.
        wide: Whether the ledger hung on all of it, so that wider questions are due.
    """

    start: datetime | None
    stop: datetime | None
    position: Position = Factory(Position)
    rate: float | None = None
    reach: timedelta = FIRST_REACH
    silent: timedelta = timedelta(0)
    wide: bool = False
