"""From the tables of a report to what charts draw: the smallest are one, long periods are in weeks or months. Pure.

Figures are exact here; charts round them to what a picture can show.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from decimal import MAX_EMAX, MIN_EMIN, ROUND_HALF_EVEN, Context, Decimal
from typing import TYPE_CHECKING

from attrs import frozen

from venice_billing import _exact
from venice_billing._calendar import first_of
from venice_billing._table import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from venice_billing._calendar import Unit
    from venice_billing.report.data import CurrencyReport, Report
    from venice_billing.spend import Dimension, SpendRow, SpendTable

__all__ = [
    "MOST_SERIES",
    "Bar",
    "Bucket",
    "Scale",
    "Series",
    "Stack",
    "bars",
    "folded",
    "label",
    "most_of",
    "others",
    "scale",
    "short",
    "stack",
    "steps",
    "total_of",
]

MOST_SERIES = 7
"""How many models have a colour of their own; the others share one."""

_MOST_DAYS = 400  # more are drawn as weeks
_MOST_WEEKS = 300 * 7  # more are drawn as months
_WIDEST = 64
_HALF = 30
_SHORTEST = 10
_ROUNDED = Context(prec=4, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
_DAY = timedelta(days=1)
_NAMELESS: Mapping[str, str] = {"key": "no key (web app)", "service": "no service", "model": "no model"}


@frozen
class Bucket:
    """A stretch of days that is drawn as one.

    Attributes:
        first: Its first day.
        until: The day after its last.
    """

    first: date
    until: date

    @property
    def text(self) -> str:
        """The day, or the first and the last day."""
        last = self.until - _DAY
        return self.first.isoformat() if last == self.first else f"{self.first} to {last}"


@frozen(kw_only=True)
class Series:
    """The debits of a model, or of all that have no colour of their own, in each bucket.

    Attributes:
        label: What it is called, as it may be shown.
        debits: The debits in each bucket.
    """

    label: str
    debits: Sequence[Decimal]


@frozen(kw_only=True)
class Stack:
    """Spend over time, by model.

    Attributes:
        unit: What a bucket is: a day, a week or a month.
        buckets: The stretches of the period so far.
        series: The models, the one that cost most first; the last one may be all others together.
    """

    unit: Unit
    buckets: Sequence[Bucket]
    series: Sequence[Series]

    def totals(self) -> list[Decimal]:
        """Return the debits of each bucket."""
        return [_sum(one.debits[at] for one in self.series) for at in range(len(self.buckets))]


@frozen(kw_only=True)
class Bar:
    """A bar: a name and what it cost.

    Attributes:
        label: The name, as it may be shown.
        debits: What it cost.
    """

    label: str
    debits: Decimal


@frozen(kw_only=True)
class Scale:
    """A power of ten that amounts are divided by, so that an axis has short numbers.

    Attributes:
        power: The power; 0 for most.
    """

    power: int

    def drawn(self, amount: Decimal) -> float:
        """Return where an amount is drawn."""
        return float(_exact.scaled(amount, -self.power))

    def unit(self, currency: str) -> str:
        """Return the unit of the axis."""
        return currency if not self.power else f"10^{self.power} {currency}"


def scale(amounts: Iterable[Decimal]) -> Scale:
    """Return the scale for amounts: 1 unless the largest is very small or very large."""
    most = max(amounts, default=_exact.ZERO)
    if not most or -4 <= most.adjusted() < 7:  # noqa: PLR2004 - up to ten million, and down to a ten-thousandth
        return Scale(power=0)
    return Scale(power=most.adjusted() // 3 * 3)


def most_of(amounts: Sequence[Decimal]) -> int:
    """Return the place of the largest amount; of equal ones, the first."""
    return max(range(len(amounts)), key=amounts.__getitem__)


def short(amount: Decimal) -> str:
    """Return an amount to the digit where it has at most ten, else to four significant ones, marked as rounded."""
    exact = _exact.text(amount)
    if len(exact) <= _SHORTEST:
        return exact
    mark = "~" if _ROUNDED.create_decimal(amount) != amount else ""
    return f"{mark}{_ROUNDED.create_decimal(amount):{_shape(amount)}}"


def _shape(amount: Decimal) -> str:
    return "f" if -6 <= amount.adjusted() <= 9 else "e"  # noqa: PLR2004 - as long as an exact one may be


def label(name: str | None, dimension: str, names: Mapping[str, str] | None = None) -> str:
    """Return a name of the API as it may be shown: on one line, nothing invisible in it, its ends if it is long."""
    if name is None:
        return _NAMELESS.get(dimension, "none")
    known = (names or {}).get(name)
    shown = printable(f"{known} ({name})" if known else name or '""', widest=None)
    return shown if len(shown) <= _WIDEST else f"{shown[:_HALF]}...{shown[-_HALF:]}"


def folded(rows: Sequence[SpendRow], most: int) -> tuple[Sequence[SpendRow], Sequence[SpendRow]]:
    """Return the rows that are shown, and those that are folded into one: a single one never is."""
    return (rows, ()) if len(rows) <= most + 1 else (rows[:most], rows[most:])


def others(number: int, dimension: Dimension) -> str:
    """Return the name of what is folded into one."""
    return f"{number:,} other {dimension}s"


def total_of(rows: Iterable[SpendRow]) -> Decimal:
    """Return the debits of rows of one currency."""
    return _sum(row.debits for row in rows)


def bars(table: SpendTable, dimension: Dimension, most: int, names: Mapping[str, str] | None = None) -> list[Bar]:
    """Return a bar for each of the names that cost most, and one for the others; none for what cost nothing."""
    shown, rest = folded(_charged(table), most)
    labels = _unlike([label(getattr(row, dimension), dimension, names) for row in shown])
    found = [Bar(label=text, debits=row.debits) for text, row in zip(labels, shown, strict=True)]
    return [*found, *([Bar(label=others(len(rest), dimension), debits=total_of(rest))] if rest else [])]


def stack(report: Report, part: CurrencyReport, most_days: int = _MOST_DAYS) -> Stack:
    """Return what each model cost over time: in days, or in weeks or months where there are too many days."""
    unit, buckets = steps(report.days[: len(part.cumulative)], most_days)
    places = {day.isoformat(): at for at, bucket in enumerate(buckets) for day in _days(bucket)}
    shown, rest = folded(_charged(part.by_model), MOST_SERIES)
    own = {row.model: at for at, row in enumerate(shown)}
    sums = [[_exact.ZERO] * len(buckets) for _ in range(len(shown) + bool(rest))]
    for row in part.by_day_and_model:
        if row.debits and row.day in places:
            debits, at = sums[own.get(row.model, len(shown))], places[row.day]
            debits[at] = _exact.add(debits[at], row.debits)
    labels = _unlike([label(row.model, "model") for row in shown])
    labels += [others(len(rest), "model")] if rest else []
    series = [Series(label=text, debits=debits) for text, debits in zip(labels, sums, strict=True)]
    return Stack(unit=unit, buckets=buckets, series=series)


def steps(days: Sequence[date], most_days: int = _MOST_DAYS) -> tuple[Unit, list[Bucket]]:
    """Return the buckets of days, cut to them at both ends, and what a whole one is."""
    unit: Unit = "day" if len(days) <= most_days else "week" if len(days) <= _MOST_WEEKS else "month"
    begins: dict[date, date] = {}
    for day in days:
        begins.setdefault(first_of(unit, day), day)
    firsts = list(begins.values())
    ends = [*firsts[1:], days[-1] + _DAY] if days else []
    return unit, [Bucket(first, until) for first, until in zip(firsts, ends, strict=True)]


def _charged(table: SpendTable) -> list[SpendRow]:
    return [row for row in table if row.debits]


def _days(bucket: Bucket) -> Iterable[date]:
    return (bucket.first + _DAY * number for number in range((bucket.until - bucket.first).days))


def _sum(amounts: Iterable[Decimal]) -> Decimal:
    whole = _exact.ZERO
    for amount in amounts:
        whole = _exact.add(whole, amount)
    return whole


def _unlike(labels: Sequence[str]) -> list[str]:
    """Return labels with a number behind those that look like one before: long names may differ in the middle alone."""
    seen: Counter[str] = Counter()
    found = []
    for text in labels:
        seen[text] += 1
        found.append(text if seen[text] == 1 else f"{text} ({seen[text]})")
    return found
