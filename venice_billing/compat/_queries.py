"""What the old SDK's `get_usage` asks for, and its answer from a walk of the history. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen

from venice_billing import _arguments as arguments
from venice_billing._operations import HISTORY_CURRENCIES, LEGACY_CURRENCIES
from venice_billing.compat._values import BillingUsageEntry, BillingUsageResponse
from venice_billing.errors import InvalidParameterError
from venice_billing.models import Pagination, UsagePage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from venice_billing.models import UsageEntry

CONCURRENCY = 8
"""How many requests of a walk may be under way at once."""
_LIMIT = 200
_SMALLEST_PAGE = 10  # of the history; the original ledger had smaller ones


@frozen
class Range:
    """Which charges are wanted, in which order.

    Attributes:
        start: From this time on, included.
        end: Up to this time, excluded.
        currency: Only charges in this currency; None for all.
        order: By time, "asc" or "desc".
    """

    start: datetime | None
    end: datetime | None
    currency: str | None
    order: str

    @property
    def history(self) -> dict[str, Any]:
        """The filters of the history; a currency that it cannot filter by is filtered here."""
        currency = self.currency if self.currency in HISTORY_CURRENCIES else None
        return {"start_timestamp": self.start, "end_timestamp": self.end, "currency": currency}

    @property
    def walk(self) -> dict[str, Any]:
        """The arguments of a walk through the history."""
        return {**self.history, "sort_order": self.order}

    @property
    def is_filtered_here(self) -> bool:
        """Whether the history cannot filter by the currency."""
        return self.currency is not None and self.currency not in HISTORY_CURRENCIES

    def has(self, entry: UsageEntry) -> bool:
        """Tell whether an entry of the history is in the currency."""
        return not self.is_filtered_here or entry.currency == self.currency

    def value(self, entry: UsageEntry) -> BillingUsageEntry | None:
        """Return the charge with the old names; None if it is in another currency."""
        return BillingUsageEntry(entry) if self.has(entry) else None


@frozen
class PageQuery:
    """A page of the original ledger, by its number."""

    range: Range
    limit: int
    page: int

    @property
    def original(self) -> dict[str, Any]:
        """The arguments of `VeniceBilling.get_usage`."""
        return {
            "start_date": self.range.start,
            "end_date": self.range.end,
            "currency": self.range.currency,
            "sort_order": self.range.order,
            "limit": self.limit,
            "page": self.page,
        }


@define
class PageOfWalk:
    """Takes the entries of a whole walk; keeps those of one page, and counts all."""

    query: PageQuery
    _kept: list[UsageEntry] = field(factory=list)
    _total: int = 0

    def take(self, entries: Iterable[UsageEntry]) -> None:
        """Take the next entries of the walk."""
        wanted = [entry for entry in entries if self.query.range.has(entry)]
        first = (self.query.page - 1) * self.query.limit - self._total
        self._kept += wanted[max(first, 0) : max(first + self.query.limit, 0)]
        self._total += len(wanted)

    def response(self) -> BillingUsageResponse:
        """Return the page, after the last entry of the walk."""
        limit, page = self.query.limit, self.query.page
        pagination = Pagination(limit=limit, page=page, total=self._total, total_pages=-(-self._total // limit))
        return BillingUsageResponse(UsagePage(data=self._kept, pagination=pagination))


def range_of(start: tuple[str, Any], end: tuple[str, Any], currency: Any, order: tuple[str, Any]) -> Range:
    """Check the filters; each bound and the order come with the old name of the parameter.

    Raises:
        InvalidParameterError: A filter is invalid.
    """
    first, last = arguments.window(*start, *end)
    return Range(
        first,
        last,
        None if currency is None else arguments.choice("currency", currency, LEGACY_CURRENCIES),
        arguments.choice(*order, ("asc", "desc")),
    )


def history_query(cursor: Any, **filters: Any) -> dict[str, Any]:
    """Check the arguments of a page of the history, and return those of `VeniceBilling.get_usage_history`.

    Raises:
        InvalidParameterError: An argument is invalid.
    """
    if cursor is not None:
        return {"cursor": arguments.cursor(cursor, **filters)}
    start, end = arguments.window("startTimestamp", filters["startTimestamp"], "endTimestamp", filters["endTimestamp"])
    size = arguments.optional_integer("pageSize", filters["pageSize"], *arguments.PAGE_SIZES)
    return {"currency": filters["currency"], "start_timestamp": start, "end_timestamp": end, "page_size": size}


def page_query(wanted: Range, limit: Any, page: Any) -> PageQuery:
    """Check the numbers of a page.

    Raises:
        InvalidParameterError: A number is invalid.
    """
    return PageQuery(
        wanted,
        _LIMIT if limit is None else arguments.integer("limit", limit, *arguments.LIMITS),
        1 if page is None else arguments.integer("page", page, 1),
    )


def is_csv(format: Any) -> bool:
    """Tell whether CSV is wanted."""
    return format is not None and arguments.choice("format", getattr(format, "value", format), ("json", "csv")) == "csv"


def check_whole_csv(page: Any, sortOrder: Any) -> None:  # noqa: N803 - the old SDK's name
    """Refuse page numbers and another order with CSV: it is always the whole range, and a loop would repeat that."""
    if page not in {None, 1}:
        raise InvalidParameterError("page", page, "left out with CSV, which is always the whole range")
    if sortOrder == "desc":
        raise InvalidParameterError("sortOrder", sortOrder, "'asc' or left out with CSV, which is oldest first")


def max_items(value: Any) -> int | None:
    """Return the largest number of charges wanted; None for all."""
    return arguments.optional_integer("max_items", value, 1)


def page_size(value: Any) -> int | None:
    """Return a size of the history's pages; smaller ones were allowed in the original ledger."""
    if value is None:
        return None
    return max(_SMALLEST_PAGE, arguments.integer("page_size", value, 1, arguments.PAGE_SIZES[1]))
