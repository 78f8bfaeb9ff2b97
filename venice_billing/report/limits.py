"""Limits on what an account spends and has left: parsed, and held against totals and a balance. Pure."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from venice_billing import _exact
from venice_billing.report.epoch import used_percent
from venice_billing.report.forecast import METHOD

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from venice_billing.models import Balance
    from venice_billing.report.forecast import Forecast
    from venice_billing.spend import SpendTable

__all__ = ["Finding", "Limit", "Rule", "balance_left", "forecast_spend", "key_spend", "parse_limit", "period_spend"]

Rule = Literal["max-spend", "min-balance", "forecast", "per-key"]
Status = Literal["ok", "breach", "unknown"]

PERCENT = "%"
"""The unit of a share of the DIEM epoch."""

_UNIT = r"%|(?![eE]\d)[^\s\d.,%+-].{0,63}"  # any currency, but nothing that a number may go on with
_LIMIT = re.compile(rf"(?P<amount>\d{{1,28}}(?:\.\d{{1,28}})?)\s?(?P<unit>{_UNIT})", re.ASCII | re.DOTALL)


@frozen
class Limit:
    """A limit, like 50 USD, or 20 % of the DIEM epoch.

    Attributes:
        amount: How much.
        unit: The currency, or "%".
    """

    amount: Decimal
    unit: str

    def __str__(self) -> str:
        return f"{_exact.text(self.amount)}{self.unit}"


@frozen(kw_only=True)
class Finding:
    """What became of a rule.

    Attributes:
        rule: The rule.
        limit: Its limit.
        value: What was found; None: it could not be told.
        status: "breach" if the limit is passed: exactly the limit is no breach.
        remark: Which key, how it was estimated, or why it cannot be told.
    """

    rule: Rule
    limit: Limit
    value: Decimal | None
    status: Status
    remark: str = ""


def parse_limit(text: str) -> Limit | None:
    """Return the limit that a text like "50USD", "0.5 DIEM" or "20%" names; None: it names none."""
    match = _LIMIT.fullmatch(text.strip())
    return None if match is None else Limit(Decimal(match["amount"]), match["unit"])


def period_spend(limit: Limit, totals: SpendTable) -> Finding:
    """Hold a limit against what was charged in its currency."""
    spent = {row.currency: row.debits for row in totals.totals()}.get(limit.unit, _exact.ZERO)
    return Finding(rule="max-spend", limit=limit, value=spent, status=_at_most(spent, limit))


def key_spend(limit: Limit, by_key: SpendTable, names: Mapping[str, str] | None = None) -> list[Finding]:
    """Hold a limit against what each key was charged in its currency: a finding a breach, or one for all keys."""
    rows = [row for row in by_key.totals("key") if row.currency == limit.unit]
    breaches = [row for row in rows if row.debits > limit.amount]
    if not breaches:
        most = max((row.debits for row in rows), default=_exact.ZERO)
        return [Finding(rule="per-key", limit=limit, value=most, status="ok", remark="the key that spent most")]
    return [
        Finding(rule="per-key", limit=limit, value=row.debits, status="breach", remark=_key(row.key, names or {}))
        for row in breaches
    ]


def forecast_spend(limit: Limit, spent: SpendTable, estimates: Iterable[Forecast]) -> Finding:
    """Hold a limit against the forecast in its currency; where nothing was spent, none is expected."""
    found = {estimate.currency: estimate for estimate in estimates}
    estimate = found.get(limit.unit)
    if estimate is None:
        value = period_spend(limit, spent).value or _exact.ZERO
        return Finding(rule="forecast", limit=limit, value=value, status=_at_most(value, limit), remark="so far")
    value = estimate.expected
    return Finding(rule="forecast", limit=limit, value=value, status=_at_most(value, limit), remark=METHOD)


def balance_left(limit: Limit, balance: Balance) -> Finding:
    """Hold a limit against what is left in its currency, or against what is left of the DIEM epoch in per cent."""
    if limit.unit == PERCENT:
        used = used_percent(balance)
        left = None if used is None else _exact.subtract(Decimal(100), used)
        missing = "the account has no DIEM epoch"
    else:
        left = {"USD": balance.balances.usd, "DIEM": balance.balances.diem}.get(limit.unit)
        missing = f"the account has no balance in {limit.unit}"
    if left is None:
        return Finding(rule="min-balance", limit=limit, value=None, status="unknown", remark=missing)
    status: Status = "breach" if left < limit.amount else "ok"
    return Finding(rule="min-balance", limit=limit, value=left, status=status)


def _at_most(value: Decimal, limit: Limit) -> Status:
    return "breach" if value > limit.amount else "ok"


def _key(key: str | None, names: Mapping[str, str]) -> str:
    return "no key (the web app)" if key is None else f"key {names.get(key, key)}"
