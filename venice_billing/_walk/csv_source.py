"""The page source for walks over the history as CSV. Pure.

A CSV page names the next one in a header, which a gateway may remove, and its body may be cut between two lines. So
where a page may be the last, or have lost its end, another request settles it.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from attrs import evolve, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call
from venice_billing._csv import CsvDocument, TimeColumn, check_order, take_apart, without_newline
from venice_billing._csv_columns import check_header, check_values
from venice_billing._drift import note
from venice_billing._walk.lost import PaginationLostError
from venice_billing._walk.matching import CurrencyColumn, within_range
from venice_billing._walk.sequential import has_more
from venice_billing._walk.sources import OTHER_FORMAT, HistorySource, digest, first_request
from venice_billing._walk.types import Bounds, Page
from venice_billing._walk.widening import Landmarks, RangeQuery, widened
from venice_billing.errors import ResponseValidationError
from venice_billing.models import UsageCsv, UsageHistoryPage

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from venice_billing._call import Operation, Policy, Steps
    from venice_billing._walk.types import Order
    from venice_billing.errors import BillingTimeoutError


class CsvSource:
    """`/billing/usage-history`, as CSV records whose bytes are kept as sent; `start` is the start of the range.

    Attributes:
        largest_page: The largest number of records of a page.
        header: The header row of all pages, without its line break; None before the first page.
        newline: The line break after the header row.
        is_doubtful: Whether a later page showed that the last record of an earlier one may be cut short.
    """

    def __init__(self, policy: Policy, currency: str | None = None, start: datetime | None = None) -> None:
        self._policy = policy
        self._currency = currency
        self._start = start
        self._column: TimeColumn | None = None
        self._landmarks = Landmarks()
        self.largest_page = arguments.PAGE_SIZES[1]
        self.header: bytes | None = None
        self.newline = b"\n"
        self.is_doubtful = False
        self._ends: bool | None = None
        self._lacks_cursor = False

    def go_on_after(self, header: bytes, newline: bytes, column: TimeColumn) -> None:
        """Take over the header, the line break and the time column that an earlier walk found."""
        self.header, self.newline, self._column = header, newline, column

    def open(self, bounds: Bounds, _order: Order, page_size: int | None) -> Steps[Page[bytes]]:
        """Fetch the first page of a range in ascending order, the only one there is."""
        return self._first_page(RangeQuery(bounds), page_size)

    def open_wider(self, bounds: Bounds, _order: Order, hang: BillingTimeoutError) -> Steps[Page[bytes]]:
        """Fetch the first page of a wider range, of the largest size: the range itself may begin many pages later."""
        return widened(
            self._first_page,
            bounds,
            hang,
            now=self._policy.clock.time(),
            filtered=self._currency is not None,
            landmarks=self._landmarks,
        )

    def follow(self, page: Page[bytes]) -> Steps[Page[bytes]]:
        """Fetch the next page by the cursor of this one, sent without filters."""
        if not isinstance(page.state, _Reading):
            raise TypeError("a page of another source cannot be followed here")
        return self._page(operations.usage_history_continued(page.following, format="csv"), page.state)

    def timestamp(self, row: bytes) -> datetime:
        """Return the time at which the record was booked."""
        if self._column is None:
            raise RuntimeError("records come from pages, and a page has a header")
        return self._column.of(row)

    def fingerprint(self, row: bytes) -> str:
        """Return a digest of the record as sent, without its line break."""
        return digest(without_newline(row))

    def page_of(
        self, document: CsvDocument, following: str | None, query: RangeQuery, *, ordered: bool = True
    ) -> Page[bytes]:
        """Return the records of a document, after checking that the document answers the query.

        Raises:
            ResponseValidationError: The document does not answer the query.
        """
        self._check_header(document)
        self._check_ending(document)
        check_values(document)
        records = document.records
        if ordered:
            check_order(records, self._column)
        timeless = self._column is None or not records or self._column.is_timeless(records[0])
        if not timeless:
            records = within_range(records, self.timestamp, query.bounds, ordered=ordered)
        first, last = (self.timestamp(document.records[0]), self.timestamp(records[-1])) if records else (None, None)
        if self._currency is not None:
            currencies = CurrencyColumn(document.header)
            if query.any_currency:
                records = currencies.only(records, self._currency)
            else:
                currencies.check(records, self._currency)
        if records and not timeless:
            self._landmarks.add(self.timestamp(records[-1]))
        return Page(records, following, query, first=first, last=last, timeless=timeless)

    def _first_page(self, query: RangeQuery, page_size: int | None = None) -> Steps[Page[bytes]]:
        reading = _Reading(query, page_size or self.largest_page)
        return self._page(first_request(query, page_size, self._currency, "csv"), reading)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], reading: _Reading) -> Steps[Page[bytes]]:
        query = reading.query
        answer = yield from call(operation, self._policy)
        if not isinstance(answer, UsageCsv):
            raise TypeError(OTHER_FORMAT)
        document = take_apart(answer)
        if self._ends is None and document.records and not document.ended:
            yield from self._learn_ending(query)
        if self.header is None and not (document.records or document.ended or answer.next_cursor):
            check_header(document)
            yield from self._prove_empty(query)
        page = self.page_of(document, answer.next_cursor, query)
        reading = reading.after(document.records, self.timestamp)
        if answer.next_cursor is None and len(document.records) >= reading.page_size:
            yield from self._prove_end(reading)
        elif answer.next_cursor is not None:
            self._lacks_cursor = False
        return evolve(page, state=reading, again=lambda: take_apart(answer).records)

    def _prove_end(self, reading: _Reading) -> Steps[None]:
        """Ask as JSON what comes after a full page without a cursor: the header that names it may have been removed.

        Charges may also have been booked meanwhile, so at first the page is fetched again.

        Raises:
            PaginationLostError: There are more charges.
            ResponseValidationError: There are more charges again.
        """
        query = reading.query
        if reading.at is None or (query.bounds.end is not None and reading.at >= query.bounds.end):
            return
        source = HistorySource(self._policy, None if query.any_currency else self._currency)
        if not (yield from has_more(source, Bounds(reading.at, query.bounds.end), reading.count)):
            self._lacks_cursor = False
            return
        problem = f"missing on a full page of {reading.page_size} records that others follow: a gateway may remove it"
        if self._lacks_cursor:
            raise ResponseValidationError(problem, field="header X-Next-Cursor")
        self._lacks_cursor = True
        raise PaginationLostError(f"the header X-Next-Cursor is {problem}")

    def _learn_ending(self, query: RangeQuery) -> Steps[None]:
        """Fetch a small page too, to see how pages end: one without a final line break may have been cut short.

        Once in a walk, and only if its pages end without a line break.
        """
        request = first_request(query, arguments.PAGE_SIZES[0], self._currency, "csv")
        answer = yield from call(request, self._policy)
        if isinstance(answer, UsageCsv) and (document := take_apart(answer)).records:
            self._ends = document.ended

    def _prove_empty(self, query: RangeQuery) -> Steps[None]:
        """Fetch the range as JSON too: a header row without a line break may be all that is left of a page.

        Raises:
            ResponseValidationError: There are charges in the range.
        """
        request = first_request(query, arguments.PAGE_SIZES[0], self._currency, "json")
        answer = yield from call(request, self._policy)
        if isinstance(answer, UsageHistoryPage) and answer.data:
            raise ResponseValidationError("charges are missing behind the header row", field="records")

    def _check_ending(self, document: CsvDocument) -> None:
        """Refuse a page that ends with a line break or without one, unlike the other pages of the walk.

        Either is a layout, but a page without one may also have been cut within its last field.
        """
        if not document.records:
            return  # the header row is that of the other pages, so nothing is missing
        if not document.ended:
            note("CSV page", "no line break after the last record, whose last field may be cut short")
        if self._ends is None:
            self._ends = document.ended
        if self._ends != document.ended:
            self.is_doubtful = document.ended
            raise ResponseValidationError(
                "one page ends with a line break and another without: its last record was cut short", field="records"
            )

    def _check_header(self, document: CsvDocument) -> None:
        if self.header is None:
            check_header(document)
            self.go_on_after(document.header, document.newline, TimeColumn(document.header, self._start))
        elif document.header != self.header:
            raise ResponseValidationError(
                f"the columns changed between pages: {document.header[:120]!r} after {self.header[:120]!r}",
                field="header row",
            )


@frozen
class _Reading:
    """How far one opening of a range was read.

    Attributes:
        query: The range.
        page_size: The number of records of a page, except the last one.
        at: The time of the last record; None before the first.
        count: How many records had that time.
    """

    query: RangeQuery
    page_size: int
    at: datetime | None = None
    count: int = 0

    def after(self, records: Sequence[bytes], timestamp: Callable[[bytes], datetime]) -> _Reading:
        """Return how far the range was read after these records."""
        if not records:
            return self
        at = timestamp(records[-1])
        count = sum(1 for _ in takewhile(lambda record: timestamp(record) == at, reversed(records)))
        return evolve(self, at=at, count=count + (self.count if at == self.at else 0))
