"""Which account a ledger is of, and a client reads: told by the first charge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venice_billing import VeniceBilling
    from venice_billing.ledger import Ledger
    from venice_billing.models import UsageEntry

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INSTANT = timedelta(microseconds=1)
_AROUND = timedelta(days=1)  # the API may hang on a narrow range


def first_charge(ledger: Ledger) -> UsageEntry | None:
    """Return a charge of the first instant of a ledger, without sorting all of it; None: it has none."""
    ((instant,),) = ledger.relation().aggregate("epoch_us(min(timestamp))").fetchall()
    if instant is None:
        return None
    start = _EPOCH + _INSTANT * instant
    return next(ledger.entries(start, start + _INSTANT), None)


def has_charge(client: VeniceBilling, charge: UsageEntry) -> bool:
    """Tell whether the account of a client has a charge."""
    start = charge.timestamp
    return charge in client.iter_usage_history(start_timestamp=start, end_timestamp=start + _AROUND)
