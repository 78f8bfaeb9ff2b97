"""The records of your own log: from an iterable, or from the lines of a JSONL or CSV file. Errors name the line."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

from venice_billing import _arguments as arguments
from venice_billing._held_files import is_of_open_ledger
from venice_billing._runtime.errors import DecodeError
from venice_billing._runtime.json_text import decode_json
from venice_billing.errors import InvalidParameterError
from venice_billing.ledger.reconciliation import RequestRecord
from venice_billing.models import UsageEntry

LogFormat = Literal["jsonl", "csv"]
"""The formats of a log file."""

Numbered = Iterator[tuple[int, RequestRecord]]
"""Records, each with its line, or its place from 1 on."""

_FORMATS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
_NAMES: Mapping[str, tuple[str, ...]] = {
    "request_id": ("request_id", "requestId"),
    "amount": ("amount",),
    "currency": ("currency",),
    "model": ("model",),
    "time": ("time", "timestamp"),
}
"""The fields of a record, and the names that they may have: ours, and those of the API."""
_KNOWN = frozenset(chain.from_iterable(_NAMES.values()))
_SHOWN = 80
_DELIMITERS = (",", ";", "\t")
_MARK = "\ufeff"
_SOURCES = (
    "an iterable of request ids, dicts, RequestRecords or UsageEntries, or a JSONL or CSV file; of a DataFrame, pass "
    "its rows as dicts"
)


def read(records: object, format_: object) -> Numbered:
    """Return the records of any source, read one by one.

    Raises:
        InvalidParameterError: The source is none, or a record is wrong, which is seen when it is read.
    """
    kind = None if format_ is None else arguments.choice("format", format_, sorted(set(_FORMATS.values())))
    if isinstance(records, str | os.PathLike):
        return _from_path(Path(os.fsdecode(records)), kind)
    if hasattr(records, "read"):
        name = str(getattr(records, "name", "file"))
        return _from_lines(records, name, kind or _format_of(name, records))
    if kind is not None:
        raise InvalidParameterError("format", kind, "left out: it is for files")
    is_table = hasattr(records, "__dataframe__") or hasattr(records, "__arrow_c_stream__")
    if is_table or isinstance(records, Mapping | bytes | UsageEntry) or not isinstance(records, Iterable):
        raise InvalidParameterError("records", type(records), _SOURCES)
    return ((number, _record(item, f"item {number}")) for number, item in enumerate(records, 1))


def _from_path(path: Path, kind: str | None) -> Numbered:
    kind = kind or _format_of(path.name, path)

    def lines() -> Numbered:
        if is_of_open_ledger(path):
            raise InvalidParameterError("records", str(path), "a log, not a file of the ledger itself")
        try:
            file = path.open("rb")
        except OSError as error:
            raise InvalidParameterError("records", str(path), f"a file to read ({error.strerror})") from None
        with file:
            yield from _from_lines(file, path.name, kind)

    return lines()


def _format_of(name: str, source: object) -> str:
    if (kind := _FORMATS.get(Path(name).suffix.lower())) is None:
        allowed = f"a file that ends with {', '.join(_FORMATS)}, or given with format='jsonl' or format='csv'"
        raise InvalidParameterError("records", str(source) if isinstance(source, Path) else source, allowed)
    return kind


def _from_lines(file: Any, name: str, kind: str) -> Numbered:
    lines = _texts(file, name)
    return _from_jsonl(lines, name) if kind == "jsonl" else _from_csv(lines, name)


def _texts(file: Iterable[str | bytes], name: str) -> Iterator[str]:
    """Yield the lines of a file in text or bytes, without a byte order mark."""
    lines = iter(file)
    for number in count(1):
        try:
            line = next(lines, None)
            if line is None:
                return
            text = line.decode() if isinstance(line, bytes) else line
        except UnicodeDecodeError as error:
            strange = error.object[error.start : error.end + 10]
            raise _wrong(name, number, strange, "text in UTF-8: save the file in that encoding") from None
        except OSError as error:
            raise InvalidParameterError("records", name, f"a file to read ({error.strerror})") from None
        yield text.removeprefix(_MARK) if number == 1 else text


def _from_jsonl(lines: Iterator[str], name: str) -> Numbered:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item = decode_json(line)
        except DecodeError as error:
            raise _wrong(name, number, line.rstrip(), f"a JSON object on one line ({error.problem})") from None
        if not isinstance(item, Mapping):
            raise _wrong(name, number, line.rstrip(), "a JSON object: JSONL has one a line, and no array around them")
        yield number, _record(item, f"{name}, line {number}")


def _from_csv(lines: Iterator[str], name: str) -> Numbered:
    before, header = next(((number, line) for number, line in enumerate(lines, 1) if line.strip()), (1, ""))
    columns, delimiter = _header(header, name, before)
    rows = csv.reader(lines, delimiter=delimiter, strict=True)
    number = before + 1
    while True:
        try:
            values = next(rows, None)
        except csv.Error as error:
            raise _wrong(name, number, str(error), "a row of CSV") from None
        if values is None:
            return
        if values and len(values) != len(columns):
            raise _wrong(name, number, delimiter.join(values), f"a row of {len(columns)} fields, as the header row is")
        if values:
            fields = {column: value for column, value in zip(columns, values, strict=True) if column in _KNOWN}
            yield number, _record(fields, f"{name}, line {number}")
        number = before + rows.line_num + 1


def _header(line: str, name: str, number: int) -> tuple[list[str], str]:
    """Return the columns of a header row, and what separates them: commas, semicolons or tabs."""
    for delimiter in _DELIMITERS:
        try:
            columns = [column.strip() for column in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:  # a bare carriage return, as old Macs end lines
            raise _wrong(name, number, line[:_SHOWN], "a header row that ends in LF or CR LF") from None
        if not set(columns).isdisjoint(_NAMES["request_id"]):
            twice = [column for column in columns if column in _KNOWN and columns.count(column) > 1]
            if twice:
                raise _wrong(name, number, twice[0], "a header row that names each column once")
            return columns, delimiter
    raise _wrong(name, number, line.rstrip(), "a header row with a column request_id")


def _record(item: object, place: str) -> RequestRecord:
    if isinstance(item, RequestRecord):
        return item
    fields = _fields(item, place)
    try:
        return RequestRecord(**fields)
    except InvalidParameterError as error:
        value = fields[error.parameter]
        raise InvalidParameterError(f"{error.parameter} ({place})", value, error.allowed) from None


def _fields(item: object, place: str) -> dict[str, Any]:
    if isinstance(item, str | UUID):
        return {"request_id": item}
    if isinstance(item, UsageEntry):
        return {
            "request_id": item.inference_details and item.inference_details.request_id,
            "amount": item.amount,
            "currency": str(item.currency),
            "model": item.model,
            "time": item.timestamp,
        }
    if not isinstance(item, Mapping):
        raise InvalidParameterError(f"records ({place})", type(item), "a dict, a request id or a RequestRecord")
    return {field: _value(item, field, names, place) for field, names in _NAMES.items()}


def _value(item: Mapping[str, Any], field: str, names: tuple[str, ...], place: str) -> Any:
    given = [name for name in names if item.get(name) not in (None, "")]
    if len(given) > 1:
        raise InvalidParameterError(f"{field} ({place})", " and ".join(given), "given once")
    return item[given[0]] if given else None


def _wrong(name: str, number: int, value: object, allowed: str) -> InvalidParameterError:
    return InvalidParameterError(f"records ({name}, line {number})", value, allowed)
