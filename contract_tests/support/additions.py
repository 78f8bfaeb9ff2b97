"""Compatible additions to an upstream document, of each kind: test data for what a regenerated client makes of them."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from contract_tests.support.mutations_edits import also, append, put

if TYPE_CHECKING:
    from collections.abc import Iterable

    from contract_tests.support.mutations_edits import Edit

Document = dict[str, Any]

_SCHEMAS = "components schemas"
_HISTORY = "paths /billing/usage-history get"
_BALANCE = "paths /billing/balance get"
_TEXT = {"type": "string"}
_INVOICE = {"type": "object", "required": ["id"], "properties": {"id": _TEXT, "total": {"type": "number"}}}


def _body(schema: Document) -> Document:
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _required(component: str, name: str, schema: Document) -> Edit:
    return also(
        put(f"{_SCHEMAS} {component} properties {name}", schema), append(f"{_SCHEMAS} {component} required", name)
    )


ADDITIONS: dict[str, Edit] = {
    "operation": put(
        "paths /billing/invoices",
        {
            "get": {
                "operationId": "getBillingInvoices",
                "parameters": [{"name": "year", "in": "query", "schema": {"type": "integer"}}],
                "responses": {"200": _body({"type": "array", "items": _INVOICE})},
            }
        },
    ),
    "optional parameter": also(
        append(f"{_HISTORY} parameters", {"name": "apiKeyId", "in": "query", "schema": _TEXT}),
        append(f"{_HISTORY} parameters", {"name": "X-Trace", "in": "header", "schema": _TEXT}),
    ),
    "media type": put(f"{_HISTORY} responses 200 content application/xml", {"schema": _TEXT}),
    "optional property": also(
        put(f"{_SCHEMAS} UsageEntry properties region", _TEXT),
        put(f"{_SCHEMAS} Balance properties limits", {"type": "object", "properties": {"daily": {"type": "number"}}}),
    ),
    "required property": also(
        _required("Balance", "updatedAt", {"type": "string", "format": "date-time"}),
        _required("Balances", "credits", {"type": "number", "minimum": 0.5, "maximum": 2.25}),
        _required("UsageEntry", "zone", {"type": "string", "pattern": "^[a-z]{2}-[0-9]$"}),
        _required("InferenceDetails", "attempts", {"type": "integer", "minimum": 1}),
        _required("UsageHistoryPage", "asOf", {"type": "string", "format": "date-time", "nullable": True}),
        _required("UsageAnalytics", "totals", {"type": "array", "minItems": 1, "items": _INVOICE}),
        _required("DailyUsage", "requests", {"type": "integer"}),
        _required("ModelUsage", "owner", {"type": "string", "enum": ["venice", "partner"]}),
        _required("ApiKeyUsage", "active", {"type": "boolean"}),
    ),
    "header": put(f"{_BALANCE} responses 200 headers", {"x-region": {"schema": _TEXT}}),
    "enum value": also(
        append(f"{_SCHEMAS} HistoryCurrency enum", "EARNED_CREDITS"), append(f"{_SCHEMAS} Currency enum", "GIFT_CARDS")
    ),
    "status": also(
        put(f"{_BALANCE} responses 206", _body({"$ref": "#/components/schemas/Balance"})),
        put(f"{_BALANCE} responses 418", _body({"$ref": "#/components/schemas/StandardError"})),
    ),
}


def with_additions(document: Document, kinds: Iterable[str] = tuple(ADDITIONS)) -> Document:
    """Return a copy of a contract with additions of some kinds, by default of all."""
    added = deepcopy(document)
    for kind in kinds:
        ADDITIONS[kind](added)
    return added
