"""Which account it is that a client reads: told by a charge."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venice_billing import VeniceBilling
    from venice_billing.models import UsageEntry

_AROUND = timedelta(days=1)  # the API may hang on a narrow range


def has_charge(client: VeniceBilling, charge: UsageEntry) -> bool:
    """Tell whether the account of a client has a charge."""
    start = charge.timestamp
    return charge in client.iter_usage_history(start_timestamp=start, end_timestamp=start + _AROUND)
