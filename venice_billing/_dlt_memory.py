"""What is known of the rows that earlier loads of dlt have put into a table: from dlt's state, or from the table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dlt
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.common.storages.exceptions import CurrentLoadPackageStateNotAvailable
from dlt.destinations.exceptions import DatabaseUndefinedRelation, DestinationConnectionError
from dlt.pipeline.exceptions import PipelineConfigMissing

from venice_billing import _warehouse_account as account

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from dlt.destinations.sql_client import SqlClientBase

    from venice_billing._warehouse import Row

_KEY = "known_rows"
_COLUMNS = ("day", "timestamp", "sku", "currency", "request_id")
_NAMES_REQUEST, _IS_CHARGE = "{request_id} <> ''", "{timestamp} IS NOT NULL"
_DAY_OF_TABLE = """SELECT {day}, {timestamp}, {sku}, {currency}, {request_id} FROM {table}
WHERE {condition} AND {day} = (SELECT {which}({day}) FROM {table} WHERE {condition}) ORDER BY {timestamp}"""
_CANNOT_BE_ASKED = (
    ConfigurationException,  # credentials that are there only when dlt loads
    DatabaseUndefinedRelation,
    DestinationConnectionError,
    PipelineConfigMissing,  # no destination yet
    SqlClientNotAvailable,
)


class Memory:
    """The rows that a resource knows. dlt keeps them when the load succeeds, and with the rows in the destination.

    Attributes:
        known: Some of the rows that were loaded before.
    """

    def __init__(self, state: dict[str, Any], known: account.KnownRows) -> None:
        self._state = state
        self._day: date | None = None
        self.known = known

    @classmethod
    def of_resource(cls) -> Memory:
        """Return what the resource that is read now knows; nothing if no pipeline reads it."""
        try:
            package: Any = dlt.current.load_package_state()
        except CurrentLoadPackageStateNotAvailable:  # somebody looks at the rows
            return cls({}, account.NOTHING)
        state = dlt.current.resource_state()
        known = state.get(_KEY, account.NOTHING)
        return cls(state, known if account.telling(known) else _of_table(package["state"]))

    def renew(self, rows: list[Row]) -> None:
        """Take in rows that are about to be loaded, in ascending order."""
        self.known = self._state[_KEY] = account.renewed(self.known, rows, unfinished=self._day)
        self._day = rows[-1]["day"]


def _of_table(package: dict[str, Any]) -> account.KnownRows:
    """Return some rows of the table, where dlt remembers none: with another pipeline, or if its state was lost.

    A table that this load empties, and one that cannot be asked while dlt extracts, has none to tell by.
    """
    table: Any = dlt.current.resource().compute_table_schema()
    emptied = [*package.get("truncated_tables", ()), *package.get("dropped_tables", ())]
    if any(table["name"] == other["name"] for other in emptied):
        return account.NOTHING
    try:
        with dlt.current.pipeline().dataset(dlt.current.source_schema()).sql_client as client:
            return account.renewed(account.NOTHING, _rows(client, table["name"]))
    except _CANNOT_BE_ASKED:
        return account.NOTHING


def _rows(client: SqlClientBase[Any], table: str) -> list[Row]:
    """Return charges of the first and of the latest day, in ascending order: those that name a request, if any do."""
    names = {name: client.escape_column_name(name) for name in _COLUMNS}
    names["table"] = client.make_qualified_table_name(table)
    for condition in (_NAMES_REQUEST, _IS_CHARGE):
        names["condition"] = condition.format(**names)
        rows = [row for which in ("min", "max") for row in _day(client, _DAY_OF_TABLE.format(which=which, **names))]
        if rows:
            return rows
    return []


def _day(client: SqlClientBase[Any], query: str) -> Iterator[Row]:
    with client.execute_query(query) as cursor:
        for row in cursor.fetchmany(account.ROWS_OF_A_DAY):
            yield dict(zip(_COLUMNS, row, strict=True))
