"""The billing interface of the first, synchronous version of the SDK `venice_ai`, on this client.

It is that of `venice_billing.compat.venice_ai` without `async` and `await`, whose client is `AsyncVeniceClient` here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venice_billing import VeniceBilling
from venice_billing.compat import _csv as csv
from venice_billing.compat import _errors
from venice_billing.compat import _queries as queries
from venice_billing.compat._errors import *  # noqa: F403 - its __all__ is a part of the one below
from venice_billing.compat._values import (
    BillingBalanceResponse,
    BillingFormatEnum,
    BillingUsageEntry,
    BillingUsageHistoryResponse,
    BillingUsageResponse,
    UsageAnalyticsResponse,
)
from venice_billing.compat.venice_ai import VeniceClient as AsyncVeniceClient
from venice_billing.errors import EndpointRetiredError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from venice_billing.models import Moment

__all__ = [
    "AsyncVeniceClient",
    "Billing",
    "BillingBalanceResponse",
    "BillingFormatEnum",
    "BillingUsageEntry",
    "BillingUsageHistoryResponse",
    "BillingUsageResponse",
    "Paginator",
    "UsageAnalyticsResponse",
    "VeniceClient",
]
__all__ += _errors.__all__


class VeniceClient:
    """A synchronous client with the billing methods of the old SDK.

    Args:
        api_key: An ADMIN key; by default `VENICE_API_KEY`.
        options: Further arguments of `VeniceBilling`: `base_url`, `timeout`, `max_retries`, `http_client` ...

    Attributes:
        billing: The billing methods.

    Raises:
        AuthenticationError: There is no key.
        InvalidRequestError: An argument is invalid.
    """

    def __init__(self, api_key: str | None = None, **options: Any) -> None:
        self._client = VeniceBilling(api_key, **options)
        self.billing = Billing(self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class Billing:
    """The billing methods.

    Args:
        client: The client that makes the requests.
    """

    def __init__(self, client: VeniceBilling) -> None:
        self._client = client
        self._is_retired = False

    def get_usage(
        self,
        *,
        format: BillingFormatEnum | str | None = None,
        startDate: Moment | None = None,  # noqa: N803 - the old SDK's name, here and below
        endDate: Moment | None = None,  # noqa: N803
        currency: str | None = None,
        limit: int | None = None,
        page: int | None = None,
        sortOrder: str | None = None,  # noqa: N803
    ) -> Any:
        """Fetch a page of the ledger with its totals; or, as CSV, the whole range.

        The client tries the original endpoint once, which answers 410 since 2026-09-16. From then on each call walks
        the range in the history, 8 requests at once and 1,000 charges a request, to count its charges and to find those
        of the page: a loop over pages walks the range for each page, `iter_usage` walks it once. Memory is that of a
        few pages.

        Args:
            format: `BillingFormatEnum.CSV` for the whole range as CSV, oldest first.
            startDate: From this time on, included (UTC; a date is its midnight).
            endDate: Up to this time, excluded.
            currency: USD, VCU, DIEM or BUNDLED_CREDITS only.
            limit: Charges of a page, 1 to 500; by default 200. CSV is always the whole range.
            page: The number of the page, from 1.
            sortOrder: By time, "desc" (the default) or "asc".

        Returns:
            A `BillingUsageResponse`, or bytes for CSV.

        Raises:
            InvalidRequestError: An argument is invalid; nothing was sent.
            APIError: Any other refusal of the API; further errors are those of this package.
        """
        order = ("sortOrder", "desc" if sortOrder is None else sortOrder)
        wanted = queries.range_of(("startDate", startDate), ("endDate", endDate), currency, order)
        query = queries.page_query(wanted, limit, page)
        if queries.is_csv(format):
            queries.check_whole_csv(page, sortOrder)
            with csv.scratch_file() as file:
                self._client.export_usage_csv(file, concurrency=queries.CONCURRENCY, **wanted.history)
                return csv.content(file, wanted)
        if not self._is_retired:
            try:
                return BillingUsageResponse(self._client.get_usage(**query.original))
            except (EndpointRetiredError, NotFoundError):
                self._is_retired = True
        answer = queries.PageOfWalk(query)
        walk = self._client.iter_usage_history(concurrency=queries.CONCURRENCY, **wanted.walk)
        for entries in walk.pages():
            answer.take(entries)
        return answer.response()

    def iter_usage(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        startDate: Moment | None = None,  # noqa: N803
        endDate: Moment | None = None,  # noqa: N803
        currency: str | None = None,
        sortOrder: str | None = None,  # noqa: N803
    ) -> Paginator:
        """Walk the charges of a range, newest first by default, one by one.

        Args:
            page_size: Charges per request, up to 1,000 (the default); at least 10 are requested.
            max_items: Charges after which the walk ends.
            startDate: From this time on, included.
            endDate: Up to this time, excluded.
            currency: USD, VCU, DIEM or BUNDLED_CREDITS only.
            sortOrder: By time, "desc" (the default) or "asc".
        """
        order = ("sortOrder", "desc" if sortOrder is None else sortOrder)
        wanted = queries.range_of(("startDate", startDate), ("endDate", endDate), currency, order)
        return Paginator(self._client, wanted, queries.page_size(page_size), queries.max_items(max_items))

    def get_usage_history(
        self,
        *,
        format: BillingFormatEnum | str | None = None,
        currency: str | None = None,
        startTimestamp: Moment | None = None,  # noqa: N803
        endTimestamp: Moment | None = None,  # noqa: N803
        pageSize: int | None = None,  # noqa: N803
        cursor: str | None = None,
    ) -> Any:
        """Fetch a page of the history, oldest first: the first page by filters, or the next by a cursor alone.

        Args:
            format: `BillingFormatEnum.CSV` for the page as CSV.
            currency: USD, DIEM or BUNDLED_CREDITS only.
            startTimestamp: From this time on, included.
            endTimestamp: Up to this time, excluded.
            pageSize: Charges of a page, 10 to 1,000; by default 1,000.
            cursor: The `nextCursor` of the page before, or `next_cursor` of a CSV page.

        Returns:
            A `BillingUsageHistoryResponse`, or bytes for CSV.

        Raises:
            InvalidRequestError: An argument is invalid; nothing was sent.
            APIError: Any other refusal of the API; further errors are those of this package.
        """
        query = queries.history_query(
            cursor,
            currency=currency,
            startTimestamp=startTimestamp,
            endTimestamp=endTimestamp,
            pageSize=pageSize,
        )
        if queries.is_csv(format):
            return self._client.get_usage_history(format="csv", **query)
        return BillingUsageHistoryResponse(self._client.get_usage_history(**query))

    def iter_usage_history(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        currency: str | None = None,
        startTimestamp: Moment | None = None,  # noqa: N803
        endTimestamp: Moment | None = None,  # noqa: N803
    ) -> Paginator:
        """Walk the charges of a range, oldest first, one by one.

        Args:
            page_size: Charges per request, up to 1,000 (the default); at least 10 are requested.
            max_items: Charges after which the walk ends.
            currency: USD, VCU, DIEM or BUNDLED_CREDITS only.
            startTimestamp: From this time on, included.
            endTimestamp: Up to this time, excluded.
        """
        wanted = queries.range_of(
            ("startTimestamp", startTimestamp), ("endTimestamp", endTimestamp), currency, ("sortOrder", "asc")
        )
        return Paginator(self._client, wanted, queries.page_size(page_size), queries.max_items(max_items))

    def get_balance(self) -> BillingBalanceResponse:
        """Fetch the current balance."""
        return BillingBalanceResponse(self._client.get_balance())

    def get_usage_analytics(
        self,
        *,
        lookback: str | int | None = None,
        startDate: Moment | None = None,  # noqa: N803
        endDate: Moment | None = None,  # noqa: N803
    ) -> UsageAnalyticsResponse:
        """Fetch the spend of some days: by a lookback such as "30d", or by the first and the last day."""
        found = self._client.get_usage_analytics(lookback=lookback, start_date=startDate, end_date=endDate)
        return UsageAnalyticsResponse(found)


class Paginator:
    """The charges of a range: iterate over it; each iteration starts a new walk.

    Attributes:
        walk: The walk of this client; its `checkpoint` continues it.
    """

    def __init__(
        self, client: VeniceBilling, wanted: queries.Range, page_size: int | None, max_items: int | None
    ) -> None:
        self._wanted = wanted
        self._max_items = max_items
        self.walk = client.iter_usage_history(page_size=page_size, **wanted.walk)

    def __iter__(self) -> Iterator[BillingUsageEntry]:
        """Iterate over the charges."""
        return self.walk._each(self._wanted.value, self._max_items)  # noqa: SLF001 - made for this
