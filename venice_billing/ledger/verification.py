"""What a verification gives: days as the ledger and the API's analytics have them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from attrs import field, frozen

from venice_billing import _exact
from venice_billing._table import table_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from decimal import Decimal

__all__ = ["DayFigures", "LeftOut", "Omission", "Verification"]

Omission = Literal["not_covered", "recent", "not_answered", "currency"]
"""Why something was not compared."""


@frozen(kw_only=True)
class DayFigures:
    """What was charged on a day, as the ledger and the analytics have it, positive.

    Attributes:
        day: The day in UTC, like "2026-10-31".
        currency: USD, with bundled credits in it, or DIEM.
        ledger: The sum of the debits in the ledger; refunds are not taken off.
        analytics: The sum that the API tells.
    """

    day: str
    currency: str
    ledger: Decimal
    analytics: Decimal

    @property
    def difference(self) -> Decimal:
        """How much more the ledger has; negative: it has less."""
        return _exact.subtract(self.ledger, self.analytics)

    def row(self) -> dict[str, str | Decimal]:
        """Return the figures as a flat dict: `day`, `currency`, `ledger`, `analytics`, `difference`."""
        sides = {"ledger": self.ledger, "analytics": self.analytics, "difference": self.difference}
        return {"day": self.day, "currency": self.currency, **sides}


@frozen(kw_only=True)
class LeftOut:
    """Something that was not compared.

    Attributes:
        reason: "not_covered": the ledger does not cover the day to its end. "recent": the API's answer may be 10
            minutes old, and so may lack charges of that day that the ledger has. "not_answered": the API told other
            days. "currency": the analytics have no such currency.
        day: The day in UTC.
        currency: The currency; None: all.
        debits: What the ledger has of it; None where `currency` is.
    """

    reason: Omission
    day: str
    currency: str | None = None
    debits: Decimal | None = None


@frozen(kw_only=True, repr=False)
class Verification:
    """The ledger against the API's analytics, day by day. True if they agree: see `ok`.

    Attributes:
        days: What was compared: each day, once in USD and once in DIEM.
        left_out: What was not compared, and why.
        asked_at: When the API was asked.
        requests: How many requests that took; none where there was nothing to compare.
        tolerance: Up to which difference figures count as equal.
    """

    days: tuple[DayFigures, ...]
    left_out: tuple[LeftOut, ...]
    asked_at: datetime
    requests: int
    tolerance: Decimal = field(default=_exact.ZERO)

    @property
    def differences(self) -> tuple[DayFigures, ...]:
        """The days and currencies whose figures differ by more than the tolerance."""
        return tuple([day for day in self.days if day.difference.copy_abs() > self.tolerance])

    @property
    def ok(self) -> bool:
        """Whether something was compared, and nothing differs. What was left out is no fault."""
        return bool(self.days) and not self.differences

    def __bool__(self) -> bool:
        return self.ok

    def rows(self) -> Iterator[dict[str, str | Decimal]]:
        """Iterate over what was compared as flat dicts: see `DayFigures.row`."""
        return (day.row() for day in self.days)

    def to_dict(self) -> dict[str, Any]:
        """Return the whole as JSON has it: money as text."""
        return {
            "ok": self.ok,
            "asked_at": self.asked_at.isoformat(),
            "requests": self.requests,
            "tolerance": _exact.text(self.tolerance),
            "differences": [_texts(day) for day in self.differences],
            "days": [_texts(day) for day in self.days],
            "left_out": [
                {
                    "reason": each.reason,
                    "day": each.day,
                    "currency": each.currency,
                    "debits": None if each.debits is None else _exact.text(each.debits),
                }
                for each in self.left_out
            ],
        }

    def to_json(self) -> str:
        """Return the whole as JSON. Money is text, since most readers of JSON would round numbers."""
        return json.dumps(self.to_dict())

    def __repr__(self) -> str:
        days = len({day.day for day in self.days})
        omitted = [f"{self._count(reason)} {words}" for reason, words in _WORDS.items() if self._count(reason)]
        without = f"; left out: {', '.join(omitted)}" if omitted else ""
        title = f"Verification of {days} days: {len(self.differences)} differences{without}"
        return table_text(title, _COLUMNS, [day.row() for day in self.differences])

    def _count(self, reason: Omission) -> int:
        return sum(each.reason == reason for each in self.left_out)


_COLUMNS = ("day", "currency", "ledger", "analytics", "difference")
_WORDS: dict[Omission, str] = {
    "not_covered": "days not covered yet",
    "recent": "days too recent to tell",
    "not_answered": "days that the API did not tell",
    "currency": "sums of a day in a currency that the analytics do not have",
}


def _texts(day: DayFigures) -> dict[str, str]:
    return {name: value if isinstance(value, str) else _exact.text(value) for name, value in day.row().items()}
