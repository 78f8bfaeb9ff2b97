"""What a period will have cost at its end, if it goes on like its last whole days. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import _exact
from venice_billing._calendar import Period, midnight

if TYPE_CHECKING:
    from datetime import datetime

    from venice_billing.spend import SpendTable

__all__ = ["METHOD", "Forecast", "days_needed", "forecast", "share_of_today"]

METHOD = "if the mean of the 7 days before today goes on"
"""How a forecast is made, in words."""

_DAYS = 7
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_ESTIMATE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_DECIMALS = 4
_STEP = Decimal("0.0001")  # an estimate: more digits would look like knowledge


@frozen(kw_only=True)
class Forecast:
    """What a period is expected to have cost at its end, in one currency.

    Attributes:
        currency: The currency.
        spent: What was charged so far, exactly.
        expected: What will have been charged at the end of the period: an estimate, to four decimals.
    """

    currency: str
    spent: Decimal
    expected: Decimal


def days_needed(period: Period, now: datetime) -> Period | None:
    """Return the whole days before today that a forecast is made of; None: the period has ended or not begun."""
    if not period.start <= now < period.end:
        return None
    today = now.astimezone(period.zone).date()
    return Period.of_days("the days before today", today - _DAY * _DAYS, today, period.zone, period.timezone)


def forecast(spent: SpendTable, recent: SpendTable, period: Period, now: datetime) -> list[Forecast]:
    """Return the forecast of each currency that was charged in the period, or in the days before today.

    Args:
        spent: The totals of the period so far.
        recent: The totals of the days that `days_needed` names.
        period: The period, which has not ended.
        now: The time up to which `spent` is.
    """
    so_far = {row.currency: row.debits for row in spent.totals()}
    lately = {row.currency: row.debits for row in recent.totals()}
    left = Decimal((period.end - now) // _MICROSECOND) / Decimal(_DAY // _MICROSECOND)
    return [
        Forecast(
            currency=currency,
            spent=so_far.get(currency, _exact.ZERO),
            expected=_expected(so_far.get(currency, _exact.ZERO), lately.get(currency, _exact.ZERO), left),
        )
        for currency in sorted(so_far.keys() | lately.keys())
    ]


def share_of_today(by_day: SpendTable, period: Period, now: datetime) -> dict[str, Decimal]:
    """Return what today has cost so far, by currency; empty where the period does not hold today."""
    today = now.astimezone(period.zone).date()
    if not (period.start <= now < period.end) or midnight(today, period.zone) < period.start:
        return {}
    return {row.currency: row.debits for row in by_day if row.day == today.isoformat()}


def _expected(spent: Decimal, recent: Decimal, left: Decimal) -> Decimal:
    mean = _ESTIMATE.divide(recent, Decimal(_DAYS))
    estimate = _ESTIMATE.add(spent, _ESTIMATE.multiply(mean, left))
    is_huge = estimate.adjusted() + _DECIMALS >= _ESTIMATE.prec  # it has no digit behind the point
    return estimate if is_huge else estimate.quantize(_STEP, context=_ESTIMATE)
