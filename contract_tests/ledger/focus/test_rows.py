"""What an entry of the ledger becomes in a FOCUS file: its periods, units, key and request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.focus.account import CURRENCIES
from contract_tests.ledger.focus.files import TIMES, Row, booked, details_of, exported
from venice_billing.ledger.focus import product_of

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


def test_charge_period_is_the_second_and_billing_period_the_month(ledger: Ledger, tmp_path: Path) -> None:
    found = booked(
        ledger,
        tmp_path,
        {"timestamp": "2025-12-31T23:59:59.999999Z"},
        {"timestamp": "2026-01-01T00:00:00Z"},
    )
    assert [[row[name] for name in TIMES] + [row["x_Timestamp"]] for row in found] == [
        [
            "2025-12-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59Z",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59.999999Z",
        ],
        [
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-01-01T00:00:01Z",
            "2026-01-01T00:00:00Z",
        ],
    ]


def test_refund_of_an_earlier_month_is_a_correction_for_the_time_of_the_charge(ledger: Ledger, tmp_path: Path) -> None:
    charge, refund = {"timestamp": "2026-09-30T22:00:00.5Z"}, {"amount": 1}
    found = booked(
        ledger,
        tmp_path,
        {**charge, "inferenceDetails": details_of("early")},
        {**refund, "timestamp": "2026-10-01T01:00:00Z", "inferenceDetails": details_of("early")},
        {**refund, "timestamp": "2026-10-02T01:00:00Z", "inferenceDetails": details_of("never charged")},
        {"timestamp": "2026-10-03T01:00:00Z", "inferenceDetails": details_of("late")},
        {**refund, "timestamp": "2026-10-04T01:00:00Z", "inferenceDetails": details_of("late")},
        {**refund, "timestamp": "2026-11-01T01:00:00Z", "inferenceDetails": details_of("never charged")},
    )
    told = [
        (row["x_Kind"], row["ChargeClass"], row["ChargePeriodStart"], row["BillingPeriodStart"][:7]) for row in found
    ]
    assert told == [
        ("debit", "", "2026-09-30T22:00:00Z", "2026-09"),
        ("refund", "Correction", "2026-09-30T22:00:00Z", "2026-10"),
        ("refund", "", "2026-10-02T01:00:00Z", "2026-10"),
        ("debit", "", "2026-10-03T01:00:00Z", "2026-10"),
        ("refund", "", "2026-10-03T01:00:00Z", "2026-10"),
        ("refund", "", "2026-11-01T01:00:00Z", "2026-11"),
    ]


@pytest.mark.parametrize(
    ("sku", "priced", "consumed", "meter"),
    [
        ("zai-org-glm-5-1-llm-cache-read-mtoken", "1000000 Tokens", "Tokens", "Cache Read Tokens"),
        ("m-llm-output", "1000000 Tokens", "Tokens", "Output Tokens"),
        ("gpt-image-llm-image-input-mtoken", "1000000 Tokens", "Tokens", "Image Input Tokens"),
        ("grok-imagine-image-image-unit", "Images", "Images", "Images"),
        ("tts-kokoro-tts-chars-unit", "Characters", "Characters", "Characters"),
        ("whisper-large-v3-asr-seconds-unit", "Seconds", "Seconds", "Seconds"),
        ("wan-video-unit", "Videos", "Videos", "Videos"),
        ("web-search-unit", "Units", "Units", "Units"),
        ("", "Units", "Units", "Units"),
    ],
)
def test_units_are_read_from_the_sku(sku: str, priced: str, consumed: str, meter: str) -> None:
    product = product_of(sku)
    assert (product.pricing_unit, product.consumed_unit, product.meter) == (priced, consumed, meter)


def test_tokens_key_and_request_are_there(rows: dict[str, list[Row]]) -> None:
    first = rows["1.2"][0]
    assert first["SkuPriceDetails"] == '{"x_ModelId": "zai-org-glm-5-1", "x_Service": "llm", "x_Variant": "input"}'
    assert (first["PricingQuantity"], first["ConsumedQuantity"]) == ("0.008913", "8913.0")
    assert first["SubAccountId"] == first["SubAccountName"] == "key_4f1c09b7d2"
    assert (first["x_RequestId"], first["x_PromptTokens"], first["x_CompletionTokens"]) == (
        "chatcmpl-0-USD",
        "8913",
        "",
    )
    assert (first["x_Model"], first["x_Service"], first["x_Timestamp"]) == (
        "zai-org-glm-5-1",
        "llm",
        "2026-09-05T07:30:15.123456Z",
    )
    assert rows["1.2"][1]["SubAccountId"] == rows["1.2"][1]["SubAccountName"] == ""
    assert {row["x_Currency"] for row in rows["1.2"]} == set(CURRENCIES)


def test_account_is_named_after_the_ledger_or_as_told(
    synced: Ledger, rows: dict[str, list[Row]], tmp_path: Path
) -> None:
    assert {(row["BillingAccountId"], row["BillingAccountName"]) for row in rows["1.2"]} == {("acme", "acme")}
    told = exported(synced, tmp_path / "f.csv", account="Org 7")
    assert {row["BillingAccountId"] for row in told} == {"Org 7"}
