"""The account as a dlt source: into any warehouse that dlt merges into, every charge once. Needs the extra `dlt`."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime, time, timedelta
from importlib.util import find_spec
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing import _warehouse as warehouse
from venice_billing import _warehouse_account as recognition
from venice_billing.client import VeniceBilling
from venice_billing.errors import AnotherAccountError, InvalidParameterError

_MISSING = "the dlt source needs dlt, and pyarrow for Parquet: pip install 'venice-billing[dlt]'"
try:
    import dlt
    from dlt.common.configuration.container import Container
    from dlt.common.destination.utils import resolve_merge_strategy
    from dlt.common.pipeline import PipelineContext
    from dlt.sources import incremental

    from venice_billing._dlt_memory import Memory
except ModuleNotFoundError:
    raise ImportError(_MISSING) from None
if find_spec("pyarrow") is None:
    raise ImportError(_MISSING)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from dlt.common.destination.capabilities import DestinationCapabilitiesContext
    from dlt.extract import DltResource

__all__ = ["venice_billing"]

_MERGED: Any = {"disposition": "merge", "strategy": "delete-insert"}
_DAY = timedelta(days=1)
_MOST_DAYS = 36_500
_ROWS_AT_ONCE = 5_000
_READS_EXPONENTS = "postgres"
_CURSOR: incremental[date] = incremental("day")


@dlt.source(name="venice_billing", section="venice_billing", max_table_nesting=0)
def venice_billing(
    api_key: str | None = dlt.secrets.value,
    *,
    base_url: str | None = None,
    start_date: str | date | None = None,
    end_date: str | date | None = None,
    overlap_days: int = 2,
    analytics_days: int = 30,
    concurrency: int = 1,
    client: VeniceBilling | None = None,
) -> tuple[DltResource, ...]:
    """Load an account with dlt: the resources `usage`, `balance` and `analytics`, each a table of that name.

    `usage` has a row for each charge. The first load reads the whole ledger; each later one replaces the latest days
    by what the API says of them now, so that late, altered and vanished charges are found there. A day is replaced as
    a whole or not at all. `balance` gets a row with each load, `analytics` the amounts of the latest days.

    Numbers are decimals with 28 digits behind the point, and texts to the digit in columns that end in `_text`; where
    a decimal would round, it is null. Times are in UTC. Fields that the API does not document are JSON in
    `additional_properties`.

    Args:
        api_key: An ADMIN key; dlt looks for `sources.venice_billing.api_key` in its secrets, the client after that for
            `VENICE_API_KEY`.
        base_url: The address of the API; by default `VENICE_BASE_URL`, or the public API.
        start_date: The first day that `usage` reads, in UTC; by default the day of the first charge. Later loads go on
            from the latest day they know, unless there is an `end_date` too.
        end_date: The day before which `usage` ends. With it, `usage` reads exactly these days and leaves alone what
            the next load goes on from: to load a range again.
        overlap_days: How many days before the latest known day are read again, since charges are booked late.
        analytics_days: How many days `analytics` reads, today included; at most 90.
        concurrency: How many windows of the ledger are read at once.
        client: A `VeniceBilling` to use instead of one made of `api_key` and `base_url`; it stays yours to close.

    Raises:
        InvalidParameterError: An argument is invalid. While it is read, a resource raises it also if charges would be
            counted twice, lost or rounded: with another write disposition than its own, or into a destination that
            cannot replace days.
        AnotherAccountError: While `usage` is read: the API knows none of the charges that are in its table, so the key
            is that of another account. Nothing is loaded then.

    Example:
        >>> pipeline = dlt.pipeline("venice", destination="duckdb", dataset_name="venice")
        >>> pipeline.run(venice_billing())
    """
    concurrency = arguments.integer("concurrency", concurrency, *arguments.CONCURRENCY)
    analytics_days = arguments.integer("analytics_days", analytics_days, 1, arguments.LOOKBACK_DAYS)
    days = _days(start_date, end_date, arguments.integer("overlap_days", overlap_days, 0, _MOST_DAYS))
    account = _Account(api_key, base_url, _checked(client))
    merged: Any = {"write_disposition": _MERGED, "merge_key": "day"}
    usage: Any = dlt.resource(_usage, name="usage", columns=_typed(warehouse.USAGE), **merged)
    balance: Any = dlt.resource(_balance, name="balance", columns=_typed(warehouse.BALANCE), write_disposition="append")
    analytics: Any = dlt.resource(_analytics, name="analytics", columns=_typed(warehouse.ANALYTICS), **merged)
    return usage(account, concurrency, days), balance(account), analytics(account, analytics_days)


@frozen
class _Account:
    """How to reach the account. The key is in no repr."""

    _api_key: str | None
    _base_url: str | None
    _client: VeniceBilling | None

    def __repr__(self) -> str:
        return "<an account>"

    def open(self) -> AbstractContextManager[VeniceBilling]:
        """Return a client, which is closed at the end unless it is the user's."""
        if self._client is not None:
            return nullcontext(self._client)
        return VeniceBilling(self._api_key, base_url=self._base_url)


def _usage(account: _Account, concurrency: int, days: incremental[date] = _CURSOR) -> Iterator[Any]:
    _prepare()
    first = days.start_value
    last = days.end_value - _DAY if days.end_value is not None else days.get_state()["last_value"]
    memory = Memory.of_resource()
    with account.open() as client:
        _refuse_another_account(client, memory.known)
        walk = client.iter_usage_history(
            start_timestamp=_midnight(first), end_timestamp=_midnight(days.end_value), concurrency=concurrency
        )
        most = None if dlt.current.resource().limit else _ROWS_AT_ONCE  # a limit must not end within a day
        for rows in warehouse.by_days(map(warehouse.usage_row, walk), first, last, most):
            memory.renew(rows)
            yield rows


def _balance(account: _Account) -> Iterator[Any]:
    _prepare()
    with account.open() as client:
        yield [warehouse.balance_row(client.get_balance(), _now(client))]


def _analytics(account: _Account, days: int) -> Iterator[Any]:
    _prepare()
    with account.open() as client:
        last = _now(client).date()
        first = last - (days - 1) * _DAY
        analytics = client.get_usage_analytics(start_date=first, end_date=last)
        yield from warehouse.by_days(warehouse.analytics_rows(analytics), first, last)


def _refuse_another_account(client: VeniceBilling, known: recognition.KnownRows) -> None:
    """See that the account has one of the rows that are known. Nearly always, this is one request."""
    days = recognition.telling(known)
    if days and not any(_has_one_of(client, day, fingerprints) for day, fingerprints in days):
        raise AnotherAccountError(
            "the API knows none of the charges that were loaded before, so the key is that of another account: use a "
            "key of the account whose charges are there, or a pipeline and a dataset of their own. Nothing was loaded"
        )


def _has_one_of(client: VeniceBilling, day: date, fingerprints: frozenset[str]) -> bool:
    """Tell whether one of these charges is in the account. No end is asked for: the API may hang on empty days."""
    rows = map(warehouse.usage_row, client.iter_usage_history(start_timestamp=_midnight(day)))
    of_day = takewhile(lambda row: row["day"] == day, rows)
    return any(recognition.fingerprint(row) in fingerprints for row in of_day)


def _days(start_date: object, end_date: object, overlap_days: int) -> incremental[date]:
    """Return the days to read. Charges of one day are no duplicates of each other: there is no primary key."""
    start = None if start_date is None else date.fromisoformat(arguments.day("start_date", start_date))
    end = None if end_date is None else date.fromisoformat(arguments.day("end_date", end_date))
    if end is not None and (start is None or start >= end):
        raise InvalidParameterError("start_date", start_date, f"a day earlier than end_date ({end})")
    return incremental[date](
        "day",
        initial_value=start,
        end_value=end,
        lag=overlap_days,
        primary_key=(),
        allow_external_schedulers=False,  # their intervals have no overlap, and may end within a day
    )


def _checked(client: object) -> VeniceBilling | None:
    if client is not None and not isinstance(client, VeniceBilling):
        raise InvalidParameterError("client", type(client), "a VeniceBilling, or None")
    return client


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _now(client: VeniceBilling) -> datetime:
    return datetime.fromtimestamp(vars(client)["_configuration"].policy.clock.time(), UTC)


def _typed(columns: dict[str, warehouse.Row]) -> Any:
    return columns


def _prepare() -> None:
    """See that the resource that is about to be read is loaded exactly, or refuse."""
    if not Container()[PipelineContext].is_active() or dlt.current.pipeline().destination is None:
        return  # somebody looks at the rows, or keeps them for a destination that is not known yet
    pipeline, resource = dlt.current.pipeline(), dlt.current.resource()
    destination: Any = pipeline.destination
    capabilities: DestinationCapabilitiesContext = destination.capabilities()
    table: Any = resource.compute_table_schema()
    name = destination.destination_name
    if "day" in table["columns"]:
        _check_merge(table, capabilities, name)
    if pipeline.staging is None and not destination.destination_type.endswith(_READS_EXPONENTS):
        _avoid_literals(resource, table, capabilities, name)


def _check_merge(table: Any, capabilities: DestinationCapabilitiesContext, destination: str) -> None:
    """Refuse what would append to the days that are there, or keep nothing but the latest ones."""
    disposition = table.get("write_disposition")
    if disposition != "merge":
        allowed = "merge for this resource, or left out; to load all of it anew, use refresh='drop_data'"
        raise InvalidParameterError("write_disposition", disposition, allowed)
    if resolve_merge_strategy({table["name"]: table}, table, capabilities) != "delete-insert":
        allowed = "one for which dlt has the merge strategy delete-insert, to replace whole days"
        raise InvalidParameterError("destination", destination, allowed)


def _avoid_literals(
    resource: DltResource, table: Any, capabilities: DestinationCapabilitiesContext, destination: str
) -> None:
    """Load Parquet rather than INSERT statements: 8.25E-7 is a float there, to all databases but PostgreSQL."""
    preferred = capabilities.preferred_loader_file_format
    supported = capabilities.supported_loader_file_formats
    if capabilities.loader_file_format_selector is not None:
        preferred, supported = capabilities.loader_file_format_selector(preferred, supported, table_schema=table)
    if preferred != "insert_values":
        return
    if "parquet" not in supported:
        allowed = "one into which dlt loads Parquet: with INSERT statements, it rounds small numbers; set `staging`"
        raise InvalidParameterError("destination", destination, allowed)
    resource.apply_hints(file_format="parquet")
