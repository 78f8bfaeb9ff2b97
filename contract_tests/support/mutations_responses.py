"""Mutations of responses: `writeOnly`, recursion, alternatives, formats, headers, statuses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from contract_tests.support.mutations_edits import also, append, drop, put, rename
from contract_tests.support.mutations_places import (
    ANALYTICS,
    BALANCE,
    DETAILS,
    ENTRY,
    HISTORY_CALL,
    HISTORY_PAGE,
    PAGE,
    SCHEMAS,
    USAGE_CALL,
)

if TYPE_CHECKING:
    from contract_tests.support.mutations_edits import Edit

_ENTRIES: dict[str, Any] = {"type": "array", "items": {"$ref": "#/components/schemas/UsageEntry"}}
_SERIES = f"{SCHEMAS} DailySeriesPoint"
_ERROR = f"{SCHEMAS} StandardError properties error"
_CURSOR_HEADER = f"{HISTORY_CALL} responses 200 headers x-next-cursor"
_FILE_HEADER = f"{HISTORY_CALL} responses 200 headers Content-Disposition schema"


def _file_name(text: str) -> Edit:
    return put(_FILE_HEADER, {"type": "string", "enum": [text]})


_BREAKING: dict[str, Edit] = {
    "property hidden from responses": put(f"{ENTRY} properties units writeOnly", value=True),
    "property of a reference hidden from responses": put(f"{SCHEMAS} Currency writeOnly", value=True),
    "nullable property hidden from responses": put(f"{HISTORY_PAGE} properties nextCursor writeOnly", value=True),
    "text beside a number": put(f"{ENTRY} properties amount", {"anyOf": [{"type": "number"}, {"type": "string"}]}),
    "date beside a time": put(
        f"{ENTRY} properties timestamp",
        {"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]},
    ),
    "items of any type": put(f"{ANALYTICS} properties topModels items", {}),
    "property of any type": put(f"{ENTRY} properties sku", {}),
    "object without its properties": put(f"{ENTRY} properties inferenceDetails", {"type": "object", "nullable": True}),
    "width of an integer removed": drop(f"{_SERIES} properties date format"),
    "series values of any type": put(f"{_SERIES} additionalProperties", value=True),
    "series values nullable": put(f"{_SERIES} additionalProperties nullable", value=True),
    "currency nullable": put(f"{SCHEMAS} Currency nullable", value=True),
    "flag of two types": put(f"{BALANCE} properties canConsume", {"oneOf": [{"type": "boolean"}, {"type": "integer"}]}),
    "cursor header moved to content": also(
        drop(f"{_CURSOR_HEADER} schema"),
        put(f"{_CURSOR_HEADER} content", {"application/json": {"schema": {"type": "string"}}}),
    ),
    "success turned into the default": rename(f"{HISTORY_CALL} responses 200", "default"),
    "success turned into a redirect": rename(f"{HISTORY_CALL} responses 200", "302"),
    "page replaced by a bare list": put(f"{HISTORY_CALL} responses 200 content application/json schema", _ENTRIES),
    "error text of another type": put(_ERROR, {"type": "integer"}),
}

_COMPATIBLE: dict[str, Edit] = {
    "optional property hidden from responses": put(f"{PAGE} properties warningMessage writeOnly", value=True),
    "property hidden from requests": put(f"{ENTRY} properties units readOnly", value=True),
    "entries within entries": put(f"{ENTRY} properties children", _ENTRIES),
    "an entry within an entry": put(f"{ENTRY} properties parent", {"$ref": "#/components/schemas/UsageEntry"}),
    "two recursions": also(
        put(f"{ENTRY} properties children", _ENTRIES), put(f"{ENTRY} properties corrections", _ENTRIES)
    ),
    "entries within entries, always": also(
        put(f"{ENTRY} properties children", _ENTRIES), append(f"{ENTRY} required", "children")
    ),
    "recursion through a map": put(
        f"{DETAILS} properties parts",
        {"type": "object", "additionalProperties": {"$ref": "#/components/schemas/InferenceDetails"}},
    ),
    "file name in quotes": _file_name('attachment; filename="x.csv"'),
    "file name in quotes with a space": _file_name('attachment; filename="usage of june.csv"'),
    "file name encoded": _file_name("attachment; filename*=UTF-8''usage%20of%20june.csv"),
    "file name without quotes": _file_name("attachment; filename=x.csv"),
    "no file name": _file_name("attachment"),
    "further success": put(f"{HISTORY_CALL} responses 206", {"description": "Partial"}),
    "success as a range": rename(f"{HISTORY_CALL} responses 200", "2XX"),
    "default response added": put(f"{HISTORY_CALL} responses default", {"description": "Anything else"}),
    "error as a range": rename(f"{HISTORY_CALL} responses 500", "5XX"),
    "error body as text": put(f"{HISTORY_CALL} responses 500 content", {"text/plain": {"schema": {"type": "string"}}}),
    "cursor header always sent": put(f"{_CURSOR_HEADER} required", value=True),
    "cursor header longer": put(f"{_CURSOR_HEADER} schema maxLength", 1024),
    "flag always true": put(f"{BALANCE} properties canConsume enum", [True]),
    "format of an id added": put(f"{DETAILS} properties requestId format", "uuid"),
    "width of an integer added": put(f"{DETAILS} properties promptTokens format", "int32"),
    "width of a number added": put(f"{ENTRY} properties amount format", "double"),
    "series values forbidden": put(f"{_SERIES} additionalProperties", value=False),
    "series values whole": put(f"{_SERIES} additionalProperties type", "integer"),
    "list never empty": put(f"{ANALYTICS} properties byModel minItems", 1),
    "list without repetitions": put(f"{ANALYTICS} properties topModels uniqueItems", value=True),
    "property deprecated": put(f"{ENTRY} properties notes deprecated", value=True),
    "error always an object": put(_ERROR, {"$ref": "#/components/schemas/ErrorObject"}),
}

_COSMETIC: dict[str, Edit] = {
    "visibility said aloud": put(f"{ENTRY} properties units writeOnly", value=False),
    "alternatives that exclude each other anyway": rename(f"{_ERROR} anyOf", "oneOf"),
    "response pattern in other words": put(f"{HISTORY_PAGE} properties nextCursor pattern", r"^[\w-]+$"),
    "response length already in the pattern": put(f"{HISTORY_PAGE} properties nextCursor minLength", 1),
    "bound already in another": put(f"{DETAILS} properties promptTokens exclusiveMinimum", value=False),
    "number or integer": put(f"{ENTRY} properties units", {"anyOf": [{"type": "number"}, {"type": "integer"}]}),
    "media type with a charset": rename(
        f"{HISTORY_CALL} responses 200 content application/json", "application/json;charset=utf-8"
    ),
    "media type in capitals": rename(f"{USAGE_CALL} responses 200 content text/csv", "Text/CSV"),
    "header in other case": rename(f"{HISTORY_CALL} responses 200 headers x-next-cursor", "X-Next-Cursor"),
    "header explode said": put(f"{_CURSOR_HEADER} explode", value=True),
    "example of a media type": put(
        f"{HISTORY_CALL} responses 200 content application/json example", {"data": [], "nextCursor": None}
    ),
    "unknown fields allowed aloud": put(f"{ENTRY} additionalProperties", value=True),
    "component described": put(f"{ENTRY} description", "A row."),
}

RESPONSES: tuple[tuple[Literal["breaking", "compatible", "cosmetic"], dict[str, Edit]], ...] = (
    ("breaking", _BREAKING),
    ("compatible", _COMPATIBLE),
    ("cosmetic", _COSMETIC),
)
