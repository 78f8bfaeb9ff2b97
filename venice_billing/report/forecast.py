"""What a period will have cost at its end, if it goes on like its last whole days. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import _exact
from venice_billing._calendar import midnight

if TYPE_CHECKING:
    from datetime import datetime

    from venice_billing._calendar import Period
    from venice_billing.spend import SpendTable

__all__ = ["Forecast", "forecast"]

_MOST_DAYS = 7
_DAY = timedelta(days=1)
_ESTIMATE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_STEP = Decimal("0.0001")  # an estimate: more digits would look like knowledge


@frozen(kw_only=True)
class Forecast:
    """What a period is expected to have cost at its end, in one currency.

    Attributes:
        currency: The currency.
        spent: What was charged so far, exactly.
        expected: What will have been charged at the end of the period: an estimate, to four decimals.
        days: Over how many whole days before today the mean was taken, at most 7.
    """

    currency: str
    spent: Decimal
    expected: Decimal
    days: int

    @property
    def method(self) -> str:
        """How the estimate was made, in words."""
        basis = f"the {self.days} whole days" if self.days > 1 else "the one whole day"
        return f"the mean of {basis} before today goes on"


def forecast(by_day: SpendTable, period: Period, now: datetime) -> list[Forecast]:
    """Return the forecast of each currency; none for a period that has ended, or has no whole day yet.

    Args:
        by_day: The totals of the period by day and currency, in its time zone.
        period: The period; its days before `now` are what the forecast is made of.
        now: The time up to which the totals are.
    """
    today = now.astimezone(period.zone).date()
    whole = [day.isoformat() for day in period.days() if day < today][-_MOST_DAYS:]
    if not whole or period.is_complete(now):
        return []
    recent: dict[str, Decimal] = {}
    for row in by_day:
        if row.day in whole:
            recent[row.currency] = _exact.add(recent.get(row.currency, _exact.ZERO), row.debits)
    left = Decimal((period.end - now) // timedelta(microseconds=1)) / Decimal(_DAY // timedelta(microseconds=1))
    return [
        Forecast(
            currency=row.currency,
            spent=row.debits,
            expected=_expected(row.debits, recent.get(row.currency, _exact.ZERO), len(whole), left),
            days=len(whole),
        )
        for row in by_day.totals()
    ]


def share_of_today(by_day: SpendTable, period: Period, now: datetime) -> dict[str, Decimal]:
    """Return what today has cost so far, by currency; empty where the period does not hold today."""
    today = now.astimezone(period.zone).date()
    if not (period.start <= now < period.end) or midnight(today, period.zone) < period.start:
        return {}
    return {row.currency: row.debits for row in by_day if row.day == today.isoformat()}


def _expected(spent: Decimal, recent: Decimal, days: int, left: Decimal) -> Decimal:
    mean = _ESTIMATE.divide(recent, Decimal(days))
    return _ESTIMATE.add(spent, _ESTIMATE.multiply(mean, left)).quantize(_STEP, context=_ESTIMATE)
