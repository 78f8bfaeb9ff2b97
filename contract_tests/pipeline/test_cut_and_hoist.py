"""From the published document to the shape of the contract: cut to billing, schemas named, canonical."""

from __future__ import annotations

import pytest

from contract.document import Document, UnreadableDocumentError
from contract_tests.support.regeneration import UPSTREAM, contract_of
from pipeline.canonical import canonical
from pipeline.cut import cut_billing, strip_prose
from pipeline.documents import load_document
from pipeline.hoist import hoist_schemas


def test_every_operation_of_a_document_is_hoisted_to_the_promised_names() -> None:
    contract = contract_of(load_document(UPSTREAM))
    names = set(contract["components"]["schemas"])
    assert names == {
        *("Balance", "Balances", "Currency", "UsageEntry", "InferenceDetails", "UsagePage", "Pagination"),
        *("UsageHistoryPage", "UsageAnalytics", "DailyUsage", "ModelUsage", "ModelUsageBreakdown", "ApiKeyUsage"),
        *("DailySeriesPoint", "StandardError", "DetailedError", "DetailedErrorDetails", "ErrorObject"),
        *("HistoryCurrency", "LegacyCurrency", "SortOrder"),
    }


def test_cutting_keeps_what_an_operation_uses_and_nothing_else() -> None:
    document = cut_billing(load_document(UPSTREAM))
    assert set(document["components"]["schemas"]) == {"StandardError", "DetailedError"}
    assert set(document["components"]["securitySchemes"]) == {"BearerAuth"}
    history = document["paths"]["/billing/usage-history"]["get"]
    assert [one["name"] for one in history["parameters"]].count("currency") == 1
    assert "Sunset" in document["paths"]["/billing/usage"]["get"]["responses"]["410"]["headers"]


def test_a_reference_that_leads_to_itself_is_refused() -> None:
    loop = {"$ref": "#/components/responses/Loop"}
    with pytest.raises(UnreadableDocumentError, match="back to itself"):
        cut_billing(
            {
                "paths": {"/billing/x": {"get": {"responses": {"200": loop}}}},
                "components": {"responses": {"Loop": loop}},
            }
        )


def test_a_property_called_description_is_not_prose() -> None:
    contract = contract_of(load_document(UPSTREAM))
    assert contract["components"]["schemas"]["ApiKeyUsage"]["properties"]["description"]["type"] == "string"


def test_two_schemas_that_differ_never_share_a_name() -> None:
    document = strip_prose(cut_billing(_with_living_original(load_document(UPSTREAM))))
    schemas = hoist_schemas(document)["components"]["schemas"]
    assert set(schemas["UsageEntry"]["properties"]) != set(schemas["LegacyUsageEntry"]["properties"])
    page = schemas["UsagePage"]["properties"]["data"]["items"]
    assert page == {"$ref": "#/components/schemas/LegacyUsageEntry"}


def _with_living_original(document: Document) -> Document:
    entry = {"type": "object", "properties": {"amount": {"type": "number"}}}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": entry}}}
    responses = document["paths"]["/billing/usage"]["get"]["responses"]
    responses["200"] = {"content": {"application/json": {"schema": page}}}
    return document


def test_the_currencies_of_all_answers_are_united() -> None:
    document = load_document(UPSTREAM)
    balance = document["paths"]["/billing/balance"]["get"]["responses"]["200"]["content"]["application/json"]
    balance["schema"]["properties"]["consumptionCurrency"]["enum"].append("NOVEL")
    values = contract_of(document)["components"]["schemas"]["Currency"]["enum"]
    assert set(values) == {"USD", "VCU", "DIEM", "BUNDLED_CREDITS", "EARNED_CREDITS", "NOVEL"}
    assert len(values) == len(set(values))


def test_the_retired_operation_stays_while_its_successor_is_there() -> None:
    document = load_document(UPSTREAM)
    del document["paths"]["/billing/usage"]
    kept = contract_of(document)["paths"]["/billing/usage"]["get"]
    assert {"200", "410"} <= set(kept["responses"])
    del document["paths"]["/billing/usage-history"]
    assert "/billing/usage" not in contract_of(document)["paths"]


def test_what_upstream_drops_is_not_written_back() -> None:
    """A correction that restored a field would hide that the field is gone."""
    document = load_document(UPSTREAM)
    page = document["paths"]["/billing/usage-history"]["get"]["responses"]["200"]["content"]["application/json"]
    entry = page["schema"]["properties"]["data"]["items"]
    del entry["properties"]["units"], entry["properties"]["timestamp"]
    entry["required"] = [name for name in entry["required"] if name not in {"units", "timestamp"}]
    written = contract_of(document)["components"]["schemas"]["UsageEntry"]
    assert {"units", "timestamp"}.isdisjoint({*written["properties"], *written["required"]})


def test_an_example_that_breaks_its_schema_is_dropped() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "example": "x"}}, "example": {"a": 1}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}
    document = {
        "paths": {"/billing/x": {"get": {"responses": {"200": {"content": content}}}}},
        "components": {"schemas": {"S": schema}},
    }
    kept = canonical(document)["components"]["schemas"]["S"]
    assert kept["example"] == {"a": 1}
    assert "example" not in kept["properties"]["a"]
