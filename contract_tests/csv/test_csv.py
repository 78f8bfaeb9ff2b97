"""CSV documents are split at record boundaries, and no byte of a record is changed."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_billing import ResponseValidationError
from venice_billing._csv import Lines, TimeColumn, closed_records, fields, joined, take_apart, without_newline

FIELDS = st.text(st.sampled_from('ab,"\n\r é;'), max_size=6)


def written(rows: list[list[str]], newline: str) -> bytes:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(rows)
    return buffer.getvalue().encode()


@given(
    rows=st.integers(1, 3).flatmap(
        lambda columns: st.lists(st.lists(FIELDS, min_size=columns, max_size=columns), min_size=1, max_size=8)
    ),
    newline=st.sampled_from(["\n", "\r\n"]),
    bom=st.booleans(),
    final=st.booleans(),
)
def test_any_document_splits_and_joins_to_the_same_bytes(
    *, rows: list[list[str]], newline: str, bom: bool, final: bool
) -> None:
    """Quoted line breaks, quotes and commas, LF or CRLF, with or without a byte order mark and a final line break."""
    sent = written(rows, newline)
    body = sent if final else sent.removesuffix(newline.encode())
    document = take_apart(b"\xef\xbb\xbf" + body if bom else body)
    assert len(document.records) == len(rows) - 1
    header = document.header + (sent[len(document.header) :][: len(newline)] if len(rows) > 1 or final else b"")
    assert header + b"".join(document.records) == body
    assert all(record.endswith(document.newline) for record in document.records[:-1])
    if len(rows) > 1:
        assert document.newline == (newline.encode() if final or len(rows) > 2 else document.newline)


@pytest.mark.parametrize(
    ("document", "header", "records"),
    [
        (b"a,b\n1,2\n", b"a,b", [b"1,2\n"]),
        (b"a,b\r\n1,2", b"a,b", [b"1,2"]),
        (b"\xef\xbb\xbfa,b\n", b"a,b", []),
        (b"a,b", b"a,b", []),
        (b"a,b\r\n1,2\r\n3,4\r\n", b"a,b", [b"1,2\r\n", b"3,4\r\n"]),
        (b'a,b\n"1\n1",2\n3,4\n', b"a,b", [b'"1\n1",2\n', b"3,4\n"]),
        (b'a,b\n"1""\n""1",2\n', b"a,b", [b'"1""\n""1",2\n']),
        (b"a,b\n1,2\n\n\r\n3,4\n", b"a,b", [b"1,2\n", b"3,4\n"]),
        (b'a,b\n1,"x\n\ny"\n', b"a,b", [b'1,"x\n\ny"\n']),
    ],
)
def test_documents_of_every_layout(document: bytes, header: bytes, records: list[bytes]) -> None:
    apart = take_apart(document)
    assert (apart.header, list(apart.records)) == (header, records)


@given(text=st.text(st.sampled_from("a,\r\n"), max_size=12).map(str.encode), index=st.integers(-4, 4))
def test_lines_are_a_lazily_split_sequence_of_records(text: bytes, index: int) -> None:
    split = re.findall(rb"[^\n]*\n|[^\n]+", text)
    lines = Lines(text)
    assert (len(lines), list(lines), list(reversed(lines))) == (len(split), split, split[::-1])
    assert lines[index:] == split[index:]
    if -len(split) <= index < len(split):
        assert lines[index] == split[index]
    else:
        with pytest.raises(IndexError):
            lines[index]
    assert joined(lines, b"\n") == joined(split, b"\n")


@pytest.mark.parametrize("document", [b"", b"\xef\xbb\xbf", b"\n\n", b"\r\n"])
def test_a_document_without_a_header_breaks_the_contract(document: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="header row"):
        take_apart(document)


@pytest.mark.parametrize("document", [b'a,b\n"1,2\n', b'a,"b\n1,2\n'])
def test_a_quote_that_is_never_closed_breaks_the_contract(document: bytes) -> None:
    with pytest.raises(ResponseValidationError, match="never closed"):
        take_apart(document)


@given(rows=st.lists(st.lists(FIELDS, min_size=1, max_size=3), max_size=6), data=st.data())
def test_truncated_file_yields_its_whole_records(rows: list[list[str]], data: st.DataObject) -> None:
    """A file cut at any byte yields the records as written; at most the last record is shortened."""
    sent = written(rows, "\n")
    whole = list(closed_records(io.BytesIO(sent)))
    assert b"".join(whole) == sent
    cut = sent[: data.draw(st.integers(0, len(sent)))]
    kept = [record for record in closed_records(io.BytesIO(cut)) if record.endswith(b"\n")]
    assert kept == whole[: len(kept)]
    assert len(whole) - len(kept) <= 1 or len(cut) < len(b"".join(whole[: len(kept) + 1]))


@pytest.mark.parametrize("record", [b"a,b\n", b"a,b\r\n", b"a,b"])
def test_line_break_is_not_part_of_a_record(record: bytes) -> None:
    assert without_newline(record) == b"a,b"
    assert fields(record) == ["a", "b"]


def test_fields_are_unquoted() -> None:
    assert fields(b'"x, ""y""","line\nbreak"\n') == ['x, "y"', "line\nbreak"]


def test_record_that_is_not_utf8_breaks_the_contract() -> None:
    with pytest.raises(ResponseValidationError, match="UTF-8"):
        fields(b"\xff\n")


def test_page_cut_inside_its_last_record_breaks_the_contract() -> None:
    """A last record may lack its line break, so only the number of its fields shows the cut."""
    with pytest.raises(ResponseValidationError, match="as many fields"):
        take_apart(b"a,b,c\n1,2,3\n4,5")


@pytest.mark.parametrize("name", ["timestamp", "Timestamp", "createdAt", "created_at", "Time", "DATE"])
def test_the_time_column_is_found_by_its_name(name: str) -> None:
    column = TimeColumn(f"sku,{name},amount".encode())
    assert column.of(b"x,2026-09-01T10:00:00.5Z,1\n") == datetime(2026, 9, 1, 10, 0, 0, 500_000, tzinfo=UTC)


def test_timestamp_column_is_preferred_to_other_times() -> None:
    assert TimeColumn(b"date,timestamp").of(b"2020-01-01,2026-09-01T00:00Z").year == 2026


def test_a_time_column_without_a_known_name_is_found_by_its_values() -> None:
    assert TimeColumn(b"what,when").of(b"x,2026-09-01T00:00:00Z\n").year == 2026


def test_record_without_times_counts_as_booked_at_the_start() -> None:
    """A walk that has to reopen then starts over, and skips the records it has already received one by one."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    column = TimeColumn(b"sku,amount", start)
    assert column.of(b"x,1\n") == column.of(b"y,2\n") == start


@pytest.mark.parametrize("record", [b"x\n", b"x,soon\n", b"x,\n", b"x,2026-09-01T10:00:00\n", b'x,"2026\n'])
def test_error_for_a_record_without_a_time_names_the_column(record: bytes) -> None:
    with pytest.raises(ResponseValidationError) as caught:
        TimeColumn(b"sku,timestamp").of(record)
    assert caught.value.field == "timestamp"
