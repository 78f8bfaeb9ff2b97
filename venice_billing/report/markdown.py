"""A report as Markdown: the figures of the page as tables, which are aligned as plain text too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing._table import escaped, markdown_table
from venice_billing.report import tables

if TYPE_CHECKING:
    from venice_billing.report.data import CurrencyReport, Report
    from venice_billing.report.tables import Table

__all__ = ["to_markdown"]


def to_markdown(report: Report) -> str:
    """Return a report as Markdown."""
    totals = tables.totals_table(report)
    lines = [*tables.head_lines(report), *tables.forecast_lines(report), f"DIEM epoch: {tables.epoch_line(report)}"]
    blocks = [
        f"# {escaped(tables.title(report))}",
        "\n".join(f"- {escaped(line)}" for line in lines),
        _table(totals) if totals.rows else "No bookings in this period.",
    ]
    for part in report.currencies:
        blocks += _part(report, part)
    return "\n\n".join([*blocks, escaped(tables.made_line(report))]) + "\n"


def _part(report: Report, part: CurrencyReport) -> list[str]:
    blocks = [f"## {escaped(part.currency)}", escaped(tables.part_line(report, part))]
    found = []
    if len(part.by_model):
        found.append(tables.group_table(report, part, "model"))
    if part.requests:
        found.append(tables.request_table(report, part))
    if part.totals.count:
        found += tables.more_tables(report, part)
    for table in found:
        blocks += [f"### {escaped(table.caption)}", _table(table)]
    return blocks


def _table(table: Table) -> str:
    names = [escaped(column.title) for column in table.columns]
    return markdown_table(
        names, [{name: cell.value for name, cell in zip(names, row, strict=True)} for row in table.rows]
    )
