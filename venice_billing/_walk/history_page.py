"""One page for `get_usage_history` and `get_usage`, also where the ledger answers only wider requests. Pure."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, cast

from attrs import evolve

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import Steps, call
from venice_billing._csv import joined, take_apart
from venice_billing._walk.csv_source import CsvSource
from venice_billing._walk.lost import PaginationLostError
from venice_billing._walk.matching import check_currency, within_range
from venice_billing._walk.original_source import check_number, original_entries
from venice_billing._walk.sequential import sequential
from venice_billing._walk.sources import HistorySource
from venice_billing._walk.types import Batch, Bounds, Position, RunConcurrently, down_to, up_to
from venice_billing._walk.widening import RangeQuery
from venice_billing.errors import BillingTimeoutError
from venice_billing.models import UsageCsv, UsageHistoryPage, UsagePage

if TYPE_CHECKING:
    from venice_billing._arguments import Moment
    from venice_billing._call import Operation, Outcome, Policy
    from venice_billing._walk.types import Page, PageSource

Row = TypeVar("Row")


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
    """Fetch one page of the history: the one a cursor leads to, or the first of a range."""
    chosen = _format(format)
    if cursor is not None:
        cursor = arguments.cursor(
            cursor,
            currency=currency,
            start_timestamp=start_timestamp,
            end_timestamp=end_timestamp,
            page_size=page_size,
        )
        # The range and the currency behind a cursor are unknown here, so the rows cannot be checked against them.
        return call(operations.usage_history_continued(cursor, format=chosen), policy)
    if currency is not None:
        currency = arguments.choice("currency", currency, operations.HISTORY_CURRENCIES)
    bounds = Bounds(*arguments.window("start_timestamp", start_timestamp, "end_timestamp", end_timestamp))
    size = arguments.optional_integer("page_size", page_size, *arguments.PAGE_SIZES)
    return _first_page(policy, chosen, currency, bounds, size)


def _first_page(
    policy: Policy, format: operations.Format, currency: str | None, bounds: Bounds, page_size: int | None
) -> Steps[UsageHistoryPage | UsageCsv]:
    """Fetch the first page of a range, with its rows in the order of the API.

    Where the ledger hangs, a wider request finds the charges of the range; they are returned as one page without a
    cursor.
    """
    records = CsvSource(policy, currency, bounds.start)
    operation = operations.usage_history(
        format=format, currency=currency, start=bounds.start, end=bounds.end, page_size=page_size
    )
    try:
        answer = yield from call(operation, policy)
    except BillingTimeoutError as error:
        if error.status_code is not None:
            raise
        hang = error
    else:
        query = RangeQuery(_in_milliseconds(bounds))
        if isinstance(answer, UsageCsv):
            return _csv_asked_for(answer, query, records)
        return _entries_asked_for(answer, query, currency)
    if format == "csv":
        rows = yield from _all(records, bounds, hang)
        return UsageCsv(joined([records.header or b"", *rows], records.newline))
    return UsageHistoryPage(data=(yield from _all(HistorySource(policy, currency), bounds, hang)), next_cursor=None)


def usage_page(
    policy: Policy,
    *,
    format: str,
    currency: str | None,
    start_date: Moment | None,
    end_date: Moment | None,
    limit: int | None,
    page: int | None,
    sort_order: str | None,
) -> Steps[UsagePage | UsageCsv]:
    """Fetch one page of the original ledger."""
    chosen = _format(format)
    if currency is not None:
        currency = arguments.choice("currency", currency, operations.LEGACY_CURRENCIES)
    if sort_order is not None:
        sort_order = arguments.choice("sort_order", sort_order, operations.SORT_ORDERS)
    bounds = Bounds(*arguments.window("start_date", start_date, "end_date", end_date))
    operation = operations.usage(
        format=chosen,
        currency=currency,
        start=bounds.start,
        end=bounds.end,
        limit=arguments.optional_integer("limit", limit, *arguments.LIMITS),
        page=arguments.optional_integer("page", page, 1),
        sort_order=sort_order,
    )
    return _original_page(operation, policy, bounds, currency, 1 if page is None else page)


def _original_page(
    operation: Operation[UsagePage | UsageCsv], policy: Policy, bounds: Bounds, currency: str | None, number: int
) -> Steps[UsagePage | UsageCsv]:
    answer = yield from call(operation, policy)
    check_number(answer, number)
    if not isinstance(answer, UsagePage):
        return answer
    entries = original_entries(answer, RangeQuery(_in_milliseconds(bounds)), currency)
    return answer if entries is answer.data else evolve(answer, data=list(entries))


def _format(format: str) -> operations.Format:
    return cast("operations.Format", arguments.choice("format", format, operations.FORMATS))


def _entries_asked_for(page: UsageHistoryPage, query: RangeQuery, currency: str | None) -> UsageHistoryPage:
    check_currency(page.data, currency)
    entries = within_range(page.data, lambda entry: entry.timestamp, query.bounds, ordered=False)
    return page if entries is page.data else evolve(page, data=list(entries))


def _csv_asked_for(page: UsageCsv, query: RangeQuery, source: CsvSource) -> UsageCsv:
    document = take_apart(page)
    records = source.page_of(document, None, query, ordered=False).rows
    if records is document.records:
        return page
    content = joined([document.header, *records], document.newline)
    return UsageCsv(content, next_cursor=page.next_cursor, filename=page.filename)


def _all(source: PageSource[Row], bounds: Bounds, hang: BillingTimeoutError) -> Steps[list[Row]]:
    """Return all rows of a range on which the ledger hung."""
    first: Page[Row] | None = None
    with suppress(PaginationLostError):  # then the walk opens the range again
        first = yield from source.open_wider(_in_milliseconds(bounds), "asc", hang)
    walk = sequential(source, bounds, "asc", Position(), first=first)
    rows: list[Row] = []
    outcome: Outcome | None = None
    while True:
        try:
            step = walk.send(outcome)
        except StopIteration:
            return rows
        outcome = None
        if isinstance(step, Batch):
            rows += step.rows
        elif isinstance(step, RunConcurrently):
            raise TypeError("one page is walked in sequence")
        else:
            outcome = yield step


def _in_milliseconds(bounds: Bounds) -> Bounds:
    start, end = bounds.start, bounds.end
    return Bounds(None if start is None else down_to(start), None if end is None else up_to(end))
