"""Totals by group as a table of exact sums, which any table of fewer names is made from. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import Attribute, field, frozen, validators

from venice_billing import _exact
from venice_billing._table import table_text
from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["debit", "refund", "purchase", "credit"]
"""What a booking is: usage that was charged, such a charge given back, credits bought, or any other gain."""

Dimension = Literal["day", "week", "month", "model", "service", "sku", "key", "currency"]
"""What totals can be made by."""

KINDS: tuple[Kind, ...] = get_args(Kind)
_DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
_FIGURES = ("debits", "refunds", "purchases", "credits", "net", "count")

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


def dimensions(by: object) -> tuple[Dimension, ...]:
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
    by: tuple[Dimension, ...] = field(kw_only=True, converter=dimensions)
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
        fewer = dimensions(by)
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


class _Sums:
    """The signed sums of one group, by kind."""

    __slots__ = ("count", "signed")

    def __init__(self) -> None:
        self.count = 0
        self.signed: dict[Kind, Decimal] = dict.fromkeys(KINDS, _exact.ZERO)

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


def _order_by(name: str, row: SpendRow, *, descending: bool) -> tuple[bool, str | Decimal]:
    return _order(getattr(row, name), descending=descending)


def _order(value: str | Decimal | None, *, descending: bool = False) -> tuple[bool, str | Decimal]:
    """Return what to sort a value by; None comes last, in either direction."""
    return ((value is None) is not descending, "" if value is None else value)
