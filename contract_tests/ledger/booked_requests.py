"""Accounts of requests, and what a reconciliation says of them, for the tests."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from contract_tests.support.flavours import NOW
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from venice_billing.ledger import (
        Ledger,
        Reconciliation,
        RequestResult,
    )


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SKU = "llama-3-3-70b-llm-output-mtoken"
RESULTS: tuple[RequestResult, ...] = ("matched", "differing", "missing", "not_covered", "unknown")


def booked(
    request_id: str | None, amount: str, currency: str = "USD", *, ago: timedelta = DAY, sku: str = SKU
) -> dict[str, Any]:
    """Return a row of the account."""
    details = {"promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1, "requestId": request_id}
    return {
        "timestamp": NOW - ago,
        "amount": amount,
        "currency": currency,
        "sku": sku,
        "inferenceDetails": None if request_id is None else details,
    }


def filled(ledger: Ledger, *rows: Mapping[str, Any]) -> Ledger:
    """Sync a ledger with an account of these rows."""
    with FakeVenice(rows, now=NOW).client() as client:
        ledger.sync(client)
    return ledger


def outcome(found: Reconciliation) -> dict[str, list[str]]:
    """Return the ids in each list that has any."""
    ids = {name: [request.request_id for request in getattr(found, name)] for name in RESULTS}
    return {name: listed for name, listed in ids.items() if listed}


def differences(found: Reconciliation) -> list[tuple[Any, ...]]:
    (request,) = found.differing
    return [(each.field, each.currency, each.log, each.ledger) for each in request.differences]
