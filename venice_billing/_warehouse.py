"""Entries, balances and analytics -> the rows of a warehouse, day by day. Pure, and independent of dlt."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from itertools import chain, groupby, islice
from math import isfinite
from typing import TYPE_CHECKING, Any, TypeAlias

from venice_billing import _exact
from venice_billing.ledger._entries import json_text
from venice_billing.spend import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from venice_billing.models import Balance, UsageAnalytics, UsageEntry

Row: TypeAlias = dict[str, Any]

PRECISION, SCALE = 38, 28  # as in the local ledger: ten digits before the point
EMPTY_DAY = "is_empty_day"
"""The column of a marker: a row that says that its day has none. A load removes what that day had, and the marker."""


def _number_columns(name: str) -> dict[str, Row]:
    return {
        name: {"data_type": "decimal", "precision": PRECISION, "scale": SCALE, "nullable": True},
        f"{name}_text": {"data_type": "text", "nullable": True},
    }


def _columns(data_type: str, *names: str) -> dict[str, Row]:
    return {name: {"data_type": data_type, "nullable": True} for name in names}


_MERGED_DAY: dict[str, Row] = {"day": {"data_type": "date", "nullable": False}}
_EMPTY_DAY: dict[str, Row] = {EMPTY_DAY: {"data_type": "bool", "nullable": True, "hard_delete": True}}

USAGE: dict[str, Row] = {
    **_MERGED_DAY,
    **_columns("timestamp", "timestamp"),
    **_columns("text", "sku", "model", "service", "kind"),
    **_number_columns("units"),
    **_number_columns("price_per_unit_usd"),
    **_number_columns("amount"),
    **_columns("text", "currency", "notes", "api_key_id", "request_id"),
    **_columns("bigint", "prompt_tokens", "completion_tokens", "inference_execution_time"),
    **_columns("json", "additional_properties"),
    **_columns("text", "entry_json"),
    **_EMPTY_DAY,
}
"""The columns of usage, as dlt is told them."""

BALANCE: dict[str, Row] = {
    **_columns("timestamp", "observed_at"),
    **_columns("bool", "can_consume"),
    **_columns("text", "consumption_currency"),
    **_number_columns("usd"),
    **_number_columns("diem"),
    **_number_columns("diem_epoch_allocation"),
    **_columns("json", "additional_properties"),
}
ANALYTICS: dict[str, Row] = {
    **_MERGED_DAY,
    **_columns("text", "scope", "name", "currency"),
    **_number_columns("amount"),
    **_columns("json", "additional_properties"),
    **_EMPTY_DAY,
}

_DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
_LARGEST = 2**63
_NAMED = frozenset(
    {"timestamp", "sku", "units", "pricePerUnitUsd", "amount", "currency", "notes", "apiKeyId", "inferenceDetails"}
)
_NAMED_OF_REQUEST = frozenset({"requestId", "promptTokens", "completionTokens", "inferenceExecutionTime"})


def usage_row(entry: UsageEntry) -> Row:
    """Return an entry as a row; `entry_json` is the whole entry where the other columns do not hold it to the digit."""
    details = entry.inference_details
    sent = entry.to_dict()
    unknown = {name: value for name, value in sent.items() if name not in _NAMED}
    further = {name: value for name, value in (sent["inferenceDetails"] or {}).items() if name not in _NAMED_OF_REQUEST}
    if further:
        unknown["inferenceDetails"] = further
    row: Row = {
        "day": day_of(entry),
        "timestamp": entry.timestamp,
        "sku": entry.sku,
        "model": entry.model,
        "service": entry.service,
        "kind": kind_of(entry),
        **number("units", entry.units),
        **number("price_per_unit_usd", entry.price_per_unit_usd),
        **number("amount", entry.amount),
        "currency": entry.currency.value,
        "notes": entry.notes,
        "api_key_id": entry.api_key_id,
        "request_id": details.request_id if details else None,
        "prompt_tokens": details.prompt_tokens if details else None,
        "completion_tokens": details.completion_tokens if details else None,
        "inference_execution_time": details.inference_execution_time if details else None,
        "additional_properties": unknown or None,
    }
    entry_json = None if all(map(_is_held, row.values())) else json_text(sent)
    return {**{name: _held(value) for name, value in row.items()}, "entry_json": entry_json, EMPTY_DAY: None}


def day_of(entry: UsageEntry) -> date:
    """Return the day of an entry, in UTC."""
    return entry.timestamp.date()


def by_days(rows: Iterable[Row], first: date | None, last: date | None, most: int | None = None) -> Iterator[list[Row]]:
    """Cut rows in ascending order into lists, each of one day that has rows, and say which days have none.

    Args:
        rows: All rows of a range of days.
        first: The first day of the range; None is the day of the first row.
        last: The last day of which rows may have been loaded; None is the day of the last row.
        most: How many rows a list has at most. With None, no list ends within a day, so a reader that stops after any
            of them has read whole days; but a day with many rows then takes much memory.
    """
    upcoming = first
    for day, group in groupby(rows, key=lambda row: row["day"]):
        yield from _parts(chain(_empty_days(upcoming, day), group), most)
        upcoming = day + _DAY if upcoming is None else max(upcoming, day + _DAY)
    if last is not None:
        yield from _parts(_empty_days(upcoming, last + _DAY), most)


def _parts(rows: Iterator[Row], most: int | None) -> Iterator[list[Row]]:
    while part := list(islice(rows, most)):
        yield part


def _empty_days(first: date | None, end: date) -> Iterator[Row]:
    while first is not None and first < end:
        yield {"day": first, EMPTY_DAY: True}
        first += _DAY


def balance_row(balance: Balance, observed_at: datetime) -> Row:
    """Return what is left, and when that was."""
    currency = balance.consumption_currency
    unknown = dict(balance.additional_properties)
    if balance.balances.additional_properties:
        unknown["balances"] = balance.balances.additional_properties
    return {
        "observed_at": observed_at,
        "can_consume": balance.can_consume,
        "consumption_currency": None if currency is None else _held(currency.value),
        **number("usd", balance.balances.usd),
        **number("diem", balance.balances.diem),
        **number("diem_epoch_allocation", balance.diem_epoch_allocation),
        "additional_properties": _held(unknown or None),
    }


def analytics_rows(analytics: UsageAnalytics) -> list[Row]:
    """Return the amounts of each day, in all and by model and key, in ascending order of days."""
    rows = []
    for total in analytics.by_date:
        unknown = _held(total.additional_properties or None)
        for currency, amount in (("USD", total.usd), ("DIEM", total.diem)):
            day = date.fromisoformat(total.date[:10])  # a server may write a full timestamp
            rows.append(_analytics_row(day, "total", None, currency, amount, unknown))
    for scope, currency, series in (
        ("model", "USD", analytics.by_model_daily_usd),
        ("model", "DIEM", analytics.by_model_daily),
        ("key", "USD", analytics.by_key_daily_usd),
        ("key", "DIEM", analytics.by_key_daily),
    ):
        for point in series or ():
            day = _EPOCH + timedelta(milliseconds=point.date)
            amounts = point.additional_properties
            rows += [_analytics_row(day, scope, _held(name), currency, amount) for name, amount in amounts.items()]
    return sorted(rows, key=lambda row: (row["day"], row["scope"]))


def _analytics_row(day: date, scope: str, name: str | None, currency: str, amount: Decimal, unknown: Any = None) -> Row:
    return {
        "day": day,
        "scope": scope,
        "name": name,
        "currency": currency,
        **number("amount", amount),
        "additional_properties": unknown,
        EMPTY_DAY: None,
    }


def number(name: str, value: Decimal | None) -> Row:
    """Return a number as a decimal, or null where that would round it, and as text to the digit."""
    return {name: None if value is None else decimal(value), f"{name}_text": None if value is None else str(value)}


def decimal(value: Decimal) -> Decimal | None:
    """Return an equal number with at most 10 digits before and 28 behind the point, or None if there is none."""
    if not value:
        return _exact.ZERO
    if not -SCALE <= value.adjusted() < PRECISION - SCALE:
        return None
    digits = _digits_behind_the_point(value)
    if digits < 0:
        return Decimal(int(value))
    if digits <= SCALE:
        return value
    plain = Decimal(_exact.text(value))  # without zeros at its end
    return plain if _digits_behind_the_point(plain) <= SCALE else None


def _digits_behind_the_point(value: Decimal) -> int:
    return -int(value.as_tuple().exponent)


def _held(value: Any) -> Any:
    """Return a value as a column of any warehouse can hold it."""
    if isinstance(value, dict | list):
        return _held_json(value)
    if isinstance(value, str):
        return _held_text(value)
    return None if isinstance(value, int) and _is_large(value) else value


def _held_json(value: Any) -> Any:
    """Return decoded JSON as every JSON library writes it: a number that a float would round becomes a text."""
    if isinstance(value, dict):
        return {_held_text(name): _held_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_held_json(item) for item in value]
    if isinstance(value, str):
        return _held_text(value)
    if isinstance(value, Decimal):
        return float(value) if _is_float(value) else str(value)
    return str(value) if isinstance(value, int) and _is_large(value) else value


def _held_text(text: str) -> str:
    r"""Return a text in which NUL, and what is no Unicode, is written as in Python: \x00, \ud800."""
    return text if _is_text(text) else text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _is_held(value: Any) -> bool:
    """Tell whether `_held` keeps all of a value."""
    if isinstance(value, dict):
        return all(map(_is_text, value)) and all(map(_is_held_in_json, value.values()))
    return _is_text(value) if isinstance(value, str) else not (isinstance(value, int) and _is_large(value))


def _is_held_in_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_held_in_json, value))
    return _is_float(value) if isinstance(value, Decimal) else _is_held(value)


def _is_float(number: Decimal) -> bool:
    """Tell whether a float has all digits of a number, and no others, when it is written."""
    value = float(number)
    return isfinite(value) and Decimal(repr(value)) == number


def _is_large(number: int) -> bool:
    return not -_LARGEST <= number < _LARGEST


def _is_text(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
