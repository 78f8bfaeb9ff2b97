"""The rows in other tools: a relation, an Arrow stream, and views that explain themselves to `duckdb FILE`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import duckdb

from contract_tests.ledger.account import walked
from contract_tests.support.flavours import NOW
from venice_billing import spend
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice


def test_relation_has_every_row_and_plain_names(filled: Ledger, fake: FakeVenice) -> None:
    relation = filled.relation()
    assert relation.columns[:9] == [
        "timestamp", "sku", "model", "service", "kind", "units", "price_per_unit_usd", "amount", "currency",
    ]  # fmt: skip
    rows = relation.select("sku, model, service, kind, currency, amount, request_id").fetchall()
    expected = [
        (
            entry.sku,
            entry.model,
            entry.service,
            spend.kind_of(entry),
            entry.currency,
            entry.amount,
            entry.inference_details.request_id if entry.inference_details else None,
        )
        for entry in walked(fake)
    ]
    assert sorted(rows, key=str) == sorted(expected, key=str)


def test_arrow_stream_is_read_by_another_database(filled: Ledger, fake: FakeVenice) -> None:
    """Another DuckDB stands for pyarrow and polars: it knows the stream by its protocol alone."""
    with duckdb.connect() as other:
        other.register("charges", Stream(filled))
        found = other.execute(
            "SELECT currency, sum(amount), count(*) FROM charges GROUP BY ALL ORDER BY ALL"
        ).fetchall()
    expected = spend.summarize(walked(fake), by=())
    assert [(currency, total, count) for currency, total, count in found] == [
        (row.currency, row.net, row.count) for row in expected
    ]
    assert all(isinstance(total, Decimal) for _, total, _ in found)


class Stream:
    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.ledger.__arrow_c_stream__(requested_schema)


def test_duckdb_itself_shows_views_with_comments(tmp_path: Path, fake: FakeVenice) -> None:
    path = tmp_path / "venice.duckdb"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
        fake.book({"sku": "late", "amount": Decimal("-0.5"), "currency": "USD"}, late=NOW - NOW.replace(hour=2))
        ledger.sync(client)
    with duckdb.connect(str(path), read_only=True) as other:
        views = other.execute(
            "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
        ).fetchall()
        columns = other.execute(
            "SELECT column_name FROM duckdb_columns() "
            "WHERE table_name IN (SELECT view_name FROM duckdb_views() WHERE NOT internal) AND comment IS NULL"
        ).fetchall()
        late = other.execute("SELECT change, sku, amount_before, amount_after_text FROM adjustments").fetchall()
        count = other.execute("SELECT count(*) FROM entries").fetchall()
    assert [name for name, _ in views] == ["adjustments", "closing_totals", "closings", "entries"]
    assert all(comment for _, comment in views)
    assert columns == []
    assert late == [("late", "late", None, "-0.5")]
    assert count == [(601,)]
