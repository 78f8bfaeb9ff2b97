"""Entries of a walk -> pages as JSON text -> rows of the ledger -> the same entries again. To the digit, and pure.

msgspec writes the columns of a page in one call, numbers as texts. Where the columns cannot hold an entry exactly, the
whole entry is beside them, as the API sends it: with unknown fields, integers of more than 64 bits, and texts that are
no Unicode.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from venice_billing._runtime.json_text import encode_json
from venice_billing.errors import LedgerError
from venice_billing.ledger._moments import moment
from venice_billing.models import Currency, InferenceDetails, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_TEXTS, _INTEGERS, _FLAGS = ["VARCHAR"], ["BIGINT"], ["BOOLEAN"]
_ENTRY = {
    "amount": _TEXTS,
    "currency": _TEXTS,
    "notes": _TEXTS,
    "price_per_unit_usd": _TEXTS,
    "sku": _TEXTS,
    "timestamp": _TEXTS,
    "units": _TEXTS,
    "api_key_id": _TEXTS,
}
_DETAILS = {
    "request_id": _TEXTS,
    "prompt_tokens": _INTEGERS,
    "completion_tokens": _INTEGERS,
    "inference_execution_time": _INTEGERS,
}
_PRESENCE = {"has_inference_details": _FLAGS, "api_key_id_is_null": _FLAGS}
_WHOLE = {"entry_json": _TEXTS, "unknown": _TEXTS, "is_text_exact": _FLAGS}
LISTS = (*_ENTRY, *_DETAILS, *_PRESENCE, *_WHOLE)
"""The lists of a page, one value an entry; a list that has no value for any of them is left out."""

SHAPE = json.dumps([{"first": "BIGINT", **_ENTRY, **_DETAILS, **_PRESENCE, **_WHOLE}])
"""The type of a list of pages, for DuckDB's `from_json`."""

_NOT_STORED_AS_SUCH = {"additional_properties", "explicit_nulls", "inference_details"}
_NULLABLE = frozenset({"apiKeyId"})
_LARGEST = 2**63
_encode = msgspec.json.Encoder().encode

COLUMNS = (
    "epoch_us(timestamp), sku, currency, amount_text, units_text, price_per_unit_usd_text, notes, api_key_id, "
    "api_key_id_is_null, has_inference_details, request_id, prompt_tokens, completion_tokens, "
    "inference_execution_time, entry_json"
)
"""The columns that `entries` reads."""


def page(entries: Sequence[UsageEntry], first: int) -> bytes:
    """Return entries as a JSON object of columns, which DuckDB reads at three times the pace of an array of objects.

    Args:
        entries: The entries.
        first: How many entries there were before.
    """
    columns = _columns(entries)
    if _columns_are_known() and all(map(_is_plain, entries)):
        try:
            return _encode({"first": first, **columns})
        except UnicodeEncodeError:
            pass
    held = {name: list(map(_held, values)) for name, values in columns.items()}
    return _encode({"first": first, **held, **_whole(entries)})


def _columns(entries: Sequence[UsageEntry]) -> dict[str, list[Any]]:
    details = [entry.inference_details for entry in entries]
    return {
        **{name: list(map(attrgetter(name), entries)) for name in _ENTRY},
        **{name: [None if found is None else getattr(found, name) for found in details] for name in _DETAILS},
        "has_inference_details": [found is not None for found in details],
        "api_key_id_is_null": ["apiKeyId" in entry.explicit_nulls for entry in entries],
    }


def entries(rows: Iterable[Sequence[Any]]) -> Iterator[UsageEntry]:
    """Return the entries of rows that were selected by `COLUMNS`.

    Raises:
        LedgerError: Another program has made a row that no sync writes.
    """
    currency = cache(Currency)
    for row in rows:
        try:
            entry = _entry(row, currency)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise LedgerError(
                f"a row of the ledger was edited and is no entry any more, {row[1]!r} of {row[0]} microseconds since "
                "1970; sync into a new file"
            ) from error
        yield entry


def _entry(row: Sequence[Any], currency_of: Callable[[str], Currency]) -> UsageEntry:
    (at, sku, currency, amount, units, price, notes, key, key_is_null, has_details, *details, whole) = row
    if whole is not None:
        return UsageEntry.from_json(whole)
    request_id, prompt, completion, milliseconds = details
    return UsageEntry(
        amount=Decimal(amount),
        currency=currency_of(currency),
        inference_details=InferenceDetails(completion, milliseconds, prompt, request_id) if has_details else None,
        notes=notes,
        price_per_unit_usd=Decimal(price),
        sku=sku,
        timestamp=moment(at),
        units=Decimal(units),
        api_key_id=key,
        explicit_nulls=_NULLABLE if key_is_null else frozenset(),
    )


def _is_plain(entry: UsageEntry) -> bool:
    """Tell whether an entry has no unknown fields, and no integers of more than 64 bits."""
    details = entry.inference_details
    if entry.additional_properties:
        return False
    return details is None or not (
        details.additional_properties
        or _is_large(details.prompt_tokens)
        or _is_large(details.completion_tokens)
        or _is_large(details.inference_execution_time)
    )


def _is_large(number: int | None) -> bool:
    return number is not None and not -_LARGEST <= number < _LARGEST


@cache
def _columns_are_known() -> bool:
    """Tell whether the contract names no field that the ledger has no column for; a newer one may."""
    fields = {field.name for field in attrs.fields(UsageEntry)} - _NOT_STORED_AS_SUCH
    details = {field.name for field in attrs.fields(InferenceDetails)} - _NOT_STORED_AS_SUCH
    return fields == _ENTRY.keys() and details == _DETAILS.keys()


def _whole(entries: Sequence[UsageEntry]) -> dict[str, list[Any]]:
    """Return the whole of the entries that the columns cannot hold, as the API sends them; None for the others."""
    exact = [all(map(is_unicode, _texts(entry))) for entry in entries]
    is_held = [
        _columns_are_known() and _is_plain(entry) and is_exact for entry, is_exact in zip(entries, exact, strict=True)
    ]
    return {
        "entry_json": [
            None if held else json_text(entry.to_dict()) for entry, held in zip(entries, is_held, strict=True)
        ],
        "unknown": [None if held else _unknown(entry) for entry, held in zip(entries, is_held, strict=True)],
        "is_text_exact": exact,
    }


def _texts(entry: UsageEntry) -> list[str]:
    request_id = entry.inference_details.request_id if entry.inference_details is not None else None
    texts = [entry.sku, entry.currency, entry.notes, entry.api_key_id, request_id]
    return [text for text in texts if text is not None]


def _unknown(entry: UsageEntry) -> str | None:
    """Return the fields that the contract does not name as JSON, like `UsageEntry.row`."""
    unknown = dict(entry.additional_properties)
    if entry.inference_details is not None and entry.inference_details.additional_properties:
        unknown["inferenceDetails"] = entry.inference_details.additional_properties
    return json_text(unknown) if unknown else None


def json_text(value: Any) -> str:
    """Return decoded JSON as text in ASCII: unlike that of `encode_json`, it may hold a lone surrogate."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{json.dumps(name)}:{json_text(item)}" for name, item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(json_text, value)) + "]"
    return encode_json(value) if isinstance(value, Decimal) else json.dumps(value)


def _held(value: Any) -> Any:
    """Return a value as a column can hold it."""
    if isinstance(value, str):
        return value if is_unicode(value) else value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, int) and _is_large(value) else value


def is_unicode(text: str) -> bool:
    """Tell whether a text has no half of a character, which UTF-8 cannot hold."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
