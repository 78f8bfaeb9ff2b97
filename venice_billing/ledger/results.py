"""What a ledger tells of its syncs: the report of one, what is covered, what was changed, how far one has come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from venice_billing import _exact

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal
    from pathlib import Path

    from venice_billing.models import UsageEntry

__all__ = [
    "Adjustment",
    "Change",
    "Coverage",
    "CoveredStretch",
    "ExportFormat",
    "LedgerExport",
    "SyncProgress",
    "SyncReport",
]

Change = Literal["late", "altered", "vanished"]
"""What happened to a row in time that was covered before: it was booked late, it was changed, or it is gone."""

ExportFormat = Literal["csv", "jsonl", "parquet", "dataset", "focus"]
"""What an export of the ledger can be: one file, or, for a dataset, a folder of Parquet files by month and currency."""


@frozen(kw_only=True)
class SyncReport:
    """What a sync did. All times are UTC.

    Attributes:
        covered_from: The beginning of the stretch that was read; None: the beginning of the account.
        covered_until: The end of what is covered now: when the sync began.
        rows_read: How many rows the API gave for the stretch.
        rows_added: How many rows the ledger has more than before; negative if it has fewer.
        resumed_rows: How many of `rows_read` were there already, from a sync that was cut short.
        late: Rows that were booked late, in time covered before.
        altered: Rows that were changed there.
        vanished: Rows that are gone from there.
        is_full: Whether everything was read, not only the latest stretch.
    """

    covered_from: datetime | None
    covered_until: datetime
    rows_read: int
    rows_added: int
    resumed_rows: int
    late: int
    altered: int
    vanished: int
    is_full: bool


@frozen(kw_only=True)
class SyncProgress:
    """How far a sync has come.

    Attributes:
        rows: How many rows it has, those of a sync that was cut short among them.
        latest: The time of the latest row of the page just read.
        covered_from: The beginning of the stretch that is read; None: the beginning of the account.
        covered_until: When the sync began: where it will have come to at the end.
    """

    rows: int
    latest: datetime
    covered_from: datetime | None
    covered_until: datetime


@frozen(kw_only=True)
class Adjustment:
    """What a sync changed in time that was covered before.

    Attributes:
        number: They are numbered in the order in which they were seen; statements name it too.
        change: late, altered or vanished.
        seen_at: When the sync that saw it began.
        sync: The number of that sync.
        before: The row as it was; None if it came late.
        after: The row as it is; None if it vanished.
    """

    number: int
    change: Change
    seen_at: datetime
    sync: int
    before: UsageEntry | None
    after: UsageEntry | None

    @property
    def entry(self) -> UsageEntry:
        """The row: as it is, or as it was before it vanished."""
        entry = self.after or self.before
        if entry is None:
            raise ValueError("an adjustment has a row before or after it")
        return entry

    @property
    def difference(self) -> Decimal:
        """By how much the sum of signed amounts in the row's currency changed."""
        before = _exact.ZERO if self.before is None else self.before.amount
        after = _exact.ZERO if self.after is None else self.after.amount
        return _exact.subtract(after, before)


@frozen(kw_only=True)
class CoveredStretch:
    """A stretch of time, and the sync that read it last.

    Attributes:
        start: The beginning, included; None: the beginning of the account.
        end: The end, excluded.
        synced_at: When the sync that read it last began.
        sync: The number of that sync.
    """

    start: datetime | None
    end: datetime
    synced_at: datetime
    sync: int


@frozen(kw_only=True)
class Coverage:
    """What time a ledger covers: everything from the beginning of the account up to `until`.

    Attributes:
        until: The end; None: nothing is covered yet. In a file that was damaged, the first gap between two parts: the
            next sync fills it.
        since: When the first sync began.
        stretches: The parts, oldest first, each with the sync that read it last. A charge that was booked late, after
            that sync, may be missing from a part.
    """

    until: datetime | None
    since: datetime | None
    stretches: tuple[CoveredStretch, ...]


@frozen(kw_only=True)
class LedgerExport:
    """What an export of the ledger wrote.

    Attributes:
        path: The absolute path of the file or folder; None: a file object was given.
        format: What it is.
        rows: The number of charges in it.
        size: Its size in bytes; of a dataset, that of all its files.
        written: The files that were written now; of a dataset, those of months and currencies that had changed.
        removed: The files of a dataset that were removed, since the ledger has no charge of their month and currency.
    """

    path: Path | None
    format: ExportFormat
    rows: int
    size: int
    written: tuple[Path, ...] = ()
    removed: tuple[Path, ...] = ()
