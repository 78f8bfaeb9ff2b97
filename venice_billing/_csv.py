"""CSV documents as the ledger sends them: a header, then records whose bytes are kept as sent. Pure.

That all pages of a walk have the same header is checked in `_walk/csv_source.py`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from io import BytesIO
from itertools import islice, pairwise
from typing import TYPE_CHECKING, overload

from attrs import frozen

from venice_billing._runtime.codec import parse_datetime
from venice_billing.errors import ResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_BOM = b"\xef\xbb\xbf"
_BEFORE_ANY_ACCOUNT = datetime(2020, 1, 1, tzinfo=UTC)
_BLANK_LINES = (b"\n", b"\r\n")
_BLANK_LINE = re.compile(rb"\n\r?\n")  # faster than `in`
_LOOKS_LIKE_TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d.*)?")
_UTC_FORM = re.compile(rb"0000-00-00[Tt ]00:00:00(\.0+)?[Zz],")
_DIGITS_TO_ZERO = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))  # noqa: PLR2004 - 0 to 9 in ASCII
_NO_BORDER = bytes(set(range(256)) - set(b",\n"))
_NO_LETTERS = re.compile(r"[^a-z]+")
_LONGEST_NAME = 80  # characters of a column's name that are looked at
_MOST_COLUMNS = 1_000  # the API sends 12; a page of empty columns fits in a few kB of gzip, and costs seconds
_MOST_RECORDS = 10_000  # the API sends 1,000 at most
TIME_COLUMNS = ("timestamp", "createdat", "time", "date")


@frozen
class CsvDocument:
    """A CSV document split into its records.

    Attributes:
        header: The first record without its line break and without a byte order mark.
        newline: The line break after the header; LF if there is none.
        records: The other records, each with its line break as sent; the last may lack it.
        ended: Whether a line break ends the document.
    """

    header: bytes
    newline: bytes
    records: Sequence[bytes]
    ended: bool


class Lines(Sequence[bytes]):
    """Records of one line each. They are split on demand only: an export rarely needs single records.

    Attributes:
        text: All the records, as sent.
        width: The number of fields of each record, if it is known to be the same for all; otherwise 0.
    """

    def __init__(self, text: bytes, width: int = 0, count: int | None = None) -> None:
        self.text = text
        self.width = width
        self._count = text.count(b"\n") + (text[-1:] not in (b"", b"\n")) if count is None else count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        """Return a record, or a list of records for a slice."""
        if index == 0 and self._count:
            return next(iter(self))
        if index == -1 and self._count:
            return next(reversed(self))
        return list(self)[index]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes]:
        return BytesIO(self.text)

    def __reversed__(self) -> Iterator[bytes]:
        end = len(self.text)
        while end:
            start = self.text.rfind(b"\n", 0, end - 1) + 1
            yield self.text[start:end]
            end = start


def take_apart(document: bytes) -> CsvDocument:
    """Return the header and the records of a CSV document; quoted line breaks stay inside their record.

    Raises:
        ResponseValidationError: There is no header, a quoted field is never closed, a record and the header differ in
            their number of fields, or there are more columns or records than a page can have.
    """
    first, records = _headed(_without_bom(document))
    header = without_newline(first)
    if header.count(b",") >= _MOST_COLUMNS:
        raise ResponseValidationError(f"a header row of more than {_MOST_COLUMNS:,} columns", field="header row")
    names = fields(header)
    if _is_record(names):  # a record taken for the header would be lost
        raise ResponseValidationError(f"no header row, but a record: {header[:120]!r}", field="header row")
    if len(records) > _MOST_RECORDS:
        raise _too_many()
    _check_even(records, len(names))
    return CsvDocument(header, newline_of(first), records, document[-1:] == b"\n")


def _without_bom(document: bytes) -> bytes:
    """Return a document without its byte order marks: one, or several if its server added one to each of its parts."""
    start = 0
    while document.startswith(_BOM, start):
        start += len(_BOM)
    return document[start:] if start else document


def check_order(records: Sequence[bytes], column: TimeColumn | None) -> None:
    """Refuse records that are out of order: a position among such records would not say what was received.

    Raises:
        ResponseValidationError: A record is earlier than the record before it, or has no timestamp.
    """
    if column is None or column.surely_ascend(records):
        return
    times = [column.parsed(text) for text in column.texts(records)]
    for before, after in pairwise(times):
        if after < before:
            raise ResponseValidationError(
                f"{after.isoformat()} after {before.isoformat()}, but records ascend in time", field=column.name
            )


def check_text(document: bytes) -> None:
    """Refuse a body that is no CSV document at all.

    Raises:
        ResponseValidationError: The body is empty, HTML, JSON, or not UTF-8.
    """
    beginning = _without_bom(document[:200]).lstrip()
    if not beginning and not document.strip():
        raise ResponseValidationError("empty: a CSV page has a header row at least")
    if beginning.startswith((b"<", b"{", b"[")):  # a single line would be taken for the header of an empty ledger
        raise ResponseValidationError(f"not CSV, but something that begins with {beginning[:20]!r}")
    try:
        if not document.isascii():  # checking for ASCII is much faster
            document.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ResponseValidationError(f"not UTF-8: byte {error.start} of {len(document)}") from None


def newline_of(record: bytes) -> bytes:
    """Return the line break that ends a record; LF if it has none."""
    return b"\r\n" if record.endswith(b"\r\n") else b"\n"


def without_newline(record: bytes) -> bytes:
    """Return a record without the line break that ends it."""
    return record.removesuffix(b"\n").removesuffix(b"\r")


def joined(records: Iterable[bytes], newline: bytes) -> bytes:
    """Return records as sent; one without a line break, as the last of a page may be, gets the document's."""
    if isinstance(records, Lines):
        return records.text if records.text[-1:] in (b"", b"\n") else _ended(records.text, newline)
    return b"".join([record if record[-1:] == b"\n" else _ended(record, newline) for record in records])


def _ended(text: bytes, newline: bytes) -> bytes:
    """Return a text with the line break at its end; the text may end with the first half of it."""
    return (text[:-1] if text[-1:] == b"\r" else text) + newline


def fields(record: bytes) -> list[str]:
    """Return the fields of one record.

    Raises:
        ResponseValidationError: The record is not UTF-8.
    """
    try:
        return next(csv.reader([without_newline(record).decode("utf-8")]))
    except UnicodeDecodeError:
        raise ResponseValidationError("not UTF-8", field="record") from None
    except (csv.Error, StopIteration):
        raise ResponseValidationError("not a CSV record", field="record") from None


class TimeColumn:
    """Finds the timestamp of a record. The contract names no columns, so the header or the values must show it.

    If neither does, every record counts as booked at the start of the range: then a walk that has to reopen the range
    starts over and leaves out all records that it has received, one by one.
    """

    def __init__(self, header: bytes, start: datetime | None = None) -> None:
        self.names = fields(header)
        known = [plain(name) for name in self.names]
        self._index = next((known.index(name) for name in TIME_COLUMNS if name in known), None)
        self._start = start or _BEFORE_ANY_ACCOUNT
        self._looked = self._index is not None

    def is_timeless(self, record: bytes) -> bool:
        """Tell whether there is no time column: neither the header nor the first record seen shows one."""
        self.of(record)
        return self._index is None

    @property
    def name(self) -> str:
        """The name of the column; empty if there is none."""
        return "" if self._index is None else self.names[self._index]

    def of(self, record: bytes) -> datetime:
        """Return the timestamp of a record, in UTC.

        Raises:
            ResponseValidationError: The record has no timestamp in the column.
        """
        values = fields(record)
        index = self._index if self._looked else self._find_column(values)
        if index is None:
            return self._start
        if index >= len(values):
            raise ResponseValidationError("too few columns", field=self.name)
        return self.parsed(values[index])

    def parsed(self, text: str | bytes) -> datetime:
        """Return the timestamp in a field of the column, in UTC.

        Raises:
            ResponseValidationError: The field holds no timestamp.
        """
        try:
            return parse_datetime(text if isinstance(text, str) else text.decode())
        except ValueError:
            raise ResponseValidationError(f"no timestamp: {text!r}", field=self.name) from None

    def surely_ascend(self, records: Sequence[bytes]) -> bool:
        """Return True if a fast check proves that times ascend, as it nearly always does; False proves nothing.

        The check works where times begin each line and are all written the same way, in UTC: then they sort as texts.
        """
        if self._index != 0 or not isinstance(records, Lines) or not records.width or not records:
            return False
        size = records.text.index(b",") + 1
        starts = [line[:size] for line in records]
        forms = b"".join(starts).translate(_DIGITS_TO_ZERO)
        is_one_form = _UTC_FORM.fullmatch(forms[:size]) is not None and forms == forms[:size] * len(starts)
        return is_one_form and sorted(starts) == starts

    def texts(self, records: Sequence[bytes]) -> list[bytes]:
        """Return the time field of each record; an empty list if there is no time column.

        Args:
            records: Records with as many fields as the header.
        """
        if not records:
            return []
        index = self._index if self._looked else self._find_column(fields(records[0]))
        if index is None:
            return []
        return [field_of(record, index) for record in records]

    def _find_column(self, values: list[str]) -> int | None:
        """Find the column by the values of a record, once."""
        self._index = next((index for index, value in enumerate(values) if _is_time(value)), None)
        self._looked = True
        return self._index


def _is_time(value: str) -> bool:
    try:
        parse_datetime(value)
    except ValueError:
        return False
    return True


def closed_records(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines into records and yield these, without a last one whose quotes are still open.

    A line break inside quotes belongs to its field; it is outside if the number of quotes so far is even.
    """
    open_lines: list[bytes] = []
    quoted = False
    for line in lines:
        quoted ^= line.count(b'"') % 2 == 1
        if quoted or open_lines:
            open_lines.append(line)
            if not quoted:
                yield b"".join(open_lines)
                open_lines.clear()
        else:
            yield line


def plain(name: str) -> str:
    """Return the small letters of a column's name, by which it is recognised: `createdat` of "Created At"."""
    return _NO_LETTERS.sub("", name[:_LONGEST_NAME].lower())


def field_of(record: bytes, index: int) -> bytes:
    """Return a field of a record; a parser is used only if the record holds quotes."""
    text = without_newline(record)
    return fields(record)[index].encode() if b'"' in text else text.split(b",", index + 1)[index]


def _is_record(values: list[str]) -> bool:
    """Tell whether the first row of a page is a record: it holds a time, and no name of a time column."""
    return _names_no_time_column(values) and any(map(_LOOKS_LIKE_TIME.fullmatch, values))


def _names_no_time_column(values: list[str]) -> bool:
    """Tell whether none of the values is the name of a time column."""
    return {plain(value) for value in values}.isdisjoint(TIME_COLUMNS)


def _check_even(records: Sequence[bytes], count: int) -> None:
    """Refuse records with more or fewer fields than the header: bytes are missing, perhaps with line breaks."""
    if isinstance(records, Lines) and records.width == count:
        return
    for number, record in enumerate(records, 1):
        found = len(fields(record)) if b'"' in record else record.count(b",") + 1
        if found != count:
            raise ResponseValidationError(
                f"record {number} of {len(records)} has {found} fields, but the header {count}: not as many fields",
                field="records",
            )


def _headed(document: bytes) -> tuple[bytes, Sequence[bytes]]:
    """Return the first record and the others."""
    if b'"' not in document and document[:1] not in (b"", b"\n", b"\r"):
        border = document.find(b"\n") + 1 or len(document)
        first, text = document[:border], document[border:]
        if (lines := _even_lines(text, first.count(b",") + 1)) is not None:
            return first, lines
        if _BLANK_LINE.search(document) is None:
            return first, Lines(text)
    records = list(islice(closed_records(BytesIO(document)), 2 * _MOST_RECORDS))  # as many may be blank
    if len(records) == 2 * _MOST_RECORDS:
        raise _too_many()
    if sum(map(len, records)) < len(document):
        raise ResponseValidationError("a quoted field is never closed: the page was cut short", field="records")
    records = [record for record in records if record not in _BLANK_LINES]
    if not records:
        raise ResponseValidationError("no CSV: a page has a header row at least", field="header row")
    return records[0], records[1:]


def _even_lines(text: bytes, width: int) -> Lines | None:
    """Return the lines of a text if each has `width` fields; `width` is at least 2, so none is blank."""
    borders = text.translate(None, _NO_BORDER)
    if text[-1:] not in (b"", b"\n"):
        borders += b"\n"
    count = len(borders) // width
    is_even = width > 1 and borders == (b"," * (width - 1) + b"\n") * count
    return Lines(text, width, count) if is_even else None


def _too_many() -> ResponseValidationError:
    return ResponseValidationError(f"a page of more than {_MOST_RECORDS:,} records", field="records")
