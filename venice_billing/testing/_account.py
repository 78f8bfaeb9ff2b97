"""The account: rows in ascending order of time, rows at one instant in order of booking, found by keyset."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from venice_billing.models import UsageEntry
from venice_billing.testing._checks import check_row
from venice_billing.testing._required import missing_fields
from venice_billing.testing._seed import SeededRows
from venice_billing.testing._text import CSV_COLUMNS, DETAILS, Row, parse_instant, to_csv_record, to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Position = tuple[int, int]
"""The position of an entry: its instant in microseconds, and its number in the order of booking."""

_POSITION = attrgetter("position")
_DEFAULTS: Row = {
    "sku": "zai-org-glm-5-1-llm-output-mtoken",
    "pricePerUnitUsd": Decimal("2.8"),
    "units": Decimal("0.000227"),
    "amount": Decimal("-0.0006356"),
    "currency": "USD",
    "notes": "API Inference",
    "inferenceDetails": None,
    "apiKeyId": None,
}
_UNKNOWN_OF_ROW = missing_fields("UsageEntry", {"timestamp", *_DEFAULTS})
_DEFAULTS_OF_DETAILS: Row = {
    **dict.fromkeys(name for name in CSV_COLUMNS if name in DETAILS),
    **missing_fields("InferenceDetails", DETAILS),
}


class Entry:
    """One booked row; its JSON and CSV texts are made on first use."""

    def __init__(self, position: Position, row: Row) -> None:
        self.position = position
        self.row = row

    @cached_property
    def json(self) -> bytes:
        """The row as a JSON object."""
        return to_json(self.row).encode()

    @cached_property
    def csv(self) -> bytes:
        """The row as a CSV record, without a line break."""
        return to_csv_record(self.row).encode()


class Account:
    """Holds every row that was ever booked.

    A late booking is sorted in by its time but gets the latest number, so the position of an entry never changes, and
    what a walk has passed stays as it was.
    """

    def __init__(
        self, rows: Iterable[Mapping[str, Any] | UsageEntry], extra_fields: frozenset[str] = frozenset()
    ) -> None:
        self._lock = threading.Lock()
        self._extra_fields = extra_fields
        if isinstance(rows, SeededRows):
            complete = [_completed(row) for row in rows]
        else:
            complete = [complete_row(row, extra_fields) for row in rows]
        entries = [Entry((parse_instant(row["timestamp"]), number), row) for number, row in enumerate(complete)]
        entries.sort(key=_POSITION)
        self._booked = len(entries)
        self._entries = entries
        self._by_currency: dict[str, list[Entry]] = {}
        for entry in entries:
            self._by_currency.setdefault(_currency_of(entry.row), []).append(entry)

    def book(self, row: Mapping[str, Any] | UsageEntry) -> Row:
        """Add a row at its own timestamp and return it as it will be sent."""
        complete = complete_row(row, self._extra_fields)
        with self._lock:
            entry = Entry((parse_instant(complete["timestamp"]), self._booked), complete)
            self._booked += 1
            insort(self._entries, entry, key=_POSITION)
            insort(self._by_currency.setdefault(_currency_of(complete), []), entry, key=_POSITION)
        return complete

    def select(
        self,
        *,
        currency: str | None = None,
        start: int | None = None,
        end: int | None = None,
        after: Position | None = None,
        limit: int | None = None,
    ) -> Sequence[Entry]:
        """Return the entries from `start` (inclusive) and beyond `after`, up to `end` (exclusive)."""
        with self._lock:
            entries = self._entries if currency is None else self._by_currency.get(currency, [])
            low = 0 if start is None else bisect_left(entries, (start, -1), key=_POSITION)
            if after is not None:
                low = max(low, bisect_right(entries, after, key=_POSITION))
            high = len(entries) if end is None else bisect_left(entries, (end, -1), key=_POSITION)
            return entries[low : high if limit is None else min(high, low + limit)]


def _currency_of(row: Row) -> str:
    currency = row["currency"]
    return currency if isinstance(currency, str) else ""  # another type may be sent, and is found by no filter


def complete_row(row: Mapping[str, Any] | UsageEntry, extra_fields: frozenset[str] = frozenset()) -> Row:
    """Return the row with every field of the API, its time as text and its three numbers as `Decimal`s.

    Raises:
        TypeError: A field is of a type that cannot be sent, like a float, whose digits are not exact.
        ValueError: There is no timestamp, or a field has an unknown name or a value that cannot be sent.
    """
    if isinstance(row, UsageEntry):
        inner = row.inference_details.additional_properties if row.inference_details else {}
        extra_fields = extra_fields.union(row.additional_properties, (f"inferenceDetails.{name}" for name in inner))
        row = row.to_dict()
    return _completed(check_row(row, extra_fields))


def _completed(fields: Row) -> Row:
    complete = {"timestamp": fields["timestamp"], **_DEFAULTS, **_UNKNOWN_OF_ROW, **fields}
    details = complete["inferenceDetails"]
    if isinstance(details, Mapping):
        complete["inferenceDetails"] = {**_DEFAULTS_OF_DETAILS, **details}
    return complete
