"""Columns of CSV documents: which column holds what, and whether its values can be right. Pure.

The contract names no columns. So a column is found by the names in use, and checked only if it is found.
"""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import TYPE_CHECKING

from venice_billing._csv import TIME_COLUMNS, Lines, field_of, fields, joined, plain
from venice_billing._runtime.codec import read_number
from venice_billing._runtime.errors import DecodeError
from venice_billing.errors import ResponseValidationError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing._csv import CsvDocument

_AMOUNT_COLUMNS = ("amount",)
_CURRENCY_COLUMNS = ("currency", "consumptioncurrency", "currencycode", "billingcurrency")
_NEEDED = (TIME_COLUMNS, _AMOUNT_COLUMNS, _CURRENCY_COLUMNS)
_KNOWN = frozenset(
    (name for group in _NEEDED for name in group),
) | {
    "sku",
    "priceperunitusd",
    "units",
    "notes",
    "requestid",
    "prompttokens",
    "completiontokens",
    "inferenceexecutiontime",
    "apikeyid",
}
_ANY = r'[^,"\n]*+'
_USUAL_AMOUNT = r"-?[0-9]{1,20}+(?:\.[0-9]{1,60}+)?(?:[eE](?:-[0-3]?|\+?)[0-9])?"
_USUAL_CURRENCY = r'[^,"\r\n]++'
_REST = r'[^"\n]*+(?:"[^"]*+"[^"\n]*+)*+\n'
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?", re.ASCII)


def find(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    """Return the index of the column with one of the names that are wanted, the best first; None if there is none."""
    known = [plain(name) for name in names]
    return next((known.index(name) for name in wanted if name in known), None)


def currency_column(header: bytes) -> int | None:
    """Return the index of the column of the currency, or None if the header names none."""
    return find(fields(header), _CURRENCY_COLUMNS)


def check_header(document: CsvDocument) -> None:
    """Refuse a header row that may be no header row, or only the beginning of one.

    Without records nothing else shows that the row is whole, and prose would be taken for the header of an empty
    ledger. So the row of such a document must name the columns that a charge cannot do without.

    No row may name a known column twice: nothing tells which of both counts, and readers of the file may take either.

    Raises:
        ResponseValidationError: The header row is cut short, names too few columns or one twice, or is not separated by
            commas.
    """
    names, shown = fields(document.header), f"{document.header[:120]!r}"
    known = Counter(name for name in map(plain, names) if name in _KNOWN)
    if twice := [name for name in names if known[plain(name)] > 1]:
        raise ResponseValidationError(f"several columns {twice[0][:40]!r}: {shown}", field="header row")
    if document.records:
        if len(names) == 1:
            raise ResponseValidationError(f"one column only, {shown}: no commas separate fields", field="header row")
    elif any(find(names, wanted) is None for wanted in _NEEDED):
        raise ResponseValidationError(
            f"no header row: {shown} does not name time, amount and currency of a charge", field="header row"
        )


def check_values(document: CsvDocument) -> None:
    """Refuse charges without an amount or a currency, as in JSON: their sum would be wrong in silence.

    Raises:
        ResponseValidationError: An amount is no finite number, a currency is empty, or the last record may be cut short
            in one of these columns.
    """
    names = fields(document.header)
    if not document.records:
        return
    if not document.ended and find(names[-1:], [name for group in _NEEDED for name in group]) is not None:
        raise ResponseValidationError(
            f"the last record has no line break: its {names[-1]!r} may be cut short", field="records"
        )
    amounts, currencies = find(names, _AMOUNT_COLUMNS), find(names, _CURRENCY_COLUMNS)
    if _are_usual(document.records, amounts, currencies):
        return
    if amounts is not None:
        _check_numbers(values_of(document.records, amounts), names[amounts])
    if currencies is not None and b"" in (values := values_of(document.records, currencies)):
        raise ResponseValidationError("empty: a charge has a currency", field=f"data[{values.index(b'')}].currency")


def _are_usual(records: Sequence[bytes], amounts: int | None, currencies: int | None) -> bool:
    """Return True if a fast check proves that all values can be right, as it nearly always does."""
    return _usual_records(amounts, currencies).fullmatch(joined(records, b"\n")) is not None


@lru_cache(maxsize=8)
def _usual_records(amounts: int | None, currencies: int | None) -> re.Pattern[bytes]:
    """Return a pattern of records as they are written nearly always: no quotes up to the last of both columns."""
    columns = sorted(
        (index, usual)
        for index, usual in ((amounts, _USUAL_AMOUNT), (currencies, _USUAL_CURRENCY))
        if index is not None
    )
    pattern, reached = "", 0
    for index, usual in columns:
        pattern += f"{_ANY}," * (index - reached) + usual + ("," if index != columns[-1][0] else r"(?![^,\r\n])")
        reached = index + 1
    return re.compile(f"(?:{pattern}{_REST})*+".encode())


def values_of(records: Sequence[bytes], index: int) -> list[bytes]:
    """Return one field of each record.

    Args:
        records: Records with as many fields as the header.
        index: The index of the column.
    """
    if isinstance(records, Lines) and 0 < index < records.width - 1:  # inner fields lie between commas only
        return records.text.split(b",")[index :: records.width - 1]
    return [field_of(record, index) for record in records]


def _check_numbers(values: Sequence[bytes], column: str) -> None:
    for index, value in enumerate(values):
        if not _is_number(value.decode("utf-8", "replace").strip()):
            raise ResponseValidationError(
                f"no number: {value[:40]!r} as {column[:40]!r}", field=f"data[{index}].amount"
            )


def _is_number(text: str) -> bool:
    """Tell whether a text is a finite number of a sane size, as in JSON."""
    if len(text) > 200 or _NUMBER.fullmatch(text) is None:  # noqa: PLR2004 - more digits than any amount
        return False
    try:
        read_number(Decimal(text))
    except (DecodeError, InvalidOperation):
        return False
    return True
