"""The JSON of a statement -> Markdown for people. Pure."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing._table import markdown_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SUMS = ("debits", "refunds", "purchases", "credits", "net")
_NAMES = ("model", "key", "currency")
_COLUMNS_OF_CHANGES = {
    "number": "number",
    "seen at": "seen_at",
    "change": "change",
    "month": "month",
    "timestamp": "timestamp",
    "sku": "sku",
    "currency": "currency",
    "before": "amount_before",
    "after": "amount_after",
    "difference": "difference",
}


def markdown(statement: Mapping[str, Any]) -> str:
    """Return a statement as Markdown; it is given as `Statement.to_dict` gives it."""
    restatement = statement["restatement"]
    parts = [
        f"# Statement of {statement['month']}",
        "\n".join(f"- {fact}" for fact in _facts(statement)),
        _totals("Totals", statement["totals"]),
        _totals("By model", statement["by_model"]),
        _totals("By API key", statement["by_key"]),
        _totals("Before the month", statement["opening"]["totals"]),
        _totals("At the end of the month", statement["closing_totals"]),
        _changes("Adjustments of months closed before", statement["adjustments"]),
        _totals("Sums of the adjustments", statement["adjustment_totals"]) if statement["adjustments"] else "",
        _changes(f"Changes since revision {restatement['revision']}", restatement["changes"]) if restatement else "",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _facts(statement: Mapping[str, Any]) -> list[str]:
    opening, coverage, restatement = statement["opening"], statement["coverage"], statement["restatement"]
    before = f"{opening['month']}, revision {opening['revision']}, digest {opening['digest']}"
    covered_from = coverage["covered_from"] or "the beginning of the account"
    facts = [
        f"Status: {_status(statement)}",
        f"Time zone: {statement['timezone']}",
        f"Period: {statement['start']} up to {statement['end']}, the end excluded",
        f"Coverage: from {covered_from} up to {coverage['covered_until']}",
        f"Latest sync: number {coverage['sync']}, begun at {coverage['synced_at']}",
        f"Late charges were waited for: {timedelta(seconds=coverage['overlap_seconds'])}",
        f"Charges: {statement['count']}",
        f"Digest of the charges (SHA-256): {statement['digest']}",
        f"Closed before: {before if opening['month'] else 'none'}",
    ]
    if opening["open_months"]:
        facts.append(f"Earlier months with charges that were not closed: {', '.join(opening['open_months'])}")
    if restatement:
        facts.append(f"Digest in revision {restatement['revision']}: {restatement['digest']}")
    return facts


def _status(statement: Mapping[str, Any]) -> str:
    closed = f"closed, revision {statement['revision']}" if statement["is_closed"] else "not closed"
    late = "complete" if statement["is_complete"] else "INCOMPLETE: more charges of this month may come"
    return f"{closed}; {late}"


def _totals(title: str, rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return f"## {title}\n\nNone."
    columns = [name for name in (*_NAMES, *_SUMS, "count") if name in rows[0]]
    cells = [{name: Decimal(row[name]) if name in _SUMS else row[name] for name in columns} for row in rows]
    return f"## {title}\n\n{markdown_table(columns, cells)}"


def _changes(title: str, changes: Sequence[Mapping[str, Any]]) -> str:
    if not changes:
        return f"## {title}\n\nNone."
    rows = [{title: change[name] for title, name in _COLUMNS_OF_CHANGES.items()} for change in changes]
    for row in rows:
        row["difference"] = Decimal(row["difference"])
    return f"## {title}\n\n{markdown_table(list(_COLUMNS_OF_CHANGES), rows)}"
