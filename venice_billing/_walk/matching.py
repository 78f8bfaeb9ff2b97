"""Check that an answer fits its request: rows of the requested currency and range. Pure.

A row in another currency is an error: its amount would be added to a sum in the wrong currency. A row outside the
range is left out and logged. A page that has rows, but none inside the range, answers another request: an error.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from venice_billing._arguments import is_within_calendar
from venice_billing._csv_columns import currency_column, values_of
from venice_billing._drift import note
from venice_billing.errors import ResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from venice_billing._walk.types import Bounds
    from venice_billing.models import UsageEntry

Row = TypeVar("Row")


def within_range(
    rows: Sequence[Row], timestamp: Callable[[Row], datetime], bounds: Bounds, *, ordered: bool
) -> Sequence[Row]:
    """Return the rows that lie in the range asked for; the same object if all do.

    Args:
        rows: The rows of one page.
        timestamp: Returns the time at which a row was booked.
        bounds: The range as it was sent.
        ordered: Whether the rows are known to be in order, so that checking the first and the last is enough.

    Raises:
        ResponseValidationError: No row lies in the range, or a time is within a day of either end of the calendar.
    """
    telling = (rows[0], rows[-1]) if ordered and rows else rows
    if ordered and not all(is_within_calendar(timestamp(row)) for row in telling):
        raise ResponseValidationError(
            f"a time at the end of the calendar: {timestamp(rows[0]).isoformat()} to {timestamp(rows[-1]).isoformat()}",
            field="data",
        )
    if all(bounds.contain(timestamp(row)) for row in telling):
        return rows
    kept = [row for row in rows if bounds.contain(timestamp(row))]
    if not kept:
        raise ResponseValidationError(
            f"none of {len(rows)} entries lies in the range asked for, {bounds.start or 'the beginning'} to "
            f"{bounds.end or 'the end'}; the first is of {timestamp(rows[0]).isoformat()}",
            field="data",
        )
    note("entries", "outside the range asked for", fate="left out")
    return kept


def check_currency(entries: Sequence[UsageEntry], currency: str | None) -> None:
    """Refuse entries in a currency other than the requested one.

    Raises:
        ResponseValidationError: An entry is in another currency; `field` names it.
    """
    if currency is None:
        return
    for index, entry in enumerate(entries):
        if entry.currency != currency:
            raise _other_currency(str(entry.currency), currency, index)


class CurrencyColumn:
    """Finds the currency of a CSV record by the column that the header names."""

    def __init__(self, header: bytes) -> None:
        self._index = currency_column(header)

    def check(self, records: Sequence[bytes], currency: str | None) -> None:
        """Refuse records in a currency other than the requested one.

        Raises:
            ResponseValidationError: An entry is in another currency, and `field` names it; or no column names the
                currency, so that nothing shows whether the filter was heeded.
        """
        if currency is None or not records:
            return
        values = self._values(records, currency)
        if any(_plain(value) != _plain(currency) for value in set(values)):
            index = next(index for index, value in enumerate(values) if _plain(value) != _plain(currency))
            raise _other_currency(values[index], currency, index)

    def only(self, records: Sequence[bytes], currency: str) -> list[bytes]:
        """Return the records of one currency.

        Raises:
            ResponseValidationError: No column names the currency.
        """
        values = self._values(records, currency)
        return [record for record, value in zip(records, values, strict=True) if _plain(value) == _plain(currency)]

    def _values(self, records: Sequence[bytes], wanted: str) -> list[str]:
        if self._index is None:
            raise ResponseValidationError(
                f"{wanted!r} was asked for, and no column names the currency of a record; ask for entries (JSON) "
                "instead",
                field="header row",
            )
        try:
            return [value.decode("utf-8", "replace") for value in values_of(records, self._index)]
        except IndexError:
            raise ResponseValidationError("too few columns to tell the currency", field="records") from None


def _plain(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.lower())


def _other_currency(found: str, wanted: str, index: int) -> ResponseValidationError:
    return ResponseValidationError(
        f"an entry in {found[:40]!r}, but {wanted!r} was asked for", field=f"data[{index}].currency"
    )
