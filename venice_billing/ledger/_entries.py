"""Entries of a walk -> pages as JSON text -> rows of the ledger -> the same entries again. To the digit, and pure.

msgspec writes a page in one call: each attribute by its name, numbers as texts. Where such a page, or the
columns of the ledger, cannot hold an entry exactly, the whole entry is beside it, as the API sends it: with unknown
fields, integers of more than 64 bits, and texts that are no Unicode.
"""

from __future__ import annotations

import json
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import attrs
import msgspec

from venice_billing._runtime.codec import encode_json
from venice_billing.ledger._moments import moment
from venice_billing.models import Currency, InferenceDetails, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_TEXT, _INTEGER = "VARCHAR", "BIGINT"
_DETAILS = {
    "completion_tokens": _INTEGER,
    "inference_execution_time": _INTEGER,
    "prompt_tokens": _INTEGER,
    "request_id": _TEXT,
}
_ENTRY = {
    "amount": _TEXT,
    "currency": _TEXT,
    "inference_details": _DETAILS,
    "notes": _TEXT,
    "price_per_unit_usd": _TEXT,
    "sku": _TEXT,
    "timestamp": _TEXT,
    "units": _TEXT,
    "api_key_id": _TEXT,
    "explicit_nulls": [_TEXT],
}
_WHOLE = {"entry_json": _TEXT, "unknown": _TEXT, "is_text_exact": "BOOLEAN"}
SHAPE = json.dumps([_ENTRY | _WHOLE])
"""The entries of a page, as DuckDB's `from_json` is told them."""

_KEPT_APART = {"additional_properties"}
_NULLABLE = frozenset({"apiKeyId"})
_LARGEST = 2**63
_encode = msgspec.json.Encoder().encode

COLUMNS = (
    "epoch_us(timestamp), sku, currency, amount_text, units_text, price_per_unit_usd_text, notes, api_key_id, "
    "api_key_id_is_null, has_inference_details, request_id, prompt_tokens, completion_tokens, "
    "inference_execution_time, entry_json"
)
"""What `entries` reads."""


def page(entries: Sequence[UsageEntry]) -> bytes:
    """Return entries as the items of a JSON array, without its brackets."""
    if _columns_are_known() and all(map(_is_plain, entries)):
        try:
            return _encode(entries)[1:-1]
        except (UnicodeEncodeError, OverflowError, ValueError):
            pass
    return b",".join(map(_item, entries))


def entries(rows: Iterable[Sequence[Any]]) -> Iterator[UsageEntry]:
    """Return the entries of rows that were selected by `COLUMNS`."""
    currencies: dict[str, Currency] = {}
    for row in rows:
        (at, sku, currency, amount, units, price, notes, key, key_is_null, has_details, *details, whole) = row
        if whole is not None:
            yield UsageEntry.from_json(whole)
            continue
        if (member := currencies.get(currency)) is None:
            member = currencies[currency] = Currency(currency)
        request_id, prompt, completion, milliseconds = details
        yield UsageEntry(
            amount=Decimal(amount),
            currency=member,
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
    fields = {field.name for field in attrs.fields(UsageEntry)} - _KEPT_APART
    details = {field.name for field in attrs.fields(InferenceDetails)} - _KEPT_APART
    return fields == _ENTRY.keys() and details == _DETAILS.keys()


def _item(entry: UsageEntry) -> bytes:
    """Return an entry as JSON, with the whole of it as the API sends it where the columns cannot hold it."""
    details = entry.inference_details
    tokens = {} if details is None else {name: getattr(details, name) for name in _DETAILS}
    item: dict[str, Any] = {name: getattr(entry, name) for name in _ENTRY}
    texts = [value for value in (*item.values(), *tokens.values()) if isinstance(value, str)]
    is_unicode = all(map(_is_unicode, texts))
    if _columns_are_known() and _is_plain(entry) and is_unicode:
        return _encode(entry)
    item["inference_details"] = None if details is None else {name: _held(value) for name, value in tokens.items()}
    item = {name: _held(value) for name, value in item.items()}
    item["entry_json"] = _json(entry.to_dict())
    item["unknown"] = _unknown(entry)
    item["is_text_exact"] = is_unicode
    return _encode(item)


def _unknown(entry: UsageEntry) -> str | None:
    """Return the fields that the contract does not name as JSON, like `UsageEntry.row`."""
    unknown = dict(entry.additional_properties)
    if entry.inference_details is not None and entry.inference_details.additional_properties:
        unknown["inferenceDetails"] = entry.inference_details.additional_properties
    return _json(unknown) if unknown else None


def _json(value: Any) -> str:
    """Return decoded JSON as text in ASCII: unlike that of `encode_json`, it may hold a lone surrogate."""
    if isinstance(value, dict):
        return "{" + ",".join([f"{json.dumps(name)}:{_json(item)}" for name, item in value.items()]) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return encode_json(value) if isinstance(value, Decimal) else json.dumps(value)


def _held(value: Any) -> Any:
    """Return a value as a column can hold it."""
    if isinstance(value, str):
        return value if _is_unicode(value) else value.encode("utf-8", "backslashreplace").decode()
    return None if isinstance(value, int) and _is_large(value) else value


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
