"""What a reconciliation gives, and what it costs: its lists, rows and JSON, its inputs, its memory."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest

from contract_tests.ledger.booked_requests import DAY, booked, filled, outcome
from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError
from venice_billing.ledger import (
    FieldDifference,
    Ledger,
    ReconciledRequest,
    RequestRecord,
    reconcile,
)
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def test_own_entries_agree_with_the_ledger(ledger: Ledger, fake: FakeVenice) -> None:
    with fake.client() as client:
        ledger.sync(client)
    entries = [entry for entry in ledger.entries() if entry.inference_details is not None]
    found = ledger.reconcile(entries, start=NOW - 100 * DAY, end=NOW)
    assert found.ok
    assert sum(request.rows for request in found.matched) + len(found.without_request) == len(ledger) == 600
    assert found.compared == dict.fromkeys(("amount", "currency", "model", "time"), len(found.matched))
    rows = [row for row in ledger.rows() if row["request_id"]]
    assert ledger.reconcile(rows).compared == found.compared


def test_results_outlive_the_ledger_and_do_not_change_with_it(tmp_path: Path) -> None:
    rows = [booked(f"r{number:04}", "-1") for number in range(1203)]
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        found = filled(ledger, *rows).reconcile([f"r{number:04}" for number in range(1200)])
        with FakeVenice([*rows, booked("r1204", "-1")], now=NOW + DAY).client() as client:
            ledger.sync(client)
    ids = [f"r{number:04}" for number in range(1203)]
    assert [request.request_id for request in found.matched] == ids[:1200]
    assert [request.request_id for request in found.unknown] == ids[1200:]
    assert found.matched[-1].request_id == found.matched[1199].request_id == "r1199"
    assert [request.request_id for request in found.matched[498:502]] == ids[498:502]
    with pytest.raises(IndexError):
        _ = found.matched[1200]
    first, second = iter(found.matched), iter(found.matched)
    assert [next(first), next(second), next(first)][1] == found.matched[0]


def test_nothing_of_it_stays_in_the_ledger(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"))
    found = [ledger.reconcile(["a"]) for _ in range(2)]
    assert all(found)
    assert "logged" not in str(ledger._database.cursor().execute("SELECT table_name FROM duckdb_tables()").fetchall())


def test_read_only_ledger_can_be_reconciled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        filled(ledger, booked("a", "-1"))
    monkeypatch.setattr("os.access", lambda *_: False)
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        assert ledger.reconcile(["a"]).ok


def test_requests_are_read_again_as_they_were_written() -> None:
    request = ReconciledRequest(
        request_id='a"\x00',
        time=NOW,
        line=7,
        records=1,
        rows=2,
        logged={"": Decimal("1E-30")},
        booked={"USD": Decimal("-0.5")},
        refunded={},
        differences=(
            FieldDifference(field="amount", currency="USD", log=Decimal(-1), ledger=None),
            FieldDifference(field="time", log=NOW, ledger=NOW - DAY),
            FieldDifference(field="model", log="1", ledger="b, c"),
        ),
    )
    assert ReconciledRequest.from_dict(json.loads(json.dumps(request.to_dict()))) == request


def test_rows_and_json_have_every_finding_and_money_as_text(ledger: Ledger) -> None:
    filled(
        ledger, booked("a", "-1"), booked("b", "-1e-30"), booked("u", "-3", "DIEM"), booked(None, "50", sku="top-up")
    )
    found = ledger.reconcile(
        [RequestRecord("a", amount=-2), RequestRecord("b"), RequestRecord("b"), RequestRecord("m")]
    )
    rows = list(found.rows())
    assert [(row["result"], row["request_id"], row["currency"]) for row in rows] == [
        ("differing", "a", "USD"),
        ("missing", "m", None),
        ("unknown", "u", "DIEM"),
        ("matched", "b", "USD"),
    ]
    assert {tuple(row) for row in rows} == {
        ("result", "request_id", "field", "currency", "log", "ledger", "records", "rows", "line", "time")
    }
    assert [row["request_id"] for row in found.rows("unknown", "missing")] == ["u", "m"]
    text = found.to_json()
    document = json.loads(text, parse_float=pytest.fail)
    assert document["counts"] == {
        **dict.fromkeys(("differing", "missing", "unknown", "matched", "repeated", "without_request"), 1),
        "not_covered": 0,
    }
    assert document["differing"][0]["differences"] == [
        {"field": "amount", "currency": "USD", "log": "-2", "ledger": "-1"}
    ]
    assert document["repeated"][0]["booked"] == {"USD": "-0.000000000000000000000000000001"}
    assert document["without_request"][0]["amount"] == "50"
    assert all(word in repr(found) for word in ("differing 1", "missing 1", "amount of 1", "DIEM"))
    with pytest.raises(InvalidParameterError, match="results must be one of 'differing'"):
        found.rows("lost")  # type: ignore[arg-type]


def test_error_of_the_iterable_is_passed_on(ledger: Ledger) -> None:
    def records() -> Iterator[str]:
        yield "a"
        raise OSError("of its own")

    with pytest.raises(OSError, match="of its own"):
        ledger.reconcile(records())
    assert filled(ledger, booked("a", "-1")).reconcile(["a"]).ok


def test_log_may_come_from_the_ledger_while_it_is_read(ledger: Ledger, fake: FakeVenice) -> None:
    with fake.client() as client:
        ledger.sync(client)
    assert ledger.reconcile(entry for entry in ledger.entries() if entry.inference_details is not None).ok


def test_request_record_reads_what_it_is_given() -> None:
    record = RequestRecord("a", amount=" -0.10 ", currency="USD ", model=None, time="2026-10-31T12:00:00+02:00")
    assert (str(record.amount), record.currency, record.model) == ("-0.10", "USD", None)
    assert record.time == datetime(2026, 10, 31, 10, tzinfo=UTC)


def test_iterable_may_give_any_kind_of_record(ledger: Ledger) -> None:
    number = UUID(int=7)
    filled(ledger, booked("a", "-1"), booked(str(number), "-1"))
    every: list[Any] = [
        *(
            "a",
            number,
            RequestRecord("a"),
            {"request_id": number, "amount": Decimal(-1), "model": None, "currency": ""},
        ),
        {"request_id": "a", "amount": -1},
    ]
    assert outcome(ledger.reconcile(iter(every))) == {"matched": [str(number), "a"]}
    assert ledger.reconcile(dict.fromkeys(["a"]).keys()).matched[0].line == 1


def test_memory_does_not_grow_with_the_log(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own memory: that of DuckDB is limited when the file is opened."""
    monkeypatch.setattr(reconcile, "_RECORDS_AT_ONCE", 500)
    filled(ledger, booked("a", "-1"))
    peaks = []
    for count in (2_000, 8_000):
        tracemalloc.start()
        try:
            found = ledger.reconcile(f"chatcmpl-{number:032x}" for number in range(count))
            assert len(found.missing) == sum(1 for _ in found.missing) == count
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
