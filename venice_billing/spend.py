"""What was spent: entries -> exact totals by day, week, month, model, service, SKU, key and currency. Pure.

Amounts of two currencies are never added: the currency is one of the groups, whether it is asked for or not.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, overload

from venice_billing._periods import PERIODS, local_date, time_zone
from venice_billing._runtime.sku import split_sku
from venice_billing._spend_table import KINDS, Dimension, Groups, Kind, SpendRow, SpendTable, dimensions
from venice_billing.errors import InvalidParameterError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from datetime import date, tzinfo

__all__ = ["Dimension", "Kind", "SpendRow", "SpendTable", "kind_of", "summarize"]

_ALLOWED_KINDS = ", ".join(map(repr, KINDS))
_ENTRIES = "an iterable or async iterable of UsageEntry, like a walk, a page of a walk, or `page.data`"
_PURCHASE = re.compile(r"\b(?:purchase[ds]?|top[- ]?ups?)\b", re.IGNORECASE)
_LARGEST_POWER = 1000  # far beyond what the API may send; an exact sum of 1E+999999999 and 1 would fill the memory
_MOST_REMEMBERED = 1024  # SKUs: an account has some hundreds, and a broken server must not fill the memory


def kind_of(entry: UsageEntry) -> Kind:
    """Return what a booking is.

    A debit is negative, or zero: usage that cost nothing. Of the positive ones, a refund names a request, a purchase
    says so in its SKU or notes (a habit of the service, not a contract), and a credit is any other.

    Example:
        >>> [kind_of(entry) for entry in client.iter_usage_history(max_items=2)]
        ['debit', 'debit']
    """
    if entry.amount <= 0:
        return "debit"
    if entry.inference_details is not None and entry.inference_details.request_id:
        return "refund"
    return "purchase" if _PURCHASE.search(entry.sku) or _PURCHASE.search(entry.notes) else "credit"


@overload
def summarize(
    entries: AsyncIterable[UsageEntry],
    by: Dimension | Iterable[Dimension] = ...,
    timezone: str | tzinfo = ...,
    *,
    kinds: Callable[[UsageEntry], Kind] = ...,
) -> Awaitable[SpendTable]: ...
@overload
def summarize(
    entries: Iterable[UsageEntry],
    by: Dimension | Iterable[Dimension] = ...,
    timezone: str | tzinfo = ...,
    *,
    kinds: Callable[[UsageEntry], Kind] = ...,
) -> SpendTable: ...
def summarize(
    entries: Iterable[UsageEntry] | AsyncIterable[UsageEntry],
    by: Dimension | Iterable[Dimension] = ("month", "model", "currency"),
    timezone: str | tzinfo = "UTC",
    *,
    kinds: Callable[[UsageEntry], Kind] = kind_of,
) -> SpendTable | Awaitable[SpendTable]:
    """Add up entries by group, exactly: no digit is rounded, and no two currencies are added.

    Entries are read one by one and not kept, so memory grows with the number of groups alone. Rows come ordered by
    the names in `by`; what a booking does not name (its key, its service) is a group of its own, None.

    Args:
        entries: Any iterable of entries; of an async one, like an `AsyncUsageWalk`, the result is to be awaited.
        by: One name or several of day, week, month, model, service, sku, key, currency. The currency is always one.
        timezone: The IANA time zone of days, weeks (Monday to Sunday) and months: a name that
            `zoneinfo.available_timezones()` lists, its `ZoneInfo`, or `datetime.UTC`. Where the machine has no
            database of zones, as on Windows, names other than UTC need the package `tzdata`.
        kinds: The rule that says what a booking is; `kind_of` unless given. Debits of a rule of your own that are
            positive, and other kinds that are negative, lower the sum of their kind.

    Raises:
        InvalidParameterError: An argument is not as above, an item is no entry, or its amount is no finite `Decimal` of
            a sane size.

    Example:
        >>> from venice_billing import spend
        >>> table = spend.summarize(client.iter_usage_history(), by="month")
        >>> table
        SpendTable by month, currency; time zone UTC; 2 rows
        month    currency     debits  refunds  purchases  credits         net  count
        2026-09  DIEM      0.2180108        0          0        0  -0.2180108    343
        2026-09  USD       0.0009746        0          0        0  -0.0009746      2
        >>> [row.net for row in table if row.currency == "USD"]
        [Decimal('-0.0009746')]
    """
    summary = Summary(by, timezone, kinds)
    if isinstance(entries, AsyncIterable):
        return _add_all(entries, summary)
    if not isinstance(entries, Iterable):
        raise InvalidParameterError("entries", type(entries), _ENTRIES)
    iterator = iter(entries)
    try:
        for entry in iterator:
            summary.add(entry)
    finally:  # an iteration that began here ends here, also after an error: a walk may have requests under way
        if iterator is not entries and isinstance(iterator, Generator):
            iterator.close()
    return summary.table()


async def _add_all(entries: AsyncIterable[UsageEntry], summary: Summary) -> SpendTable:
    iterator = aiter(entries)
    try:
        async for entry in iterator:
            summary.add(entry)
    finally:
        close = getattr(iterator, "aclose", None)
        if iterator is not entries and close is not None:
            await close()
    return summary.table()


class Summary:
    """The groups of entries: which group and which kind an entry is of.

    Attributes:
        by: The names that groups are made by.
        zone: The time zone of days, weeks and months.
        groups: The sums so far.
    """

    def __init__(self, by: object, timezone: object, kinds: object = kind_of) -> None:
        if not callable(kinds):
            raise InvalidParameterError("kinds", kinds, f"a function of an entry that returns {_ALLOWED_KINDS}")
        self.by = dimensions(by)
        self._timezone, self.zone = time_zone("timezone", timezone)
        readers = _readers(self.zone)
        self._readers = [readers[name] for name in self.by]
        self.groups = Groups(self.by)
        self._kinds = kinds

    def add(self, entry: UsageEntry) -> None:
        """Add an entry to its group."""
        amount: object = getattr(entry, "amount", None)
        if not isinstance(amount, Decimal) or not isinstance(entry, UsageEntry):
            raise InvalidParameterError("entries", type(entry), _ENTRIES + ", with amounts that are Decimal")
        if not amount.is_finite() or abs(amount.adjusted()) > _LARGEST_POWER:
            raise InvalidParameterError(
                "amount", amount, f"a finite number, with no power of ten over {_LARGEST_POWER}"
            )
        kind = self._kinds(entry)
        if kind not in KINDS:
            raise InvalidParameterError("kinds", kind, f"a function of an entry that returns {_ALLOWED_KINDS}")
        sums = self.groups.of(tuple([read(entry) for read in self._readers]))
        sums.add(kind, amount)
        sums.count += 1

    def table(self) -> SpendTable:
        """Return the sums so far, ordered by group."""
        return self.groups.table(self._timezone)


def _readers(zone: tzinfo) -> dict[Dimension, Callable[[UsageEntry], str | None]]:
    """Return, for each name, the function that reads it from an entry."""
    product = lru_cache(_MOST_REMEMBERED)(split_sku)

    def period(text: Callable[[date], str]) -> Callable[[UsageEntry], str]:
        return lambda entry: text(local_date(entry.timestamp, zone))

    return {
        "day": period(PERIODS["day"]),
        "week": period(PERIODS["week"]),
        "month": period(PERIODS["month"]),
        "model": lambda entry: product(entry.sku).model,
        "service": lambda entry: product(entry.sku).service,
        "sku": lambda entry: entry.sku,
        "key": lambda entry: entry.api_key_id if isinstance(entry.api_key_id, str) else None,
        "currency": lambda entry: str(entry.currency),
    }
