"""What every output says beside its rows: the period, the zone, and whether all of it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    from venice_billing._calendar import Period

__all__ = ["head_of", "local_text", "title_of"]


def title_of(what: str, period: Period, until: datetime, *, is_complete: bool) -> str:
    """Return one line: what it is, of which period, in which zone, and whether it is complete."""
    state = "complete" if is_complete else f"until {local_text(until, period)}, not complete"
    first, last = local_text(period.start, period), local_text(period.end, period)
    return f"{what} {period.name} ({first} to {last}, {period.timezone}), {state}"


def head_of(period: Period, until: datetime, *, is_complete: bool) -> dict[str, Any]:
    """Return the same for JSON."""
    return {
        "period": {"start": period.start, "end": period.end},
        "timezone": period.timezone,
        "complete": is_complete,
        "until": until,
    }


def local_text(moment: datetime, period: Period) -> str:
    """Return a time in the zone of a period; midnight is the day alone."""
    local = moment.astimezone(period.zone)
    whole_day = (local.hour, local.minute, local.second) == (0, 0, 0)
    return local.date().isoformat() if whole_day else local.replace(tzinfo=None).isoformat(" ", "minutes")
