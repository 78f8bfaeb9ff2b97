"""The committed contract: valid, whole, in our own words, and true to what the wire sends."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV30SpecValidator

from contract.document import operations
from contract.schemas import Reader
from contract.structure import objects
from contract_tests.support.paths import CONTRACT, ROOT
from pipeline.canonical import canonical
from pipeline.cut import schema_references
from pipeline.documents import load_document
from pipeline.overlay import load_overlay

_CONTRACT = load_document(CONTRACT)
_SCHEMAS = _CONTRACT["components"]["schemas"]
_LIVE = ("/billing/balance", "/billing/usage-analytics", "/billing/usage-history")
_PATHS = (*_LIVE, "/billing/usage")


def _operation(path: str) -> dict[str, Any]:
    operation: dict[str, Any] = _CONTRACT["paths"][path]["get"]
    return operation


def test_it_is_valid_openapi_3_0() -> None:
    assert _CONTRACT["openapi"].startswith("3.0.")
    assert list(OpenAPIV30SpecValidator(_CONTRACT).iter_errors()) == []


def test_it_is_in_canonical_form() -> None:
    """Canonical order, nothing unused, no example that breaks its schema: canonicalising changes nothing."""
    assert canonical(_CONTRACT) == _CONTRACT
    assert repr(canonical(_CONTRACT)) == repr(_CONTRACT)


def test_its_head_says_where_it_comes_from() -> None:
    head = "".join(line for line in CONTRACT.read_text().splitlines(keepends=True) if line.startswith("#"))
    assert re.search(r"Upstream version: \d{8}\.\d{6}\n", head)
    assert re.search(r"Upstream sha256: +[0-9a-f]{64}\n", head)
    assert str(_CONTRACT["info"]["version"]) in head


def test_every_schema_is_used_and_every_reference_leads_somewhere() -> None:
    assert schema_references(_CONTRACT) == set(_SCHEMAS)


def test_no_inline_object_or_enum_is_left_without_a_name() -> None:
    named = {id(schema) for schema in _SCHEMAS.values()}
    inline = [
        one
        for kind, one in objects(_CONTRACT)
        if kind == "schema" and id(one) not in named and ("properties" in one or "enum" in one)
    ]
    assert [one for one in inline if one.get("enum") != [None]] == []


def test_the_four_operations_are_there_under_their_names() -> None:
    assert {path: operation["operationId"] for path, _, operation in operations(_CONTRACT)} == {
        "/billing/balance": "getBillingBalance",
        "/billing/usage": "getBillingUsage",
        "/billing/usage-analytics": "getBillingUsageAnalytics",
        "/billing/usage-history": "getBillingUsageHistory",
    }


@pytest.mark.parametrize("path", _PATHS)
def test_every_answer_of_the_wire_is_documented(path: str) -> None:
    responses = _operation(path)["responses"]
    expected = {"200", "400", "401", "402", "403", "404", "429", "500", "502", "503", "504"}
    assert set(responses) == expected | ({"410"} if path == "/billing/usage" else set())
    assert {"Retry-After", "x-ratelimit-reset-requests", "x-ratelimit-resets", "x-ratelimit-remaining"} <= set(
        responses["429"]["headers"]
    )


def test_the_retired_operation_says_what_replaces_it() -> None:
    retired = _operation("/billing/usage")
    assert retired["deprecated"] is True
    assert set(retired["responses"]["410"]["headers"]) == {"Deprecation", "Link", "Sunset"}
    assert set(retired["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    limits = {one["name"]: one["schema"] for one in retired["parameters"]}
    assert limits["limit"]["minimum"] == limits["page"]["minimum"] == 1
    assert "Accept" not in limits


def test_no_answer_is_a_closed_object() -> None:
    assert [one for _, one in objects(_CONTRACT) if one.get("additionalProperties") is False] == []


def test_what_the_wire_sends_and_no_document_names_is_there() -> None:
    assert {"VCU", "EARNED_CREDITS"} <= set(_SCHEMAS["Currency"]["enum"])
    assert "apiKeyId" not in _SCHEMAS["UsageEntry"]["required"]
    assert _SCHEMAS["UsageEntry"]["properties"]["apiKeyId"]["nullable"] is True
    analytics = _SCHEMAS["UsageAnalytics"]
    assert {"byModelDailyUsd", "byKeyDailyUsd"} <= set(analytics["properties"]) - set(analytics["required"])


@pytest.mark.parametrize("page", ["UsagePage", "UsageHistoryPage"])
def test_both_ledgers_have_the_same_entries(page: str) -> None:
    assert _SCHEMAS[page]["properties"]["data"]["items"] == {"$ref": "#/components/schemas/UsageEntry"}


@pytest.mark.parametrize(
    ("name", "body", "valid"),
    [
        ("UsageEntry", {"inferenceDetails": None}, True),
        ("UsageEntry", {"apiKeyId": None}, True),
        ("UsageEntry", {"timestamp": "yesterday"}, False),
        ("UsageEntry", {"inferenceDetails": {"requestId": "r"}}, False),
        ("StandardError", {"error": {"message": "m"}}, True),
        ("StandardError", {"error": 1}, False),
        ("DailySeriesPoint", {"date": 1, "any name": 0.5}, True),
        ("DailySeriesPoint", {"date": 1, "any name": "0.5"}, False),
        ("Balance", {"consumptionCurrency": None}, True),
    ],
)
def test_a_schema_tells_what_the_wire_may_send(name: str, body: dict[str, Any], *, valid: bool) -> None:
    entry = {"amount": -1, "currency": "VCU", "inferenceDetails": None, "notes": "", "pricePerUnitUsd": 1}
    entry |= {"sku": "s", "timestamp": "2026-01-01T00:00:00Z", "units": 1}
    balance = {"canConsume": True, "balances": {"diem": None, "usd": 1}, "diemEpochAllocation": 0}
    whole = {**{"UsageEntry": entry, "Balance": balance}.get(name, {}), **body}
    assert Reader(_CONTRACT).validator({"$ref": f"#/components/schemas/{name}"}).is_valid(whole) is valid


def test_the_rules_that_stand_only_in_prose_are_readable_by_machines() -> None:
    assert _operation("/billing/usage-history")["x-rules"] == [
        {"rule": "alone", "parameters": ["cursor"]},
        {"rule": "ascending", "parameters": ["startTimestamp", "endTimestamp"]},
    ]
    assert _operation("/billing/usage-analytics")["x-rules"] == [
        {"rule": "together", "parameters": ["startDate", "endDate"]},
        {"rule": "alone", "parameters": ["lookback"]},
    ]


def test_everything_a_caller_meets_is_described() -> None:
    """Operations, their parameters, success headers, schemas and properties: all have words."""
    silent = [path for path, _, operation in operations(_CONTRACT) if not operation.get("description")]
    for path, _, operation in operations(_CONTRACT):
        silent += [f"{path} {one['name']}" for one in operation.get("parameters", []) if not one.get("description")]
    for name, schema in _SCHEMAS.items():
        silent += [] if schema.get("description") else [name]
        for key, value in schema.get("properties", {}).items():
            silent += [] if value.get("description") or "$ref" in value else [f"{name}.{key}"]
    for kind, one in objects(_CONTRACT):
        silent += ["a header"] if kind == "header" and not one.get("description") else []
    assert silent == []


def test_no_words_stand_beside_a_reference_where_nobody_would_read_them() -> None:
    assert [one for _, one in objects(_CONTRACT) if "$ref" in one and len(one) > 1] == []


def test_every_example_of_ours_is_in_the_contract() -> None:
    """An example that broke its schema would have been dropped without a word."""
    actions = load_overlay(ROOT / "openapi" / "descriptions.yaml")
    named = {one.target.rpartition(".")[2]: one.update["example"] for one in actions if "example" in one.update}
    assert len(named) >= 3
    assert {name: _SCHEMAS[name].get("example") for name in named} == named
