"""The requests that were charged most: of entries, one by one, and of a ledger, where DuckDB finds the candidates."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import define, field

from venice_billing import _exact
from venice_billing.ledger._moments import microseconds, moment
from venice_billing.report.data import RequestSpend
from venice_billing.spend import kind_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from venice_billing.ledger import Ledger
    from venice_billing.models import UsageEntry

__all__ = ["MOST", "LargestRequests", "largest_of_ledger"]

MOST = 10
"""How many requests are kept of each currency."""

_CANDIDATES = 100  # of each currency, by sums in binary fractions, whose order may err in the sixteenth digit


@define
class _Request:
    time: datetime
    key: str | None
    debits: Decimal = _exact.ZERO
    count: int = 0
    models: dict[str, None] = field(factory=dict)


class LargestRequests:
    """The sums of requests, which grow entry by entry; memory grows with the number of requests."""

    def __init__(self) -> None:
        self._by_id: dict[tuple[str, str], _Request] = {}  # by currency and request
        self._single: dict[str, list[_Request]] = {}

    def add(self, entry: UsageEntry) -> None:
        """Add an entry, if it is a debit."""
        if kind_of(entry) == "debit":
            details = entry.inference_details
            request = None if details is None else details.request_id
            self.add_debit(
                entry.timestamp, request, entry.model, entry.api_key_id, str(entry.currency), entry.amount.copy_negate()
            )

    def add_debit(
        self, time: datetime, request_id: str | None, model: str, key: str | None, currency: str, debit: Decimal
    ) -> None:
        """Add a charge, as a positive amount."""
        if request_id:
            request = self._by_id.setdefault((currency, request_id), _Request(time, key))
        else:
            request = _Request(time, key)
            self._keep_single(currency, request)
        request.time = min(request.time, time)
        request.debits = _exact.add(request.debits, debit)
        request.count += 1
        request.models[model] = None

    def _keep_single(self, currency: str, request: _Request) -> None:
        kept = self._single.setdefault(currency, [])
        if len(kept) > _CANDIDATES:
            kept.sort(key=lambda one: (-one.debits, one.time))
            del kept[MOST:]
        kept.append(request)

    def largest(self) -> Mapping[str, Sequence[RequestSpend]]:
        """Return the largest requests of each currency, the largest first; equal ones by time."""
        found: dict[str, list[RequestSpend]] = {}
        for (currency, request_id), request in self._by_id.items():
            found.setdefault(currency, []).append(_spend(request, request_id))
        for currency, requests in self._single.items():
            found.setdefault(currency, []).extend(_spend(request, None) for request in requests)
        return {
            currency: sorted((one for one in requests if one.debits), key=_largest_first)[:MOST]
            for currency, requests in found.items()
        }


def largest_of_ledger(ledger: Ledger, start: datetime, end: datetime) -> Mapping[str, Sequence[RequestSpend]]:
    """Return the largest requests of each currency in a stretch of time of a ledger."""
    debits = ledger.relation().filter(
        f"kind = 'debit' AND timestamp >= make_timestamptz({microseconds(start)}) "
        f"AND timestamp < make_timestamptz({microseconds(end)})"
    )
    requests = LargestRequests()
    found: Any = debits.query("debits", _QUERY)  # None only for a statement that returns no rows
    for at, request_id, model, key, currency, amount in found.fetchall():
        requests.add_debit(moment(at), request_id, model, key, currency, Decimal(amount).copy_negate())
    return requests.largest()


_QUERY = f"""
WITH booked_rows AS MATERIALIZED (
    SELECT epoch_us(timestamp) AS booked, nullif(request_id, '') AS request, model, sku, api_key_id, currency,
        amount_text,
        coalesce(TRY_CAST(amount_text AS DOUBLE), CAST('-inf' AS DOUBLE)) AS about,
        CASE WHEN nullif(request_id, '') IS NULL THEN row_number() OVER () ELSE 0 END AS number
    FROM debits
), sums AS (
    SELECT request, number, currency, sum(about) AS about, min(booked) AS booked
    FROM booked_rows GROUP BY request, number, currency
), top AS (
    SELECT * FROM sums
    QUALIFY row_number() OVER (PARTITION BY currency ORDER BY about, booked, request) <= {_CANDIDATES}
)
SELECT r.booked, r.request, coalesce(model, sku), api_key_id, r.currency, amount_text
FROM booked_rows AS r JOIN top ON r.request IS NOT DISTINCT FROM top.request AND r.number = top.number
    AND r.currency = top.currency
ORDER BY r.booked, r.request
"""  # noqa: S608 - of our own number alone


def _spend(request: _Request, request_id: str | None) -> RequestSpend:
    return RequestSpend(
        time=request.time,
        request_id=request_id,
        models=tuple(request.models),
        key=request.key,
        debits=request.debits,
        count=request.count,
    )


def _largest_first(request: RequestSpend) -> tuple[Decimal, datetime, str]:
    return request.debits.copy_negate(), request.time, request.request_id or ""
