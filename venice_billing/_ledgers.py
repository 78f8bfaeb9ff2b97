"""The three faces of the ledger, each a `_walk.Ledger`: history as JSON, history as CSV, the original pages. Pure."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context
from itertools import pairwise
from typing import TYPE_CHECKING, NoReturn, TypeVar

from attrs import evolve, frozen

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call
from venice_billing._csv import CsvDocument, TimeColumn, check_order, joined, take_apart, without_newline
from venice_billing._walk import DAY, MILLISECOND, Bounds, LostThreadError, Page, up_to
from venice_billing.errors import BillingTimeoutError, ResponseValidationError, ServerError
from venice_billing.models import UsageCsv, UsageEntry, UsageHistoryPage, UsagePage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from venice_billing._arguments import Moment
    from venice_billing._call import Operation, Policy, Steps
    from venice_billing._walk import Ledger, Order

T = TypeVar("T")
# Not the caller's context: it would round, or make another digest of the same charge in another process.
_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])


class EntryIdentity:
    """What all ledgers of entries share: when an entry was booked, and which charge it is."""

    def stamp(self, row: UsageEntry) -> datetime:
        """Return when the entry was booked."""
        return row.timestamp

    def identity(self, row: UsageEntry) -> str:
        """Return a digest of what the contract names; a field that upstream adds one day must not change it."""
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
class HistoryLedger(EntryIdentity):
    """`/billing/usage-history`, as entries."""

    policy: Policy
    currency: str | None = None

    def open(self, bounds: Bounds, _order: Order, page_size: int | None) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a range, ascending: there is no other order."""

        def first(within: Bounds) -> Steps[Page[UsageEntry]]:
            return self._page(_first_page(within, page_size, self.currency))

        return _unless_it_hangs(first, bounds, self.policy)

    def follow(self, page: Page[UsageEntry]) -> Steps[Page[UsageEntry]]:
        """Fetch the page its cursor leads to, by the cursor alone."""
        return self._page(operations.usage_history(cursor=page.following))

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv]) -> Steps[Page[UsageEntry]]:
        answer = yield from call(operation, self.policy)
        if not isinstance(answer, UsageHistoryPage):
            return _never()
        _check_order(answer.data)
        return Page(answer.data, answer.next_cursor, answer=answer)


class CsvLedger:
    """`/billing/usage-history`, as CSV records whose bytes are kept as sent; `start` is where the range begins."""

    def __init__(self, policy: Policy, currency: str | None = None, start: datetime | None = None) -> None:
        self._policy = policy
        self._currency = currency
        self._start = start
        self._column: TimeColumn | None = None
        self.header: bytes | None = None
        self.newline = b"\n"

    def go_on_after(self, header: bytes, newline: bytes, column: TimeColumn) -> None:
        """Take over what an earlier walk has learnt of the columns."""
        self.header, self.newline, self._column = header, newline, column

    def open(self, bounds: Bounds, _order: Order, page_size: int | None) -> Steps[Page[bytes]]:
        """Fetch the first page of a range, ascending: there is no other order."""

        def first(within: Bounds) -> Steps[Page[bytes]]:
            return self._page(_first_page(within, page_size, self._currency, "csv"))

        return _unless_it_hangs(first, bounds, self._policy)

    def follow(self, page: Page[bytes]) -> Steps[Page[bytes]]:
        """Fetch the page its cursor leads to, by the cursor alone."""
        return self._page(operations.usage_history(format="csv", cursor=page.following))

    def stamp(self, row: bytes) -> datetime:
        """Return when the record was booked."""
        if self._column is None:
            raise RuntimeError("records come from pages, and a page has a header")
        return self._column.of(row)

    def identity(self, row: bytes) -> str:
        """Return a digest of the record as sent, its line break aside."""
        return _digest(without_newline(row))

    def _page(self, operation: Operation[UsageHistoryPage | UsageCsv]) -> Steps[Page[bytes]]:
        answer = yield from call(operation, self._policy)
        if not isinstance(answer, UsageCsv):
            return _never()
        document = take_apart(answer)
        self._check_header(document)
        check_order(document.records, self._column)
        return Page(document.records, answer.next_cursor, answer=answer)

    def _check_header(self, document: CsvDocument) -> None:
        if self.header is None:
            self.go_on_after(document.header, document.newline, TimeColumn(document.header, self._start))
        elif document.header != self.header:
            raise ResponseValidationError(
                f"the columns changed between pages: {document.header[:120]!r} after {self.header[:120]!r}",
                field="header row",
            )


@frozen
class OriginalLedger(EntryIdentity):
    """`/billing/usage`, page by page, where a server still has it.

    Pages shift while usage is recorded: newest first, the end is pinned to the newest entry of the first page, and
    in either order a total that changes on the way means that the pages no longer fit together.
    """

    policy: Policy
    currency: str | None = None

    def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[UsageEntry]]:
        """Fetch the first page of a range, in either order."""
        size = min(page_size or arguments.LIMITS[1], arguments.LIMITS[1])

        def first(within: Bounds) -> Steps[Page[UsageEntry]]:
            return self._page(_OriginalPage(within, order, size, number=1))

        return _unless_it_hangs(first, bounds, self.policy)

    def follow(self, page: Page[UsageEntry]) -> Steps[Page[UsageEntry]]:
        """Fetch the page of the next number."""
        if not isinstance(page.state, _OriginalPage):
            raise TypeError("a page of another ledger cannot be followed here")
        return self._page(evolve(page.state, number=page.state.number + 1))

    def _page(self, wanted: _OriginalPage) -> Steps[Page[UsageEntry]]:
        operation = operations.usage(
            currency=self.currency,
            start_date=wanted.bounds.start,
            end_date=wanted.bounds.end,
            limit=wanted.size,
            page=wanted.number,
            sort_order=wanted.order,
        )
        answer = yield from call(operation, self.policy)
        if not isinstance(answer, UsagePage):
            return _never()
        total = answer.pagination.total
        if wanted.total not in (None, total):
            raise LostThreadError(f"pages shifted: {wanted.total} entries became {total}")
        reached = evolve(wanted, total=total)
        if wanted.order == "desc" and wanted.bounds.end is None and answer.data:
            newest = up_to(answer.data[0].timestamp + MILLISECOND)
            reached = evolve(reached, bounds=Bounds(wanted.bounds.start, newest))
        more = wanted.number < answer.pagination.total_pages
        return Page(answer.data, str(wanted.number + 1) if more else None, reached)


@frozen
class _OriginalPage:
    bounds: Bounds
    order: Order
    size: int
    number: int
    total: int | None = None


def history_page(
    policy: Policy,
    *,
    format: str,
    currency: str | None,
    start_timestamp: Moment | None,
    end_timestamp: Moment | None,
    page_size: int | None,
    cursor: str | None,
) -> Steps[UsageHistoryPage | UsageCsv]:
    """Fetch one page; a window that the ledger only answers when it is widened comes as one page of all its rows."""
    operation = operations.usage_history(
        format=format,
        currency=currency,
        start_timestamp=start_timestamp,
        end_timestamp=end_timestamp,
        page_size=page_size,
        cursor=cursor,
    )
    if cursor is not None:
        return (yield from call(operation, policy))
    bounds = Bounds(*arguments.window("start_timestamp", start_timestamp, "end_timestamp", end_timestamp))
    if format == "csv":
        records = CsvLedger(policy, currency, bounds.start)
        page = yield from records.open(bounds, "asc", page_size)
        if isinstance(page.answer, UsageCsv) and not page.widened:
            return page.answer
        kept = yield from _kept(records, bounds, page)
        return UsageCsv(joined([records.header or b"", *kept], records.newline))
    entries = HistoryLedger(policy, currency)
    found = yield from entries.open(bounds, "asc", page_size)
    if isinstance(found.answer, UsageHistoryPage) and not found.widened:
        return found.answer
    return UsageHistoryPage(data=(yield from _kept(entries, bounds, found)), next_cursor=None)


def _kept(ledger: Ledger[T], bounds: Bounds, page: Page[T]) -> Steps[list[T]]:
    """Return the rows of a widened window that lie in the window asked for."""
    kept: list[T] = []
    used: set[str] = set()
    while True:
        kept += [row for row in page.rows if bounds.contain(ledger.stamp(row))]
        past = bounds.end is not None and page.rows and ledger.stamp(page.rows[-1]) >= bounds.end
        if page.following is None or past:
            return kept
        if page.following in used:
            raise ServerError("the ledger goes round: a cursor came twice")
        used.add(page.following)
        page = yield from ledger.follow(page)


def _first_page(
    bounds: Bounds, page_size: int | None, currency: str | None, format: str = "json"
) -> Operation[UsageHistoryPage | UsageCsv]:
    return operations.usage_history(
        format=format,
        currency=currency,
        start_timestamp=bounds.start,
        end_timestamp=bounds.end,
        page_size=page_size,
    )


def _unless_it_hangs(first: Callable[[Bounds], Steps[Page[T]]], bounds: Bounds, policy: Policy) -> Steps[Page[T]]:
    """Fetch the first page of a range; where the ledger hangs on a narrow one, once more of a whole day around it.

    The page of a widened range holds rows outside the range.
    """
    try:
        return (yield from first(bounds))
    except BillingTimeoutError:
        wide = _widened(bounds, datetime.fromtimestamp(policy.clock.time(), UTC))
        if wide is None:
            raise
    return evolve((yield from first(wide)), widened=True)


def _widened(bounds: Bounds, now: datetime) -> Bounds | None:
    """Return a day that holds the range, or None if the range is a day or more already.

    The day goes on from the start, as the rows wanted then come first; but not into the future, where there is
    nothing and the range would be as narrow as before.
    """
    end = bounds.end or now
    if bounds.start is None or end - bounds.start >= DAY:
        return None
    if bounds.start + DAY <= now:
        return Bounds(bounds.start, bounds.start + DAY)
    return Bounds(end - DAY, bounds.end)  # an open end stays open: the ledger's clock may be ahead of ours


def _check_order(entries: list[UsageEntry]) -> None:
    """Refuse a page out of order: no place in it would name what was received."""
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
