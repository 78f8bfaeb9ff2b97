"""The models of the API's answers: the generated models under their public names, and the CSV page."""

from __future__ import annotations

from typing import Any, Self

from venice_billing._arguments import Moment
from venice_billing._runtime.sku import Sku
from venice_billing_api.models import (
    ApiKeyUsage,
    Balance,
    Balances,
    Currency,
    DailySeriesPoint,
    DailyUsage,
    InferenceDetails,
    ModelUsage,
    ModelUsageBreakdown,
    Pagination,
    UsageAnalytics,
    UsageEntry,
    UsageHistoryPage,
    UsagePage,
)

__all__ = [
    "ApiKeyUsage",
    "Balance",
    "Balances",
    "Currency",
    "DailySeriesPoint",
    "DailyUsage",
    "InferenceDetails",
    "ModelUsage",
    "ModelUsageBreakdown",
    "Moment",
    "Pagination",
    "Sku",
    "UsageAnalytics",
    "UsageCsv",
    "UsageEntry",
    "UsageHistoryPage",
    "UsagePage",
]


class UsageCsv(bytes):
    """A page of the ledger as CSV: the bytes exactly as sent, header row included.

    Attributes:
        next_cursor: The cursor that fetches the next page of the history; None on the last page.
        pagination: The page information of the original ledger, from its headers; None for the history.
        filename: The file name the API suggests; None if it suggests none.
    """

    next_cursor: str | None
    pagination: Pagination | None
    filename: str | None

    def __new__(
        cls,
        content: bytes = b"",
        *,
        next_cursor: str | None = None,
        pagination: Pagination | None = None,
        filename: str | None = None,
    ) -> Self:
        """Make a page of its bytes and the values of its headers."""
        page = super().__new__(cls, content)
        page.next_cursor = next_cursor
        page.pagination = pagination
        page.filename = filename
        return page

    def __getnewargs__(self) -> tuple[Any, ...]:
        """Pickle the bytes as plain bytes; the attributes are pickled separately."""
        return (bytes(self),)
