"""Mutations of requests: how parameters are written, what they accept, the rules between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from contract_tests.support.mutations_edits import also, append, drop, put, reverse
from contract_tests.support.mutations_places import (
    ANALYTICS_CALL,
    HISTORY_CALL,
    NEW_PARAMETER,
    SCHEMAS,
    USAGE_CALL,
)

if TYPE_CHECKING:
    from contract_tests.support.mutations_edits import Edit

_CURRENCY = f"{USAGE_CALL} parameters currency"
_CURSOR = f"{HISTORY_CALL} parameters cursor schema"
_PAGE_SIZE = f"{HISTORY_CALL} parameters pageSize schema"
_START = f"{HISTORY_CALL} parameters startTimestamp schema"
_DAY = f"{ANALYTICS_CALL} parameters endDate schema"
_LOOKBACK = f"{ANALYTICS_CALL} parameters lookback schema"
_LEGACY = {"$ref": "#/components/schemas/LegacyCurrency"}
_MOMENT: dict[str, Any] = {"type": "string", "format": "date-time"}
_DATE: dict[str, Any] = {"type": "string", "format": "date"}
_SIZES = {"type": "integer", "minimum": 10, "maximum": 1000}
_SIZE_WORDS = {"default": 1000, "example": 1000}


def _as_content(parameter: str, media_type: str) -> Edit:
    return also(drop(f"{parameter} schema"), put(f"{parameter} content", {media_type: {"schema": _LEGACY}}))


_BREAKING: dict[str, Edit] = {
    "parameter moved to content": _as_content(_CURRENCY, "application/json"),
    "style of a scalar changed": put(f"{_CURRENCY} style", "spaceDelimited"),
    "style of a scalar without meaning": put(f"{_CURRENCY} style", "deepObject"),
    "list of at least two demanded": put(f"{_CURRENCY} schema", {"type": "array", "items": _LEGACY, "minItems": 2}),
    "list joined by spaces": also(
        put(f"{_CURRENCY} schema", {"type": "array", "items": _LEGACY}), put(f"{_CURRENCY} style", "spaceDelimited")
    ),
    "list of free texts joined by commas": also(
        put(_CURSOR, {"type": "array", "items": {"type": "string"}}),
        put(f"{HISTORY_CALL} parameters cursor explode", value=False),
    ),
    "object demanded": put(f"{_CURRENCY} schema", {"type": "object", "properties": {"code": _LEGACY}}),
    "undecidable pattern": put(f"{_LOOKBACK} pattern", r"^(?=.*d$)[1-9]\d*d$"),
    "length shorter than the pattern": put(f"{_LOOKBACK} maxLength", 2),
    "minimum length above the pattern's": put(f"{_CURSOR} minLength", 2),
    "length moved into the pattern, shortened": also(
        drop(f"{_CURSOR} maxLength"), put(f"{_CURSOR} pattern", "^[A-Za-z0-9_-]{1,511}$")
    ),
    "letter left out of a pattern": put(f"{_CURSOR} pattern", "^[A-Za-z0-9-]+$"),
    "time narrowed to alternatives without it": put(_START, {"anyOf": [_DATE, {"type": "string", "enum": ["now"]}]}),
    "numbers of an alternative narrowed": put(
        _PAGE_SIZE, {"oneOf": [{**_SIZES, "maximum": 500}, {"type": "string", "enum": ["all"]}], **_SIZE_WORDS}
    ),
    "word instead of a number": put(_PAGE_SIZE, {"type": "string", "enum": ["all"]}),
    "one value excluded": put(f"{SCHEMAS} HistoryCurrency not", {"enum": ["DIEM"]}),
    "numbers of 32 bits": put(f"{USAGE_CALL} parameters page schema format", "int32"),
    "rule added": append(
        f"{HISTORY_CALL} x-rules", {"rule": "together", "parameters": ["startTimestamp", "endTimestamp"]}
    ),
    "rule extended to another parameter": put(f"{HISTORY_CALL} x-rules 0 parameters", ["cursor", "currency"]),
    "rule that the days differ": append(
        f"{ANALYTICS_CALL} x-rules", {"rule": "ascending", "parameters": ["startDate", "endDate"]}
    ),
    "rule of an unknown kind": append(
        f"{HISTORY_CALL} x-rules", {"rule": "one of", "parameters": ["cursor", "startTimestamp"]}
    ),
    "rules where there were none": put(
        f"{USAGE_CALL} x-rules", [{"rule": "together", "parameters": ["startDate", "endDate"]}]
    ),
    "rule that ties a known parameter to a new one": also(
        append(f"{HISTORY_CALL} parameters", NEW_PARAMETER),
        append(f"{HISTORY_CALL} x-rules", {"rule": "together", "parameters": ["currency", "apiKeyId"]}),
    ),
}

_COMPATIBLE: dict[str, Edit] = {
    "date accepted beside a time": put(_START, {"anyOf": [_DATE, _MOMENT]}),
    "date accepted beside a time, exclusively": put(_START, {"oneOf": [_MOMENT, _DATE]}),
    "date accepted beside a time of the same length": put(
        _START, {"type": "string", "maxLength": 40, "anyOf": [{"format": "date"}, {"format": "date-time"}]}
    ),
    "word accepted beside numbers": put(
        _PAGE_SIZE, {"oneOf": [_SIZES, {"type": "string", "enum": ["all"]}], **_SIZE_WORDS}
    ),
    "text accepted beside numbers": put(_PAGE_SIZE, {"anyOf": [_SIZES, {"type": "string"}], **_SIZE_WORDS}),
    "anything accepted": put(_PAGE_SIZE, dict(_SIZE_WORDS)),
    "word accepted beside a pattern": put(
        _CURSOR,
        {"anyOf": [{"type": "string", "maxLength": 512, "pattern": "^[A-Za-z0-9_-]+$"}, {"enum": ["", "first"]}]},
    ),
    "hours accepted beside days": put(f"{_LOOKBACK} pattern", r"^[1-9]\d*(d|h)$"),
    "leading zeros accepted": put(f"{_LOOKBACK} pattern", r"^\d+d$"),
    "anchors removed": put(f"{_DAY} pattern", r"\d{4}-\d{2}-\d{2}"),
    "empty text accepted": put(f"{_CURSOR} pattern", "^[A-Za-z0-9_-]*$"),
    "length moved into the pattern, extended": also(
        drop(f"{_CURSOR} maxLength"), put(f"{_CURSOR} pattern", "^[A-Za-z0-9_-]{1,1024}$")
    ),
    "list accepted": put(f"{_CURRENCY} schema", {"type": "array", "items": _LEGACY}),
    "list joined by commas accepted": also(
        put(f"{_CURRENCY} schema", {"type": "array", "items": _LEGACY}), put(f"{_CURRENCY} explode", value=False)
    ),
    "empty value allowed": put(f"{_CURRENCY} allowEmptyValue", value=True),
    "parameter deprecated": put(f"{_CURRENCY} deprecated", value=True),
    "default removed": drop(f"{_LOOKBACK} default"),
    "rule removed": drop(f"{HISTORY_CALL} x-rules 0"),
    "rules removed": drop(f"{ANALYTICS_CALL} x-rules"),
    "rule about a new parameter alone": also(
        append(f"{HISTORY_CALL} parameters", NEW_PARAMETER),
        append(f"{HISTORY_CALL} x-rules", {"rule": "alone", "parameters": ["apiKeyId"]}),
    ),
    "optional header added": append(
        f"{HISTORY_CALL} parameters", {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}
    ),
    "optional body added": put(
        f"{HISTORY_CALL} requestBody", {"content": {"application/json": {"schema": {"type": "object"}}}}
    ),
}

_COSMETIC: dict[str, Edit] = {
    "scalar not exploded": put(f"{_CURRENCY} explode", value=False),
    "style and explode said aloud": also(put(f"{_CURRENCY} style", "form"), put(f"{_CURRENCY} explode", value=True)),
    "reserved characters allowed": put(f"{HISTORY_CALL} parameters startTimestamp allowReserved", value=True),
    "reserved characters allowed where there are none": put(f"{_CURRENCY} allowReserved", value=True),
    "parameter moved to plain text": _as_content(_CURRENCY, "text/plain"),
    "length already in the pattern": also(put(f"{_DAY} minLength", 10), put(f"{_DAY} maxLength", 10)),
    "minimum length already in the pattern": put(f"{_CURSOR} minLength", 1),
    "length moved into the pattern": also(
        drop(f"{_CURSOR} maxLength"), put(f"{_CURSOR} pattern", "^[A-Za-z0-9_-]{1,512}$")
    ),
    "pattern with a class": put(f"{_CURSOR} pattern", r"^[\w-]+$"),
    "pattern with a group": put(f"{_CURSOR} pattern", "^(?:[A-Za-z0-9_-]+)$"),
    "digits in other words": put(f"{_LOOKBACK} pattern", "^[1-9][0-9]*d$"),
    "pattern that admits everything": put(f"{_START} pattern", ".*"),
    "enum worded as alternatives": put(
        f"{USAGE_CALL} parameters sortOrder schema",
        {"anyOf": [{"type": "string", "enum": [name]} for name in ("asc", "desc")], "default": "desc"},
    ),
    "bounds worded as a conjunction": put(
        _PAGE_SIZE, {"allOf": [{"type": "integer", "minimum": 10}, {"maximum": 1000}], **_SIZE_WORDS}
    ),
    "a looser bound beside the bound": put(f"{_PAGE_SIZE} exclusiveMinimum", value=False),
    "order of rules": reverse(f"{HISTORY_CALL} x-rules"),
    "rule with its parameters in other order": put(f"{ANALYTICS_CALL} x-rules 0 parameters", ["endDate", "startDate"]),
    "parameter of all operations at a path": also(
        put("paths /billing/usage-analytics parameters", [{"name": "lookback", "in": "query", "schema": {}}]),
    ),
}

REQUESTS: tuple[tuple[Literal["breaking", "compatible", "cosmetic"], dict[str, Edit]], ...] = (
    ("breaking", _BREAKING),
    ("compatible", _COMPATIBLE),
    ("cosmetic", _COSMETIC),
)
