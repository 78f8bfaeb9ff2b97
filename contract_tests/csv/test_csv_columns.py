"""Pages whose header, amounts or currencies cannot be right are refused, and so are pages that were cut short."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Face, Flavour, files, row, timestamps
from venice_billing import ResponseValidationError
from venice_billing._csv import Lines, TimeColumn, take_apart
from venice_billing._csv_columns import _are_usual, check_header, check_values, values_of
from venice_billing.testing import CsvLayout, FakeVenice, faults
from venice_billing.testing._text import CSV_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from venice_billing.testing import SeenRequest

pytestmark = pytest.mark.anyio
HEADER = ",".join(CSV_COLUMNS).encode()
SMALL: dict[str, Any] = {"page_size": 10}
NO_FINAL = CsvLayout(final_line_break=False)


@pytest.fixture
def fake() -> FakeVenice:
    """Return an account whose records end with the id of a key."""
    rows = [row(each, apiKeyId="key_abcdef") for each in timestamps(NOW.replace(day=1, hour=1), range(25))]
    return FakeVenice(rows, now=NOW)


def changed(change: Callable[[bytes], bytes]) -> faults.Fault:
    return faults.Fault("changed", lambda answer: evolve(answer, body=change(answer.body)))


def cut(count: int) -> faults.Fault:
    """Lose the last bytes of a page; its length is stated as what is left."""
    return changed(lambda body: body[:-count])


@pytest.mark.parametrize("size", range(1, len(HEADER) + 1))
def test_header_row_cut_at_any_byte_is_refused(size: int, tmp_path: Path) -> None:
    """It would be taken for the header of an empty ledger. The same range as JSON shows that there are charges."""
    fake = FakeVenice(3, now=NOW)
    shortened = changed(lambda body: body[:size])
    fake.quirks.faults = lambda seen: shortened if "csv" in seen.headers["accept"] else None
    with fake.client() as client, pytest.raises(ResponseValidationError) as caught:
        client.export_usage_csv(tmp_path / "usage.csv")
    assert caught.value.field in {"header row", "records"}
    assert not any(tmp_path.iterdir())


def test_header_row_without_a_line_break_is_an_empty_ledger_if_json_says_so(tmp_path: Path) -> None:
    fake = FakeVenice(0, now=NOW)
    fake.quirks.csv_layouts = [CsvLayout(final_line_break=False)]
    with fake.client() as client:
        assert client.export_usage_csv(tmp_path / "usage.csv").rows == 0
    assert [seen.headers["accept"] for seen in fake.requests] == ["text/csv", "application/json"]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
def test_whole_header_row_is_an_empty_ledger(newline: bytes) -> None:
    check_header(take_apart(HEADER + newline))


@pytest.mark.parametrize("names", [b"time,amount,unit", b"sorry,we,are,down", b"timestamp,currency,sku", b"a,b,c,d,e"])
def test_header_row_without_the_columns_of_a_charge_is_refused(names: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="time, amount and currency"):
        check_header(take_apart(names + b"\n"))


@pytest.mark.parametrize("count", [1, 4, 11])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_page_cut_in_its_last_field_is_refused(
    fake: FakeVenice, face: Face, tmp_path: Path, *, number: int, count: int
) -> None:
    """Another page of the walk ends with a line break, or else a small page that is fetched for comparison."""
    fake.quirks.faults = lambda seen: cut(count) if seen.number == number else None
    with pytest.raises(ResponseValidationError, match="its last record was cut short"):
        await face.call("export_usage_csv", tmp_path / "usage.csv", **SMALL)
    assert "usage.csv" not in files(tmp_path)
    fake.quirks.faults = ()
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", **SMALL)
    assert (export.rows, export.resumed_rows) == (25, 10 * (number - 1))
    assert (tmp_path / "usage.csv").read_bytes().count(b"key_abcdef\n") == 25


async def test_single_page_cut_in_its_last_field_is_refused(fake: FakeVenice, face: Face, tmp_path: Path) -> None:
    fake.quirks.faults = lambda seen: cut(4) if seen.param("pageSize") != "10" else None
    with pytest.raises(ResponseValidationError, match="its last record was cut short"):
        await face.call("export_usage_csv", tmp_path / "usage.csv")
    assert files(tmp_path) == []


async def test_rows_before_the_cut_was_noticed_are_not_resumed(fake: FakeVenice, face: Face, tmp_path: Path) -> None:
    """The page for comparison was cut too, so the record that was cut short is in the partial file."""
    fake.quirks.faults = lambda seen: cut(4) if seen.number <= 2 else None
    with pytest.raises(ResponseValidationError, match="its last record was cut short") as caught:
        await face.call("export_usage_csv", tmp_path / "usage.csv", **SMALL)
    assert (files(tmp_path), caught.value.checkpoint) == ([], None)


async def test_layout_without_final_line_breaks_costs_one_small_request(
    fake: FakeVenice, face: Face, tmp_path: Path
) -> None:
    fake.quirks.csv_layouts = [NO_FINAL]
    assert (await face.call("export_usage_csv", tmp_path / "usage.csv", **SMALL)).rows == 25
    assert len(fake.requests) == 3 + 1


@pytest.mark.parametrize("name", ["amount", "currency", "timestamp"])
def test_last_record_without_line_break_is_refused_if_its_last_field_matters(name: str) -> None:
    document = take_apart(f"a,{name}\n1,-5\n1,-5".encode())
    with pytest.raises(ResponseValidationError, match="may be cut short"):
        check_values(document)


BAD = ["", "abc", "NaN", "Infinity", "1e400", "=1+1", "1_0", "-", "1 2", "0x10", "\u0663"]


@pytest.mark.parametrize("amount", BAD)
@pytest.mark.parametrize("notes", ["plain", 'say "a, b"'])
@pytest.mark.parametrize("number", [1, 2])
async def test_amount_that_is_no_number_is_refused_as_in_json(
    flavour: Flavour, tmp_path: Path, *, amount: str, notes: str, number: int
) -> None:
    times = timestamps(NOW.replace(day=1, hour=1), range(25))
    fake = FakeVenice([row(each, amount=Decimal("-0.123456789"), notes=notes) for each in times], now=NOW)
    bad = changed(lambda body: body.replace(b"-0.123456789", amount.encode(), 1))
    fake.quirks.faults = lambda seen: bad if seen.number == number else None
    with pytest.raises(ResponseValidationError, match="no number") as caught:
        await flavour.connect(fake).call("export_usage_csv", tmp_path / "usage.csv", **SMALL)
    assert caught.value.field == "data[0].amount"
    assert "usage.csv" not in files(tmp_path)


def documents(amount: str, currency: str = "USD") -> list[bytes]:
    """Return a document in several forms: the columns in either order, first or last, plain or quoted."""
    forms = [
        f"timestamp,amount,currency,n\nT,1,USD,x\nT,{amount},{currency},x\n",
        f"currency,n,amount,timestamp\nUSD,x,1,T\n{currency},x,{amount},T\n",
        f"timestamp,n,amount,currency\nT,x,1,USD\nT,x,{amount},{currency}\n",
        f'timestamp,amount,currency,n\nT,1,USD,"a, b"\nT,{amount},{currency},"c\nd"\n',
        f'n,timestamp,amount,currency\n"a, b",T,1,USD\n"5,USD",T,{amount},{currency}\n',
        f'timestamp,amount,currency,n\nT,"1",USD,x\nT,"{amount}",{currency},x\n',
    ]
    return [end.encode() for form in forms for end in (form, form.replace("\n", "\r\n"))]


@pytest.mark.parametrize("amount", BAD)
def test_bad_amounts_are_refused_in_every_form(amount: str) -> None:
    for document in documents(amount):
        with pytest.raises(ResponseValidationError, match="no number"):
            check_values(take_apart(document))


@pytest.mark.parametrize("amount", ["0", "-5", "+5", "-0.1", "1e-7", "-1.5E+3", ".5", "5.", "-0.00000001", "9" * 25])
def test_numbers_are_accepted_in_every_form(amount: str) -> None:
    for document in documents(amount):
        check_values(take_apart(document))


def test_empty_currency_is_refused_in_every_form() -> None:
    for document in documents("5", ""):
        with pytest.raises(ResponseValidationError, match="a charge has a currency"):
            check_values(take_apart(document))


@given(cells=st.lists(st.tuples(st.text("05.-+eE_ n", max_size=5), st.text('US"', max_size=3)), max_size=4))
def test_fast_check_accepts_only_what_the_exact_check_accepts(cells: list[tuple[str, str]]) -> None:
    records = [f"T,{amount},{currency},x\n".encode() for amount, currency in cells]
    form = Lines(b"".join(records), 4) if b'"' not in b"".join(records) else records
    if _are_usual(form, 1, 2):
        for amount, currency in zip(values_of(form, 1), values_of(form, 2), strict=True):
            assert float(amount) == float(amount)
            assert currency


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda body: body.replace(b"currency", b"cur", 1), "no column names the currency"),
        (lambda body: body.replace(b",", b";"), "no commas separate fields"),
    ],
    ids=["another name", "semicolons"],
)
async def test_currency_that_cannot_be_checked_is_an_error(
    fake: FakeVenice, face: Face, tmp_path: Path, *, change: Callable[[bytes], bytes], problem: str
) -> None:
    fake.quirks.faults = lambda _: changed(change)
    with pytest.raises(ResponseValidationError, match=problem):
        await face.call("export_usage_csv", tmp_path / "usage.csv", currency="USD")
    assert files(tmp_path) == []


async def test_millions_of_columns_are_refused_without_reading_them(
    fake: FakeVenice, face: Face, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their bytes are few in gzip, but each name costs time that no deadline covers."""
    fake.quirks.faults = lambda _: changed(lambda _: b"timestamp" + b"," * 1_000 + b"\n")
    read: list[object] = []
    monkeypatch.setattr("venice_billing._csv.plain", read.append)
    with pytest.raises(ResponseValidationError, match="more than 1,000 columns"):
        await face.call("get_usage_history", format="csv")
    assert read == []


def test_a_thousand_columns_are_read() -> None:
    assert TimeColumn(take_apart(b"timestamp" + b",x" * 999 + b"\n").header).name == "timestamp"


@pytest.mark.parametrize("line", [b"a,b\n", b'"a",b\n', b"a,b\r\n"])
def test_more_records_than_a_page_can_have_are_refused(line: bytes) -> None:
    assert len(take_apart(b"x,y\n" + line * 10_000).records) == 10_000
    with pytest.raises(ResponseValidationError, match="more than 10,000 records"):
        take_apart(b"x,y\n" + line * 10_001)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_byte_order_marks_are_removed(count: int) -> None:
    assert take_apart(b"\xef\xbb\xbf" * count + HEADER + b"\n").header == HEADER


@pytest.mark.parametrize("format", ["json", "csv"])
async def test_part_of_an_answer_is_refused(fake: FakeVenice, flavour: Flavour, format: str) -> None:
    """Its length may fit, as that of the part."""

    def fault(_: SeenRequest) -> faults.Fault:
        return faults.Fault("part", lambda answer: answer.with_header("content-range", "bytes 0-10/1000"))

    fake.quirks.faults = fault
    with pytest.raises(ResponseValidationError, match="Content-Range"):
        await flavour.connect(fake, max_retries=0).call("get_usage_history", format=format)


@pytest.mark.parametrize("name", ["amount", "currency", "timestamp", "units", "notes", "Amount", "api_key_id"])
async def test_a_header_that_names_a_known_column_twice_is_refused(
    face: Face, fake: FakeVenice, target: Path, name: str
) -> None:
    """One column would be checked here, and another read by `csv.DictReader`."""
    fake.quirks.faults = lambda _: changed(lambda body: with_column(body, name))
    for call, asked in ("export_usage_csv", {"path": target}), ("get_usage_history", {"format": "csv"}):
        with pytest.raises(ResponseValidationError, match="several columns") as caught:
            await face.call(call, **asked)
        assert caught.value.field == "header row"
    assert not files(target.parent)


async def test_unknown_columns_may_have_one_name(face: Face, fake: FakeVenice, target: Path) -> None:
    fake.quirks.faults = lambda _: changed(lambda body: with_column(with_column(body, "region"), "region"))
    assert (await face.call("export_usage_csv", target)).rows == 25


def with_column(body: bytes, name: str) -> bytes:
    header, *records = body.splitlines()
    return b"".join([header + b"," + name.encode() + b"\n", *(record + b",oops\n" for record in records)])
