"""What was spent: entries -> exact totals by day, week, month, model, service, SKU, key and currency. Pure.

Amounts of two currencies are never added: the currency is one of the groups, whether it is asked for or not.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Generator, Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, get_args, overload

from attrs import Attribute, field, frozen, validators

from venice_billing import _exact
from venice_billing._periods import PERIODS, local_date, time_zone
from venice_billing._runtime.sku import split_sku
from venice_billing._table import table_text
from venice_billing.errors import InvalidParameterError
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from datetime import date, tzinfo

__all__ = ["Dimension", "Kind", "SpendRow", "SpendTable", "kind_of", "summarize"]

Kind = Literal["debit", "refund", "purchase", "credit"]
"""What a booking is: usage that was charged, such a charge given back, credits bought, or any other gain."""

Dimension = Literal["day", "week", "month", "model", "service", "sku", "key", "currency"]
"""What totals can be made by."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
_ALLOWED_KINDS = ", ".join(map(repr, _KINDS))
_FIGURES = ("debits", "refunds", "purchases", "credits", "net", "count")
_ENTRIES = "an iterable or async iterable of UsageEntry, like a walk, a page of a walk, or `page.data`"
_PURCHASE = re.compile(r"\b(?:purchase[ds]?|top[- ]?ups?)\b", re.IGNORECASE)
_LARGEST_POWER = 1000  # far beyond what the API may send; an exact sum of 1E+999999999 and 1 would fill the memory
_MOST_REMEMBERED = 1024  # SKUs: an account has some hundreds, and a broken server must not fill the memory

_text_or_none = validators.optional(validators.instance_of(str))


def _money(_: object, name: Attribute[Decimal], value: object) -> None:
    if not isinstance(value, Decimal) or not value.is_finite():
        raise InvalidParameterError(name.name, value, "a finite Decimal")


@frozen(kw_only=True)
class SpendRow:
    """The totals of one group, in one currency.

    What the table is not grouped by is None. Sums of the default kinds are positive, and
    `net == refunds + purchases + credits - debits` always holds.

    Attributes:
        day: The day in the table's time zone, like "2026-10-31".
        week: The ISO week, which begins on Monday, like "2026-W44".
        month: The month, like "2026-10".
        model: The id of the model; the whole SKU where it does not name one by the habit of SKUs.
        service: llm, image, tts, asr or video; None where the SKU names none.
        sku: The SKU as sent.
        key: The id of the API key; None for the web app and for bookings that are no usage.
        currency: The currency of all sums of this row.
        debits: What was charged.
        refunds: Charges given back.
        purchases: Credits that were bought.
        credits: Any other gain: grants, rewards, transfers.
        count: How many bookings: identical ones count one by one.
    """

    day: str | None = field(default=None, validator=_text_or_none)
    week: str | None = field(default=None, validator=_text_or_none)
    month: str | None = field(default=None, validator=_text_or_none)
    model: str | None = field(default=None, validator=_text_or_none)
    service: str | None = field(default=None, validator=_text_or_none)
    sku: str | None = field(default=None, validator=_text_or_none)
    key: str | None = field(default=None, validator=_text_or_none)
    currency: str = field(converter=str)  # a plain text, also of a member of `Currency`
    debits: Decimal = field(validator=_money)
    refunds: Decimal = field(validator=_money)
    purchases: Decimal = field(validator=_money)
    credits: Decimal = field(validator=_money)
    count: int = field(validator=validators.instance_of(int))

    @property
    def net(self) -> Decimal:
        """The sum of all signed amounts: negative where more was spent than came in."""
        gains = _exact.add(_exact.add(self.refunds, self.purchases), self.credits)
        return _exact.subtract(gains, self.debits)


def _dimensions(by: object) -> tuple[Dimension, ...]:
    """Return the names that totals are made by; the currency is always one of them."""
    allowed = "one or more of " + ", ".join(map(repr, _DIMENSIONS))
    if not isinstance(by, Iterable):
        raise InvalidParameterError("by", by, allowed)
    names: list[Dimension] = []
    for name in [by] if isinstance(by, str) else by:
        if name not in _DIMENSIONS:
            raise InvalidParameterError("by", name, allowed)
        if name in names:
            raise InvalidParameterError("by", name, allowed + ", each once")
        names.append(_DIMENSIONS[_DIMENSIONS.index(name)])
    return tuple(names) if "currency" in names else (*names, "currency")


def _group(row: SpendRow, by: Iterable[Dimension]) -> tuple[str | None, ...]:
    return tuple([getattr(row, name) for name in by])


def _rows(rows: Iterable[SpendRow]) -> tuple[SpendRow, ...]:
    found = tuple(rows)
    for row in found:
        if not isinstance(row, SpendRow):
            raise InvalidParameterError("rows", type(row), "an iterable of SpendRow")
    return found


@frozen(repr=False)
class SpendTable:
    """Totals by group: iterate over it for its rows; `repr()` shows it as a table.

    Attributes:
        by: What the totals are made by; the currency is always one of the names.
        timezone: The IANA name of the time zone whose days, weeks and months the table means.
    """

    _rows: tuple[SpendRow, ...] = field(alias="rows", converter=_rows)
    by: tuple[Dimension, ...] = field(kw_only=True, converter=_dimensions)
    timezone: str = field(kw_only=True, default="UTC", validator=validators.instance_of(str))

    def __attrs_post_init__(self) -> None:
        """Refuse two rows of one group: either would be taken for the whole."""
        seen = set()
        for row in self._rows:
            group = _group(row, self.by)
            if group in seen:
                raise InvalidParameterError("rows", group, f"one row for each combination of {', '.join(self.by)}")
            seen.add(group)

    def __iter__(self) -> Iterator[SpendRow]:
        """Iterate over the rows."""
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def rows(self) -> list[dict[str, str | int | Decimal | None]]:
        """Return the rows as dicts, for DataFrames and `csv.DictWriter`: every row has the same keys, in this order.

        The keys are the names in `by`, then `debits`, `refunds`, `purchases`, `credits`, `net` and `count`; money is
        `Decimal`, to the digit.
        """
        return [{name: getattr(row, name) for name in (*self.by, *_FIGURES)} for row in self._rows]

    def to_dict(self) -> dict[str, Any]:
        """Return the table as JSON has it: `timezone`, `by`, and `rows` with money as exact text."""
        rows = [
            {name: _exact.text(value) if isinstance(value, Decimal) else value for name, value in row.items()}
            for row in self.rows()
        ]
        return {"timezone": self.timezone, "by": list(self.by), "rows": rows}

    def to_json(self) -> str:
        """Return the table as JSON. Money is text, like "0.0009746", since most readers of JSON would round numbers.

        Equal tables give equal texts, wherever their sums were made: zeros at the end of a fraction are left out.
        """
        return json.dumps(self.to_dict())

    def sorted_by(self, *names: str, descending: bool = False) -> SpendTable:
        """Return the table in another order: by names in `by`, or by figures like `debits`; what is None comes last.

        Figures are compared as numbers, whatever their currency: name "currency" first to keep currencies apart.

        Raises:
            InvalidParameterError: There is no such column.
        """
        columns = (*self.by, *_FIGURES)
        for name in names:
            if name not in columns:
                raise InvalidParameterError("names", name, "one or more of " + ", ".join(map(repr, columns)))
        rows = list(self._rows)
        for name in reversed(names):
            rows.sort(key=partial(_order_by, name, descending=descending), reverse=descending)
        return SpendTable(rows, by=self.by, timezone=self.timezone)

    def totals(self, by: Dimension | Iterable[Dimension] = ()) -> SpendTable:
        """Return the exact totals by fewer names of this table: of each currency alone, unless `by` names more.

        Raises:
            InvalidParameterError: The table is not grouped by that.
        """
        fewer = _dimensions(by)
        for name in fewer:
            if name not in self.by:
                raise InvalidParameterError("by", name, "one or more of " + ", ".join(map(repr, self.by)))
        groups = Groups(fewer)
        for row in self._rows:
            sums = groups.of(_group(row, fewer))
            sums.add("debit", row.debits.copy_negate())  # unary minus would round
            sums.add("refund", row.refunds)
            sums.add("purchase", row.purchases)
            sums.add("credit", row.credits)
            sums.count += row.count
        return groups.table(self.timezone)

    def __repr__(self) -> str:
        title = f"SpendTable by {', '.join(self.by)}; time zone {self.timezone}; {len(self)} rows"
        return table_text(title, (*self.by, *_FIGURES), self.rows())


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


class _Sums:
    """The signed sums of one group, by kind."""

    __slots__ = ("count", "signed")

    def __init__(self) -> None:
        self.count = 0
        self.signed: dict[Kind, Decimal] = dict.fromkeys(_KINDS, _exact.ZERO)

    def add(self, kind: Kind, amount: Decimal) -> None:
        self.signed[kind] = _exact.add(self.signed[kind], amount)

    def row(self, group: Mapping[str, Any]) -> SpendRow:
        return SpendRow(
            **group,
            debits=_exact.subtract(_exact.ZERO, self.signed["debit"]),
            refunds=self.signed["refund"],
            purchases=self.signed["purchase"],
            credits=self.signed["credit"],
            count=self.count,
        )


class Groups:
    """Sums by group, which grow entry by entry, or row by row of another table."""

    def __init__(self, by: tuple[Dimension, ...]) -> None:
        self._by = by
        self._sums: dict[tuple[str | None, ...], _Sums] = {}

    def of(self, group: tuple[str | None, ...]) -> _Sums:
        """Return the sums of a group, which begin at zero."""
        if (sums := self._sums.get(group)) is None:
            sums = self._sums[group] = _Sums()
        return sums

    def table(self, timezone: str) -> SpendTable:
        """Return the sums so far, ordered by group."""
        groups = sorted(self._sums, key=lambda group: [_order(value) for value in group])
        rows = [self._sums[group].row(dict(zip(self._by, group, strict=True))) for group in groups]
        return SpendTable(rows, by=self._by, timezone=timezone)


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
        self.by = _dimensions(by)
        self._timezone, self.zone = time_zone("timezone", timezone)
        readers = _readers(self.zone)
        self._readers = [readers[name] for name in self.by]
        self.groups = Groups(self.by)
        self._kinds = kinds

    def add(self, entry: UsageEntry) -> None:
        """Add an entry to its group."""
        if not isinstance(entry, UsageEntry) or not isinstance(entry.amount, Decimal):
            raise InvalidParameterError("entries", type(entry), _ENTRIES + ", with amounts that are Decimal")
        amount = entry.amount
        if not amount.is_finite() or abs(amount.adjusted()) > _LARGEST_POWER:
            raise InvalidParameterError(
                "amount", amount, f"a finite number, with no power of ten over {_LARGEST_POWER}"
            )
        kind = self._kinds(entry)
        if kind not in _KINDS:
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


def _order_by(name: str, row: SpendRow, *, descending: bool) -> tuple[bool, str | Decimal]:
    return _order(getattr(row, name), descending=descending)


def _order(value: str | Decimal | None, *, descending: bool = False) -> tuple[bool, str | Decimal]:
    """Return what to sort a value by; None comes last, in either direction."""
    return ((value is None) is not descending, "" if value is None else value)
