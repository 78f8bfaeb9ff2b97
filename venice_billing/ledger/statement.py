"""What was closed: the statement of a month, its JSON and its Markdown."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from venice_billing import _exact
from venice_billing._runtime.codec import format_datetime, parse_datetime
from venice_billing._spend_table import Groups
from venice_billing.ledger._statement_files import write_statement
from venice_billing.ledger._statement_markdown import markdown
from venice_billing.spend import SpendRow, SpendTable

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from venice_billing.ledger.results import Change
    from venice_billing.spend import Dimension, Kind

__all__ = ["Opening", "Restatement", "StatedChange", "StatedCoverage", "Statement"]

_FORMAT = 1
_SECOND = timedelta(seconds=1)


@frozen(kw_only=True)
class StatedChange:
    """A charge that a sync changed after its month had been closed. Amounts are signed: a debit is negative.

    Attributes:
        number: The number of the adjustment in the ledger; they are numbered in the order in which they were seen.
        change: late, altered or vanished.
        month: The month that it is of.
        timestamp: When the charge was booked.
        sku: What was sold.
        currency: The currency of both amounts.
        key: The id of the API key; None for the web app and for bookings that are no usage.
        request_id: The id of the request, if there is one.
        kind_before: What the charge was, as `spend.kind_of` tells it; None if it came late.
        amount_before: Its amount; None if it came late.
        kind_after: What the charge is; None if it vanished.
        amount_after: Its amount; None if it vanished.
        seen_at: When the sync that saw it began.
        sync: The number of that sync.
    """

    number: int
    change: Change
    month: str
    timestamp: datetime
    sku: str
    currency: str
    key: str | None
    request_id: str | None
    kind_before: Kind | None
    amount_before: Decimal | None
    kind_after: Kind | None
    amount_after: Decimal | None
    seen_at: datetime
    sync: int

    @property
    def difference(self) -> Decimal:
        """By how much the sum of signed amounts changed."""
        before, after = self.amount_before or _exact.ZERO, self.amount_after or _exact.ZERO
        return _exact.subtract(after, before)


@frozen(kw_only=True)
class Opening:
    """How things stood before the month.

    Attributes:
        month: The month closed before it; None: none was.
        revision: The revision of that month's latest statement.
        digest: The digest in that statement.
        open_months: Earlier months with charges that were not closed: no statement has these.
        totals: What was booked before the month, by currency.
    """

    month: str | None
    revision: int | None
    digest: str | None
    open_months: tuple[str, ...]
    totals: SpendTable


@frozen(kw_only=True)
class StatedCoverage:
    """What the ledger knew of the time of the month.

    Attributes:
        covered_from: The beginning of what is covered; None: the beginning of the account.
        covered_until: The end of it.
        sync: The number of the latest sync.
        synced_at: When that began.
        overlap: How long late charges are waited for.
    """

    covered_from: datetime | None
    covered_until: datetime
    sync: int
    synced_at: datetime
    overlap: timedelta


@frozen(kw_only=True)
class Restatement:
    """What has changed in a month since it was closed.

    Attributes:
        revision: The revision of the statement before this one.
        digest: The digest in it.
        is_complete: Whether that one was complete.
        changes: What syncs have changed in the month since.
    """

    revision: int
    digest: str
    is_complete: bool
    changes: tuple[StatedChange, ...]


@frozen(kw_only=True)
class Statement:
    """What was booked in a month, as it was when the month was closed. All sums are exact; all times are UTC.

    Over the first statements (revision 1) of all months, `totals` and `adjustment_totals` together count every charge
    once: a charge that comes late, in a month closed before, is among the `adjustments` of the month closed next.

    Attributes:
        month: The month, like "2026-10".
        timezone: The IANA name of the time zone of the month.
        start: The beginning of the month, included.
        end: The end of the month, excluded.
        revision: 1: the first closing; 2 and more: closed again after a change; 0: not closed, only computed.
        is_complete: Whether all of the month was read after late charges had been waited for.
        coverage: What the ledger knew then.
        digest: SHA-256 over the canonical rows of the month, in hexadecimal digits. "Close a month" in the guide of the
            ledger says how others compute it.
        count: How many charges the month has.
        opening: How things stood before the month.
        totals: The totals of the month, by currency.
        by_model: The same by model and currency.
        by_key: The same by API key and currency.
        adjustments: What was changed in months closed before, since the closing before this one.
        restatement: What has changed in this month since its statement before; None if there is none.
    """

    month: str
    timezone: str
    start: datetime
    end: datetime
    revision: int
    is_complete: bool
    coverage: StatedCoverage
    digest: str
    count: int
    opening: Opening
    totals: SpendTable
    by_model: SpendTable
    by_key: SpendTable
    adjustments: tuple[StatedChange, ...]
    restatement: Restatement | None

    @property
    def is_closed(self) -> bool:
        """Whether this was recorded; else it shows the month as it is so far."""
        return self.revision > 0

    @property
    def adjustment_totals(self) -> SpendTable:
        """The sum of `adjustments`, by currency: what was debits and is no longer lowers `debits`, and so on.

        `count` is how many charges there are more than before.
        """
        return change_totals(self.adjustments, self.timezone)

    @property
    def closing_totals(self) -> SpendTable:
        """What was booked up to the end of the month, by currency: `opening.totals` and `totals`."""
        before = [evolve(row, month="") for row in self.opening.totals]
        rows = [*before, *(evolve(row, month=self.month) for row in self.totals)]
        return SpendTable(rows, by=("month", "currency"), timezone=self.timezone).totals()

    def to_dict(self) -> dict[str, Any]:
        """Return the statement as JSON has it, with money as exact text."""
        return _to_dict(self)

    def to_json(self) -> str:
        """Return the statement as JSON, the same bytes each time. Money is text, like "0.0009746"."""
        return json.dumps(self.to_dict())

    def to_markdown(self) -> str:
        """Return the statement as Markdown for people, the same bytes each time."""
        return markdown(self.to_dict())

    def write(self, path: str | os.PathLike[str]) -> Path:
        """Write the statement to a file that only you may read, and return its absolute path.

        A file with the same bytes is left as it is; any other is never overwritten.

        Args:
            path: The file: JSON if it ends in .json, Markdown if in .md.

        Raises:
            InvalidParameterError: The path is none, or ends otherwise.
            ExportError: Something else is there, or the file cannot be written.
        """
        return write_statement(self, path)

    @classmethod
    def from_json(cls, text: str) -> Statement:
        """Return the statement that `to_json` wrote.

        Raises:
            ValueError: The text is no statement, or one of a later version.
        """
        try:
            return _from_dict(json.loads(text))
        except (LookupError, TypeError, ArithmeticError, RecursionError) as error:
            raise ValueError(f"no statement of a month: {type(error).__name__}: {error}") from error


def change_totals(changes: Iterable[StatedChange], timezone: str) -> SpendTable:
    """Return by how much changes have changed the totals of each currency."""
    groups = Groups(("currency",))
    for change in changes:
        sums = groups.of((change.currency,))
        if change.kind_before is not None and change.amount_before is not None:
            sums.add(change.kind_before, change.amount_before.copy_negate())  # unary minus would round
            sums.count -= 1
        if change.kind_after is not None and change.amount_after is not None:
            sums.add(change.kind_after, change.amount_after)
            sums.count += 1
    return groups.table(timezone)


def _to_dict(statement: Statement) -> dict[str, Any]:
    opening, coverage, restatement = statement.opening, statement.coverage, statement.restatement
    return {
        "format": _FORMAT,
        "month": statement.month,
        "timezone": statement.timezone,
        "start": format_datetime(statement.start),
        "end": format_datetime(statement.end),
        "revision": statement.revision,
        "is_closed": statement.is_closed,
        "is_complete": statement.is_complete,
        "coverage": {
            "covered_from": None if coverage.covered_from is None else format_datetime(coverage.covered_from),
            "covered_until": format_datetime(coverage.covered_until),
            "sync": coverage.sync,
            "synced_at": format_datetime(coverage.synced_at),
            "overlap_seconds": coverage.overlap // _SECOND,
        },
        "digest": statement.digest,
        "count": statement.count,
        "opening": {
            "month": opening.month,
            "revision": opening.revision,
            "digest": opening.digest,
            "open_months": list(opening.open_months),
            "totals": _rows(opening.totals),
        },
        "totals": _rows(statement.totals),
        "by_model": _rows(statement.by_model),
        "by_key": _rows(statement.by_key),
        "closing_totals": _rows(statement.closing_totals),
        "adjustments": [_change_to_dict(change) for change in statement.adjustments],
        "adjustment_totals": _rows(statement.adjustment_totals),
        "restatement": None
        if restatement is None
        else {
            "revision": restatement.revision,
            "digest": restatement.digest,
            "is_complete": restatement.is_complete,
            "changes": [_change_to_dict(change) for change in restatement.changes],
        },
    }


def _rows(table: SpendTable) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.to_dict()["rows"]
    return rows


def _change_to_dict(change: StatedChange) -> dict[str, Any]:
    return {
        "number": change.number,
        "change": change.change,
        "month": change.month,
        "timestamp": format_datetime(change.timestamp),
        "sku": change.sku,
        "currency": change.currency,
        "key": change.key,
        "request_id": change.request_id,
        "kind_before": change.kind_before,
        "amount_before": None if change.amount_before is None else _exact.text(change.amount_before),
        "kind_after": change.kind_after,
        "amount_after": None if change.amount_after is None else _exact.text(change.amount_after),
        "difference": _exact.text(change.difference),
        "seen_at": format_datetime(change.seen_at),
        "sync": change.sync,
    }


def _from_dict(fields: Mapping[str, Any]) -> Statement:
    if fields["format"] != _FORMAT:
        raise ValueError(f"a statement of format {fields['format']}, which this version does not know")
    timezone, coverage, opening, restatement = (
        fields[name] for name in ("timezone", "coverage", "opening", "restatement")
    )
    return Statement(
        month=fields["month"],
        timezone=timezone,
        start=parse_datetime(fields["start"]),
        end=parse_datetime(fields["end"]),
        revision=fields["revision"],
        is_complete=fields["is_complete"],
        coverage=StatedCoverage(
            covered_from=None if coverage["covered_from"] is None else parse_datetime(coverage["covered_from"]),
            covered_until=parse_datetime(coverage["covered_until"]),
            sync=coverage["sync"],
            synced_at=parse_datetime(coverage["synced_at"]),
            overlap=coverage["overlap_seconds"] * _SECOND,
        ),
        digest=fields["digest"],
        count=fields["count"],
        opening=Opening(
            month=opening["month"],
            revision=opening["revision"],
            digest=opening["digest"],
            open_months=tuple(opening["open_months"]),
            totals=_table(opening["totals"], (), timezone),
        ),
        totals=_table(fields["totals"], (), timezone),
        by_model=_table(fields["by_model"], ("model",), timezone),
        by_key=_table(fields["by_key"], ("key",), timezone),
        adjustments=tuple(map(_change_from_dict, fields["adjustments"])),
        restatement=None
        if restatement is None
        else Restatement(
            revision=restatement["revision"],
            digest=restatement["digest"],
            is_complete=restatement["is_complete"],
            changes=tuple(map(_change_from_dict, restatement["changes"])),
        ),
    )


def _table(rows: Iterable[Mapping[str, Any]], by: tuple[Dimension, ...], timezone: str) -> SpendTable:
    totals = [
        SpendRow(
            **{name: row[name] for name in by},
            currency=row["currency"],
            debits=Decimal(row["debits"]),
            refunds=Decimal(row["refunds"]),
            purchases=Decimal(row["purchases"]),
            credits=Decimal(row["credits"]),
            count=row["count"],
        )
        for row in rows
    ]
    return SpendTable(totals, by=by, timezone=timezone)


def _change_from_dict(fields: Mapping[str, Any]) -> StatedChange:
    before, after = fields["amount_before"], fields["amount_after"]
    return StatedChange(
        number=fields["number"],
        change=fields["change"],
        month=fields["month"],
        timestamp=parse_datetime(fields["timestamp"]),
        sku=fields["sku"],
        currency=fields["currency"],
        key=fields["key"],
        request_id=fields["request_id"],
        kind_before=fields["kind_before"],
        amount_before=None if before is None else Decimal(before),
        kind_after=fields["kind_after"],
        amount_after=None if after is None else Decimal(after),
        seen_at=parse_datetime(fields["seen_at"]),
        sync=fields["sync"],
    )
