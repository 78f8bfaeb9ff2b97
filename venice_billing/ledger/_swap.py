"""The end of a sync: what the API says of a stretch of time replaces what the ledger had of it, in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing._runtime.sku import split_sku
from venice_billing.ledger import _entries
from venice_billing.ledger._moments import microseconds
from venice_billing.ledger._schema import ROW_COLUMNS
from venice_billing.spend import kind_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    import duckdb

    from venice_billing.ledger._staging import Stretch

_ROW = ", ".join(ROW_COLUMNS)
_ROW_KEY = "timestamp, sku, currency, request_id"
NAMES_A_REQUEST = "coalesce(request_id, '') <> ''"
"""The condition of rows that tell one account from another."""
_FRACTION = "CASE WHEN contains({0}, '.') THEN length({0}) - strpos({0}, '.') ELSE 0 END"
_MOST_DIGITS = 28  # of a fraction; DuckDB rounds others without a word
_NO_SUM_BEFORE, _NO_SUM_AFTER = "0002-01-01", "9999-01-01"  # a time zone may move a time over the edge of the calendar


def _decimal(text: str) -> str:
    """Return the expression of a number as DECIMAL(38, 28), or of NULL where that would round it."""
    mantissa, exponent = f"split_part({text}, 'E', 1)", f"CAST(split_part({text}, 'E', 2) AS INTEGER)"
    digits = (
        f"CASE WHEN contains({text}, 'E') THEN {_FRACTION.format(mantissa)} - {exponent} "
        f"ELSE {_FRACTION.format(text)} END"
    )
    return f"CASE WHEN {digits} <= {_MOST_DIGITS} THEN TRY_CAST({text} AS DECIMAL(38, 28)) END"


_ZERO = "NOT regexp_matches(split_part(entry.amount, 'E', 1), '[1-9]')"
_VALUES = {
    "timestamp": "make_timestamptz(epoch_us(CAST(entry.timestamp AS TIMESTAMP)))",
    "sku": "entry.sku",
    "currency": "entry.currency",
    "amount": _decimal("entry.amount"),
    "amount_text": "entry.amount",
    "units": _decimal("entry.units"),
    "units_text": "entry.units",
    "price_per_unit_usd": _decimal("entry.price_per_unit_usd"),
    "price_per_unit_usd_text": "entry.price_per_unit_usd",
    "notes": "entry.notes",
    # As `spend.kind_of`; `_mark_purchases` finds the purchases, since Python's patterns are not DuckDB's.
    "kind": f"CASE WHEN starts_with(entry.amount, '-') OR {_ZERO} THEN 'debit' "
    "WHEN entry.request_id <> '' THEN 'refund' END",
    "api_key_id": "entry.api_key_id",
    "api_key_id_is_null": "entry.api_key_id_is_null",
    "has_inference_details": "entry.has_inference_details",
    "request_id": "entry.request_id",
    "prompt_tokens": "entry.prompt_tokens",
    "completion_tokens": "entry.completion_tokens",
    "inference_execution_time": "entry.inference_execution_time",
    "additional_properties": "TRY_CAST(entry.unknown AS JSON)",
    "entry_json": "entry.entry_json",
    "is_exact": f"{_decimal('entry.amount')} IS NOT NULL AND coalesce(entry.is_text_exact, true) "
    f"AND entry.timestamp >= '{_NO_SUM_BEFORE}' AND entry.timestamp < '{_NO_SUM_AFTER}'",
}
_PAGES = f"""SELECT entry.first + entry.number AS seq,
        {", ".join(f"{value} AS {name}" for name, value in _VALUES.items())}
    FROM (SELECT page.first AS first, unnest(range(len(page.sku))) AS number,
            {", ".join(f"unnest(page.{name}) AS {name}" for name in _entries.LISTS)}
        FROM (SELECT unnest(from_json(CAST($document AS VARCHAR), '{_entries.SHAPE}')) AS page)) AS entry"""


@frozen
class Swapped:
    """What a swap changed.

    Attributes:
        added: How many rows the ledger has more.
        late: Rows that came late, in time covered before.
        altered: Rows that were changed there.
        vanished: Rows that are gone from there.
    """

    added: int
    late: int = 0
    altered: int = 0
    vanished: int = 0


class StrangeRowsError(Exception):
    """No row of the ledger in the stretch is there now: perhaps they are another account's."""


class MiscountedRowsError(Exception):
    """The pages have another number of rows than were read.

    Attributes:
        found: How many they have.
    """

    def __init__(self, found: int) -> None:
        super().__init__(found)
        self.found = found


@frozen
class _Range:
    """The rows from a time on, and the part of them that was covered before."""

    start: datetime | None
    covered_until: datetime

    @property
    def rows(self) -> str:
        return "true" if self.start is None else "timestamp >= make_timestamptz($start)"

    @property
    def values(self) -> dict[str, int]:
        return {} if self.start is None else {"start": microseconds(self.start)}

    @property
    def covered_values(self) -> dict[str, int]:
        return {"covered": microseconds(self.covered_until)}


_COVERED = "timestamp < make_timestamptz($covered)"


def swap(
    cursor: duckdb.DuckDBPyConnection,
    stretch: Stretch,
    documents: Iterable[str],
    *,
    rows: int,
    settled_until: datetime | None,
) -> Swapped:
    """Replace a stretch by the entries in `documents`, note what changed in it, and that it is covered.

    The caller's transaction makes it one step, or undoes it.

    Args:
        cursor: A cursor in a transaction.
        stretch: What was read.
        documents: The pages that were read.
        rows: How many entries these have.
        settled_until: Up to where changes are noted; None: nothing is covered yet.

    Raises:
        StrangeRowsError: There were rows, and none that tells an account is among the entries.
        MiscountedRowsError: There are more or fewer entries.
    """
    reach = _Range(stretch.start, settled_until or stretch.began_at)
    replaced = _one(cursor, f"SELECT count(*) FROM usage_rows WHERE {reach.rows}", reach.values)
    if replaced or settled_until is not None:  # late charges of an account without rows are noted too
        cursor.execute("CREATE OR REPLACE TEMP TABLE incoming AS SELECT * FROM usage_rows LIMIT 0")
        read = _load(cursor, "incoming", documents, rows)
        if _are_strange(cursor, reach):
            raise StrangeRowsError
        swapped = _replace(cursor, stretch, reach, added=read - replaced)
        cursor.execute("DROP TABLE incoming")
    else:
        read = _load(cursor, "usage_rows", documents, rows)
        swapped = Swapped(read)
    _store_skus(cursor)
    _note_sync(cursor, stretch, read, swapped)
    return swapped


def _replace(cursor: duckdb.DuckDBPyConnection, stretch: Stretch, reach: _Range, *, added: int) -> Swapped:
    """Replace rows by the incoming ones, and note as a difference of multisets what that changes."""
    old = f"SELECT {_ROW} FROM usage_rows WHERE {reach.rows} AND {_COVERED}"
    cursor.execute(
        f"""CREATE OR REPLACE TEMP TABLE differing AS
            SELECT {_ROW}, CAST(sum(step) AS BIGINT) AS surplus
            FROM (SELECT {_ROW}, 1 AS step FROM incoming WHERE {_COVERED} UNION ALL SELECT *, -1 AS step FROM ({old}))
            GROUP BY {_ROW} HAVING sum(step) <> 0""",
        reach.values | reach.covered_values,
    )
    counts = _note_changes(cursor, stretch)
    where, values = reach.rows, reach.values
    if not counts:  # nearly always: then the rows that were covered before stay where they are
        where, values = f"{where} AND NOT ({_COVERED})", values | reach.covered_values
    cursor.execute(f"DELETE FROM usage_rows WHERE {where}", values)
    cursor.execute(f"INSERT INTO usage_rows SELECT * FROM incoming WHERE {where}", values)
    cursor.execute("DROP TABLE differing")
    return Swapped(added, **counts)


def _are_strange(cursor: duckdb.DuckDBPyConnection, reach: _Range) -> bool:
    """Tell whether no row of the ledger in the stretch is among the incoming ones, altered or not.

    Rows that name a request tell, if the ledger has any: two accounts may have equal grants at the same instant.
    """
    known = """EXISTS (SELECT * FROM incoming WHERE incoming.timestamp = held.timestamp AND incoming.sku = held.sku
        AND incoming.currency = held.currency AND incoming.request_id IS NOT DISTINCT FROM held.request_id)"""
    groups = cursor.execute(
        f"""SELECT {NAMES_A_REQUEST} AS is_named, bool_or({known})
            FROM (SELECT {_ROW_KEY} FROM usage_rows WHERE {reach.rows}) AS held GROUP BY is_named""",
        reach.values,
    ).fetchall()
    is_known: dict[bool, bool] = dict(groups)
    if True in is_known:
        return not is_known[True]
    has_named = bool(is_known) and _one(
        cursor, f"SELECT count(*) FROM (FROM usage_rows WHERE {NAMES_A_REQUEST} LIMIT 1)"
    )
    return bool(has_named) or not is_known.get(False, True)


def _load(cursor: duckdb.DuckDBPyConnection, table: str, documents: Iterable[str], rows: int) -> int:
    """Put the entries of pages into a table, and return how many: as many as there should be."""
    count = 0
    for document in documents:
        cursor.execute(f"INSERT INTO {table} {_PAGES}", {"document": document})
        count += cursor.fetchall()[0][0]
    if count != rows:
        raise MiscountedRowsError(count)
    _mark_purchases(cursor, table)
    return count


def _mark_purchases(cursor: duckdb.DuckDBPyConnection, table: str) -> None:
    """Tell purchases from other gains, by the rule of `spend.kind_of`."""
    rows = cursor.execute(
        f"SELECT DISTINCT ON (sku, notes) sku, notes, {_entries.COLUMNS} FROM {table} WHERE kind IS NULL"
    ).fetchall()
    gains = _entries.entries([row[2:] for row in rows])
    for (sku, notes, *_), entry in zip(rows, gains, strict=True):  # texts as stored: the entry's may be no Unicode
        if kind_of(entry) == "purchase":
            cursor.execute(
                f"UPDATE {table} SET kind = 'purchase' WHERE kind IS NULL AND sku = $sku AND notes = $notes",
                {"sku": sku, "notes": notes},
            )
    cursor.execute(f"UPDATE {table} SET kind = 'credit' WHERE kind IS NULL")


def _note_changes(cursor: duckdb.DuckDBPyConnection, stretch: Stretch) -> dict[str, int]:
    """Keep the rows that differ as adjustments, and return how many of each kind there are.

    A row that is gone and one that has come are one that was altered, if their time, SKU, currency and request agree.
    They are paired by their numbers, since whole rows would take more memory than DuckDB has here.
    """
    numbered = f"""SELECT {_ROW}, row_number() OVER (PARTITION BY {_ROW_KEY} ORDER BY amount_text, units_text) AS place
        FROM (SELECT {_ROW}, unnest(range(abs(surplus))) FROM differing WHERE surplus {{}} 0)"""
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE gone AS {numbered.format('<')}")
    cursor.execute(f"CREATE OR REPLACE TEMP TABLE come AS {numbered.format('>')}")
    first = _one(cursor, "SELECT coalesce(max(adjustment), 0) FROM changes", {})
    cursor.execute(
        """CREATE OR REPLACE TEMP TABLE noted AS
            SELECT $first + row_number() OVER (ORDER BY coalesce(gone.timestamp, come.timestamp)) AS adjustment,
                gone.number AS gone, come.number AS come, CASE WHEN gone.place IS NULL THEN 'late'
                WHEN come.place IS NULL THEN 'vanished' ELSE 'altered' END AS change
            FROM (SELECT rowid AS number, * FROM gone) AS gone
            FULL JOIN (SELECT rowid AS number, * FROM come) AS come
                ON gone.timestamp = come.timestamp AND gone.sku = come.sku
                AND gone.currency = come.currency AND gone.request_id IS NOT DISTINCT FROM come.request_id
                AND gone.place = come.place""",
        {"first": first},
    )
    cursor.execute(
        "INSERT INTO changes SELECT adjustment, $sync, make_timestamptz($seen), change FROM noted",
        {"sync": stretch.sync, "seen": microseconds(stretch.began_at)},
    )
    for side, table in (("before", "gone"), ("after", "come")):
        cursor.execute(
            f"INSERT INTO changed_rows SELECT adjustment, '{side}', {_ROW} FROM {table} JOIN noted "
            f"ON {table}.rowid = noted.{table}"
        )
    counts = dict(cursor.execute("SELECT change, count(*) FROM noted GROUP BY change").fetchall())
    for table in ("gone", "come", "noted"):
        cursor.execute(f"DROP TABLE {table}")
    return counts


def _store_skus(cursor: duckdb.DuckDBPyConnection) -> None:
    """Store the model and the service of each new SKU."""
    new = cursor.execute("SELECT DISTINCT sku FROM usage_rows WHERE sku NOT IN (SELECT sku FROM skus)").fetchall()
    skus = [(sku, split_sku(sku)) for (sku,) in new]
    if skus:
        cursor.executemany("INSERT INTO skus VALUES (?, ?, ?)", [(sku, says.model, says.service) for sku, says in skus])


def _note_sync(cursor: duckdb.DuckDBPyConnection, stretch: Stretch, read: int, swapped: Swapped) -> None:
    began = microseconds(stretch.began_at)
    cursor.execute(
        """INSERT INTO syncs VALUES ($sync, CASE WHEN $start IS NOT NULL THEN make_timestamptz($start) END,
            make_timestamptz($began), make_timestamptz($began), $full, $read, $late, $altered, $vanished)""",
        {
            "sync": stretch.sync,
            "start": None if stretch.start is None else microseconds(stretch.start),
            "began": began,
            "full": stretch.is_full,
            "read": read,
            "late": swapped.late,
            "altered": swapped.altered,
            "vanished": swapped.vanished,
        },
    )


def _one(cursor: duckdb.DuckDBPyConnection, query: str, values: dict[str, int] | None = None) -> int:
    number: int = cursor.execute(query, values).fetchall()[0][0]
    return number
