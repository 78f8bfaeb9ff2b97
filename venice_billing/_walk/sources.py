"""Page sources for walks over the history: as JSON and as CSV. Pure."""

from __future__ import annotations

import hashlib
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from itertools import pairwise
from typing import TYPE_CHECKING

from attrs import evolve, field, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call, call_and_keep
from venice_billing._csv import CsvDocument, TimeColumn, check_order, take_apart, without_newline
from venice_billing._csv_columns import check_header, check_values
from venice_billing._drift import note
from venice_billing._walk.matching import CurrencyColumn, check_currency, within_range
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
_OTHER_FORMAT = "an operation gives what its format says"


class EntrySource:
    """What all sources of entries share: the timestamp of an entry, and its fingerprint."""

    def timestamp(self, row: UsageEntry) -> datetime:
        """Return the time at which the entry was booked."""
        return row.timestamp

    def fingerprint(self, row: UsageEntry) -> str:
        """Return a digest of the fields that the contract names; a field that the API adds later must not change it."""
        return _digest("\x1f".join(_named(row)).encode("utf-8", "surrogatepass"))


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
        return self._page(_first_request(query, page_size, self.currency), query)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], query: RangeQuery) -> Steps[Page[UsageEntry]]:
        answer, again = yield from call_and_keep(operation, self.policy)
        if not isinstance(answer, UsageHistoryPage):
            raise TypeError(_OTHER_FORMAT)
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
        return self._page(operations.usage_history_continued(page.following, format="csv"), _query_of(page))

    def timestamp(self, row: bytes) -> datetime:
        """Return the time at which the record was booked."""
        if self._column is None:
            raise RuntimeError("records come from pages, and a page has a header")
        return self._column.of(row)

    def fingerprint(self, row: bytes) -> str:
        """Return a digest of the record as sent, without its line break."""
        return _digest(without_newline(row))

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
        return self._page(_first_request(query, page_size, self._currency, "csv"), query)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], query: RangeQuery) -> Steps[Page[bytes]]:
        answer = yield from call(operation, self._policy)
        if not isinstance(answer, UsageCsv):
            raise TypeError(_OTHER_FORMAT)
        document = take_apart(answer)
        if self._ends is None and document.records and not document.ended:
            yield from self._learn_ending(query)
        if self.header is None and not (document.records or document.ended or answer.next_cursor):
            check_header(document)
            yield from self._prove_empty(query)
        page = self.page_of(document, answer.next_cursor, query)
        return evolve(page, again=lambda: take_apart(answer).records)

    def _learn_ending(self, query: RangeQuery) -> Steps[None]:
        """Fetch a small page too, to see how pages end: one without a final line break may have been cut short.

        Once in a walk, and only if its pages end without a line break.
        """
        request = _first_request(query, arguments.PAGE_SIZES[0], self._currency, "csv")
        answer = yield from call(request, self._policy)
        if isinstance(answer, UsageCsv) and (document := take_apart(answer)).records:
            self._ends = document.ended

    def _prove_empty(self, query: RangeQuery) -> Steps[None]:
        """Fetch the range as JSON too: a header row without a line break may be all that is left of a page.

        Raises:
            ResponseValidationError: There are charges in the range.
        """
        request = _first_request(query, arguments.PAGE_SIZES[0], self._currency, "json")
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


def _first_request(
    query: RangeQuery, page_size: int | None, currency: str | None, format: operations.Format = "json"
) -> Operation[UsageHistoryPage | UsageCsv]:
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


def _query_of(page: Page[UsageEntry] | Page[bytes]) -> RangeQuery:
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


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=9).hexdigest()
