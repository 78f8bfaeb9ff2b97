"""A log of requests that fits the demo account, with a few planted differences, for `reconcile --demo`. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing import _exact

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing.models import UsageEntry

PLANTED = "one amount that differs, one request that the log lacks, one that the ledger lacks"

_PLANTED = Decimal("0.01")
_FEWEST = 4  # requests: the first and the last of the log stay as they are


def log_of(entries: Iterable[UsageEntry]) -> list[dict[str, Any]]:
    """Return the records of the requests of some entries, oldest first, with the planted differences among them."""
    requests: dict[str, list[UsageEntry]] = {}
    for entry in entries:
        request_id = entry.inference_details and entry.inference_details.request_id
        if request_id:
            requests.setdefault(request_id, []).append(entry)
    ids = list(requests)
    left_out, altered = (ids[1], ids[2]) if len(ids) >= _FEWEST else (None, None)
    records = [
        _record(entry, request_id) for request_id in ids if request_id != left_out for entry in requests[request_id]
    ]
    for record in records:
        if record["request_id"] == altered:
            record["amount"] = _exact.subtract(record["amount"], _PLANTED)
            break
    if left_out is not None:
        time = requests[left_out][0].timestamp + timedelta(seconds=1)
        records.append({"request_id": "chatcmpl-that-the-ledger-lacks", "time": time})
    return records


def _record(entry: UsageEntry, request_id: str) -> dict[str, Any]:
    return {
        "request_id": request_id,
        "amount": entry.amount,
        "currency": str(entry.currency),
        "model": entry.model,
        "time": entry.timestamp,
    }
