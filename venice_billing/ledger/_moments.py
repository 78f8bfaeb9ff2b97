"""Times as DuckDB is given and asked for them, microseconds since 1970, and the time of this machine.

DuckDB's own times with a zone need pytz.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


CLOCK_SKEW = timedelta(minutes=10)
"""How far apart two clocks may be that are both right enough."""


def now() -> datetime:
    """Return what the clock of this machine says, in UTC."""
    return datetime.now(UTC)


def microseconds(moment: datetime) -> int:
    """Return an aware time as microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment(microseconds: int) -> datetime:
    """Return the time of that many microseconds since 1970, in UTC."""
    return _EPOCH + microseconds * _MICROSECOND
