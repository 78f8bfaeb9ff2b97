"""Mutations of the contract and their severity for consumers: the test data of the contract diff and the suite.

A mutation edits one place of the bundled contract.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Literal

from attrs import frozen

from contract_tests.support.mutations_access import ACCESS
from contract_tests.support.mutations_edits import (
    Edit,
    also,
    append,
    drop,
    gone,
    hoist,
    inline,
    move,
    put,
    rename,
    rename_component,
    reverse,
    without,
)
from contract_tests.support.mutations_further import FURTHER
from contract_tests.support.mutations_places import (
    ANALYTICS,
    ANALYTICS_CALL,
    BALANCE,
    BALANCE_CALL,
    DETAILS,
    ENTRY,
    HISTORY_CALL,
    HISTORY_PAGE,
    NEW_PARAMETER,
    PAGE,
    SCHEMAS,
    USAGE_CALL,
)
from contract_tests.support.mutations_requests import REQUESTS
from contract_tests.support.mutations_responses import RESPONSES

if TYPE_CHECKING:
    from contract.document import Document

Severity = Literal["breaking", "compatible", "cosmetic"]


@frozen
class Mutation:
    """A named edit of the contract, and its severity in the words of `scripts/contract_diff.py`."""

    name: str
    severity: Severity
    edit: Edit

    def __call__(self, contract: Document) -> Document:
        """Return an edited copy."""
        mutated = deepcopy(contract)
        self.edit(mutated)
        if str(mutated) == str(contract):
            raise AssertionError(f"the mutation {self.name!r} changes nothing: the contract has moved on")
        return mutated


_COMMON_HEADER = {"schema": {"type": "string"}}

_OPERATIONS_BREAKING: dict[str, Edit] = {
    "operation removed": drop("paths /billing/usage-history"),
    "operation moved to another path": rename("paths /billing/usage-history", "/billing/ledger"),
    "operation moved to another method": rename("paths /billing/balance get", "post"),
    "all operations moved to another version": put("servers 0 url", "https://api.venice.ai/api/v2"),
    "all operations moved to another host": put("servers 0 url", "https://billing.venice.ai/api/v1"),
    "success status removed": drop(f"{ANALYTICS_CALL} responses 200"),
    "success turned into 410": rename(f"{HISTORY_CALL} responses 200", "410"),
    "JSON removed": drop(f"{HISTORY_CALL} responses 200 content application/json"),
    "CSV removed": drop(f"{HISTORY_CALL} responses 200 content text/csv"),
    "CSV renamed": rename(f"{USAGE_CALL} responses 200 content text/csv", "text/tab-separated-values"),
    "JSON body gone": drop(f"{BALANCE_CALL} responses 200 content"),
    "authentication no longer asked": put(f"{BALANCE_CALL} security", []),
    "authentication by another scheme": put(
        "components securitySchemes BearerAuth", {"type": "apiKey", "in": "header", "name": "X-Api-Key"}
    ),
    "authentication by basic": put("components securitySchemes BearerAuth", {"type": "http", "scheme": "basic"}),
}

_REQUESTS_BREAKING: dict[str, Edit] = {
    "parameter removed": drop(f"{HISTORY_CALL} parameters cursor"),
    "parameter renamed": put(f"{HISTORY_CALL} parameters cursor name", "pageToken"),
    "parameter renamed in case only": put(f"{HISTORY_CALL} parameters pageSize name", "pagesize"),
    "parameter moved to a header": put(f"{USAGE_CALL} parameters currency in", "header"),
    "parameter newly required": put(f"{HISTORY_CALL} parameters startTimestamp required", value=True),
    "required parameter added": put(f"{BALANCE_CALL} parameters", [{**NEW_PARAMETER, "required": True}]),
    "parameter retyped": put(f"{USAGE_CALL} parameters page schema", {"type": "string"}),
    "currency filter narrowed": without(f"{SCHEMAS} HistoryCurrency enum", "BUNDLED_CREDITS"),
    "VCU leaves the request enum": without(f"{SCHEMAS} LegacyCurrency enum", "VCU"),
    "sort order narrowed": without(f"{SCHEMAS} SortOrder enum", "desc"),
    "enum added to a free parameter": put(f"{ANALYTICS_CALL} parameters lookback schema enum", ["7d", "30d"]),
    "maximum lowered": put(f"{HISTORY_CALL} parameters pageSize schema maximum", 500),
    "minimum raised": put(f"{HISTORY_CALL} parameters pageSize schema minimum", 50),
    "maximum added": put(f"{USAGE_CALL} parameters page schema maximum", 100),
    "minimum made exclusive": put(f"{USAGE_CALL} parameters limit schema exclusiveMinimum", value=True),
    "multiple demanded": put(f"{HISTORY_CALL} parameters pageSize schema multipleOf", 100),
    "length shortened": put(f"{HISTORY_CALL} parameters cursor schema maxLength", 64),
    "minimum length added": put(f"{HISTORY_CALL} parameters cursor schema minLength", 8),
    "pattern changed": put(f"{HISTORY_CALL} parameters cursor schema pattern", "^[a-f0-9]+$"),
    "pattern added": put(f"{HISTORY_CALL} parameters startTimestamp schema pattern", "Z$"),
    "lookback pattern narrowed": put(f"{ANALYTICS_CALL} parameters lookback schema pattern", "^[1-9]d$"),
    "request format changed": put(f"{HISTORY_CALL} parameters endTimestamp schema format", "date"),
    "request format added": put(f"{ANALYTICS_CALL} parameters endDate schema format", "date-time"),
    "body demanded": put(
        f"{BALANCE_CALL} requestBody",
        {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}},
    ),
}

_RESPONSES_BREAKING: dict[str, Edit] = {
    "amount retyped": put(f"{ENTRY} properties amount type", "string"),
    "timestamp retyped": put(f"{ENTRY} properties timestamp", {"type": "integer"}),
    "response format removed": drop(f"{ENTRY} properties timestamp format"),
    "response format changed": put(f"{ENTRY} properties timestamp format", "date"),
    "property removed": gone(ENTRY, "units"),
    "property renamed": rename(f"{ENTRY} properties sku", "productId"),
    "property renamed in case only": rename(f"{ENTRY} properties pricePerUnitUsd", "pricePerUnitUSD"),
    "property made optional": without(f"{ENTRY} required", "timestamp"),
    "property made nullable": put(f"{ENTRY} properties amount nullable", value=True),
    "open enum retyped": put(f"{SCHEMAS} Currency", {"type": "integer", "enum": [1, 2]}),
    "nullable object made optional": without(f"{ENTRY} required", "inferenceDetails"),
    "object became a list": put(
        f"{ENTRY} properties inferenceDetails",
        {"type": "array", "items": {"$ref": "#/components/schemas/InferenceDetails"}},
    ),
    "integer widened to number": put(f"{DETAILS} properties promptTokens type", "number"),
    "nested property removed": gone(DETAILS, "requestId"),
    "page list renamed": rename(f"{HISTORY_PAGE} properties data", "items"),
    "page list nullable": put(f"{HISTORY_PAGE} properties data nullable", value=True),
    "next cursor removed": gone(HISTORY_PAGE, "nextCursor"),
    "next cursor made optional": without(f"{HISTORY_PAGE} required", "nextCursor"),
    "next cursor retyped": put(f"{HISTORY_PAGE} properties nextCursor", {"type": "integer", "nullable": True}),
    "pagination renamed": rename(f"{PAGE} properties pagination", "paging"),
    "page total removed": gone(f"{SCHEMAS} Pagination", "total"),
    "flag retyped": put(f"{BALANCE} properties canConsume type", "string"),
    "balance removed": gone(f"{SCHEMAS} Balances", "usd"),
    "balance made nullable": put(f"{BALANCE} properties diemEpochAllocation nullable", value=True),
    "list of objects became one of texts": put(f"{ANALYTICS} properties byModel items", {"type": "string"}),
    "items made nullable": put(f"{ANALYTICS} properties topModels items nullable", value=True),
    "day total retyped": put(f"{SCHEMAS} DailyUsage properties USD type", "string"),
    "named series value retyped": put(f"{SCHEMAS} DailySeriesPoint additionalProperties type", "string"),
    "series made optional": without(f"{ANALYTICS} required", "byKeyDaily"),
    "error text removed": gone(f"{SCHEMAS} StandardError", "error"),
    "error text made optional": without(f"{SCHEMAS} StandardError required", "error"),
    "optional property retyped": put(f"{PAGE} properties warningMessage type", "integer"),
    "next cursor header renamed": rename(f"{HISTORY_CALL} responses 200 headers x-next-cursor", "x-cursor"),
    "next cursor header retyped": put(
        f"{HISTORY_CALL} responses 200 headers x-next-cursor schema", {"type": "integer"}
    ),
    "page total header removed": drop(f"{USAGE_CALL} responses 200 headers x-pagination-total"),
    "page total header retyped": put(f"{USAGE_CALL} responses 200 headers x-pagination-total schema type", "string"),
}

_COMPATIBLE: dict[str, Edit] = {
    "operation added": put(
        "paths /billing/invoices", {"get": {"operationId": "getInvoices", "responses": {"200": {"description": "OK"}}}}
    ),
    "operation deprecated": put(f"{HISTORY_CALL} deprecated", value=True),
    "parameter added": append(f"{HISTORY_CALL} parameters", NEW_PARAMETER),
    "currency filter widened": append(f"{SCHEMAS} HistoryCurrency enum", "EARNED_CREDITS"),
    "request enum opened": drop(f"{SCHEMAS} LegacyCurrency enum"),
    "maximum raised": put(f"{HISTORY_CALL} parameters pageSize schema maximum", 5000),
    "maximum removed": drop(f"{USAGE_CALL} parameters limit schema maximum"),
    "minimum lowered": put(f"{HISTORY_CALL} parameters pageSize schema minimum", 1),
    "length extended": put(f"{HISTORY_CALL} parameters cursor schema maxLength", 1024),
    "pattern removed": drop(f"{HISTORY_CALL} parameters cursor schema pattern"),
    "request format removed": drop(f"{HISTORY_CALL} parameters startTimestamp schema format"),
    "request type widened": put(f"{USAGE_CALL} parameters page schema type", "number"),
    "null accepted in a request": put(f"{HISTORY_CALL} parameters cursor schema nullable", value=True),
    "default changed": put(f"{HISTORY_CALL} parameters pageSize schema default", 500),
    "property added": put(f"{ENTRY} properties region", {"type": "string"}),
    "required property added": also(
        put(f"{ENTRY} properties region", {"type": "string"}), append(f"{ENTRY} required", "region")
    ),
    "response enum value added": append(f"{SCHEMAS} Currency enum", "GIFT_CARDS"),
    "response enum value removed": without(f"{SCHEMAS} Currency enum", "VCU"),
    "response enum opened": drop(f"{SCHEMAS} Currency enum"),
    "response enum added": put(f"{ENTRY} properties notes enum", ["API Inference", "Web"]),
    "number narrowed to integer": put(f"{ENTRY} properties units type", "integer"),
    "response bound added": put(f"{ENTRY} properties pricePerUnitUsd minimum", 0),
    "response bound removed": drop(f"{DETAILS} properties promptTokens minimum"),
    "response length removed": drop(f"{ENTRY} properties timestamp maxLength"),
    "response pattern removed": drop(f"{HISTORY_PAGE} properties nextCursor pattern"),
    "response format added": put(f"{SCHEMAS} DailyUsage properties date format", "date"),
    "page list longer": put(f"{HISTORY_PAGE} properties data maxItems", 5000),
    "null no longer sent": drop(f"{HISTORY_PAGE} properties nextCursor nullable"),
    "optional property removed": drop(f"{PAGE} properties warningMessage"),
    "optional property made required": append(f"{ENTRY} required", "apiKeyId"),
    "unknown fields forbidden": put(f"{ENTRY} additionalProperties", value=False),
    "error status removed": drop(f"{HISTORY_CALL} responses 404"),
    "gone status removed": drop(f"{USAGE_CALL} responses 410"),
    "error status added": put(f"{HISTORY_CALL} responses 418", {"description": "Teapot"}),
    "error body no longer described": drop(f"{HISTORY_CALL} responses 503 content"),
    "media type added": put(f"{HISTORY_CALL} responses 200 content application/xml", {"schema": {"type": "string"}}),
    "header added": put(f"{BALANCE_CALL} responses 200 headers", {"x-region": _COMMON_HEADER}),
    "header that is only information removed": drop(f"{USAGE_CALL} responses 200 headers Link"),
    "way to authenticate added": also(
        put("components securitySchemes Key", {"type": "apiKey", "in": "header", "name": "X-Api-Key"}),
        append("security", {"Key": []}),
    ),
}

_COSMETIC: dict[str, Edit] = {
    "description changed": put(f"{ENTRY} properties amount description", "How much."),
    "description removed": drop(f"{HISTORY_CALL} description"),
    "summary changed": put(f"{BALANCE_CALL} summary", "What is left"),
    "parameter described anew": put(f"{HISTORY_CALL} parameters pageSize description", "How many."),
    "status described anew": put(f"{HISTORY_CALL} responses 400 description", "Refused"),
    "title added": put(f"{ENTRY} title", "An entry"),
    "example changed": put(f"{HISTORY_CALL} parameters pageSize schema example", 10),
    "example removed": drop(f"{HISTORY_PAGE} example"),
    "tags changed": put(f"{HISTORY_CALL} tags", ["Ledger"]),
    "extension added": put(f"{HISTORY_CALL} x-stability", "stable"),
    "manual linked": put(f"{HISTORY_CALL} externalDocs", {"url": "https://docs.venice.ai"}),
    "order of operations": reverse("paths"),
    "order of parameters": reverse(f"{HISTORY_CALL} parameters"),
    "order of properties": reverse(f"{ENTRY} properties"),
    "order of required": reverse(f"{ENTRY} required"),
    "order of enum values": reverse(f"{SCHEMAS} Currency enum"),
    "order of statuses": reverse(f"{HISTORY_CALL} responses"),
    "order of media types": reverse(f"{HISTORY_CALL} responses 200 content"),
    "order of keys": reverse(BALANCE_CALL),
    "reference made inline": inline(f"{HISTORY_CALL} responses 200 content application/json schema"),
    "enum made inline": inline(f"{ENTRY} properties currency"),
    "inline made a reference": hoist(f"{HISTORY_CALL} parameters cursor schema", "Cursor"),
    "response made a reference": also(
        put("components responses", {}),
        move(f"{HISTORY_CALL} responses 400", "components responses Refused"),
        put(f"{HISTORY_CALL} responses 400", {"$ref": "#/components/responses/Refused"}),
    ),
    "reference wrapped": put(f"{PAGE} properties pagination", {"allOf": [{"$ref": "#/components/schemas/Pagination"}]}),
    "component renamed": rename_component("UsageEntry", "LedgerEntry"),
    "null worded as an alternative": put(
        f"{SCHEMAS} Balances properties diem", {"anyOf": [{"type": "number"}, {"nullable": True, "enum": [None]}]}
    ),
    "same bound in other words": also(
        put(f"{USAGE_CALL} parameters limit schema minimum", 0),
        put(f"{USAGE_CALL} parameters limit schema exclusiveMinimum", value=True),
    ),
    "security scheme renamed": also(
        rename("components securitySchemes BearerAuth", "AdminKey"), put("security", [{"AdminKey": []}])
    ),
    "flag said aloud": put(f"{HISTORY_CALL} deprecated", value=False),
}

_TABLES: tuple[tuple[Severity, dict[str, Edit]], ...] = (
    ("breaking", _OPERATIONS_BREAKING | _REQUESTS_BREAKING | _RESPONSES_BREAKING),
    ("compatible", _COMPATIBLE),
    ("cosmetic", _COSMETIC),
    *((severity, table) for tables in (ACCESS, REQUESTS, RESPONSES, FURTHER) for severity, table in tables),
)
MUTATIONS = tuple(Mutation(name, severity, edit) for severity, table in _TABLES for name, edit in table.items())
