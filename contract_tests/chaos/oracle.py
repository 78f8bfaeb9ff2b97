"""Compare delivered rows with the ledger: every row once, in order, to the digit."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any

from venice_billing.testing._text import CSV_COLUMNS, to_csv_record

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from contract_tests.chaos.cases import Result
    from contract_tests.chaos.ledgers import Row
    from venice_billing import VeniceError

HEADER = ",".join(CSV_COLUMNS)
_NAMES = {*CSV_COLUMNS, "inferenceDetails"}


def compare(result: Result, received: list[Any], before: list[Row], after: list[Row], *, changing: bool) -> None:
    """Note in the result which rows are lost, repeated, out of order, or unknown to the ledger.

    Args:
        result: The result of the scenario.
        received: Entries, or CSV records as bytes, in the order of delivery.
        before: The rows of the ledger when the scenario began, in the order of the walk.
        after: The same when it ended; rows booked during the scenario may or may not have been delivered.
        changing: Whether rows were booked during the scenario.
    """
    of_row = record_of_row if received and isinstance(received[0], bytes) else text_of_row
    delivered = [item.rstrip(b"\r\n") if isinstance(item, bytes) else text_of_row(item.to_dict()) for item in received]
    first, last = [of_row(row) for row in before], [of_row(row) for row in after]
    if not count(result, delivered, first, last):
        return
    if not changing:
        if delivered != first:
            result.problems.append("the order is not the ledger's")
    elif _is_disordered([_moment(item) for item in received], descending=result.case.order == "desc"):
        result.problems.append("times go back")


def count(result: Result, delivered: list[Any], before: list[Any], after: list[Any]) -> bool:
    """Note how many rows are lost, repeated or unknown to the ledger, and return whether there are none."""
    counts, ledger = Counter(delivered), Counter(after)
    too_many = counts - ledger
    result.lost += (Counter(before) - counts).total()
    result.strange += sum(number for text, number in too_many.items() if not ledger[text])
    result.repeated += sum(number for text, number in too_many.items() if ledger[text])
    return not (result.lost or result.repeated or result.strange)


def text_of_row(row: Row) -> str:
    """Return equal texts for equal rows, digit for digit, without the fields that a fault added."""
    return json.dumps({name: value for name, value in row.items() if name in _NAMES}, sort_keys=True, default=str)


def record_of_row(row: Row) -> bytes:
    """Return the CSV record of a row, without its line break."""
    return to_csv_record(row).encode()


def taken_apart(document: bytes) -> tuple[bytes, list[bytes]]:
    """Return the header and the records of a CSV document, split independently of the package's own code."""
    records, start, quoted = [], 0, False
    for index, byte in enumerate(document):
        if byte == ord('"'):
            quoted = not quoted
        elif byte == ord("\n") and not quoted:
            records.append(document[start : index + 1])
            start = index + 1
    if start < len(document):
        records.append(document[start:])
    return (records[0], records[1:]) if records else (b"", [])


def _moment(item: Any) -> Any:
    if isinstance(item, bytes):
        return datetime.fromisoformat(item.partition(b",")[0].decode())
    return item.timestamp


def _is_disordered(moments: Iterable[Any], *, descending: bool) -> bool:
    moments = list(moments)
    return moments != sorted(moments, reverse=descending)


def has_checkpoint(error: VeniceError, exported: Path | None = None) -> bool:
    """Tell whether an error has its checkpoint; an export (to a folder) has none while it has written no row."""
    if exported is not None and not any(exported.glob("*.partial")):
        return error.checkpoint is None
    return isinstance(error.checkpoint, str)
