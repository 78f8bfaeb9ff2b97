"""Logs of requests as files and as iterables: what is understood, and what is refused, with its line."""

from __future__ import annotations

import io
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = timedelta(hours=1)
ROW = {
    "timestamp": "2026-10-31T12:00:00Z",
    "amount": "-0.1000000000000000055511151231257827",
    "currency": "USD",
    "inferenceDetails": {"requestId": "a", "promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1},
}


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Return a ledger of one request."""
    fake = FakeVenice([ROW], now=NOW)
    with Ledger(tmp_path_factory.mktemp("ledger") / "venice.duckdb") as opened, fake.client() as client:
        opened.sync(client)
        yield opened


JSONL = (
    '{"request_id": "a", "amount": -0.1000000000000000055511151231257827, "time": "2026-10-31T12:00:00Z", "cost": 1}\n'
)
CSV = "cost,request_id,amount,currency,model,time\n1,a,-0.1000000000000000055511151231257827,,,2026-10-31T12:00Z\n"
SOURCES: dict[str, tuple[str, bytes]] = {
    "JSONL": ("log.jsonl", JSONL.encode()),
    "JSONL with a byte order mark, blank lines and CRLF": (
        "log.NDJSON",
        b"\xef\xbb\xbf\r\n" + JSONL.encode() + b"\r\n",
    ),
    "CSV": ("log.csv", CSV.encode()),
    "CSV with a byte order mark and CRLF": ("log.CSV", b"\xef\xbb\xbf" + CSV.replace("\n", "\r\n").encode()),
    "CSV with semicolons": ("log.csv", CSV.replace(",", ";").encode()),
    "CSV with tabs, no line break at the end": ("log.csv", CSV.replace(",", "\t").rstrip().encode()),
    "CSV with a line break in a field": ("log.csv", CSV.replace("\n1,", '\n"1\n""2""",').encode()),
    "names of the API": ("log.csv", CSV.replace("request_id", "requestId").replace("time", "timestamp").encode()),
    "spaces around names and numbers": (
        "log.csv",
        CSV.replace("amount", " amount ").replace(",-0.1", ", -0.1").encode(),
    ),
}


@pytest.mark.parametrize("name", SOURCES)
def test_log_is_read_from_a_file(ledger: Ledger, tmp_path: Path, name: str) -> None:
    file, content = SOURCES[name]
    path = tmp_path / file
    path.write_bytes(content)
    with path.open("rb") as binary, path.open(encoding="utf-8") as text:
        for source in (path, str(path), binary, text):
            found = ledger.reconcile(source)
            assert (found.ok, found.compared["amount"], found.compared["time"]) == (True, 1, 1)


def test_format_is_named_where_the_file_does_not_tell(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "log.txt").write_text(JSONL)
    assert ledger.reconcile(tmp_path / "log.txt", format="jsonl").ok
    assert ledger.reconcile(io.BytesIO(CSV.encode()), format="csv").ok
    assert ledger.reconcile(io.StringIO(JSONL), format="jsonl").ok


BAD_FILES: dict[str, tuple[str, bytes, str]] = {
    "empty": ("log.csv", b"", r"records \(log.csv, line 1\) must be a header row with a column request_id; got ''"),
    "no such column": ("log.csv", b"id,amount\na,1\n", r"header row with a column request_id; got 'id,amount'"),
    "column twice": ("log.csv", b"request_id,amount,amount\n", r"line 1\) must be a header row that names each"),
    "two names of a time": (
        "log.csv",
        b"request_id,time,timestamp\na,1,2\n",
        r"time \(log.csv, line 2\) must be given once",
    ),
    "short row": ("log.csv", b"request_id,amount\na,1\nb\n", r"line 3\) must be a row of 2 fields.*'b'"),
    "unquoted comma": ("log.csv", b"request_id,amount\na,-0,5\n", r"line 2\) must be a row of 2 fields.*'a,-0,5'"),
    "decimal comma": (
        "log.csv",
        b"request_id;amount\n\na;-0,5\n",
        r"amount \(log.csv, line 3\) must be a number.*'-0,5'",
    ),
    "open quote": ("log.csv", b'request_id\n"a\nb\n', r"line 2\) must be a row of CSV.*unexpected end"),
    "line after a field of two lines": ("log.csv", b'request_id,x\na,"1\n2"\n ,3\n', r"request_id \(log.csv, line 4\)"),
    "blank id": ("log.csv", b"request_id,amount\n ,1\n", r"request_id \(log.csv, line 2\) must be a text, not empty"),
    "id with a space": (
        "log.csv",
        b"request_id\na \n",
        r"request_id \(log.csv, line 2\) .* white space around it; got 'a '",
    ),
    "other encoding": ("log.csv", "request_id\nä\n".encode("latin-1"), r"log.csv, line 2\) must be text in UTF-8"),
    "UTF-16": ("log.jsonl", JSONL.encode("utf-16"), r"log.jsonl, line 1\) must be text in UTF-8"),
    "array": (
        "log.jsonl",
        b'[{"request_id": "a"}]',
        r"line 1\) must be a JSON object: JSONL has one a line, and no array",
    ),
    "array over lines": ("log.jsonl", b"[\n{}\n]", r"line 1\) must be a JSON object on one line"),
    "no JSON": (
        "log.jsonl",
        b'{"request_id": "a"}\n{"request_id": "b"\n',
        r"line 2\) must be a JSON object on one line",
    ),
    "NaN": ("log.jsonl", b'{"request_id": "a", "amount": NaN}', r"line 1\) must be a JSON object .*NaN is no number"),
    "NaN in CSV": ("log.csv", b"request_id,amount\na,NaN\n", r"amount \(log.csv, line 2\) must be a number.*'NaN'"),
    "number as id": ("log.jsonl", b'{"request_id": 5}', r"request_id \(log.jsonl, line 1\) must be a text.*got 5"),
    "no id": ("log.jsonl", b'{"id": "a"}', r"request_id \(log.jsonl, line 1\) must be a text.*got None"),
    "half a character": (
        "log.jsonl",
        b'{"request_id": "\\ud800"}',
        r"request_id \(log.jsonl, line 1\) must be a text in Uni",
    ),
    "naive time": ("log.csv", b"request_id,time\na,2026-10-31 12:00\n", r"time \(log.csv, line 2\) must be .*zone"),
    "day": ("log.csv", b"request_id,time\na,2026-10-31\n", r"time \(log.csv, line 2\) must be a time, not a day alone"),
    "seconds": (
        "log.jsonl",
        b'{"request_id": "a", "time": 1793448000}',
        r"time \(log.jsonl, line 1\) must be an aware",
    ),
    "model": ("log.jsonl", b'{"request_id": "a", "model": 5}', r"model \(log.jsonl, line 1\) must be a text; got 5"),
    "header alone": ("log.csv", b"request_id,amount\n", r"records must be at least one record.*start"),
    "nothing": ("log.jsonl", b"\n", r"records must be at least one record.*start"),
    "neither JSONL nor CSV": ("log.xlsx", b"", r"a file that ends with .jsonl, .ndjson, .csv, or given with format"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_file_is_refused_with_its_line(ledger: Ledger, tmp_path: Path, name: str) -> None:
    file, content, message = BAD_FILES[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(InvalidParameterError, match=message):
        ledger.reconcile(tmp_path / file)


BAD_RECORDS: dict[str, tuple[Any, str]] = {
    "float": (
        [{"request_id": "a", "amount": 0.1}],
        r"amount \(item 1\) must be .* a float may have lost digits.*got 0.1",
    ),
    "NaN": (["a", {"request_id": "a", "amount": Decimal("NaN")}], r"amount \(item 2\) must be a number"),
    "too large": ([{"request_id": "a", "amount": "1e999"}], r"amount \(item 1\) must be .*from 1E-100"),
    "true": ([{"request_id": "a", "amount": True}], r"amount \(item 1\) must be a number.*got True"),
    "bytes": ([b"a"], r"records \(item 1\) must be a dict, a request id or a RequestRecord"),
    "date": ([{"request_id": "a", "time": date(2026, 10, 31)}], r"time \(item 1\) must be a time, not a day"),
    "naive": ([{"request_id": "a", "time": datetime(2026, 10, 31)}], r"time \(item 1\) must be .*zone"),  # noqa: DTZ001
    "missing value of pandas": (
        [{"request_id": "a", "model": float("nan")}],
        r"model \(item 1\) must be a text; got nan",
    ),
    "one dict": ({"request_id": "a"}, r"records must be an iterable of"),
    "number": (5, r"records must be an iterable of"),
    "empty": ([], r"records must be at least one record"),
}


@pytest.mark.parametrize("name", BAD_RECORDS)
def test_bad_record_is_refused_with_its_place(ledger: Ledger, name: str) -> None:
    records, message = BAD_RECORDS[name]
    with pytest.raises(InvalidParameterError, match=message):
        ledger.reconcile(records)


class Table:
    """A table as the libraries of DataFrames have it: an iteration gives the names of its columns."""

    def __iter__(self) -> Iterator[str]:
        return iter(["request_id"])

    def __arrow_c_stream__(self) -> object:
        raise NotImplementedError


def test_table_is_refused_since_its_items_are_names_of_columns(ledger: Ledger) -> None:
    for table in (Table(), ledger):
        with pytest.raises(InvalidParameterError, match="pass its rows as dicts"):
            ledger.reconcile(table)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "2026-10-02", "end": "2026-10-01"}, "start must be earlier than end"),
        ({"time_tolerance": -HOUR}, "time_tolerance must be a timedelta that is not negative"),
        ({"time_tolerance": 5}, "time_tolerance must be a timedelta"),
        ({"format": "csv"}, "format must be left out: it is for files"),
        ({"format": "xml"}, "format must be one of 'csv', 'jsonl'"),
    ],
)
def test_bad_argument_is_refused(ledger: Ledger, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidParameterError, match=message):
        ledger.reconcile(["a"], **options)


def test_file_that_cannot_be_read_is_named(ledger: Ledger, tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InvalidParameterError, match=r"records must be a file"):
            ledger.reconcile(path)


def test_record_of_the_last_microsecond_leaves_the_end_open(ledger: Ledger) -> None:
    found = ledger.reconcile([{"request_id": "z", "time": "9999-12-31T23:59:59.999999Z"}])
    assert (len(found.missing) + len(found.not_covered), found.end) == (1, None)


def test_file_whose_lines_end_in_carriage_returns_alone_is_refused_by_line(ledger: Ledger, tmp_path: Path) -> None:
    file = tmp_path / "log.csv"
    file.write_bytes(b"request_id,amount\ra,-1\rb,-2\r")
    with pytest.raises(InvalidParameterError, match=r"log\.csv, line 1"):
        ledger.reconcile(file)
