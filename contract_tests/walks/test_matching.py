"""Rows must have the requested currency and lie in the requested range; otherwise they are refused or left out."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.support.flavours import NOW, ORIGINAL, Face, Flavour, as_wire, receive, row, timestamps
from venice_billing import ResponseValidationError, _drift
from venice_billing._csv import Lines
from venice_billing._walk.matching import CurrencyColumn
from venice_billing.testing import CsvLayout, FakeVenice, SeenRequest, faults
from venice_billing.testing._text import CSV_COLUMNS, to_csv_record, to_json

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing._responses import Response

pytestmark = pytest.mark.anyio

MONTH = {"start_timestamp": "2026-10-01", "end_timestamp": "2026-11-01"}
Way = Callable[[Face, "Path", dict[str, Any]], Awaitable[Any]]
WAYS: dict[str, Way] = {
    "page": lambda face, _, asked: face.call("get_usage_history", **asked),
    "CSV page": lambda face, _, asked: face.call("get_usage_history", format="csv", **asked),
    "asc": lambda face, _, asked: receive(face.client.iter_usage_history(**asked)),
    "desc": lambda face, _, asked: receive(face.client.iter_usage_history(sort_order="desc", **asked)),
    "8 at once": lambda face, _, asked: receive(face.client.iter_usage_history(concurrency=8, **asked)),
    "export": lambda face, folder, asked: face.call("export_usage_csv", folder / "a.csv", **asked),
    "export, 8 at once": lambda face, folder, asked: face.call(
        "export_usage_csv", folder / "a.csv", concurrency=8, **asked
    ),
}


@pytest.fixture
def fake() -> FakeVenice:
    """Return an account with one charge per hour in October, every tenth one in DIEM."""
    rows = [
        row(timestamp, currency="USD" if number % 10 else "DIEM")
        for number, timestamp in enumerate(timestamps(NOW, range(-31 * 86_400, -12 * 3600, 3600)))
    ]
    return FakeVenice(rows, now=NOW)


def with_rows(change: Callable[[SeenRequest, list[Any]], list[Any]], fake: FakeVenice) -> None:
    """Let every response hold the ledger's rows as altered by `change`."""

    def fault(seen: SeenRequest) -> faults.Fault:
        def changed(answer: Response) -> Response:
            if answer.status == 404:
                return answer
            rows = change(seen, fake.rows(currency=seen.param("currency")))
            fine = evolve(answer, status=200)
            if "csv" in seen.headers.get("accept", ""):
                lines = [",".join(CSV_COLUMNS), *map(to_csv_record, rows)]
                return faults.body("".join(f"{line}\n" for line in lines).encode(), content_type="text/csv").apply(fine)
            document: dict[str, Any] = {"data": rows, "nextCursor": None}
            if seen.path == ORIGINAL:
                document["pagination"] = {"limit": 500, "page": 1, "total": len(rows), "totalPages": 1}
            return faults.body(to_json(document).encode(), content_type="application/json").apply(fine)

        return faults.Fault("other rows", changed)

    fake.quirks.faults = fault


@pytest.mark.parametrize("way", WAYS)
async def test_a_row_of_another_currency_is_refused(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, way: str
) -> None:
    """Its amount would be added to a sum of another currency."""
    with_rows(lambda seen, rows: [*rows[:3], {**rows[3], "currency": "DIEM"}, *rows[4:]], fake)
    asked = {"currency": "USD"}
    with pytest.raises(ResponseValidationError, match="'USD' was asked for") as caught:
        await WAYS[way](flavour.connect(fake), tmp_path, asked)
    assert caught.value.field == "data[3].currency"


async def test_every_currency_is_accepted_without_a_currency_filter(flavour: Flavour, fake: FakeVenice) -> None:
    assert as_wire(await receive(flavour.connect(fake).client.iter_usage_history())) == fake.ledger
    assert len(fake.rows(currency="DIEM")) > 10


async def test_pages_by_cursor_are_checked_for_the_currency_of_their_walk(flavour: Flavour, fake: FakeVenice) -> None:
    fake.quirks.faults = lambda seen: faults.unknown_currency("DIEM") if seen.param("cursor") else None
    walk = flavour.connect(fake).client.iter_usage_history(currency="USD", page_size=10)
    first: list[Any] = []
    with pytest.raises(ResponseValidationError) as caught:
        await receive(walk, into=first)
    assert as_wire(first) == fake.rows(currency="USD")[:10]
    assert caught.value.checkpoint == walk.checkpoint


async def test_the_currency_of_a_single_page_by_cursor_is_not_checked(flavour: Flavour, fake: FakeVenice) -> None:
    face = flavour.connect(fake)
    page = await face.call("get_usage_history", currency="USD", page_size=10)
    fake.quirks.faults = lambda _: faults.unknown_currency("DIEM")
    page = await face.call("get_usage_history", cursor=page.next_cursor)
    assert {entry.currency for entry in page.data} == {"DIEM"}


@pytest.mark.parametrize("way", WAYS)
async def test_rows_outside_the_range_are_left_out_and_logged_once(
    flavour: Flavour,
    fake: FakeVenice,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    """The server ignores the range; only rows within it are delivered."""
    monkeypatch.setattr(_drift, "_noted", set())
    with_rows(lambda seen, rows: rows, fake)
    asked = {"start_timestamp": "2026-10-10", "end_timestamp": "2026-10-20"}
    truth = fake.rows(start="2026-10-10T00:00:00Z", end="2026-10-20T00:00:00Z")
    with caplog.at_level(logging.INFO, "venice_billing"):
        for _ in range(2):
            got = await WAYS[way](flavour.connect(fake), tmp_path, asked)
    if "export" in way:
        assert got.rows == len(truth)
        assert (tmp_path / "a.csv").read_text().splitlines()[1:] == [to_csv_record(each) for each in truth]
    elif way == "CSV page":
        assert got.decode().splitlines()[1:] == [to_csv_record(each) for each in truth]
    else:
        assert as_wire(got.data if way == "page" else got) == (truth[::-1] if way == "desc" else truth)
    assert len([record for record in caplog.records if "left out" in record.getMessage()]) == 1


async def test_the_start_is_included_and_the_end_is_excluded(flavour: Flavour) -> None:
    fake = FakeVenice(
        [row(timestamp) for timestamp in ("2026-10-10T00:00:00.000Z", "2026-10-20T00:00:00.000Z")], now=NOW
    )
    with_rows(lambda seen, rows: rows, fake)
    asked = {"start_timestamp": "2026-10-10", "end_timestamp": "2026-10-20"}
    face = flavour.connect(fake)
    assert as_wire((await face.call("get_usage_history", **asked)).data) == fake.ledger[:1]
    assert as_wire(await receive(face.client.iter_usage_history(**asked))) == fake.ledger[:1]


@pytest.mark.parametrize("way", WAYS)
async def test_a_page_entirely_outside_the_range_is_refused(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, way: str
) -> None:
    """It says nothing about the range, so the range must not pass for empty."""
    with_rows(lambda seen, rows: rows[:50], fake)
    with pytest.raises(ResponseValidationError, match="none of 50 entries lies in the range asked for"):
        await WAYS[way](flavour.connect(fake), tmp_path, {"start_timestamp": "2026-10-20"})


async def test_a_filtered_single_page_keeps_its_cursor(flavour: Flavour, fake: FakeVenice) -> None:
    face = flavour.connect(fake)
    early = fake.ledger[0]
    fake.quirks.faults = [faults.edit(lambda document: document["data"].insert(0, dict(early)))]
    page = await face.call("get_usage_history", start_timestamp="2026-10-20", page_size=10)
    assert as_wire(page.data) == fake.rows(start="2026-10-20T00:00:00Z")[:10]
    rest = await face.call("get_usage_history", cursor=page.next_cursor)
    assert as_wire(rest.data) == fake.rows(start="2026-10-20T00:00:00Z")[10:20]


@pytest.mark.parametrize("method", ["get_usage", "iter_usage"])
async def test_the_original_ledger_is_checked_in_the_same_way(flavour: Flavour, fake: FakeVenice, method: str) -> None:
    """Its end may be included, since its documentation leaves this open."""
    fake = FakeVenice(fake.ledger, now=NOW, original="alive", history=False)
    face = flavour.connect(fake)

    async def read(**asked: Any) -> list[Any]:
        if method == "get_usage":
            return as_wire((await face.call("get_usage", **asked)).data)
        return as_wire(await receive(face.client.iter_usage(**asked)))

    with_rows(lambda seen, rows: rows[::-1], fake)
    asked = {"start_date": "2026-10-10", "end_date": "2026-10-20"}
    truth = fake.rows(start="2026-10-10T00:00:00Z", end="2026-10-20T00:00:00Z")[::-1]
    included = fake.rows(start="2026-10-20T00:00:00Z", end="2026-10-20T00:00:01Z")
    got = await read(**asked)
    assert got == (included + truth if method == "get_usage" else truth)
    with_rows(lambda seen, rows: [{**each, "currency": "DIEM"} for each in rows[::-1]], fake)
    with pytest.raises(ResponseValidationError, match="'USD' was asked for"):
        await read(currency="USD")
    with_rows(lambda seen, rows: rows[:50][::-1], fake)
    with pytest.raises(ResponseValidationError, match="range asked for"):
        await read(start_date="2026-10-20")


@pytest.mark.parametrize("cursor", [False, True], ids=["by filters", "by its cursor"])
async def test_a_single_page_out_of_order_is_returned_unchanged(
    flavour: Flavour, fake: FakeVenice, *, cursor: bool
) -> None:
    """Only a walk needs the order: its positions are timestamps."""
    face = flavour.connect(fake)
    first = await face.call("get_usage_history", page_size=10)
    fake.quirks.faults = lambda _: faults.edit(lambda document: document["data"].reverse())
    if cursor:
        page = await face.call("get_usage_history", cursor=first.next_cursor)
        assert as_wire(page.data) == fake.ledger[10:20][::-1]
    else:
        page = await face.call("get_usage_history", **MONTH, page_size=10)
        assert as_wire(page.data) == fake.rows(start="2026-10-01T00:00:00Z")[:10][::-1]
    assert page.next_cursor
    with pytest.raises(ResponseValidationError, match="entries ascend in time"):
        await receive(face.client.iter_usage_history(page_size=10))


@pytest.mark.parametrize("header", [b"a,Consumption Currency,b", b"a,CURRENCY,b", b"a,currency", b"currency,a"])
@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_the_currency_column_is_found_and_checked(header: bytes, newline: bytes) -> None:
    """Both in records of one line each, which are split, and in other records, which are parsed."""
    names = header.split(b",")
    position = next(index for index, name in enumerate(names) if b"urrency" in name or name.isupper())

    def record(currency: bytes) -> bytes:
        cells = [b"x"] * len(names)
        cells[position] = currency
        return b",".join(cells) + newline

    column = CurrencyColumn(header)
    same, mixed = [record(b"USD")] * 3, [record(b"USD"), record(b"DIEM"), record(b"USD")]
    for records in (same, mixed):
        for form in (records, Lines(b"".join(records)), [each.replace(b"x", b'"x,\n"') for each in records]):
            if records is same:
                column.check(form, "USD")
                assert column.only(form, "USD") == list(form)
            else:
                with pytest.raises(ResponseValidationError, match="DIEM") as caught:
                    column.check(form, "USD")
                assert caught.value.field == "data[1].currency"
                assert column.only(form, "DIEM") == [list(form)[1]]


def test_a_missing_currency_column_is_refused_if_a_currency_was_asked_for() -> None:
    """Otherwise records in another currency would pass where a ledger ignores the filter."""
    CurrencyColumn(b"a,b").check([b"1,2\n"], None)
    for check in (CurrencyColumn(b"a,b").check, CurrencyColumn(b"a,b").only):
        with pytest.raises(ResponseValidationError, match="no column names the currency"):
            check([b"1,2\n"], "USD")


async def test_records_without_timestamps_are_exported_completely(flavour: Flavour, tmp_path: Path) -> None:
    """Without timestamps in header and records, neither range nor progress can be checked."""
    fake = FakeVenice([row(timestamp) for timestamp in timestamps(NOW, range(-30_000, -1, 10))], now=NOW)

    def without_times(answer: Response) -> Response:
        header, *lines = answer.body.split(b"\n")
        return faults.body(b"\n".join([header, *(b"x" + line[24:] for line in lines)])).apply(answer)

    fake.quirks.faults = lambda _: faults.Fault("no times", without_times)
    fake.quirks.csv_layouts = [CsvLayout(header="a,b,c,d,e,f,g,h,i,j,k,l", final_line_break=False)]
    export = await flavour.connect(fake).call("export_usage_csv", tmp_path / "a.csv", page_size=10)
    assert export.rows == 3000
