"""The DIEM epoch: what of its allocation is used. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from venice_billing.models import Balance

__all__ = ["used_percent"]

_STEP = Decimal("0.1")
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def used_percent(balance: Balance) -> Decimal | None:
    """Return how many per cent of the epoch's DIEM are used, to a tenth; None: the account has no allocation."""
    granted, left = balance.diem_epoch_allocation, balance.balances.diem
    if left is None or granted <= 0:
        return None
    used = _CONTEXT.multiply(_CONTEXT.divide(_CONTEXT.subtract(granted, left), granted), Decimal(100))
    return used.quantize(_STEP, context=_CONTEXT)
