"""What a report says, before it is a page or a picture: frozen values, every figure to the digit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import field, frozen

from venice_billing import _exact

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime
    from decimal import Decimal

    from venice_billing.report.forecast import Forecast
    from venice_billing.spend import SpendRow, SpendTable

__all__ = ["CurrencyReport", "EpochUse", "Report", "RequestSpend"]


@frozen(kw_only=True)
class RequestSpend:
    """What one request was charged, in one currency: one request books several rows.

    Attributes:
        time: When its first row was booked, in UTC.
        request_id: Its id; None: a charge that names no request.
        models: The ids of its models, mostly one.
        key: The id of the API key; None for the web app.
        debits: What it was charged; refunds are not taken off.
        count: How many rows it has.
    """

    time: datetime
    request_id: str | None
    models: tuple[str, ...]
    key: str | None
    debits: Decimal
    count: int


@frozen(kw_only=True)
class EpochUse:
    """How much of the DIEM epoch's allocation is used, at the time of the report.

    Attributes:
        allocation: What the account gets each epoch.
        left: What is left of it.
        used_percent: How many per cent are used, to a tenth.
    """

    allocation: Decimal
    left: Decimal
    used_percent: Decimal


@frozen(kw_only=True)
class CurrencyReport:
    """What was spent in one currency.

    Attributes:
        currency: The currency of all figures.
        totals: The totals of the period.
        before: The totals of the period before.
        by_day: Totals by day.
        by_day_and_model: Totals by day and model.
        by_model: Totals by model, the largest debits first.
        by_key: Totals by API key, likewise.
        by_service: Totals by service, likewise.
        cumulative: Debits from the beginning to the end of each day, up to the last day that was read.
        cumulative_before: The same for each day of the period before.
        forecast: What is expected at the end of the period; None: it has ended, or nothing can be expected.
        requests: The requests that were charged most, the largest first.
    """

    currency: str
    totals: SpendRow
    before: SpendRow
    by_day: SpendTable
    by_day_and_model: SpendTable
    by_model: SpendTable
    by_key: SpendTable
    by_service: SpendTable
    cumulative: Sequence[Decimal]
    cumulative_before: Sequence[Decimal]
    forecast: Forecast | None
    requests: Sequence[RequestSpend]


@frozen(kw_only=True)
class Report:
    """The report of a period. Amounts of two currencies are never added: each has a part of its own.

    Attributes:
        name: What the period is called: "2026-10", "last 7 days".
        start: When it begins, in UTC; included.
        end: When it ends, in UTC; excluded.
        timezone: The IANA name of the time zone whose days it is made of.
        days: Its days.
        until: Up to when charges were read.
        is_complete: Whether the period has ended, and all of it was read.
        before_name: What the period before is called; None: there is none, before the year 1.
        made_at: When the report was made, in UTC.
        currencies: The currencies, the one with the most charges first.
        epoch: The use of the DIEM epoch; None: it was not asked for, or the account has none.
        key_names: The names of API keys, by their ids, where they are known.
        is_demo: Whether the account is made up.
    """

    name: str
    start: datetime
    end: datetime
    timezone: str
    days: Sequence[date]
    until: datetime
    is_complete: bool
    before_name: str | None
    made_at: datetime
    currencies: Sequence[CurrencyReport]
    epoch: EpochUse | None = None
    key_names: Mapping[str, str] = field(factory=dict)
    is_demo: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return period, totals, forecasts and epoch as JSON has them: money as exact text, times in UTC."""
        return {
            "name": self.name,
            "period": {"start": _time(self.start), "end": _time(self.end)},
            "timezone": self.timezone,
            "until": _time(self.until),
            "complete": self.is_complete,
            "made_at": _time(self.made_at),
            "totals": [_totals(part.totals) for part in self.currencies],
            "before": [_totals(part.before) for part in self.currencies],
            "forecast": [
                {"currency": part.currency, "debits": _exact.text(part.forecast.expected)}
                for part in self.currencies
                if part.forecast is not None
            ],
            "epoch": None
            if self.epoch is None
            else {
                "allocation": _exact.text(self.epoch.allocation),
                "left": _exact.text(self.epoch.left),
                "used_percent": _exact.text(self.epoch.used_percent),
            },
        }


def _time(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _totals(row: SpendRow) -> dict[str, str | int]:
    figures = ("debits", "refunds", "purchases", "credits", "net")
    return {
        "currency": row.currency,
        **{name: _exact.text(getattr(row, name)) for name in figures},
        "count": row.count,
    }
