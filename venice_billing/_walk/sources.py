"""Page sources for walks: history as JSON, history as CSV, the original pages. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from datetime import datetime, timedelta
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, TypeVar

from attrs import evolve, field, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call
from venice_billing._csv import CsvDocument, TimeColumn, check_order, take_apart, without_newline
from venice_billing._csv_columns import check_header, check_values
from venice_billing._drift import note
from venice_billing._runtime.codec import read_with_notice
from venice_billing._walk.matching import CurrencyColumn, check_currency, within_range
from venice_billing._walk.tracker import PaginationLostError
from venice_billing._walk.types import MILLISECOND, Bounds, Page, up_to
from venice_billing._walk.widening import Landmarks, Question, widened
from venice_billing.errors import ResponseValidationError
from venice_billing.models import UsageCsv, UsageEntry, UsageHistoryPage, UsagePage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from venice_billing._call import Operation, Policy, Reply, Steps
    from venice_billing._walk.types import Order
    from venice_billing.errors import BillingTimeoutError

T = TypeVar("T")

# Not the caller's decimal context: it could round, and digests of one charge would differ between processes.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


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
        return self._first_page(Question(bounds), page_size)

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
        return self._page(operations.usage_history_continued(page.following), _question_of(page))

    def _first_page(self, question: Question, page_size: int | None = None) -> Steps[Page[UsageEntry]]:
        return self._page(_first_request(question, page_size, self.currency), question)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], question: Question) -> Steps[Page[UsageEntry]]:
        answer, again = yield from _call_and_keep(operation, self.policy)
        if not isinstance(answer, UsageHistoryPage):
            return _never()
        _check_order(answer.data)
        entries = within_range(answer.data, self.timestamp, question.bounds, ordered=True)
        first, last = (answer.data[0].timestamp, entries[-1].timestamp) if entries else (None, None)
        page = Page(entries, answer.next_cursor, question, first=first, last=last, again=lambda: _entries(again()))
        if question.any_currency:
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
        return self._first_page(Question(bounds), page_size)

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
        return self._page(operations.usage_history_continued(page.following, format="csv"), _question_of(page))

    def timestamp(self, row: bytes) -> datetime:
        """Return the time at which the record was booked."""
        if self._column is None:
            raise RuntimeError("records come from pages, and a page has a header")
        return self._column.of(row)

    def fingerprint(self, row: bytes) -> str:
        """Return a digest of the record as sent, without its line break."""
        return _digest(without_newline(row))

    def page_of(
        self, document: CsvDocument, following: str | None, question: Question, *, ordered: bool = True
    ) -> Page[bytes]:
        """Return the records of a document, after checking that the document answers the question.

        Raises:
            ResponseValidationError: The document does not answer the question.
        """
        self._check_header(document)
        self._check_ending(document)
        check_values(document)
        records = document.records
        if ordered:
            check_order(records, self._column)
        timeless = self._column is None or not records or self._column.is_timeless(records[0])
        if not timeless:
            records = within_range(records, self.timestamp, question.bounds, ordered=ordered)
        first, last = (self.timestamp(document.records[0]), self.timestamp(records[-1])) if records else (None, None)
        if self._currency is not None:
            currencies = CurrencyColumn(document.header)
            if question.any_currency:
                records = currencies.only(records, self._currency)
            else:
                currencies.check(records, self._currency)
        if records and not timeless:
            self._landmarks.add(self.timestamp(records[-1]))
        return Page(records, following, question, first=first, last=last, timeless=timeless)

    def _first_page(self, question: Question, page_size: int | None = None) -> Steps[Page[bytes]]:
        return self._page(_first_request(question, page_size, self._currency, "csv"), question)

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv], question: Question) -> Steps[Page[bytes]]:
        answer = yield from call(operation, self._policy)
        if not isinstance(answer, UsageCsv):
            return _never()
        document = take_apart(answer)
        if self._ends is None and document.records and not document.ended:
            yield from self._learn_ending(question)
        if self.header is None and not (document.records or document.ended or answer.next_cursor):
            check_header(document)
            yield from self._prove_empty(question)
        page = self.page_of(document, answer.next_cursor, question)
        return evolve(page, again=lambda: take_apart(answer).records)

    def _learn_ending(self, question: Question) -> Steps[None]:
        """Fetch a small page too, to see how pages end: one without a final line break may have been cut short.

        Once in a walk, and only if its pages end without a line break.
        """
        request = _first_request(question, arguments.PAGE_SIZES[0], self._currency, "csv")
        answer = yield from call(request, self._policy)
        if isinstance(answer, UsageCsv) and (document := take_apart(answer)).records:
            self._ends = document.ended

    def _prove_empty(self, question: Question) -> Steps[None]:
        """Fetch the range as JSON too: a header row without a line break may be all that is left of a page.

        Raises:
            ResponseValidationError: There are charges in the range.
        """
        request = _first_request(question, arguments.PAGE_SIZES[0], self._currency, "json")
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
        return self._page(_OriginalPage(Question(bounds), order, size, number=1))

    def open_wider(self, bounds: Bounds, order: Order, hang: BillingTimeoutError) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a wider range, of the largest size: the range itself may begin many pages later."""

        def ask(question: Question) -> Steps[Page[UsageEntry]]:
            return self._page(_OriginalPage(question, order, self.largest_page, number=1))

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
            raise TypeError("a page of another ledger cannot be followed here")
        return self._page(evolve(page.state, number=page.state.number + 1))

    def _page(self, wanted: _OriginalPage) -> Steps[Page[UsageEntry]]:
        question = wanted.question
        operation = operations.usage(
            currency=None if question.any_currency else self.currency,
            start=question.bounds.start,
            end=question.bounds.end,
            limit=wanted.size,
            page=wanted.number,
            sort_order=wanted.order,
        )
        answer, again = yield from _call_and_keep(operation, self.policy)
        if not isinstance(answer, UsagePage):
            return _never()
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
        if wanted.order == "desc" and question.bounds.end is None and answer.data:
            newest = up_to(answer.data[0].timestamp + MILLISECOND)
            reached = evolve(reached, question=evolve(question, bounds=Bounds(question.bounds.start, newest)))
        entries = original_entries(answer, question, self.currency)
        last = answer.data[-1].timestamp if answer.data else None
        following = str(wanted.number + 1) if more else None
        return Page(entries, following, reached, last=last, again=lambda: _entries(again()))


@frozen
class _OriginalPage:
    question: Question
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


def original_entries(page: UsagePage, question: Question, currency: str | None) -> Sequence[UsageEntry]:
    """Return the entries of an original page that match the question; the original endpoint includes the range's end.

    Raises:
        ResponseValidationError: No entry lies in the range, or one is in another currency.
    """
    bounds, end = question.bounds, question.bounds.end
    closed = bounds if end is None else Bounds(bounds.start, end + timedelta(microseconds=1))
    entries = within_range(page.data, lambda entry: entry.timestamp, closed, ordered=False)
    if question.any_currency:
        return [entry for entry in entries if entry.currency == currency]
    check_currency(page.data, currency)
    return entries


def _first_request(
    question: Question, page_size: int | None, currency: str | None, format: operations.Format = "json"
) -> Operation[UsageHistoryPage | UsageCsv]:
    return operations.usage_history(
        format=format,
        currency=None if question.any_currency else currency,
        start=question.bounds.start,
        end=question.bounds.end,
        page_size=page_size,
    )


def _call_and_keep(operation: Operation[T], policy: Policy) -> Steps[tuple[T, Callable[[], T]]]:
    """Make one call; return its value, and a function that reads the same answer again."""
    replies: deque[Reply] = deque(maxlen=1)

    def read(reply: Reply) -> T:
        replies.append(reply)
        return operation.read(reply)

    value = yield from call(evolve(operation, read=read), policy)
    return value, partial(_read_silently, operation.read, replies[-1])


def _read_silently(read: Callable[[Reply], T], reply: Reply) -> T:
    """Read an answer that was read before, so that whatever is new in it has been logged."""
    return read_with_notice(lambda _kind, _name: None, read, reply)


def _entries(answer: object) -> Sequence[UsageEntry]:
    return answer.data if isinstance(answer, UsageHistoryPage | UsagePage) else ()


def _question_of(page: Page[UsageEntry] | Page[bytes]) -> Question:
    if not isinstance(page.state, Question):
        raise TypeError("a page of another ledger cannot be followed here")
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


def _never() -> NoReturn:
    raise TypeError("an operation reads what it asked for")
