"""`spend`: what was spent in a period, with today's share, a forecast, and the period before beside it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, get_args

from attrs import evolve, frozen

from venice_billing import _exact
from venice_billing._calendar import Period, midnight
from venice_billing._periods import PERIODS
from venice_billing.cli.currencies import wanted_currency
from venice_billing.cli.document import Document
from venice_billing.cli.errors import OK, UsageError
from venice_billing.cli.headings import head_of, local_text, title_of
from venice_billing.cli.periods import add_period, period_of
from venice_billing.cli.source import Totals, read_forecast, read_totals
from venice_billing.report.forecast import METHOD, share_of_today
from venice_billing.spend import Dimension, SpendRow, SpendTable

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Iterable, Mapping, Sequence

    from venice_billing.cli.session import Session

EXAMPLES = """examples:
  venice-billing spend                               this month, by currency
  venice-billing spend last-month --by model         what each model cost
  venice-billing spend --last 7d --by day --by key --format csv
  venice-billing spend --since 2026-10-15 --until 2026-11-01 --currency USD
  venice-billing spend --compare --timezone Europe/Berlin
"""

_NAMES: tuple[Dimension, ...] = get_args(Dimension)
_MOST_NAMES = 2
_FIGURES = ("debits", "refunds", "purchases", "credits", "net", "count")
_SPARKS = 30
_DAY = timedelta(days=1)
VALUES = {"by": _NAMES}


def configure(parser: ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "--by",
        action="append",
        default=[],
        metavar="NAME",
        help=f"group by one or two of {', '.join(_NAMES)}; currencies are never added up",
    )
    parser.add_argument("--currency", metavar="CODE", help="this currency alone")
    parser.add_argument("--complete", action="store_true", help="leave out today, which is not over")
    parser.add_argument("--compare", action="store_true", help="show the period before beside it")
    add_period(parser)


def run(session: Session) -> int:
    """Show the spend of a period."""
    options = session.options
    by = _names(options.by)
    if options.compare and set(by) & PERIODS.keys():
        raise UsageError(f"--compare with --by {', '.join(by)}: a {by[0]} has none before it; leave one out")
    period = _asked(session)
    finest = tuple(dict.fromkeys((*by, "day", "currency")))
    totals = read_totals(session, period, finest, wanted_currency(session))
    before = _before(session, period, totals, by) if options.compare else None
    session.show(_document(session, period, by, totals, before))
    return OK


def _names(given: Sequence[str]) -> tuple[Dimension, ...]:
    names = [name for text in given for name in text.split(",")]
    for name in names:
        if name not in _NAMES:
            raise UsageError(f"--by {name!r}: one or two of {', '.join(_NAMES)}")
    if len(set(names)) != len(names):
        raise UsageError(f"--by {', '.join(names)}: each once")
    if len([name for name in names if name != "currency"]) > _MOST_NAMES:
        raise UsageError(f"--by {', '.join(names)}: at most two")
    return tuple(_NAMES[_NAMES.index(name)] for name in names)


def _asked(session: Session) -> Period:
    """Return the period asked for, without today if so wanted."""
    period = period_of(session.options, session.zone, session.timezone, session.now)
    today = midnight(session.now.astimezone(session.zone).date(), session.zone)
    if not session.options.complete or period.end <= today:
        return period
    if period.start >= today:
        raise UsageError(f"--complete: {period.name} has no whole day yet")
    return evolve(period, name=f"{period.name}, whole days", end=today)


def _document(
    session: Session,
    period: Period,
    by: tuple[Dimension, ...],
    totals: Totals,
    before: _Before | None,
) -> Document:
    table = _ordered(totals.table.totals(by), by)
    columns = (*table.by, *_FIGURES)
    rows: list[dict[str, Any]] = [dict(row) for row in table.rows()]
    if before is not None:
        rows = _beside(rows, table.by, before)
        columns = (*columns, *before.stretches)
    gone = len(rows) - len(table)  # groups of the period before that are none of this one
    pictures = {name: [*cells, *[""] * gone] for name, cells in _pictures(session, period, table, totals).items()}
    estimates = read_forecast(session, period, totals)
    today = share_of_today(totals.table.totals(("day", "currency")), period, session.now)
    head = head_of(period, totals.until, is_complete=totals.is_complete)
    if today:
        head["today"] = [{"currency": currency, "debits": amount} for currency, amount in today.items()]
    if estimates:
        head["forecast"] = [{"currency": one.currency, "debits": one.expected, "method": METHOD} for one in estimates]
    if before is not None:
        head |= before.head()
    notes = [
        *(before.notes() if before is not None else []),
        *_today_notes(today),
        *[f"forecast: {one.expected:f} {one.currency} by the end of {period.name}, {METHOD}" for one in estimates],
        *([] if table else ["no charges in this period"]),
    ]
    return Document(
        title=title_of("spend of", period, totals.until, is_complete=totals.is_complete),
        columns=columns,
        rows=rows,
        head=head,
        notes=notes,
        shown=_shown(columns, rows),
        pictures=pictures,
    )


def _ordered(table: SpendTable, by: Sequence[Dimension]) -> SpendTable:
    """Return times in their order, and all else by what it cost, each currency by itself."""
    if set(by) & PERIODS.keys():
        return table
    by_cost = table.sorted_by("debits", descending=True)
    return by_cost.sorted_by("currency")


def _shown(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the columns that say something: no refunds, purchases or credits where there are none."""
    quiet = ("refunds", "purchases", "credits")
    shown = [name for name in columns if name not in quiet or any(row[name] for row in rows)]
    if not set(quiet) & set(shown):
        shown.remove("net")  # the debits again, with their sign
    return shown


def _today_notes(today: Mapping[str, Decimal]) -> list[str]:
    if not today:
        return []
    return ["today: " + ", ".join(f"{_exact.text(amount)} {currency}" for currency, amount in today.items())]


def _pictures(session: Session, period: Period, table: SpendTable, totals: Totals) -> dict[str, Sequence[Any]]:
    if session.options.format not in (None, "table") or not len(table):
        return {}
    from venice_billing.cli.terminal import bars, sparkline  # noqa: PLC0415 - rich is needed here alone

    most: dict[str, Decimal] = {}
    for row in table:
        most[row.currency] = max(most.get(row.currency, Decimal(0)), row.debits)
    pictures: dict[str, Sequence[Any]] = {
        "share": bars([row.debits for row in table], [most[row.currency] for row in table])
    }
    if not set(table.by) & PERIODS.keys() and (period.until - period.first) > _DAY:
        pictures["by day"] = [sparkline(series) for series in _series(period, table, totals)]
    return pictures


def _series(period: Period, table: SpendTable, totals: Totals) -> Iterable[list[Decimal]]:
    """Yield, for each row, what it cost in each day of the period so far, or each few days of a long one."""
    last = totals.until.astimezone(period.zone).date()
    days = [day.isoformat() for day in period.days() if day <= last]
    step = -(-len(days) // _SPARKS) or 1
    groups: dict[tuple[str | None, ...], dict[str, Decimal]] = {}
    for row in totals.table:
        sums = groups.setdefault(_group(row, table.by), {})
        day = row.day or ""
        sums[day] = _exact.add(sums.get(day, _exact.ZERO), row.debits)
    for row in table:
        sums = groups.get(_group(row, table.by), {})
        by_day = [sums.get(day, _exact.ZERO) for day in days]
        yield [sum(by_day[at : at + step], Decimal(0)) for at in range(0, len(by_day), step)]


def _group(row: SpendRow, by: Sequence[str]) -> tuple[str | None, ...]:
    return tuple(getattr(row, name) for name in by)


@frozen
class _Before:
    """The period before, and its debits by group.

    Attributes:
        stretches: What each further column is of: the period before, and as much of it as has passed of this one.
        debits: The debits of each group in these columns.
    """

    stretches: Mapping[str, Period]
    debits: Mapping[tuple[str | None, ...], Mapping[str, Decimal]]

    def head(self) -> dict[str, Any]:
        """Return the stretches for JSON."""
        return {
            column.removeprefix("debits_"): {"start": stretch.start, "end": stretch.end}
            for column, stretch in self.stretches.items()
        }

    def notes(self) -> list[str]:
        """Return the stretches for people."""
        return [
            f"{column.replace('_', ' ')}: {stretch.name} ({local_text(stretch.start, stretch)} to "
            f"{local_text(stretch.end, stretch)})"
            for column, stretch in self.stretches.items()
        ]


def _before(session: Session, period: Period, totals: Totals, by: tuple[Dimension, ...]) -> _Before:
    try:
        whole = period.before()
    except OverflowError:
        raise UsageError(f"--compare: there is no period before {period.name}") from None
    stretches = {"debits_before": whole}
    if not totals.is_complete:
        reached = min(whole.start + (totals.until - period.start), whole.end)
        stretches = {"debits_before_so_far": evolve(whole, end=reached), **stretches}
    names = tuple(dict.fromkeys((*by, "currency")))
    debits: dict[tuple[str | None, ...], dict[str, Decimal]] = {}
    for column, stretch in stretches.items():
        for row in read_totals(session, stretch, names, totals.currency).table:
            sums = debits.setdefault(_group(row, names), dict.fromkeys(stretches, _exact.ZERO))
            sums[column] = row.debits
    return _Before(stretches, debits)


def _beside(rows: list[dict[str, Any]], by: Sequence[str], before: _Before) -> list[dict[str, Any]]:
    """Return the rows with the debits of the period before; those that are no more are at the end."""
    nothing = dict.fromkeys(before.stretches, _exact.ZERO)
    groups = {tuple(row[name] for name in by) for row in rows}
    beside = [{**row, **before.debits.get(tuple(row[name] for name in by), nothing)} for row in rows]
    empty = {**dict.fromkeys(_FIGURES, _exact.ZERO), "count": 0}
    gone = [
        {**dict(zip(by, group, strict=True)), **empty, **sums}
        for group, sums in before.debits.items()
        if group not in groups
    ]
    return [*beside, *gone]
