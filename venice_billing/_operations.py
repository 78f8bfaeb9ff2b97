"""Turn checked arguments into a request, and a response into a value, by the generated codec. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from venice_billing import _arguments as arguments
from venice_billing._call import Operation, Reply, Request
from venice_billing._csv import check_text
from venice_billing._headers import file_name
from venice_billing._runtime.types import UNSET, Unset
from venice_billing.errors import InvalidParameterError, ResponseValidationError
from venice_billing.models import UsageCsv
from venice_billing_api.api.billing import (
    get_billing_balance,
    get_billing_usage,
    get_billing_usage_analytics,
    get_billing_usage_history,
)
from venice_billing_api.models import (
    Balance,
    HistoryCurrency,
    LegacyCurrency,
    Pagination,
    SortOrder,
    UsageAnalytics,
    UsageHistoryPage,
    UsagePage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime, timedelta

    from venice_billing._arguments import Moment

T = TypeVar("T")
Format = Literal["json", "csv"]
_MEDIA_TYPES: dict[Format, Literal["application/json", "text/csv"]] = {
    "json": "application/json",
    "csv": "text/csv",
}

FORMATS = tuple(_MEDIA_TYPES)
HISTORY_CURRENCIES = tuple(currency.value for currency in HistoryCurrency)
LEGACY_CURRENCIES = tuple(currency.value for currency in LegacyCurrency)
SORT_ORDERS = tuple(order.value for order in SortOrder)


def balance() -> Operation[Balance]:
    """`getBillingBalance`."""
    request = get_billing_balance.build_request()
    return Operation(_request("getBillingBalance", request), _reader(get_billing_balance.parse_response, Balance))


def usage(
    *,
    format: Format = "json",
    currency: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    limit: int | None = None,
    page: int | None = None,
    sort_order: str | None = None,
) -> Operation[UsagePage | UsageCsv]:
    """`getBillingUsage`: a page of the original ledger. Arguments are checked by the caller."""
    media_type = _MEDIA_TYPES[format]
    request = get_billing_usage.build_request(
        currency=UNSET if currency is None else LegacyCurrency(currency),
        start_date=_given(start),
        end_date=_given(end),
        limit=_given(limit),
        page=_given(page),
        sort_order=UNSET if sort_order is None else SortOrder(sort_order),
        accept=media_type,
    )
    return Operation(
        _request("getBillingUsage", request),
        _page_reader(get_billing_usage.parse_response, UsagePage, media_type),
    )


def usage_history(
    *,
    format: Format = "json",
    currency: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    page_size: int | None = None,
) -> Operation[UsageHistoryPage | UsageCsv]:
    """`getBillingUsageHistory`: the first page of a range. Arguments are checked by the caller."""
    request = get_billing_usage_history.build_request(
        currency=UNSET if currency is None else HistoryCurrency(currency),
        start_timestamp=_given(start),
        end_timestamp=_given(end),
        page_size=_given(page_size),
        accept=_MEDIA_TYPES[format],
    )
    return _history(request, format)


def usage_history_continued(cursor: str | None, *, format: Format = "json") -> Operation[UsageHistoryPage | UsageCsv]:
    """`getBillingUsageHistory`: the page after a cursor. The cursor carries the filters, and is sent alone."""
    return _history(get_billing_usage_history.build_request(cursor=_given(cursor), accept=_MEDIA_TYPES[format]), format)


def _history(request: Mapping[str, Any], format: Format) -> Operation[UsageHistoryPage | UsageCsv]:
    return Operation(
        _request("getBillingUsageHistory", request),
        _page_reader(get_billing_usage_history.parse_response, UsageHistoryPage, _MEDIA_TYPES[format]),
    )


def usage_analytics(
    *,
    lookback: str | int | timedelta | None = None,
    start_date: Moment | None = None,
    end_date: Moment | None = None,
) -> Operation[UsageAnalytics]:
    """`getBillingUsageAnalytics`: by a lookback, or by a first and a last day, both included."""
    days = arguments.days(start_date, end_date)
    days_back = None if lookback is None else arguments.lookback(lookback)
    if days_back is not None and days is not None:
        raise InvalidParameterError("lookback", days_back, "left out beside start_date and end_date")
    request = get_billing_usage_analytics.build_request(
        lookback=_given(days_back),
        start_date=_given(days[0] if days else None),
        end_date=_given(days[1] if days else None),
    )
    return Operation(
        _request("getBillingUsageAnalytics", request),
        _reader(get_billing_usage_analytics.parse_response, UsageAnalytics),
    )


def _given(value: T | None) -> T | Unset:
    return UNSET if value is None else value


def _request(operation: str, kwargs: Mapping[str, Any]) -> Request:
    return Request(
        operation=operation,
        method=kwargs["method"].upper(),
        path=kwargs["url"],
        params=kwargs.get("params", {}),
        headers=kwargs.get("headers", {}),
    )


def _parsed(parse_response: Callable[..., object], kind: type[T], reply: Reply) -> T:
    value = parse_response(status_code=reply.status, headers=reply.headers, content=reply.body)
    if not isinstance(value, kind):
        sent = reply.headers.get("content-type", "no content type")
        raise ResponseValidationError(f"status {reply.status} with {sent[:80]!r} is not what the contract promises")
    return value


def _reader(parse_response: Callable[..., object], kind: type[T]) -> Callable[[Reply], T]:
    def read(reply: Reply) -> T:
        value = _parsed(parse_response, kind, reply)
        if isinstance(value, UsageHistoryPage) and value.next_cursor is not None:
            _check_cursor(value.next_cursor, "nextCursor")
        return value

    return read


def _page_reader(
    parse_response: Callable[..., object], kind: type[T], media_type: str
) -> Callable[[Reply], T | UsageCsv]:
    def read_csv(reply: Reply) -> T | UsageCsv:
        content = _parsed(parse_response, bytes, reply)
        check_text(content)
        return UsageCsv(
            content,
            next_cursor=_next_cursor(reply.headers),
            pagination=_pagination(reply.headers),
            filename=_filename(reply.headers),
        )

    return read_csv if media_type == "text/csv" else _reader(parse_response, kind)


def _next_cursor(headers: Mapping[str, str]) -> str | None:
    cursor = headers.get("x-next-cursor")
    if cursor is not None:
        _check_cursor(cursor, "x-next-cursor")
    return cursor


def _check_cursor(cursor: str, field: str) -> None:
    """Refuse a cursor that breaks the contract, before it is put into a request."""
    if not arguments.is_cursor(cursor):
        raise ResponseValidationError(f"not a cursor: {cursor[:80]!r}", field=field)


def _pagination(headers: Mapping[str, str]) -> Pagination | None:
    """Return the page information of a CSV page of the original ledger, which comes in headers only."""
    if not any(name.startswith("x-pagination-") for name in headers):
        return None
    return Pagination(
        limit=_whole_number(headers, "x-pagination-limit"),
        page=_whole_number(headers, "x-pagination-page"),
        total=_whole_number(headers, "x-pagination-total"),
        total_pages=_whole_number(headers, "x-pagination-total-pages"),
    )


def _whole_number(headers: Mapping[str, str], name: str) -> int:
    text = headers.get(name, "")
    if not re.fullmatch(r"[0-9]{1,16}(\.0+)?", text):
        raise ResponseValidationError(f"not a whole number: {text[:80]!r}", field=name)
    return int(text.partition(".")[0])


def _filename(headers: Mapping[str, str]) -> str | None:
    header = headers.get("content-disposition")
    return None if header is None else file_name(header)
