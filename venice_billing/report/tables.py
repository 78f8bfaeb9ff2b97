"""The tables and lines of a report, as pages and Markdown show them: every figure to the digit. Pure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from attrs import frozen

from venice_billing import _exact
from venice_billing._table import printable
from venice_billing.report.forecast import METHOD
from venice_billing.report.shapes import folded, label, others, steps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from venice_billing.report.data import CurrencyReport, Report
    from venice_billing.spend import Dimension, SpendRow, SpendTable

__all__ = [
    "Cell",
    "Table",
    "epoch_line",
    "forecast_lines",
    "head_lines",
    "made_line",
    "more_tables",
    "part_line",
    "request_table",
    "title",
    "totals_table",
]

_FIGURES = ("debits", "refunds", "purchases", "credits", "net", "count")
_HEADINGS: Mapping[str, str] = {"key": "API key", "net": "net (signed)", "count": "bookings"}
_QUIET = ("refunds", "purchases", "credits")
_MOST_ROWS = 500  # of a table: the others are one row, so that the sums stay whole
_LONGEST_ID = 80


@frozen(kw_only=True)
class Cell:
    """A cell.

    Attributes:
        value: What stands in it: text, or a number to the digit.
        order: Its place in the order of its column.
        figure: What the number is, with the currency: "USD debits"; empty but for totals.
    """

    value: str | int | Decimal
    order: int = 0
    figure: str = ""

    @property
    def is_number(self) -> bool:
        """Whether it is a number."""
        return not isinstance(self.value, str)

    @property
    def text(self) -> str:
        """What is shown."""
        return self.value if isinstance(self.value, str) else _exact.text(Decimal(self.value))


@frozen(kw_only=True)
class Column:
    """The heading of a column.

    Attributes:
        title: What it says.
        is_number: Whether the column has numbers.
        sort: How the rows are ordered by it, if they are: "descending".
    """

    title: str
    is_number: bool
    sort: str = ""


@frozen(kw_only=True)
class Table:
    """A table.

    Attributes:
        id: A name without spaces, of its own in a report.
        caption: What it shows.
        columns: The headings.
        rows: The cells of each row.
    """

    id: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]


def title(report: Report) -> str:
    """Return the title of a report."""
    return f"Venice spend of {report.name}"


def head_lines(report: Report) -> list[str]:
    """Return what period it is of, in which zone, and whether it is complete."""
    state = "complete" if report.is_complete else f"not complete: charges until {_local(report.until, report)}"
    period = f"{_local(report.start, report)} to {_local(report.end, report)} (excluded), time zone {report.timezone}"
    return [f"{state[0].upper()}{state[1:]}.", f"Period: {period}."]


def made_line(report: Report) -> str:
    """Return when the report was made."""
    demo = " The account is made up." if report.is_demo else ""
    return (
        f"Made at {_local(report.made_at, report)} ({report.timezone}). A debit is what was charged; amounts of two "
        f"currencies are never added.{demo}"
    )


def forecast_lines(report: Report) -> list[str]:
    """Return the forecast of each currency, and how it was made."""
    until = f"by the end of {report.name}, {METHOD}"
    return [
        f"Forecast: {_exact.text(part.forecast.expected)} {_shown(part.currency)} {until}."
        for part in report.currencies
        if part.forecast is not None
    ]


def epoch_line(report: Report) -> str:
    """Return how much of the DIEM epoch is used, or that it is not known."""
    epoch = report.epoch
    if epoch is None:
        return "Not known: the balance was not asked for, or the account has no DIEM."
    used = _exact.text(_exact.subtract(epoch.allocation, epoch.left))
    return f"{used} of {_exact.text(epoch.allocation)} DIEM used ({_exact.text(epoch.used_percent)} %)."


def part_line(report: Report, part: CurrencyReport) -> str:
    """Return what was charged in a currency, and in the period before."""
    currency = _shown(part.currency)
    spent = f"{_exact.text(part.totals.debits)} {currency} charged in {part.totals.count:,} bookings"
    if report.before_name is None:
        return f"{spent}."
    return f"{spent}; {_exact.text(part.before.debits)} {currency} in {report.before_name}."


def totals_table(report: Report) -> Table:
    """Return the totals of each currency."""
    rows = [
        [Cell(value=_shown(part.currency)), *_figures(part.totals, _FIGURES, mark=True)] for part in report.currencies
    ]
    columns = [Column(title="currency", is_number=False), *(_column(name) for name in _FIGURES)]
    return Table(id="totals", caption=f"Totals of {report.name}, by currency", columns=columns, rows=rows)


def group_table(report: Report, part: CurrencyReport, dimension: Dimension) -> Table:
    """Return what each model, key or service cost; those that cost least are one row where there are too many."""
    table: SpendTable = getattr(part, f"by_{dimension}")
    shown, rest = folded(list(table), _MOST_ROWS)
    figures = _worth_showing(table)
    lines: list[list[str | int | Decimal]] = [
        [label(getattr(row, dimension), dimension, report.key_names), *_values(row, figures)] for row in shown
    ]
    if rest:
        whole = next(iter(type(table)(rest, by=table.by, timezone=table.timezone).totals()))
        lines.append([others(len(rest), dimension), *_values(whole, figures)])
    heading = _HEADINGS.get(dimension, dimension)
    columns = [Column(title=heading, is_number=False), *(_column(name, part.currency) for name in figures)]
    columns[1] = Column(title=columns[1].title, is_number=True, sort="descending")
    return Table(
        id=f"{dimension}s-{_id(report, part)}",
        caption=f"Spend by {heading} in {_shown(part.currency)}",
        columns=columns,
        rows=_ordered(lines),
    )


def request_table(report: Report, part: CurrencyReport) -> Table:
    """Return the biggest requests."""
    lines: list[list[str | int | Decimal]] = [
        [
            _local(one.time, report, with_seconds=True),
            ", ".join(label(model, "model") for model in one.models),
            label(one.key, "key", report.key_names),
            _cut(one.request_id) if one.request_id else "none",
            one.debits,
            one.count,
        ]
        for one in part.requests
    ]
    names = (f"time ({report.timezone})", "model", "API key", "request")
    columns = [*(Column(title=name, is_number=False) for name in names)]
    columns += [
        Column(title=f"debits ({_shown(part.currency)})", is_number=True, sort="descending"),
        Column(title="bookings", is_number=True),
    ]
    caption = f"The {len(lines)} requests that were charged most in {_shown(part.currency)}"
    return Table(id=f"requests-{_id(report, part)}", caption=caption, columns=columns, rows=_ordered(lines))


def day_table(report: Report, part: CurrencyReport) -> Table:
    """Return what each day cost; weeks or months where there are too many days."""
    unit, buckets = steps(report.days[: len(part.cumulative)])
    debits = {row.day: row.debits for row in part.by_day}
    lines: list[list[str | int | Decimal]] = []
    before = _exact.ZERO
    day = 0
    for bucket in buckets:
        day += (bucket.until - bucket.first).days
        spent = (
            debits.get(bucket.text, _exact.ZERO) if unit == "day" else _exact.subtract(part.cumulative[day - 1], before)
        )
        before = part.cumulative[day - 1]
        lines.append([bucket.text, spent, before])
    columns = [
        Column(title=unit, is_number=False, sort="ascending"),
        _column("debits", part.currency),
        Column(title="cumulative", is_number=True),
    ]
    caption = f"Spend by {unit} in {_shown(part.currency)}"
    return Table(id=f"days-{_id(report, part)}", caption=caption, columns=columns, rows=_ordered(lines))


def more_tables(report: Report, part: CurrencyReport) -> list[Table]:
    """Return the tables that stand behind the charts."""
    return [
        day_table(report, part),
        group_table(report, part, "key"),
        group_table(report, part, "service"),
    ]


def _worth_showing(table: SpendTable) -> list[str]:
    """Return the figures of which there are any: no refunds, purchases or credits where there are none."""
    shown = [name for name in _FIGURES if name not in _QUIET or any(getattr(row, name) for row in table)]
    if not set(_QUIET) & set(shown):
        shown.remove("net")  # the debits again, with their sign
    return shown


def _values(row: SpendRow, names: Iterable[str]) -> list[str | int | Decimal]:
    return [getattr(row, name) for name in names]


def _figures(row: SpendRow, names: Iterable[str], *, mark: bool = False) -> list[Cell]:
    return [Cell(value=getattr(row, name), figure=f"{_shown(row.currency)} {name}" if mark else "") for name in names]


def _column(name: str, currency: str | None = None) -> Column:
    heading = _HEADINGS.get(name, name)
    unit = f" ({_shown(currency)})" if currency and name == "debits" else ""
    return Column(title=f"{heading}{unit}", is_number=True)


def _ordered(lines: Sequence[Sequence[str | int | Decimal]]) -> list[list[Cell]]:
    """Return the cells of a table, each with its place in the order of its column; equal ones have one place."""
    places = [_places(column) for column in zip(*lines, strict=True)]
    return [
        [Cell(value=value, order=order[at]) for value, order in zip(line, places, strict=True)]
        for at, line in enumerate(lines)
    ]


def _places(values: Sequence[str | int | Decimal]) -> list[int]:
    keys = [value.casefold() if isinstance(value, str) else Decimal(value) for value in values]
    ranks: dict[str | Decimal, int] = {key: at for at, key in enumerate(sorted(set(keys), key=_order))}
    return [ranks[key] for key in keys]


def _order(key: str | Decimal) -> tuple[str, Decimal]:
    return (key, _exact.ZERO) if isinstance(key, str) else ("", key)


def _id(report: Report, part: CurrencyReport) -> str:
    return f"part-{list(report.currencies).index(part) + 1}"


def _shown(text: str) -> str:
    return label(text, "currency")


def _cut(text: str) -> str:
    shown = printable(text, widest=None)
    return shown if len(shown) <= _LONGEST_ID else f"{shown[: _LONGEST_ID // 2]}...{shown[-_LONGEST_ID // 2 :]}"


def _local(moment: datetime, report: Report, *, with_seconds: bool = False) -> str:
    local = moment.astimezone(ZoneInfo(report.timezone))
    if with_seconds:
        return f"{local:%Y-%m-%d %H:%M:%S}"
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute, local.second) == (0, 0, 0) else f"{local:%Y-%m-%d %H:%M}"
