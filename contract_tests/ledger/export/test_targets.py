"""The ledger in one file: CSV, JSON lines and Parquet, to the digit, complete or not there."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from contract_tests.ledger.account import load, texts, walked
from contract_tests.ledger.odd_entries import AWKWARD, FIELDS, ODD, booked, has_surrogates
from contract_tests.support.flavours import NOW, files
from venice_billing import ExportError, InvalidParameterError, LedgerError, UsageEntry
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

LINES = ("csv", "jsonl")
FILES = (*LINES, "parquet")


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


@pytest.fixture
def filled(ledger: Ledger, fake: FakeVenice) -> Ledger:
    with fake.client() as client:
        ledger.sync(client)
    return ledger


def odd(name: str) -> UsageEntry:
    return UsageEntry.from_dict({**FIELDS, **ODD[name]})


def records(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def as_text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return "" if value is None else str(value)


# ---------------------------------------------------------------- JSON lines


def test_jsonl_is_the_walk_byte_for_byte(filled: Ledger, fake: FakeVenice, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.jsonl", "jsonl")
    expected = "".join(f"{text}\n" for text in texts(walked(fake))).encode()
    assert (tmp_path / "all.jsonl").read_bytes() == expected
    assert (result.rows, result.size, result.format) == (300, len(expected), "jsonl")
    assert (result.path, result.written, result.removed) == (tmp_path / "all.jsonl", (tmp_path / "all.jsonl",), ())


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_is_read_back_from_jsonl(ledger: Ledger, tmp_path: Path, name: str) -> None:
    """Also texts that are no Unicode: JSON has escapes for them."""
    entries = load(ledger, [odd(name)] * 2)
    ledger.export(tmp_path / "odd.jsonl")
    lines = (tmp_path / "odd.jsonl").read_text("utf-8").split("\n")
    assert [UsageEntry.from_json(line) for line in lines[:-1]] == entries


# ---------------------------------------------------------------- CSV


def test_csv_has_the_rows_to_the_digit(filled: Ledger, fake: FakeVenice, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.csv")
    found = records(tmp_path / "all.csv")
    assert list(found[0]) == list(walked(fake)[0].row())
    for record, entry in zip(found, walked(fake), strict=True):
        row = {name: as_text(value) for name, value in entry.row().items()}
        at = datetime.fromisoformat(record.pop("timestamp"))
        assert (at, record) == (datetime.fromisoformat(row.pop("timestamp")), row)
    assert (result.rows, result.size) == (300, (tmp_path / "all.csv").stat().st_size)


def test_csv_keeps_every_digit(ledger: Ledger, tmp_path: Path) -> None:
    with booked(AWKWARD).client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "all.csv")
    assert sorted(record["amount"] for record in records(tmp_path / "all.csv")) == sorted(
        str(Decimal(text)) for text in AWKWARD
    )


@pytest.mark.parametrize("name", ODD)
def test_odd_entry_in_csv(ledger: Ledger, tmp_path: Path, name: str) -> None:
    (entry,) = load(ledger, [odd(name)])
    ledger.export(tmp_path / "odd.csv")
    (record,) = records(tmp_path / "odd.csv")
    if not has_surrogates([entry]):
        row = {name: as_text(value) for name, value in entry.row().items()}
        assert {**record, "timestamp": ""} == {**row, "timestamp": ""}
    else:  # UTF-8 has no form of these; a backslash shows where one was
        assert "\\ud" in json.dumps(record)
    assert Decimal(record["amount"]) == entry.amount


def test_csv_is_that_of_rfc_4180(ledger: Ledger, tmp_path: Path) -> None:
    notes = 'two\nlines, and "quotes"'
    with booked(["-0.5"], sku="m", notes=notes).client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "all.csv")
    header, rest = (tmp_path / "all.csv").read_bytes().split(b"\r\n", 1)
    assert header.startswith(b"timestamp,sku,model,service,units,price_per_unit_usd,amount,currency,notes,")
    assert b'"two\nlines, and ""quotes"""' in rest
    assert rest.endswith(b"\r\n")


def test_csv_of_no_rows_has_the_header_row(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.export(tmp_path / "none.csv").rows == 0
    (header,) = (tmp_path / "none.csv").read_text("utf-8").splitlines()
    assert header.split(",") == list(odd("key").row())


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1", "''-1"]
HARMLESS = ["", "a=1", " =1", "'", "'a", "1-2"]


@pytest.mark.parametrize("notes", FORMULAS + HARMLESS)
def test_no_text_is_a_formula_to_a_spreadsheet(ledger: Ledger, tmp_path: Path, notes: str) -> None:
    """One apostrophe more, which is taken away again by the same rule; numbers stay numbers."""
    with booked(["-0.5"], sku="m", notes=notes, currency="=USD").client() as client:
        ledger.sync(client)
    ledger.export(tmp_path / "safe.csv")
    ledger.export(tmp_path / "exact.csv", escape_formulas=False)
    (safe,), (exact,) = records(tmp_path / "safe.csv"), records(tmp_path / "exact.csv")
    assert exact["notes"] == notes
    assert safe["notes"] == (f"'{notes}" if notes in FORMULAS else notes)
    assert (safe["amount"], safe["currency"], exact["currency"]) == ("-0.5", "'=USD", "=USD")


# ---------------------------------------------------------------- Parquet


def test_parquet_has_the_columns_of_the_view(filled: Ledger, tmp_path: Path) -> None:
    result = filled.export(tmp_path / "all.parquet")
    with duckdb.connect() as other:
        described = other.execute("DESCRIBE FROM read_parquet($path)", {"path": str(result.path)}).fetchall()
        raw = other.execute(
            "SELECT name, converted_type, CAST(logical_type AS VARCHAR) FROM parquet_schema($path)",
            {"path": str(result.path)},
        ).fetchall()
        sums = other.execute(
            "SELECT currency, sum(amount), count(*) FROM read_parquet($path) GROUP BY ALL ORDER BY ALL",
            {"path": str(result.path)},
        ).fetchall()
    assert [name for name, *_ in described] == filled.relation().columns
    kinds = {name: kind for name, kind, *_ in described}
    assert kinds["timestamp"] == "TIMESTAMP WITH TIME ZONE"
    assert {kinds[name] for name in ("amount", "units", "price_per_unit_usd")} == {"DECIMAL(38,28)"}
    assert kinds["additional_properties"] == "VARCHAR"
    (time,) = [(converted, logical) for name, converted, logical in raw if name == "timestamp"]
    assert time[0] == "TIMESTAMP_MICROS"
    assert "isAdjustedToUTC=1" in time[1]
    assert [(currency, total, count) for currency, total, count in sums] == [
        (row.currency, row.net, row.count) for row in filled.spend(())
    ]
    assert result.rows == 300


def test_number_that_fits_no_decimal_is_null_in_parquet_and_whole_in_its_text(ledger: Ledger, tmp_path: Path) -> None:
    amounts = ["1e-30", "-0.1234567890123456789012345678901234567890", "-3.0799999999999996e-05"]
    odd_fields = {"units": Decimal("1e-29"), "more": {"a": Decimal("1.10")}}
    load(ledger, [UsageEntry.from_dict({**FIELDS, **odd_fields, "amount": Decimal(amount)}) for amount in amounts])
    ledger.export(tmp_path / "all.parquet")
    with duckdb.connect() as other:
        columns = "amount, amount_text, units, units_text, additional_properties"
        path = str(tmp_path / "all.parquet")
        found = other.execute(
            f"SELECT {columns} FROM read_parquet($path) ORDER BY amount_text", {"path": path}
        ).fetchall()
    unit, unknown = (None, "1E-29"), '{"more":{"a":1.10}}'
    assert found == [
        (Decimal("-0.000030799999999999996"), "-0.000030799999999999996", *unit, unknown),
        (None, "-0.1234567890123456789012345678901234567890", *unit, unknown),
        (None, "1E-30", *unit, unknown),
    ]


def test_same_rows_make_the_same_bytes_whatever_the_syncs(tmp_path: Path, fake: FakeVenice) -> None:
    """One ledger has them at once, the other in parts, one of which came late."""
    late = {"timestamp": NOW - timedelta(hours=30), "sku": "late", "amount": Decimal("-0.5"), "currency": "USD"}
    with fake.client() as client, Ledger(tmp_path / "parts.duckdb") as parts, Ledger(tmp_path / "one.duckdb") as one:
        parts.sync(client)
        fake.book(late)
        parts.sync(client)
        one.sync(client)
        for ledger in (parts, one):
            for kind in FILES:
                ledger.export(ledger.path.with_suffix(f".{kind}"))
    for kind in FILES:
        assert (tmp_path / f"parts.{kind}").read_bytes() == (tmp_path / f"one.{kind}").read_bytes()


# ---------------------------------------------------------------- ranges, targets, errors


@pytest.mark.parametrize("kind", FILES)
def test_range_takes_the_start_and_leaves_out_the_end(
    filled: Ledger, fake: FakeVenice, tmp_path: Path, kind: Any
) -> None:
    start, end = walked(fake)[100].timestamp, walked(fake)[200].timestamp
    expected = [entry for entry in walked(fake) if start <= entry.timestamp < end]
    result = filled.export(tmp_path / "part", kind, start=start, end=end)
    assert result.rows == len(expected)
    if kind == "jsonl":
        assert (tmp_path / "part").read_text("utf-8").splitlines() == texts(expected)


@pytest.mark.skipif(os.name == "nt", reason="needs the modes of Unix")
@pytest.mark.parametrize("kind", FILES)
def test_file_is_private_and_alone(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / f"all.{kind}"
    for _ in range(2):
        filled.export(target)
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        target.chmod(0o644)
    assert files(folder) == [target.name]


@pytest.mark.parametrize("kind", FILES)
def test_failed_export_leaves_the_old_file(
    filled: Ledger, tmp_path: Path, kind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    target = folder / "all"
    target.write_bytes(b"old")

    def refuse(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ExportError, match="No space left on device") as caught:
        filled.export(target, kind)
    assert str(target) in str(caught.value)
    assert (target.read_bytes(), files(folder)) == (b"old", ["all"])


_KILLED = """
import os, signal, sys
from venice_billing.ledger import Ledger

os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
Ledger(sys.argv[1]).export(sys.argv[2])
"""


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of Unix")
@pytest.mark.parametrize("kind", FILES)
def test_killed_export_leaves_no_half_file_and_the_next_one_cleans_up(
    tmp_path: Path, fake: FakeVenice, kind: str
) -> None:
    path, folder = tmp_path / "venice.duckdb", tmp_path / "out"
    folder.mkdir()
    target = folder / f"all.{kind}"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    killed = subprocess.run([sys.executable, "-c", _KILLED, path, target], timeout=120, check=False)
    assert killed.returncode == -9
    (left,) = files(folder)
    assert left.endswith(".partial")
    assert stat.S_IMODE((folder / left).stat().st_mode) == 0o600
    with Ledger(path) as ledger:
        ledger.export(target)
    assert files(folder) == [target.name]


_LIMITED = """
import resource, signal, sys
from venice_billing import ExportError
from venice_billing.ledger import Ledger

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
ledger = Ledger(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, resource.RLIM_INFINITY))
try:
    ledger.export(sys.argv[2], sys.argv[3])
except ExportError as error:
    print(error)
"""


@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_full_disk_is_one_line(tmp_path: Path, fake: FakeVenice, kind: str) -> None:
    """A limit on the size of files stands for the full disk; it holds in a process of its own."""
    pytest.importorskip("resource", reason="needs the resource limits of Unix")
    path, folder = tmp_path / "venice.duckdb", tmp_path / "out"
    folder.mkdir()
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    command = [sys.executable, "-c", _LIMITED, str(path), str(folder / "all"), kind]
    limited = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert limited.returncode == 0, limited.stderr
    assert (limited.stdout.count("\n"), str(folder / "all") in limited.stdout) == (1, True), limited.stdout
    assert "File too large" in limited.stdout
    assert "make room" in limited.stdout
    assert "next sync" not in limited.stdout
    assert "exception_type" not in limited.stdout, "JSON of DuckDB"
    assert files(folder) == []


@pytest.mark.parametrize("ending", ["", ".sync", ".wal", ".tmp"])
@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_ledger_itself_is_never_overwritten(filled: Ledger, tmp_path: Path, ending: str, kind: Any) -> None:
    (tmp_path / "here").symlink_to(tmp_path)
    for folder in (tmp_path, tmp_path / "here"):
        with pytest.raises(InvalidParameterError, match=r"another path than that of the ledger|not a folder"):
            filled.export(folder / f"venice.duckdb{ending}", kind)
    assert len(filled) == 300


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_other_ledger_is_not_replaced(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    other = tmp_path / "other.duckdb"
    Ledger(other).close()
    before = other.read_bytes()
    with pytest.raises(InvalidParameterError, match="another file: a DuckDB database"):
        filled.export(other, format=kind)
    assert other.read_bytes() == before


def test_folder_and_link_are_not_replaced(filled: Ledger, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    for name, match in (("folder.csv", "not a folder"), ("link.csv", "symbolic link"), ("none/all.csv", "exists")):
        with pytest.raises(InvalidParameterError, match=match):
            filled.export(tmp_path / name)
    assert not (tmp_path / "elsewhere.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"path": None}, "path must be"),
        ({"path": "all.xls", "format": None}, "format must be one of 'csv', .*path does not end"),
        ({"path": "all.csv", "format": "xls"}, "format must be one of 'csv', 'jsonl', 'parquet', 'dataset'"),
        ({"path": "all.csv", "start": "yesterday"}, "start"),
        ({"path": "all.csv", "start": "2026-02-01", "end": "2026-01-01"}, "start"),
        ({"path": "all.csv", "escape_formulas": "no"}, "escape_formulas must be True or False"),
        ({"path": io.BytesIO(), "format": None}, "format must be one of"),
        ({"path": io.BytesIO(), "format": "parquet"}, "path must be"),
        ({"path": io.BytesIO(), "format": "dataset"}, "path must be"),
        ({"path": io.StringIO(), "format": "csv"}, "binary mode"),
    ],
)
def test_bad_argument_is_named_and_nothing_is_written(
    ledger: Ledger, tmp_path: Path, arguments: dict[str, Any], match: str
) -> None:
    arguments = {"format": "csv", **arguments}
    if isinstance(arguments["path"], str):
        arguments["path"] = tmp_path / arguments["path"]
    before = files(tmp_path)
    with pytest.raises(InvalidParameterError, match=match):
        ledger.export(**arguments)
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", LINES)
def test_file_object_gets_the_bytes_of_the_file(filled: Ledger, tmp_path: Path, kind: Any) -> None:
    filled.export(tmp_path / "all", kind)
    memory = io.BytesIO()
    result = filled.export(memory, kind)
    assert memory.getvalue() == (tmp_path / "all").read_bytes()
    assert (result.path, result.size, result.written) == (None, len(memory.getvalue()), ())


def test_raw_file_that_takes_a_part_gets_all(filled: Ledger) -> None:
    class Slow(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def write(self, data: Any) -> int:
            self.data += bytes(data[:1000])
            return min(len(data), 1000)

    slow, memory = Slow(), io.BytesIO()
    filled.export(slow, "jsonl")  # type: ignore[arg-type]
    filled.export(memory, "jsonl")
    assert slow.data == memory.getvalue()


def test_error_of_a_file_object_is_that_of_the_file_object(filled: Ledger) -> None:
    class Closed(io.BytesIO):
        def write(self, _: Any) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        filled.export(Closed(), "csv")


@pytest.mark.parametrize("kind", [*FILES, "dataset"])
def test_closed_ledger_writes_nothing(ledger: Ledger, tmp_path: Path, kind: Any) -> None:
    ledger.close()
    folder = tmp_path / "out"
    folder.mkdir()
    with pytest.raises(LedgerError, match="was closed"):
        ledger.export(folder / "all", kind)
    assert files(folder) == []


def test_read_only_ledger_is_exported(
    tmp_path: Path, filled: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled.path
    filled.close()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with Ledger(path) as ledger:
        for kind in (*FILES, "dataset"):
            assert ledger.export(tmp_path / f"all-{kind}", kind).rows == 300  # type: ignore[arg-type]
