"""What a ledger remembers of its syncs: adjustments, and what time is covered by which sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from venice_billing.ledger import _entries
from venice_billing.ledger._moments import moment
from venice_billing.ledger.results import Adjustment, Coverage, CoveredStretch

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from venice_billing.ledger._database import Database
    from venice_billing.models import UsageEntry


def adjustments(database: Database) -> list[Adjustment]:
    """Return the adjustments, in the order in which they were seen."""
    with database.reading() as cursor:
        changes = cursor.execute(
            "SELECT adjustment, change, epoch_us(seen_at), sync FROM changes ORDER BY adjustment"
        ).fetchall()
        before, after = (
            _by_adjustment(
                cursor.execute(
                    f"SELECT adjustment, {_entries.COLUMNS} FROM changed_rows WHERE side = $side", {"side": side}
                ).fetchall()
            )
            for side in ("before", "after")
        )
    return [
        Adjustment(
            number=adjustment,
            change=change,
            seen_at=moment(seen_at),
            sync=sync,
            before=before.get(adjustment),
            after=after.get(adjustment),
        )
        for adjustment, change, seen_at, sync in changes
    ]


def coverage(database: Database) -> Coverage:
    """Return what is covered, and by which sync."""
    with database.reading() as cursor:
        syncs = cursor.execute(
            "SELECT sync, epoch_us(covered_from), epoch_us(covered_until), epoch_us(synced_at) FROM syncs ORDER BY sync"
        ).fetchall()
    stretches: list[CoveredStretch] = []
    for sync, start, end, synced_at in syncs:
        read = CoveredStretch(
            start=None if start is None else moment(start), end=moment(end), synced_at=moment(synced_at), sync=sync
        )
        stretches = [*_before(stretches, read.start), read]
    return Coverage(
        until=max((stretch.end for stretch in stretches), default=None),
        since=moment(syncs[0][3]) if syncs else None,
        stretches=tuple(stretches),
    )


def _before(stretches: Iterable[CoveredStretch], end: datetime | None) -> list[CoveredStretch]:
    """Return what of the stretches lies before the beginning of a later one, which reads everything from there on."""
    left = []
    for stretch in stretches:
        if end is None or (stretch.start is not None and stretch.start >= end):
            continue
        last = min(stretch.end, end)
        left.append(CoveredStretch(start=stretch.start, end=last, synced_at=stretch.synced_at, sync=stretch.sync))
    return left


def _by_adjustment(rows: list[Any]) -> dict[int, UsageEntry]:
    entries = _entries.entries([row[1:] for row in rows])
    return {row[0]: entry for row, entry in zip(rows, entries, strict=True)}
