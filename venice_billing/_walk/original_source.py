"""The page source for walks over the original ledger, where a server still has it, and its checks. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call_and_keep
from venice_billing._walk.lost import PaginationLostError
from venice_billing._walk.matching import check_currency, within_range
from venice_billing._walk.sources import EntrySource, entries_of
from venice_billing._walk.types import MILLISECOND, Bounds, Page, up_to
from venice_billing._walk.widening import Landmarks, RangeQuery, widened
from venice_billing.errors import ResponseValidationError
from venice_billing.models import UsageCsv, UsagePage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing._call import Policy, Steps
    from venice_billing._walk.types import Order
    from venice_billing.errors import BillingTimeoutError
    from venice_billing.models import UsageEntry


@frozen
class OriginalSource(EntrySource):
    """`/billing/usage`, page by page, where a server still has it.

    Pages shift while usage is recorded. So a walk newest first takes the newest entry of the first page as the end of
    its range, and in either order a total that changes between pages means that the pages no longer fit together. All
    pages together have as many entries as the total says, including those outside the range and in other currencies.
    """

    policy: Policy
    currency: str | None = None
    largest_page: int = field(default=arguments.LIMITS[1], init=False)

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a range, in either order."""
        size = min(page_size or self.largest_page, self.largest_page)
        return self._page(_OriginalPage(RangeQuery(bounds), order, size, number=1))

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a wider range, of the largest size: the range itself may begin many pages later."""

        def ask(query: RangeQuery) -> Steps[Page[UsageEntry]]:
            return self._page(_OriginalPage(query, order, self.largest_page, number=1))

        return widened(
            ask,
            bounds,
            hang,
            now=self.policy.clock.time(),
            filtered=self.currency is not None,
            landmarks=Landmarks(),
        )

    def follow(self, page: Page[UsageEntry]) -> Steps[Page[UsageEntry]]:
        """Fetch the page with the next number."""
        if not isinstance(page.state, _OriginalPage):
            raise TypeError("a page of another source cannot be followed here")
        return self._page(evolve(page.state, number=page.state.number + 1))

    def _page(self, wanted: _OriginalPage) -> Steps[Page[UsageEntry]]:
        query = wanted.query
        operation = operations.usage(
            currency=None if query.any_currency else self.currency,
            start=query.bounds.start,
            end=query.bounds.end,
            limit=wanted.size,
            page=wanted.number,
            sort_order=wanted.order,
        )
        answer, again = yield from call_and_keep(operation, self.policy)
        if not isinstance(answer, UsagePage):
            raise TypeError("without a format, the operation gives entries")
        check_number(answer, wanted.number)
        total = answer.pagination.total
        if wanted.total not in (None, total):
            raise PaginationLostError(f"pages shifted: {wanted.total} entries became {total}")
        more = wanted.number < answer.pagination.total_pages
        reached = evolve(wanted, total=total, received=wanted.received + len(answer.data))
        if not more and reached.received != total:
            raise ResponseValidationError(
                f"{reached.received} entries came on all pages, but their total is {total}",
                field="pagination.total",
            )
        if wanted.order == "desc" and query.bounds.end is None and answer.data:
            newest = up_to(answer.data[0].timestamp + MILLISECOND)
            reached = evolve(reached, query=evolve(query, bounds=Bounds(query.bounds.start, newest)))
        entries = original_entries(answer, query, self.currency)
        last = answer.data[-1].timestamp if answer.data else None
        following = str(wanted.number + 1) if more else None
        return Page(entries, following, reached, last=last, again=lambda: entries_of(again()))


@frozen
class _OriginalPage:
    query: RangeQuery
    order: Order
    size: int
    number: int
    total: int | None = None
    received: int = 0


def check_number(page: UsagePage | UsageCsv, number: int) -> None:
    """Refuse a page of the original ledger whose own number is not the requested one.

    Raises:
        ResponseValidationError: The numbers differ. A CSV page without pagination headers cannot be checked.
    """
    if page.pagination is not None and page.pagination.page != number:
        raise ResponseValidationError(
            f"page {number} was asked for, and page {page.pagination.page} came",
            field="x-pagination-page" if isinstance(page, UsageCsv) else "pagination.page",
        )


def original_entries(page: UsagePage, query: RangeQuery, currency: str | None) -> Sequence[UsageEntry]:
    """Return the entries of an original page that match the query; the original endpoint includes the range's end.

    Raises:
        ResponseValidationError: No entry lies in the range, or one is in another currency.
    """
    bounds, end = query.bounds, query.bounds.end
    closed = bounds if end is None else Bounds(bounds.start, end + timedelta(microseconds=1))
    entries = within_range(page.data, lambda entry: entry.timestamp, closed, ordered=False)
    if query.any_currency:
        return [entry for entry in entries if entry.currency == currency]
    check_currency(page.data, currency)
    return entries
