"""The public clients: `VeniceBilling` and `AsyncVeniceBilling`. Every decision is made in other modules."""

from __future__ import annotations

from contextlib import aclosing, closing
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from venice_billing import _arguments as arguments
from venice_billing import _operations as operations
from venice_billing._call import call
from venice_billing._config import Setup, configure, refusing_key, without_frames
from venice_billing._drivers import AsyncDriver, Driver
from venice_billing._event_loops import in_thread
from venice_billing._http_client import AsyncConnections, Connections
from venice_billing._runtime.http_libraries import is_async_client, is_sync_client
from venice_billing._walk import start
from venice_billing._walk.history_page import history_page, usage_page
from venice_billing.csv_export import CsvExport, CsvFile, CsvProgress
from venice_billing.errors import InvalidParameterError, VeniceError
from venice_billing.walks import AsyncUsageWalk, UsageWalk

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping
    from datetime import timedelta
    from types import TracebackType
    from typing import NoReturn, Self, SupportsIndex

    import httpx
    import httpx2

    from venice_billing._arguments import Moment
    from venice_billing._call import Policy
    from venice_billing._config import Configuration
    from venice_billing.models import (
        Balance,
        UsageAnalytics,
        UsageCsv,
        UsageHistoryPage,
        UsagePage,
    )

__all__ = ["AsyncVeniceBilling", "VeniceBilling"]


class VeniceBilling:
    """A synchronous client of the Venice.ai billing API. It may be shared between threads.

    Use it as a context manager, or call `close()`.

    Args:
        api_key: An ADMIN key; by default `VENICE_API_KEY`. An inference key can only fetch the analytics.
        base_url: The address of the API; by default `VENICE_BASE_URL`, or the public API. Plain http for loopback only.
        timeout: Seconds for one request as a whole, from connecting to the last byte.
        max_retries: Further attempts after a connection error or a 429, 500, 502 or 503; 0 to 10.
        max_wait: Longest wait between two attempts, in seconds. If the API asks for a longer one, as a 429 with
            `Retry-After` does, its error is raised at once: `RateLimitError`, or `ServerError` after a 503.
        default_headers: Headers of your own for every request, for example for a gateway. A `User-Agent` is put before
            the one of this client. Not those that this client sets itself, such as `Authorization` and `Accept`.
        http_client: An `httpx.Client` or `httpx2.Client` of your own (proxies, certificates, a mock transport). It
            stays yours to close.

    With `VENICE_LOG=info` in the environment, retries are logged on stderr; with `debug`, every request.

    Raises:
        AuthenticationError: There is no key.
        InvalidParameterError: An argument is invalid.

    Example:
        >>> with VeniceBilling() as client:
        ...     print(client.get_balance().can_consume)
        True
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 10.0,
        max_retries: int = 2,
        max_wait: float = 60.0,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.Client | httpx2.Client | None = None,
        _setup: Setup | None = None,
    ) -> None:
        setup = _setup or Setup()
        self._owned = True
        try:
            if http_client is not None and not is_sync_client(http_client):
                raise InvalidParameterError("http_client", type(http_client), "an httpx.Client or an httpx2.Client")
            self._configuration = configure(
                setup, api_key, base_url, timeout, max_retries, max_wait, default_headers=default_headers
            )
            connections = Connections(self._configuration.base_url, http_client, owned=setup.owns_http_client)
        except VeniceError as error:
            # One of them holds the key.
            del api_key, base_url, timeout, max_retries, max_wait, default_headers, http_client
            raise without_frames(error) from None
        self._driver = Driver(connections, self._configuration, setup.clock)

    @property
    def _policy(self) -> Policy:
        return self._configuration.policy

    def get_balance(self) -> Balance:
        """Fetch the current balance.

        `balances.usd` is in US dollars, `balances.diem` in DIEM of the current epoch (None: not staking);
        `diem_epoch_allocation` is the DIEM that the epoch began with. `can_consume` does not count bundled credits.

        Raises:
            AdminKeyRequiredError: The key is for inference only.
            VeniceError: Any other failure; see `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/balance

        Example:
            >>> client.get_balance().balances.usd
            Decimal('25.5')
        """
        return self._driver.run(call(operations.balance(), self._policy))

    @overload
    def get_usage(
        self,
        *,
        format: Literal["json"] = "json",
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsagePage: ...
    @overload
    def get_usage(
        self,
        *,
        format: Literal["csv"],
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsageCsv: ...
    @refusing_key
    def get_usage(
        self,
        *,
        format: Literal["json", "csv"] = "json",
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsagePage | UsageCsv:
        """Fetch a page of the original ledger. Retired: since 2026-09-16 the live API answers 410 to every request.

        `iter_usage` takes the same filters and still works; `get_usage_history` is the successor for single pages.

        Args:
            format: "json" for entries, "csv" for the page as CSV, whose `pagination` comes from its headers.
            currency: USD, VCU, DIEM or BUNDLED_CREDITS only.
            start_date: From this time on (UTC; a date is its midnight).
            end_date: Up to this time (UTC).
            limit: Entries of a page, 1 to 500; the API's default is 200.
            page: The number of the page, from 1.
            sort_order: By time, "desc" (the API's default) or "asc".

        Raises:
            EndpointRetiredError: The endpoint is gone; `.successor` names its replacement.
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: Any other failure; see `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage

        Example:
            >>> try:
            ...     client.get_usage(limit=10)
            ... except EndpointRetiredError as error:
            ...     print(error.successor)
            /api/v1/billing/usage-history
        """
        return self._driver.run(
            usage_page(
                self._policy,
                format=format,
                currency=currency,
                start_date=start_date,
                end_date=end_date,
                limit=limit,
                page=page,
                sort_order=sort_order,
            )
        )

    @refusing_key
    def iter_usage(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        checkpoint: str | None = None,
        concurrency: int = 1,
    ) -> UsageWalk:
        """Walk the charges of the account, newest first, through the ledger that the server still has.

        That is the history, or else the original ledger; nothing is fetched before the first entry is requested. A
        debit is negative; purchases, grants and refunds are positive. Add up amounts of one currency only. The walk
        holds a few pages in memory, however long the ledger is.

        Args:
            page_size: Entries per request, 10 to 1000; by default 1000.
            max_items: Entries after which the walk ends.
            currency: USD, DIEM or BUNDLED_CREDITS only.
            start_date: From this time on, included (UTC; a date is its midnight).
            end_date: Up to this time, excluded, so that the months of a year leave no gap and no overlap.
            sort_order: By time, "desc" (the default) or "asc".
            checkpoint: The checkpoint of an earlier walk: continue with exactly its rest, filters and order.
            concurrency: How many requests may be under way at once, 1 to 16.

        Raises:
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: The walk failed; `.checkpoint` of the error continues it. See `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> for entry in client.iter_usage(max_items=2, currency="USD"):
            ...     print(entry.timestamp.date(), entry.sku, entry.amount)
            2026-09-30 zai-org-glm-5-1-llm-output-mtoken -0.0006356
            2026-09-30 zai-org-glm-5-1-llm-input-mtoken -0.0003390
        """
        return UsageWalk(
            start.usage(
                self._policy,
                page_size=page_size,
                max_items=max_items,
                currency=currency,
                start_date=start_date,
                end_date=end_date,
                sort_order=sort_order,
                checkpoint=checkpoint,
                concurrency=concurrency,
            ),
            self._driver,
        )

    @overload
    def get_usage_history(
        self,
        *,
        format: Literal["json"] = "json",
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageHistoryPage: ...
    @overload
    def get_usage_history(
        self,
        *,
        format: Literal["csv"],
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageCsv: ...
    @refusing_key
    def get_usage_history(
        self,
        *,
        format: Literal["json", "csv"] = "json",
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageHistoryPage | UsageCsv:
        """Fetch a page of the ledger, oldest first: the first page by filters, or the next by a cursor alone.

        The API is known never to answer for windows under 15 minutes and for windows without entries. If it does not
        answer in time, at most four wider requests find out which entries lie in the window; these are then returned as
        one page, however many there are, without a cursor.

        Args:
            format: "json" for entries, "csv" for the page as CSV.
            currency: USD, DIEM or BUNDLED_CREDITS only.
            start_timestamp: From this time on, included (UTC; a date is its midnight).
            end_timestamp: Up to this time, excluded: windows that share a bound leave no gap and no overlap.
            page_size: Entries of a page, 10 to 1000; the API's default is 1000.
            cursor: The `next_cursor` of the page before; it carries the filters, so none may be passed with it.

        Raises:
            CursorRejectedError: The cursor has expired, was altered, or is another account's.
            BillingTimeoutError: No answer within `timeout` seconds, nor for wider requests.
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: Any other failure; see `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> page = client.get_usage_history(start_timestamp="2026-09-01", end_timestamp="2026-10-01", page_size=10)
            >>> len(page.data), page.next_cursor is None
            (10, False)
        """
        return self._driver.run(
            history_page(
                self._policy,
                format=format,
                currency=currency,
                start_timestamp=start_timestamp,
                end_timestamp=end_timestamp,
                page_size=page_size,
                cursor=cursor,
            )
        )

    @refusing_key
    def iter_usage_history(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        checkpoint: str | None = None,
        concurrency: int = 1,
    ) -> UsageWalk:
        """Walk the ledger, oldest first; or newest first, an order that the API itself does not offer.

        Signs, currencies and memory are as in `iter_usage`.

        Args:
            page_size: Entries per request, 10 to 1000; by default 1000.
            max_items: Entries after which the walk ends.
            currency: USD, DIEM or BUNDLED_CREDITS only.
            start_timestamp: From this time on, included (UTC; a date is its midnight).
            end_timestamp: Up to this time, excluded.
            sort_order: By time, "asc" (the default) or "desc".
            checkpoint: The checkpoint of an earlier walk: continue with exactly its rest, filters and order.
            concurrency: How many requests may be under way at once, 1 to 16.

        Raises:
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: The walk failed; `.checkpoint` of the error continues it. See `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> walk = client.iter_usage_history(start_timestamp="2026-09-01", end_timestamp="2026-10-01")
            >>> first = next(iter(walk))
            >>> rest = client.iter_usage_history(checkpoint=walk.checkpoint)
            >>> len(list(rest)) + 1 == len(list(walk))
            True
        """
        return UsageWalk(
            start.usage_history(
                self._policy,
                page_size=page_size,
                max_items=max_items,
                currency=currency,
                start_timestamp=start_timestamp,
                end_timestamp=end_timestamp,
                sort_order=sort_order,
                checkpoint=checkpoint,
                concurrency=concurrency,
            ),
            self._driver,
        )

    @refusing_key
    def get_usage_analytics(
        self,
        *,
        lookback: str | int | timedelta | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
    ) -> UsageAnalytics:
        """Fetch the spend of some days by date, by model and by key: for overviews, not for accounting. Beta.

        The API caches answers for 10 minutes. USD totals are gross: dollars and bundled credits together, refunds not
        netted. The `date` of a daily series is in Unix milliseconds.

        Args:
            lookback: "1d" to "90d", a number of days, or a timedelta of whole days; the API's default is "7d".
            start_date: The first day (UTC); only together with `end_date`, and without `lookback`.
            end_date: The last day (UTC).

        Raises:
            BillingTimeoutError: The range is too long (504), or no answer came within `timeout` seconds.
            InvalidParameterError: An argument is invalid; nothing was sent.
            VeniceError: Any other failure; see `venice_billing.errors`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-analytics

        Example:
            >>> client.get_usage_analytics(lookback="30d").lookback
            '30d'
        """
        operation = operations.usage_analytics(lookback=lookback, start_date=start_date, end_date=end_date)
        return self._driver.run(call(operation, self._policy))

    @refusing_key
    def export_usage_csv(
        self,
        path: str | os.PathLike[str],
        *,
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        concurrency: int = 1,
        resume: bool | timedelta = True,
        progress: Callable[[CsvProgress], object] | None = None,
    ) -> CsvExport:
        """Save the ledger as one CSV file, oldest first: the API's own columns and bytes, with one header row.

        The file is written beside the target and renamed to it when complete; its mode is 0600. If an export was cut
        short, the same call continues where that export stopped, within an hour of its start; later, it starts over.

        Charges are sometimes booked hours late, with their time in the past. Charges booked after `started_at` into the
        part that was written before are not in the file. To miss none, export when the range is old enough for all its
        charges to be booked, and with `resume=False`.

        Args:
            path: The file to write; an existing file is replaced at the end. A relative path is made absolute at once.
                A symbolic link is refused: it would be replaced, and the file that it names would stay as it was.
            currency: USD, DIEM or BUNDLED_CREDITS only.
            start_timestamp: From this time on, included (UTC; a date is its midnight).
            end_timestamp: Up to this time, excluded.
            page_size: Entries per request, 10 to 1000; by default 1000.
            concurrency: How many requests may be under way at once, 1 to 16.
            resume: Whether to continue the partial file of the same export with the same key, if that export began at
                most an hour ago; a timedelta allows another age, and False starts over.
            progress: Is called after each page.

        Raises:
            ExportError: The file cannot be written, another export is writing it, another user's file is there, or
                another program has changed the partial file.
            InvalidParameterError: An argument is invalid; nothing was sent.
            ResponseValidationError: A page is damaged or cut short, has an amount that is no number, or does not show
                that it is in `currency`.
            VeniceError: The export failed; the same call continues it. If rows were written, `checkpoint` names the
                partial file; otherwise nothing is left.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> client.export_usage_csv("usage.csv", start_timestamp="2026-09-01", end_timestamp="2026-10-01").rows
            345
        """
        arguments.callback("progress", progress, "a CsvProgress")
        size, width = start.sizes(page_size, concurrency)
        filters = start.csv_filters(currency, start_timestamp, end_timestamp)
        file = CsvFile(path, filters, self._configuration, resume=resume)
        with closing(file), file.errors():
            for batch in self._driver.walk(file.walk(self._policy, size, width)):
                file.append(batch.rows)
                if progress is not None and batch.rows:
                    progress(file.progress(batch.rows))
            return file.finish()

    @refusing_key
    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_wait: float | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a client with another `timeout`, `max_retries` or `max_wait`, or with more headers.

        It uses the same connections. Options that are left out stay as they are, and so do headers that
        `default_headers` does not name. The failure budget is shared; closing the copy closes nothing.

        Example:
            >>> client.with_options(timeout=30, max_retries=0).get_balance().can_consume
            True
        """
        configuration = self._configuration.changed(timeout, max_retries, max_wait, default_headers)
        return _twin(self, _configuration=configuration)

    def __copy__(self) -> Self:
        """Return a client on the same connections, as `with_options` does; closing the copy closes nothing."""
        return _twin(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied deeply."""
        raise TypeError(_NO_PICKLE)

    def close(self) -> None:
        """Close the connections, unless they are those of an `http_client` you passed."""
        if self._owned:
            self._driver.connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_address(self)}>"


class AsyncVeniceBilling:
    """An asynchronous client of the Venice.ai billing API, for asyncio and trio.

    Arguments, answers and errors are those of `VeniceBilling`; calls are awaited, walks are iterated by `async for`.
    Use it as an async context manager, or call `aclose()`.

    Raises:
        AuthenticationError: There is no key.
        InvalidParameterError: An argument is invalid.

    Example:
        >>> async def main() -> None:
        ...     async with AsyncVeniceBilling() as client:
        ...         print((await client.get_balance()).can_consume)
        >>> asyncio.run(main())
        True
    """

    def __init__(
        self,
        api_key: str | None = None,
        *,
        base_url: str | None = None,
        timeout: float = 10.0,
        max_retries: int = 2,
        max_wait: float = 60.0,
        default_headers: Mapping[str, str] | None = None,
        http_client: httpx.AsyncClient | httpx2.AsyncClient | None = None,
        _setup: Setup | None = None,
    ) -> None:
        setup = _setup or Setup()
        self._owned = True
        try:
            if http_client is not None and not is_async_client(http_client):
                allowed = "an httpx.AsyncClient or an httpx2.AsyncClient"
                raise InvalidParameterError("http_client", type(http_client), allowed)
            self._configuration = configure(
                setup, api_key, base_url, timeout, max_retries, max_wait, default_headers=default_headers
            )
            connections = AsyncConnections(self._configuration.base_url, http_client, owned=setup.owns_http_client)
        except VeniceError as error:
            # One of them holds the key.
            del api_key, base_url, timeout, max_retries, max_wait, default_headers, http_client
            raise without_frames(error) from None
        self._driver = AsyncDriver(connections, self._configuration, setup.clock)

    @property
    def _policy(self) -> Policy:
        return self._configuration.policy

    async def get_balance(self) -> Balance:
        """Fetch the current balance; see `VeniceBilling.get_balance` for units and errors.

        API: https://docs.venice.ai/api-reference/endpoint/billing/balance

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         print((await client.get_balance()).balances.usd)
            >>> asyncio.run(main())
            25.5
        """
        return await self._driver.run(call(operations.balance(), self._policy))

    @overload
    async def get_usage(
        self,
        *,
        format: Literal["json"] = "json",
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsagePage: ...
    @overload
    async def get_usage(
        self,
        *,
        format: Literal["csv"],
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsageCsv: ...
    @refusing_key
    async def get_usage(
        self,
        *,
        format: Literal["json", "csv"] = "json",
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        limit: int | None = None,
        page: int | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
    ) -> UsagePage | UsageCsv:
        """Fetch a page of the original ledger, retired since 2026-09-16; see `VeniceBilling.get_usage`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         try:
            ...             await client.get_usage(limit=10)
            ...         except EndpointRetiredError as error:
            ...             print(error.successor)
            >>> asyncio.run(main())
            /api/v1/billing/usage-history
        """
        return await self._driver.run(
            usage_page(
                self._policy,
                format=format,
                currency=currency,
                start_date=start_date,
                end_date=end_date,
                limit=limit,
                page=page,
                sort_order=sort_order,
            )
        )

    @refusing_key
    def iter_usage(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        currency: str | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        checkpoint: str | None = None,
        concurrency: int = 1,
    ) -> AsyncUsageWalk:
        """Walk the charges of the account, newest first; see `VeniceBilling.iter_usage` for arguments and signs.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         print([str(entry.currency) async for entry in client.iter_usage(max_items=2, currency="USD")])
            >>> asyncio.run(main())
            ['USD', 'USD']
        """
        return AsyncUsageWalk(
            start.usage(
                self._policy,
                page_size=page_size,
                max_items=max_items,
                currency=currency,
                start_date=start_date,
                end_date=end_date,
                sort_order=sort_order,
                checkpoint=checkpoint,
                concurrency=concurrency,
            ),
            self._driver,
        )

    @overload
    async def get_usage_history(
        self,
        *,
        format: Literal["json"] = "json",
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageHistoryPage: ...
    @overload
    async def get_usage_history(
        self,
        *,
        format: Literal["csv"],
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageCsv: ...
    @refusing_key
    async def get_usage_history(
        self,
        *,
        format: Literal["json", "csv"] = "json",
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        cursor: str | None = None,
    ) -> UsageHistoryPage | UsageCsv:
        """Fetch a page of the ledger, oldest first; see `VeniceBilling.get_usage_history`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         print(len((await client.get_usage_history(start_timestamp="2026-09-01", page_size=10)).data))
            >>> asyncio.run(main())
            10
        """
        return await self._driver.run(
            history_page(
                self._policy,
                format=format,
                currency=currency,
                start_timestamp=start_timestamp,
                end_timestamp=end_timestamp,
                page_size=page_size,
                cursor=cursor,
            )
        )

    @refusing_key
    def iter_usage_history(
        self,
        *,
        page_size: int | None = None,
        max_items: int | None = None,
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        checkpoint: str | None = None,
        concurrency: int = 1,
    ) -> AsyncUsageWalk:
        """Walk the ledger, oldest first or newest first; see `VeniceBilling.iter_usage_history`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         walk = client.iter_usage_history(start_timestamp="2026-09-30")
            ...         print(len([page async for page in walk.pages()]))
            >>> asyncio.run(main())
            1
        """
        return AsyncUsageWalk(
            start.usage_history(
                self._policy,
                page_size=page_size,
                max_items=max_items,
                currency=currency,
                start_timestamp=start_timestamp,
                end_timestamp=end_timestamp,
                sort_order=sort_order,
                checkpoint=checkpoint,
                concurrency=concurrency,
            ),
            self._driver,
        )

    @refusing_key
    async def get_usage_analytics(
        self,
        *,
        lookback: str | int | timedelta | None = None,
        start_date: Moment | None = None,
        end_date: Moment | None = None,
    ) -> UsageAnalytics:
        """Fetch the spend of some days for an overview; see `VeniceBilling.get_usage_analytics`.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-analytics

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         print((await client.get_usage_analytics(lookback="30d")).lookback)
            >>> asyncio.run(main())
            30d
        """
        operation = operations.usage_analytics(lookback=lookback, start_date=start_date, end_date=end_date)
        return await self._driver.run(call(operation, self._policy))

    @refusing_key
    async def export_usage_csv(
        self,
        path: str | os.PathLike[str],
        *,
        currency: str | None = None,
        start_timestamp: Moment | None = None,
        end_timestamp: Moment | None = None,
        page_size: int | None = None,
        concurrency: int = 1,
        resume: bool | timedelta = True,
        progress: Callable[[CsvProgress], object] | None = None,
    ) -> CsvExport:
        """Save the ledger as one CSV file; see `VeniceBilling.export_usage_csv` for arguments, resuming and errors.

        API: https://docs.venice.ai/api-reference/endpoint/billing/usage-history

        Example:
            >>> async def main() -> None:
            ...     async with AsyncVeniceBilling() as client:
            ...         export = await client.export_usage_csv("usage.csv", start_timestamp="2026-09-30")
            ...         print(export.resumed_rows)
            >>> asyncio.run(main())
            0
        """
        arguments.callback("progress", progress, "a CsvProgress")
        size, width = start.sizes(page_size, concurrency)
        filters = start.csv_filters(currency, start_timestamp, end_timestamp)
        opening = partial(CsvFile, path, filters, self._configuration, resume=resume)
        file = await in_thread(opening, undo=CsvFile.close)
        with closing(file), file.errors():
            steps = file.walk(self._policy, size, width)
            async with aclosing(self._driver.walk(steps)) as batches:
                async for batch in batches:
                    await in_thread(partial(file.append, batch.rows))
                    if progress is not None and batch.rows:
                        progress(file.progress(batch.rows))
            return await in_thread(file.finish)

    @refusing_key
    def with_options(
        self,
        *,
        timeout: float | None = None,
        max_retries: int | None = None,
        max_wait: float | None = None,
        default_headers: Mapping[str, str] | None = None,
    ) -> Self:
        """Return a client with other options on the same connections; see `VeniceBilling.with_options`.

        Example:
            >>> AsyncVeniceBilling().with_options(timeout=30)
            <AsyncVeniceBilling of https://api.venice.ai/api/v1>
        """
        configuration = self._configuration.changed(timeout, max_retries, max_wait, default_headers)
        return _twin(self, _configuration=configuration)

    def __copy__(self) -> Self:
        """Return a client on the same connections, as `with_options` does; closing the copy closes nothing."""
        return _twin(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        """Refuse to be pickled or copied deeply."""
        raise TypeError(_NO_PICKLE)

    async def aclose(self) -> None:
        """Close the connections, unless they are those of an `http_client` you passed."""
        if self._owned:
            await self._driver.connections.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {_address(self)}>"


Kind = TypeVar("Kind", bound=VeniceBilling | AsyncVeniceBilling)
_NO_PICKLE = (
    "a client is not pickled and not copied deeply, since it holds a key and connections: make one where it is needed, "
    "in each process, or use with_options() for one with other options on the same connections"
)


def _twin(client: Kind, **changes: object) -> Kind:
    """Return a shallow copy that owns no connections, with the attributes and slots of a subclass."""
    twin = object.__new__(type(client))
    state: Any = object.__getstate__(client)
    attributes, slots = state if isinstance(state, tuple) else (state, {})
    for name, value in ((attributes or {}) | slots | {"_owned": False} | changes).items():
        object.__setattr__(twin, name, value)
    return twin


def _address(client: VeniceBilling | AsyncVeniceBilling) -> str:
    """Return the base URL of a client, also after a failed construction, since tools that show errors call `repr`."""
    configuration: Configuration | None = vars(client).get("_configuration")
    return "no address" if configuration is None else configuration.base_url
