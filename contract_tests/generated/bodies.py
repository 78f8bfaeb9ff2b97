"""Decoded JSON bodies that the tests of the generated layer read."""

from __future__ import annotations

from decimal import Decimal
from typing import Any


def entry(**changes: Any) -> dict[str, Any]:
    """Return an entry of the ledger as decoded JSON."""
    return {
        "amount": Decimal("-0.10"),
        "currency": "USD",
        "inferenceDetails": None,
        "notes": "API",
        "pricePerUnitUsd": Decimal("2.80"),
        "sku": "some-model-llm-output-mtoken",
        "timestamp": "2026-06-15T19:05:10.504Z",
        "units": Decimal("0.000227"),
        **changes,
    }


def details(**changes: Any) -> dict[str, Any]:
    """Return the inference details of an entry."""
    return {"completionTokens": 1, "inferenceExecutionTime": 2, "promptTokens": None, "requestId": "r", **changes}


def without(mapping: dict[str, Any], name: str) -> dict[str, Any]:
    """Return a mapping without one of its names."""
    return {key: value for key, value in mapping.items() if key != name}
