"""The page source for walks over the history as JSON, and what it shares with that of CSV. Pure."""

from __future__ import annotations

import hashlib
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call_and_keep
from venice_billing._walk.matching import check_currency, within_range
from venice_billing._walk.types import Bounds, Page
from venice_billing._walk.widening import Landmarks, RangeQuery, widened
from venice_billing.errors import ResponseValidationError
from venice_billing.models import UsageCsv, UsageEntry, UsageHistoryPage, UsagePage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from venice_billing._call import Operation, Policy, Steps
    from venice_billing._walk.types import Order
    from venice_billing.errors import BillingTimeoutError

# Not the caller's decimal context: it could round, and digests of one charge would differ between processes.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])
OTHER_FORMAT = "an operation gives what its format says"


class EntrySource:
    """What all sources of entries share: the timestamp of an entry, and its fingerprint."""

    def timestamp(self, row: UsageEntry) -> datetime:
        """Return the time at which the entry was booked."""
        return row.timestamp

    def fingerprint(self, row: UsageEntry) -> str:
        """Return a digest of the fields that the contract names; a field that the API adds later must not change it."""
        return digest("\x1f".join(_named(row)).encode("utf-8", "surrogatepass"))


def _named(row: UsageEntry) -> Iterator[str]:
    yield row.timestamp.isoformat()
    yield row.sku
    for number in (row.price_per_unit_usd, row.units, row.amount):
        yield str(number.normalize(_EXACT))
    yield str(row.currency)
    yield row.notes
    yield str(row.api_key_id or "")
    details = row.inference_details
    if details is not None:
        yield str(details.request_id)
        for count in (details.prompt_tokens, details.completion_tokens, details.inference_execution_time):
            yield str(count)


@frozen
class HistorySource(EntrySource):
    """`/billing/usage-history`, as entries."""

    policy: Policy
    currency: str | None = None
    largest_page: int = field(default=arguments.PAGE_SIZES[1], init=False)
    _landmarks: Landmarks = field(factory=Landmarks, eq=False, repr=False)

    def open(self, bounds: Bounds, _order: Order, page_size: int | None) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a range in ascending order, the only one there is."""
        return self._first_page(RangeQuery(bounds), page_size)

    def open_wider(self, bounds: Bounds, _order: Order, hang: BillingTimeoutError) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a wider range, of the largest size: the range itself may begin many pages later."""
        return widened(
            self._first_page,
            bounds,
            hang,
            now=self.policy.clock.time(),
            filtered=self.currency is not None,
            landmarks=self._landmarks,
        )

    def follow(self, page: Page[UsageEntry]) -> Steps[Page[UsageEntry]]:
        """Fetch the next page by the cursor of this one, sent without filters."""
        return self._page(operations.usage_history_continued(page.following), _query_of(page))

    def _first_page(self, query: RangeQuery, page_size: int | None = None) -> Steps[Page[UsageEntry]]:
        return self._page(first_request(query, page_size, self.currency), query)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], query: RangeQuery) -> Steps[Page[UsageEntry]]:
        answer, again = yield from call_and_keep(operation, self.policy)
        if not isinstance(answer, UsageHistoryPage):
            raise TypeError(OTHER_FORMAT)
        _check_order(answer.data)
        entries = within_range(answer.data, self.timestamp, query.bounds, ordered=True)
        first, last = (answer.data[0].timestamp, entries[-1].timestamp) if entries else (None, None)
        page = Page(entries, answer.next_cursor, query, first=first, last=last, again=lambda: entries_of(again()))
        if query.any_currency:
            page = evolve(page, rows=[entry for entry in entries if entry.currency == self.currency])
        else:
            check_currency(answer.data, self.currency)
        if page.rows:
            self._landmarks.add(page.rows[-1].timestamp)
        return page


def first_request(
    query: RangeQuery, page_size: int | None, currency: str | None, format: operations.Format = "json"
) -> Operation[UsageHistoryPage | UsageCsv]:
    """Return the request for the first page of a range."""
    return operations.usage_history(
        format=format,
        currency=None if query.any_currency else currency,
        start=query.bounds.start,
        end=query.bounds.end,
        page_size=page_size,
    )


def entries_of(answer: object) -> Sequence[UsageEntry]:
    """Return the entries of a page of either ledger; none of a page of CSV."""
    return answer.data if isinstance(answer, UsageHistoryPage | UsagePage) else ()


def _query_of(page: Page[UsageEntry]) -> RangeQuery:
    if not isinstance(page.state, RangeQuery):
        raise TypeError("a page of another source cannot be followed here")
    return page.state


def _check_order(entries: list[UsageEntry]) -> None:
    """Refuse a page whose entries are out of order: a position in such a page would not say what was received."""
    for index, (before, after) in enumerate(pairwise(entries)):
        if after.timestamp < before.timestamp:
            raise ResponseValidationError(
                f"{after.timestamp.isoformat()} after {before.timestamp.isoformat()}, but entries ascend in time",
                field=f"data[{index + 1}].timestamp",
            )


def digest(text: bytes) -> str:
    """Return a short digest of a text."""
    return hashlib.blake2b(text, digest_size=9).hexdigest()
