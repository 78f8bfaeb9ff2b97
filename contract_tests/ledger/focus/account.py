"""An account with a booking of every kind that a FOCUS file has to tell apart."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SKUS = {
    "zai-org-glm-5-1-llm-input-mtoken": ("0.7", "0.008913"),
    "zai-org-glm-5-1-llm-output-mtoken": ("2.8", "0.000041"),
    "zai-org-glm-5-1-llm-cache-read-mtoken": ("0.1375", "1.5"),
    "grok-imagine-image-image-unit": ("0.1", "1"),
    "tts-kokoro-tts-chars-unit": ("0.0000035", "880"),
    "whisper-large-v3-asr-seconds-unit": ("0.0001", "61"),
    "wan-video-unit": ("0.25", "1"),
    "web-search-unit": ("0.01", "1"),
}
CURRENCIES = ("USD", "DIEM", "VCU", "BUNDLED_CREDITS", "EARNED_CREDITS")
KEYS = ("key_4f1c09b7d2", None)


def account() -> FakeVenice:
    """Return the account: rows of September and October 2026, some hours apart."""
    first = datetime(2026, 9, 5, 7, 30, 15, 123456, tzinfo=UTC)
    rows = [
        {"timestamp": first + number * timedelta(hours=7), **row} for number, row in enumerate([*_usage(), *_others()])
    ]
    return FakeVenice(rows, now=NOW)


def _usage() -> Iterator[dict[str, Any]]:
    for number, (sku, (price, units)) in enumerate(SKUS.items()):
        for currency in CURRENCIES:
            for key in KEYS:
                yield {
                    "sku": sku,
                    "pricePerUnitUsd": Decimal(price),
                    "units": Decimal(units),
                    "amount": (Decimal(price) * Decimal(units)).copy_negate(),
                    "currency": currency,
                    "notes": "API Inference",
                    "apiKeyId": key,
                    "inferenceDetails": None if number == 7 else _request(f"chatcmpl-{number}-{currency}"),
                }


def _others() -> Iterator[dict[str, Any]]:
    credit = {"sku": "account-credit", "pricePerUnitUsd": 1, "inferenceDetails": None, "apiKeyId": None}
    for amount, currency, notes in (
        ("25", "USD", "Credit purchase, card"),
        ("50", "BUNDLED_CREDITS", "Bundled credits of the month"),
        ("1.5", "EARNED_CREDITS", "Referral reward"),
        ("3", "USD", "Goodwill"),
        ("10", "DIEM", "Allocation"),
    ):
        yield {**credit, "units": Decimal(amount), "amount": Decimal(amount), "currency": currency, "notes": notes}
    for request, currency in (("chatcmpl-0-USD", "USD"), ("generate-unknown", "USD"), ("chatcmpl-7", "DIEM")):
        refund = {"units": Decimal("0.0062391"), "amount": Decimal("0.0062391"), "currency": currency}
        yield {**credit, **refund, "notes": "Refund", "inferenceDetails": _request(request)}
    image = {"sku": "z-image-turbo-image-unit", "pricePerUnitUsd": Decimal("0.01"), "units": 1, "currency": "USD"}
    yield {**image, "amount": Decimal("-3.0799999999999996e-05"), "notes": "Inférence, équipe données\nretried"}
    yield {**image, "amount": Decimal(0), "notes": ""}
    yield from [{**image, "amount": Decimal("-0.01"), "notes": "twice"}] * 2


def _request(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "promptTokens": 8913, "completionTokens": None, "inferenceExecutionTime": 350}
