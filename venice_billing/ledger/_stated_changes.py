"""What syncs have changed in months that were closed, as statements list it."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing.ledger._moments import moment
from venice_billing.ledger.statement import StatedChange
from venice_billing.models import UsageEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing.ledger._database import Database


def stated_changes(database: Database, where: str, values: dict[str, Any]) -> tuple[StatedChange, ...]:
    """Return the adjustments of closed months after a number."""
    with database.reading() as cursor:
        rows = cursor.execute(
            f"""SELECT changes.adjustment, change, month, epoch_us(coalesce(a.timestamp, b.timestamp)),
                    coalesce(a.sku, b.sku), coalesce(a.currency, b.currency), coalesce(a.api_key_id, b.api_key_id),
                    coalesce(a.request_id, b.request_id), b.kind, b.amount_text, a.kind, a.amount_text,
                    epoch_us(seen_at), changes.sync, coalesce(a.entry_json, b.entry_json)
                FROM changes
                LEFT JOIN changed_rows AS b ON b.adjustment = changes.adjustment AND b.side = 'before'
                LEFT JOIN changed_rows AS a ON a.adjustment = changes.adjustment AND a.side = 'after'
                JOIN closed_months ON revision = 1 AND coalesce(a.timestamp, b.timestamp) >= period_start
                    AND coalesce(a.timestamp, b.timestamp) < period_end
                WHERE changes.adjustment > $since AND {where} ORDER BY changes.adjustment""",
            values,
        ).fetchall()
    return tuple(map(_change, rows))


def _change(row: Iterable[Any]) -> StatedChange:
    number, change, month, at, sku, currency, key, request_id, kind, amount, new_kind, new_amount, *others = row
    seen, sync, whole = others
    if whole is not None:  # the columns spell texts that are no Unicode with escapes; totals have them as sent
        entry = UsageEntry.from_json(whole)
        sku, currency, key = entry.sku, str(entry.currency), entry.api_key_id
        request_id = entry.inference_details.request_id if entry.inference_details is not None else None
    return StatedChange(
        number=number,
        change=change,
        month=month,
        timestamp=moment(at),
        sku=sku,
        currency=currency,
        key=key,
        request_id=request_id,
        kind_before=kind,
        amount_before=None if amount is None else Decimal(amount),
        kind_after=new_kind,
        amount_after=None if new_amount is None else Decimal(new_amount),
        seen_at=moment(seen),
        sync=sync,
    )
