"""Bookings to add up, made one by one."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import attrs

from venice_billing import UsageEntry

if TYPE_CHECKING:
    from venice_billing.spend import SpendRow, SpendTable

REQUEST = {"requestId": "chatcmpl-1", "promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1}


def entry(amount: str | Decimal = "-1", **fields: Any) -> UsageEntry:
    """Return one booking: an image for USD, unless told otherwise."""
    wire = {
        "timestamp": "2026-10-15T12:00:00.000Z",
        "sku": "some-model-image-unit",
        "pricePerUnitUsd": 1,
        "units": 1,
        "currency": "USD",
        "notes": "API Inference",
        "inferenceDetails": None,
    }
    return attrs.evolve(UsageEntry.from_dict({**wire, "amount": 0, **fields}), amount=Decimal(amount))


def purchase(amount: str) -> UsageEntry:
    """Return credits that were bought."""
    return entry(amount, sku="account-credit", notes="Credit purchase, card")


def single(table: SpendTable) -> SpendRow:
    """Return the only row of a table."""
    [row] = table
    return row
