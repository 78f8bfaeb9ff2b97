"""A CSV page that is visibly damaged is refused as a whole, wherever the damage is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, files
from venice_billing import ResponseValidationError
from venice_billing._csv import Lines, TimeColumn, check_order, take_apart
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.support.flavours import Face

pytestmark = pytest.mark.anyio
START = datetime(2026, 9, 1, tzinfo=UTC)
HEADER = b"timestamp,sku,amount"
QUOTED = b'2026-09-01T10:00:00.000Z,"a, ""b""\nc",1\n'


@pytest.fixture
def fake() -> FakeVenice:
    """Return an account of several pages of fifty."""
    return FakeVenice(600, now=NOW)


def records(*times: str, index: int = 0) -> bytes:
    """Return records with these times in one of their columns."""
    fields = [[*["x", "1"][:index], time, *["x", "1"][index:]] for time in times]
    return b"".join(",".join(each).encode() + b"\n" for each in fields)


def header(index: int = 0) -> bytes:
    return records("timestamp", index=index).replace(b"x", b"sku").replace(b"1", b"amount")


def check(document: bytes) -> None:
    """Check a page as a walk does."""
    apart = take_apart(document)
    check_order(apart.records, TimeColumn(apart.header))


@pytest.mark.parametrize("number", [0, 1, 2, 4])
@pytest.mark.parametrize("damaged", [b"2026-09-01T10:00:00.000Z,x\n", b"2026-09-01T10:00:00.000Z,x,1,2\n", b"x\n"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
@pytest.mark.parametrize("others", [b"2026-09-01T10:00:00.000Z,x,1\n", QUOTED])
def test_extra_or_missing_fields_in_any_record_break_the_contract(
    number: int, damaged: bytes, end: bytes, others: bytes
) -> None:
    """Not only in the last record: bytes lost inside a page join the halves of two records."""
    rows = [others] * 5
    rows[number] = damaged
    document = (HEADER + b"\n" + b"".join(rows)).removesuffix(b"\n") + end
    with pytest.raises(ResponseValidationError, match="as many fields"):
        take_apart(document)


def test_extra_and_missing_fields_do_not_cancel_out() -> None:
    rows = b"2026-09-01T10:00:00.000Z,x\n2026-09-01T10:00:00.000Z,x,1,2\n"
    with pytest.raises(ResponseValidationError, match="record 1 of 2 has 2 fields, but the header 3"):
        take_apart(HEADER + b"\n" + rows)


@given(
    cut=st.tuples(st.integers(0, 10**6), st.integers(1, 10**6)),
    line_break=st.sampled_from(["\n", "\r\n"]),
    notes=st.sampled_from(["plain", 'say "a, b"', "two\nlines"]),
)
def test_lost_bytes_are_detected_or_leave_records_in_order(cut: tuple[int, int], line_break: str, notes: str) -> None:
    """No check can detect a missing record or digit; any shift of the record boundaries is detected."""
    times = [START + timedelta(hours=hour) for hour in range(6)]
    note = '"' + notes.replace('"', '""') + '"'
    rows = [[time.isoformat().replace("+00:00", "Z"), note, "1"] for time in times]
    document = line_break.join(map(",".join, [["timestamp", "notes", "amount"], *rows])).encode()
    start = len(HEADER) + 4 + cut[0] % (len(document) - len(HEADER) - 4)
    damaged = document[:start] + document[start + cut[1] % 80 :]
    try:
        check(damaged)
    except ResponseValidationError:
        return
    apart = take_apart(damaged)
    column = TimeColumn(apart.header)
    seen = [column.of(record) for record in apart.records]
    assert all(before <= after for before, after in pairwise(seen))


IN_ORDER = [
    ("2026-09-01T10:00:00.000Z", "2026-09-01T10:00:00.000Z", "2026-09-01T10:00:00.001Z"),
    ("2026-09-01T10:00:00.5Z", "2026-09-01T10:00:00.51Z", "2026-09-01T10:00:01Z"),
    ("2026-09-01T10:00:00Z", "2026-09-01T10:00:00.5Z", "2026-09-01T10:00:01Z"),
    ("2026-09-01T12:00:00+02:00", "2026-09-01T10:00:00+00:00", "2026-09-01T10:00:00Z"),
    ("2026-09-01T10:00:00+09:00", "2026-09-01T09:00:00+01:00", "2026-09-01T09:00:00+00:00"),
    ("2026-09-01T23:59:59.999999Z", "2026-09-02T00:00:00.000000Z", "2027-01-01T00:00:00.000000Z"),
]
OUT_OF_ORDER = [
    ("2026-09-01T10:00:00.000Z", "2026-09-01T10:00:00.002Z", "2026-09-01T10:00:00.001Z"),
    ("2026-09-01T10:00:00.001Z", "2026-09-01T10:00:00.000Z", "2026-09-01T10:00:00.002Z"),
    ("2026-09-01T10:00:00.5Z", "2026-09-01T10:00:00Z", "2026-09-01T10:00:01Z"),
    ("2026-09-01T10:00:00Z", "2026-09-01T11:00:00+02:00", "2026-09-01T12:00:00Z"),
    ("2026-09-01T09:00:00+00:00", "2026-09-01T10:00:00+09:00", "2026-09-01T12:00:00+00:00"),
    ("2026-10-01T00:00:00.000000Z", "2026-09-30T00:00:00.000000Z"),
]


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("times", IN_ORDER, ids=str)
def test_records_in_order_are_accepted(times: tuple[str, ...], index: int) -> None:
    check(header(index) + records(*times, index=index))
    check(header(index).replace(b"timestamp", b'"timestamp"') + records(*(f'"{time}"' for time in times), index=index))


@pytest.mark.parametrize("index", [0, 1, 2])
@pytest.mark.parametrize("times", OUT_OF_ORDER, ids=str)
def test_records_out_of_order_break_the_contract(times: tuple[str, ...], index: int) -> None:
    """Also where the texts ascend but the times do not, as with other offsets or other numbers of digits."""
    for quote in ("", '"'):
        rows = records(*(f"{quote}{time}{quote}" for time in times), index=index)
        with pytest.raises(ResponseValidationError, match="records ascend in time") as caught:
            check(header(index) + rows)
        assert caught.value.field == "timestamp"


@given(
    times=st.lists(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), max_size=8),  # noqa: DTZ001 - UTC follows
    digits=st.sampled_from(["milliseconds", "microseconds", "seconds"]),
    data=st.data(),
)
def test_order_check_agrees_with_the_parsed_times(times: list[datetime], digits: str, data: st.DataObject) -> None:
    if data.draw(st.booleans()):
        times.sort()
    texts = [time.isoformat(timespec=digits) + "Z" for time in times]
    column = TimeColumn(HEADER)
    rows = Lines(records(*texts))
    parsed = [column.parsed(text) for text in texts]
    if all(before <= after for before, after in pairwise(parsed)):
        check_order(rows, column)
    else:
        with pytest.raises(ResponseValidationError):
            check_order(rows, column)


@pytest.mark.parametrize("text", ["", "soon", "2026-09-01", "2026-09-01T10:00:00"])
def test_any_record_without_a_time_breaks_the_contract(text: str) -> None:
    with pytest.raises(ResponseValidationError, match="no timestamp") as caught:
        check(header() + records("2026-09-01T10:00:00Z", text, "2026-09-01T10:00:00Z"))
    assert caught.value.field == "timestamp"


def test_order_is_checked_in_a_time_column_found_by_values() -> None:
    with pytest.raises(ResponseValidationError, match="records ascend in time"):
        check(b"what,when\nx,2026-09-01T10:00:01Z\nx,2026-09-01T10:00:00Z\n")


@pytest.mark.parametrize("document", [b"what,amount\nb,1\na,2\n", b"what\nb\na\n", HEADER, HEADER + b"\r\n"])
def test_documents_without_times_may_have_any_order(document: bytes) -> None:
    check(document)


@pytest.mark.parametrize("first", ["2026-09-01T10:00:00.000Z", "2026-09-01 10:00:00", "2026-09-01", '"2026-09-01"'])
@pytest.mark.parametrize("index", [0, 2])
def test_a_page_without_a_header_row_breaks_the_contract(first: str, index: int) -> None:
    """Its first charge would be read as the header, and be missing."""
    with pytest.raises(ResponseValidationError, match="no header row") as caught:
        take_apart(records(first, "2026-09-01T10:00:00.000Z", index=index))
    assert caught.value.field == "header row"


def swapped(document: bytes) -> bytes:
    lines = document.split(b"\n")
    lines[10], lines[20] = lines[20], lines[10]
    return b"\n".join(lines)


def holed(document: bytes) -> bytes:
    lines = document.split(b"\n")
    lines[10:12] = [lines[10][:40] + lines[11][-5:]]
    return b"\n".join(lines)


def headless(document: bytes) -> bytes:
    return document.partition(b"\n")[2]


@pytest.mark.parametrize(
    ("change", "problem"), [(swapped, "records ascend in time"), (holed, "as many fields"), (headless, "no header row")]
)
@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_export_refuses_a_page_that_is_damaged_inside(
    fake: FakeVenice,
    face: Face,
    tmp_path: Path,
    *,
    change: Callable[[bytes], bytes],
    problem: str,
    number: int,
    concurrency: int,
) -> None:
    """Like a walk of entries. The export keeps the pages before, if any, and the same call resumes with them."""
    changed = faults.Fault(change.__name__, lambda answer: evolve(answer, body=change(answer.body)))
    fake.quirks.faults = lambda seen: changed if seen.number == number else None
    options = {"page_size": 50, "concurrency": concurrency}
    with pytest.raises(ResponseValidationError, match=problem) as caught:
        await face.call("export_usage_csv", tmp_path / "usage.csv", **options)
    assert [name.rpartition(".")[2] for name in files(tmp_path)] == ["partial", "progress"] * (number == 2)
    assert str(caught.value.checkpoint).endswith(".partial" if number == 2 else "None")
    fake.quirks.faults = ()
    assert (await face.call("export_usage_csv", tmp_path / "usage.csv", **options)).rows == 600
    whole = await face.call("get_usage_history", format="csv", page_size=1000)
    assert (tmp_path / "usage.csv").read_bytes() == whole
