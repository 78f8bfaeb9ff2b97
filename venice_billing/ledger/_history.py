"""What a ledger remembers of its syncs: adjustments, and what time is covered by which sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve

from venice_billing.ledger import _entries
from venice_billing.ledger._moments import CLOCK_SKEW, moment
from venice_billing.ledger._moments import now as clock
from venice_billing.ledger.results import Adjustment, Coverage, CoveredStretch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
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


def coverage(database: Database, now: datetime | None = None) -> Coverage:
    """Return what is covered, and by which sync.

    A sync that claims a later time than one after it, or than now, had a clock that was ahead: it is believed up to
    that other time. Where one of the two was behind instead, that is less than was read, and is read once more.

    Stretches without a gap are the rule. A damaged file may have one: what is covered ends there, so that the next sync
    begins before it.

    Args:
        database: The ledger.
        now: What time it is; None: as the clock of this machine says.
    """
    syncs = _syncs(database)
    stretches: list[CoveredStretch] = []
    for read in _believed(syncs, clock() if now is None else now):
        if read.start is None or read.start < read.end:
            stretches = [*_before(stretches, read.start), read]
    return Coverage(
        until=_first_end(stretches),
        since=syncs[0].synced_at if syncs else None,
        stretches=tuple(stretches),
    )


def gap(coverage: Coverage) -> tuple[datetime | None, datetime] | None:
    """Return the first stretch of time that no sync has read, if there is one before the end; None: the beginning."""
    later = [at.start for at in coverage.stretches if at.start is not None]
    after = [start for start in later if coverage.until is None or start > coverage.until]
    return (coverage.until, after[0]) if after else None


def latest_began_at(database: Database) -> datetime | None:
    """Return when the latest sync began, as its clock said."""
    syncs = _syncs(database)
    return syncs[-1].synced_at if syncs else None


def _syncs(database: Database) -> list[CoveredStretch]:
    """Return what each sync read, as it claims."""
    with database.reading() as cursor:
        rows = cursor.execute(
            "SELECT epoch_us(covered_from), epoch_us(covered_until), epoch_us(synced_at), sync FROM syncs ORDER BY sync"
        ).fetchall()
    return [
        CoveredStretch(
            start=None if start is None else moment(start), end=moment(end), synced_at=moment(synced_at), sync=sync
        )
        for start, end, synced_at, sync in rows
    ]


def _believed(syncs: Sequence[CoveredStretch], now: datetime) -> list[CoveredStretch]:
    """Return what each sync read, up to a time that neither a later sync nor the clock contradicts."""
    believed = []
    latest = max(now, syncs[-1].synced_at) if syncs and syncs[-1].synced_at <= now + CLOCK_SKEW else now
    for sync in reversed(syncs):
        latest = min(latest, sync.synced_at)
        end = min(sync.end, latest) if sync.start is None else max(sync.start, min(sync.end, latest))
        believed.append(evolve(sync, end=end, synced_at=latest))
    return believed[::-1]


def _before(stretches: Iterable[CoveredStretch], end: datetime | None) -> list[CoveredStretch]:
    """Return what of the stretches lies before the beginning of a later one, which reads everything from there on."""
    left = []
    for stretch in stretches:
        if end is None or (stretch.start is not None and stretch.start >= end):
            continue
        last = min(stretch.end, end)
        left.append(CoveredStretch(start=stretch.start, end=last, synced_at=stretch.synced_at, sync=stretch.sync))
    return left


def _first_end(stretches: Iterable[CoveredStretch]) -> datetime | None:
    """Return up to where stretches follow one another from the beginning on."""
    until: datetime | None = None
    for stretch in stretches:
        if stretch.start is not None and (until is None or stretch.start > until):
            break
        until = stretch.end
    return until


def _by_adjustment(rows: list[Any]) -> dict[int, UsageEntry]:
    entries = _entries.entries([row[1:] for row in rows])
    return {row[0]: entry for row, entry in zip(rows, entries, strict=True)}
