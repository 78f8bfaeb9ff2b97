"""Further mutations: combinations of keywords, other words for the same schema, and places seldom edited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from contract_tests.support.mutations_edits import also, append, drop, inline, put, rename
from contract_tests.support.mutations_places import (
    ANALYTICS,
    ANALYTICS_CALL,
    BALANCE_CALL,
    ENTRY,
    HISTORY_CALL,
    HISTORY_PAGE,
    SCHEMAS,
    USAGE_CALL,
)

if TYPE_CHECKING:
    from contract_tests.support.mutations_edits import Edit

_RESPONSES = f"{HISTORY_CALL} responses"
_PAGE_SIZE = f"{HISTORY_CALL} parameters pageSize schema"
_START = f"{HISTORY_CALL} parameters startTimestamp schema"
_PAGE = f"{USAGE_CALL} parameters page schema"
_DETAILS = {"$ref": "#/components/schemas/InferenceDetails"}

_BREAKING: dict[str, Edit] = {
    "waiting time retyped": put(f"{_RESPONSES} 429 headers Retry-After schema type", "string"),
    "request enum in capitals": put(f"{SCHEMAS} SortOrder enum", ["ASC", "DESC"]),
    "times in UTC only": put(f"{_START} pattern", "Z$"),
    "JSON under a name of its own": rename(f"{_RESPONSES} 200 content application/json", "application/vnd.venice+json"),
    "JSON under any name": rename(f"{_RESPONSES} 200 content application/json", "*/*"),
    "days that a calendar has": put(f"{ANALYTICS_CALL} parameters startDate schema format", "date"),
    "header demanded": append(
        f"{HISTORY_CALL} parameters", {"name": "X-A", "in": "header", "required": True, "schema": {"type": "string"}}
    ),
    "flag instead of a number": put(_PAGE, {"type": "boolean"}),
    "amount as a decimal text": put(f"{ENTRY} properties amount", {"type": "string", "format": "decimal"}),
    "time or null as alternatives": put(
        f"{ENTRY} properties timestamp",
        {"anyOf": [{"type": "string", "format": "date-time"}, {"nullable": True, "enum": [None]}]},
    ),
    "details or text": put(
        f"{ENTRY} properties inferenceDetails", {"anyOf": [_DETAILS, {"type": "string"}], "nullable": True}
    ),
    "cursor of one letter": put(f"{HISTORY_CALL} parameters cursor schema maxLength", 1),
    "security emptied": put("security", []),
    "security dropped": drop("security"),
    "HEAD instead of GET": rename(BALANCE_CALL, "head"),
    "number deep inside nullable": put(f"{SCHEMAS} ModelUsageBreakdown properties usd nullable", value=True),
    "entries nullable": put(
        f"{HISTORY_PAGE} properties data items",
        {"allOf": [{"$ref": "#/components/schemas/UsageEntry"}], "nullable": True},
    ),
}

_COMPATIBLE: dict[str, Edit] = {
    "waiting time no longer sent": drop(f"{_RESPONSES} 429 headers Retry-After"),
    "response enum replaced": put(f"{SCHEMAS} Currency enum", ["EUR"]),
    "property required without a description": append(f"{ENTRY} required", "ghost"),
    "error under another JSON type": rename(f"{_RESPONSES} 400 content application/json", "application/problem+json"),
    "callbacks added": put(f"{HISTORY_CALL} callbacks", {}),
    "links added": put(f"{_RESPONSES} 200 links", {}),
    "fractions of a page accepted": put(_PAGE, {"type": "number", "minimum": 1, "default": 1}),
    "operation no longer deprecated": drop(f"{USAGE_CALL} deprecated"),
    "width of an integer halved": put(f"{SCHEMAS} DailySeriesPoint properties date format", "int32"),
    "response text of a format": put(f"{ENTRY} properties sku format", "uri"),
}

_COSMETIC: dict[str, Edit] = {
    "multiple of one": put(f"{_PAGE_SIZE} multipleOf", 1),
    "maximum made exclusive, one higher": also(
        put(f"{_PAGE_SIZE} maximum", 1001), put(f"{_PAGE_SIZE} exclusiveMaximum", value=True)
    ),
    "whole numbers in other words": also(put(f"{_PAGE_SIZE} type", "number"), put(f"{_PAGE_SIZE} multipleOf", 1)),
    "enum without its type": drop(f"{SCHEMAS} SortOrder type"),
    "no least number of items": put(f"{ANALYTICS} properties byModel minItems", 0),
    "repetitions allowed aloud": put(f"{ANALYTICS} properties byModel uniqueItems", value=False),
    "unknown fields of any schema": put(f"{ENTRY} additionalProperties", {}),
    "at least one property, where several are required": put(f"{ENTRY} minProperties", 1),
    "pattern already in the format": put(f"{_START} pattern", r"^\d{4}-\d\d-\d\d"),
    "length already in the format": put(f"{_START} minLength", 20),
    "accepted type described as a parameter": append(
        f"{HISTORY_CALL} parameters", {"name": "Accept", "in": "header", "required": True, "schema": {"type": "string"}}
    ),
    "analytics made inline": inline(f"{ANALYTICS_CALL} responses 200 content application/json schema"),
}

FURTHER: tuple[tuple[Literal["breaking", "compatible", "cosmetic"], dict[str, Edit]], ...] = (
    ("breaking", _BREAKING),
    ("compatible", _COMPATIBLE),
    ("cosmetic", _COSMETIC),
)
