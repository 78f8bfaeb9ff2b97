"""The parts of a range that is walked by windows: what is planned, and what is not yet."""

from __future__ import annotations

from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING, Generic, TypeVar

from attrs import Factory, define, field

from venice_billing._walk import DAY, Place, Silence

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from venice_billing._walk import Walk
    from venice_billing.errors import VeniceError

Row = TypeVar("Row")

FIRST_REACH = DAY
"""How far the first look backwards goes, where nothing is known."""


@define(eq=False)
class Gap:
    """A stretch of time that is not planned yet.

    Attributes:
        start: Inclusive; None is the beginning of the ledger.
        stop: Exclusive; None is its end.
        place: What was received at the start already.
        rate: Rows per second to expect; None if unknown.
        reach: Looking backwards, how far the next look goes while the rate is unknown.
        silent: Looking backwards, how far from its stop the ledger hung: probably there is nothing.
        wide: Whether the ledger hung on all of it, so that wider questions are due.
    """

    start: datetime | None
    stop: datetime | None
    place: Place = Factory(Place)
    rate: float | None = None
    reach: timedelta = FIRST_REACH
    silent: timedelta = timedelta(0)
    wide: bool = False


@define(eq=False)
class Window(Generic[Row]):
    """A stretch of time that is being read, or was.

    Attributes:
        steps: The walk that reads it.
        pages: What was read and not handed on yet.
        count: How many rows were read.
        busy: Whether somebody is working on it.
        done: Whether it is read to its end, or to where it failed.
        error: Why it failed.
        hung: Whether a request of it was not answered in time.
        silent: Of the gap it was cut off.
    """

    start: datetime | None
    stop: datetime | None
    place: Place
    wide: bool
    steps: Walk[Row] = field(repr=False)
    silence: Silence
    pages: deque[Sequence[Row]] = Factory(deque)
    count: int = 0
    busy: bool = True
    done: bool = False
    error: VeniceError | None = None
    hung: bool = False
    silent: timedelta = timedelta(0)
