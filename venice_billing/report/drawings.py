"""What each chart of a report draws, at any width, as specifications of altair.

Colours are those of Okabe and Ito, which colour-blind people tell apart. The colours of texts, lines and backgrounds
are named in `INKS`: a page replaces them in the dark.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

from venice_billing import _exact
from venice_billing.errors import ExportError
from venice_billing.report.forecast import METHOD
from venice_billing.report.shapes import MOST_SERIES, bars, most_of, scale, short, stack

try:
    import altair as alt
except ImportError as error:  # pragma: no cover - tested in a fresh environment
    raise ExportError("charts need the extra `report`: pip install 'venice-billing[report]'") from error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from decimal import Decimal

    from venice_billing.report.data import CurrencyReport, Report
    from venice_billing.report.shapes import Scale, Stack
    from venice_billing.spend import Dimension

__all__ = ["COLOURS", "INKS", "Drawing", "drawings", "styled"]

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#b8a800", "#8d8d8d")
"""The colours of series, in order; the last one is that of all others."""

INKS: Mapping[str, str] = {"text": "#22262b", "soft": "#5b636e", "line": "#dde1e6", "before": "#767d87"}
"""The colours of texts, axes, grids, and of the period before."""


@frozen(kw_only=True)
class Frame:
    """How wide a chart is, in pixels.

    Attributes:
        plot: The width of what is drawn over time.
        bars: The width of bars, beside their names.
        names: The room for names.
        height: The height of what is drawn over time.
        ticks: About how many dates stand on an axis.
    """

    plot: int
    bars: int
    names: int
    height: int
    ticks: int


WIDE = Frame(plot=634, bars=400, names=200, height=230, ticks=10)
NARROW = Frame(plot=256, bars=130, names=110, height=190, ticks=4)
PICTURE = Frame(plot=560, bars=560, names=170, height=220, ticks=10)
"""For a screen, for a phone, and for a picture of all charts."""

_FONT = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica, Arial, sans-serif"
_MOST_BARS = 100  # more days are drawn as an area with steps: one path each series
_MOST_NAMES = 10
_BAR_STEP = 24
_MOST_POINTS = 200
_DAYS_OF_A_YEAR = 366
_DAY = timedelta(days=1)
_LINE_COLOURS: Mapping[str, str] = {"now": COLOURS[0], "before": INKS["before"], "forecast": COLOURS[3]}
_DASHES: Mapping[str, Sequence[int]] = {"now": (1, 0), "before": (6, 3), "forecast": (2, 3)}


def drawings(report: Report, part: CurrencyReport) -> list[Drawing]:
    """Return the charts of a currency; none where nothing was charged, now or before."""
    cumulative = [_Cumulative(report, part)] if part.totals.debits or part.before.debits else []
    if not part.totals.debits:
        return [*cumulative]
    return [_OverTime(report, part), *cumulative, _Bars(report, part, "key"), _Bars(report, part, "service")]


class Drawing(Protocol):
    """A chart that can be drawn at any width."""

    name: str
    title: str

    def summary(self) -> str:
        """Return what it shows, in a sentence with figures."""
        ...

    def legend(self) -> list[tuple[str, str]]:
        """Return labels and colours."""
        ...

    def draw(self, frame: Frame) -> Any:
        """Return it without title and legend, which stand beside it."""
        ...

    def titled(self) -> Any:
        """Return it with both."""
        ...


class _OverTime:
    """Spend by day, stacked by model: bars, or for a long period an area with a step a day."""

    name = "days"

    def __init__(self, report: Report, part: CurrencyReport) -> None:
        self._stack = stack(report, part)
        self._coarse = stack(report, part, most_days=_MOST_BARS)
        self._currency = part.currency
        self._scale = scale(self._stack.totals())
        self._days = (report.days[0], report.days[-1] + _DAY)
        self.title = f"Spend by {self._stack.unit}, stacked by model"

    def summary(self) -> str:
        totals = self._stack.totals()
        at = most_of(totals)
        most = f"{_exact.text(totals[at])} {self._currency} on {self._stack.buckets[at].text}"
        spent = sum(1 for total in totals if total)
        return f"{spent} of {len(totals)} {self._stack.unit}s with charges; most: {most}."

    def legend(self) -> list[tuple[str, str]]:
        return list(zip([one.label for one in self._stack.series], _colours(self._stack), strict=True))

    def draw(self, frame: Frame) -> Any:
        return styled(self._layers(frame))

    def titled(self) -> Any:
        return self._layers(PICTURE, legend=_legend("square")).properties(title=self.title)

    def _layers(self, frame: Frame, legend: Any = None) -> Any:
        shown = self._coarse if frame == NARROW else self._stack
        is_area = len(shown.buckets) > _MOST_BARS
        totals = scale(shown.totals())
        domain, colours = zip(*self.legend(), strict=True)
        colour = alt.Color("model:N", sort=None, scale=alt.Scale(domain=domain, range=colours), legend=legend)
        axis = alt.Axis(title=f"Debits in {totals.unit(self._currency)}", tickCount=5, aria=False)
        x, y = alt.X("from:Q", **self._time_axis(frame, shown)), alt.Y("low:Q", axis=axis)
        marks = alt.Chart(alt.InlineData(values=_stacked(shown, totals, is_area=is_area)))
        if is_area:
            drawn = marks.mark_area(interpolate="step-after", aria=False).encode(x=x, y=y, y2="high:Q", color=colour)
        else:
            drawn = marks.mark_rect(aria=False).encode(x=x, x2="until:Q", y=y, y2="high:Q", color=colour)
        layers = [drawn, *([self._labelled(x)] if frame == WIDE else [])]
        return alt.layer(*layers).properties(width=frame.plot, height=frame.height)

    def _labelled(self, x: alt.X) -> Any:
        """Return an invisible mark for each bucket, which says its figures to a screen reader and under the pointer."""
        totals = self._stack.totals()
        values = [
            {"from": _milliseconds(bucket.first), "until": _milliseconds(bucket.until), "says": self._says(at, total)}
            for at, (bucket, total) in enumerate(zip(self._stack.buckets, totals, strict=True))
            if total
        ]
        marks = alt.Chart(alt.InlineData(values=values)).mark_rect(fillOpacity=0, aria=True, ariaRole="img")
        return marks.encode(x=x, x2="until:Q", description="says:N", y=alt.value(0), y2=alt.value("height"))

    def _says(self, at: int, total: Decimal) -> str:
        whole = f"{self._stack.buckets[at].text}: {_exact.text(total)} {self._currency}"
        if len(self._stack.buckets) > _MOST_BARS:  # the models of each day of a year would be a third of the page
            return whole
        parts = [f"{one.label} {short(one.debits[at])}" for one in self._stack.series if one.debits[at]]
        return f"{whole}; {', '.join(parts)}"

    def _time_axis(self, frame: Frame, shown: Stack) -> dict[str, Any]:
        """Return scale and axis of days: a tick at the beginning of some of them, with its date."""
        first, until = self._days
        days = (until - first).days
        step = -(-days // frame.ticks)
        shape = "%b %-d" if days <= _DAYS_OF_A_YEAR else "%b %Y"
        axis = alt.Axis(
            title="Day" if shown.unit == "day" else f"{shown.unit.title()} from",
            values=[_milliseconds(first + _DAY * at) for at in range(0, days, step)],
            labelExpr=f"utcFormat(datum.value, '{shape}')",
            labelAlign="left",
            grid=False,
            aria=False,
        )
        domain = [_milliseconds(first), _milliseconds(until)]
        return {"axis": axis, "scale": alt.Scale(domain=domain, nice=False, zero=False)}


def _stacked(shown: Stack, scaled: Scale, *, is_area: bool) -> list[dict[str, Any]]:
    """Return from where to where each series is drawn in each bucket, on top of those before it."""
    values = []
    lows = [_exact.ZERO] * len(shown.buckets)
    for series in shown.series:
        for at, (bucket, debits) in enumerate(zip(shown.buckets, series.debits, strict=True)):
            low, high = lows[at], _exact.add(lows[at], debits)
            lows[at] = high
            value = {"model": series.label, "low": scaled.drawn(low), "high": scaled.drawn(high)}
            first, until = _milliseconds(bucket.first), _milliseconds(bucket.until)
            if is_area:
                values.append({**value, "from": first})
            elif debits:
                values.append({**value, "from": first, "until": until - (until - first) // 10})
        if is_area:  # the last step needs an end
            values.append({**values[-1], "from": _milliseconds(shown.buckets[-1].until)})
    return values


class _Bars:
    """Spend by key or by service: a bar for each, with its figure."""

    def __init__(self, report: Report, part: CurrencyReport, dimension: Dimension) -> None:
        table = part.by_key if dimension == "key" else part.by_service
        self._bars = bars(table, dimension, _MOST_NAMES, report.key_names)
        self._scale = scale(bar.debits for bar in self._bars)
        self._currency = part.currency
        self._what = "API key" if dimension == "key" else dimension
        self.name = f"{dimension}s"
        self.title = f"Spend by {self._what}"

    def summary(self) -> str:
        said = [f"{bar.label}: {short(bar.debits)} {self._currency}" for bar in self._bars]
        return "; ".join(said) + "."

    def legend(self) -> list[tuple[str, str]]:
        return []

    def draw(self, frame: Frame) -> Any:
        return styled(self._layers(frame))

    def titled(self) -> Any:
        return self._layers(PICTURE).properties(title=self.title)

    def _layers(self, frame: Frame) -> Any:
        values = [
            {
                "name": bar.label,
                "debits": self._scale.drawn(bar.debits),
                "figure": short(bar.debits),
                "says": f"{bar.label}: {_exact.text(bar.debits)} {self._currency}",
            }
            for bar in self._bars
        ]
        names = alt.Axis(
            title=None,
            labelLimit=frame.names - 10,
            labelPadding=6,
            ticks=False,
            minExtent=frame.names,
            maxExtent=frame.names,
            aria=False,
        )
        y = alt.Y("name:N", sort=None, axis=names)
        title = f"Debits in {self._scale.unit(self._currency)}"
        x = alt.X("debits:Q", axis=alt.Axis(title=title, tickCount=frame.ticks // 2, aria=False))
        base = alt.Chart(alt.InlineData(values=values)).encode(y=y, x=x)
        drawn = base.mark_bar(color=COLOURS[0], aria=frame == WIDE, ariaRole="img").encode(description="says:N")
        figures = base.mark_text(align="left", dx=4, color=INKS["text"], aria=False).encode(text="figure:N")
        return alt.layer(drawn, figures).properties(width=frame.bars, height=alt.Step(_BAR_STEP))


class _Cumulative:
    """Spend from the beginning of the period on, beside that of the period before, and the forecast."""

    name = "cumulative"

    def __init__(self, report: Report, part: CurrencyReport) -> None:
        self._now, self._before = list(part.cumulative), list(part.cumulative_before)
        self._part, self._report = part, report
        self._expected = None if part.forecast is None else part.forecast.expected
        known = [*self._now[-1:], *self._before[-1:], *([] if self._expected is None else [self._expected])]
        self._scale = scale(known)
        against = "" if report.before_name is None else f", against {report.before_name}"
        self.title = f"Cumulative spend of {report.name}{against}"
        self._labels = {
            "now": report.name,
            "before": report.before_name or "",
            "forecast": "forecast",
        }

    def summary(self) -> str:
        currency = self._part.currency
        said = [f"{self._report.name}: {_exact.text(self._part.totals.debits)} {currency}"]
        if self._report.before_name is not None:
            said.append(f"{self._report.before_name}: {_exact.text(self._part.before.debits)} {currency} in all")
            day = len(self._now)
            if not self._report.is_complete and 0 < day <= len(self._before):
                said.append(f"{_exact.text(self._before[day - 1])} {currency} at the end of its day {day}")
        if self._expected is not None:
            said.append(f"forecast for the end: {_exact.text(self._expected)} {currency}, {METHOD}")
        return "; ".join(said) + "."

    def legend(self) -> list[tuple[str, str]]:
        return [(self._labels[name], _LINE_COLOURS[name]) for name in self._shown()]

    def draw(self, frame: Frame) -> Any:
        return styled(self._layers(frame))

    def titled(self) -> Any:
        return self._layers(PICTURE, legend=_legend("stroke")).properties(title=self.title)

    def _shown(self) -> list[str]:
        has = {"now": self._now, "before": self._before, "forecast": self._expected is not None and self._now}
        return [name for name in _LINE_COLOURS if has[name]]

    def _layers(self, frame: Frame, legend: Any = None) -> Any:
        shown = self._shown()
        domain = [self._labels[name] for name in shown]
        colour = alt.Color(
            "line:N",
            sort=None,
            legend=legend,
            scale=alt.Scale(domain=domain, range=[_LINE_COLOURS[name] for name in shown]),
        )
        dashes = alt.StrokeDash(
            "line:N",
            sort=None,
            legend=legend,
            scale=alt.Scale(domain=domain, range=[_DASHES[name] for name in shown]),
        )
        most = max(len(self._report.days), len(self._before))
        x = alt.X(
            "day:Q",
            scale=alt.Scale(domain=[0, most], nice=False),
            axis=alt.Axis(
                title="Days from the beginning of the period", tickCount=min(frame.ticks, most), format="d", aria=False
            ),
        )
        y_title = f"Debits in {self._scale.unit(self._part.currency)}"
        y = alt.Y("debits:Q", scale=alt.Scale(zero=True), axis=alt.Axis(title=y_title, tickCount=5, aria=False))
        lines = alt.Chart(alt.InlineData(values=self._values())).mark_line(strokeWidth=2.5, aria=False)
        return alt.layer(lines.encode(x=x, y=y, color=colour, strokeDash=dashes)).properties(
            width=frame.plot, height=frame.height
        )

    def _values(self) -> list[dict[str, Any]]:
        found = [*self._line("now", self._now), *self._line("before", self._before)]
        if self._expected is not None and self._now:
            days = len(self._report.days)
            ends = [(min(len(self._now), days), self._now[-1]), (days, self._expected)]
            found += [self._point("forecast", day, debits) for day, debits in ends]
        return found

    def _line(self, name: str, sums: Sequence[Decimal]) -> list[dict[str, Any]]:
        """Return a point at the end of each day; of a long period, of some days and the last one."""
        if not sums:
            return []
        step = -(-len(sums) // _MOST_POINTS)
        days = sorted({*range(step, len(sums) + 1, step), len(sums)})
        return [self._point(name, 0, _exact.ZERO), *(self._point(name, day, sums[day - 1]) for day in days)]

    def _point(self, name: str, day: int, debits: Decimal) -> dict[str, Any]:
        return {"line": self._labels[name], "day": day, "debits": self._scale.drawn(debits)}


# ---------------------------------------------------------------- style


def _colours(stacked: Stack) -> list[str]:
    """Return a colour for each series; where some are folded, the last one is grey."""
    number = len(stacked.series)
    return [*COLOURS[: min(number, MOST_SERIES)], *([COLOURS[-1]] if number > MOST_SERIES else [])]


def one_below_the_other(charts: Sequence[Drawing], title: str, lines: Sequence[str]) -> Any:
    """Return charts with their titles and legends as one picture, under a title and some lines."""
    independent: Any = dict.fromkeys(("color", "strokeDash", "x", "y"), "independent")
    whole = alt.vconcat(*(one.titled() for one in charts), title=_head(title, lines), spacing=28)
    return styled(whole.resolve_scale(**independent).resolve_legend(color="independent"), "white")


def nothing_drawn(title: str, lines: Sequence[str]) -> Any:
    """Return a picture of a title and some lines."""
    nothing = alt.Chart(alt.InlineData(values=[{}])).mark_text(text="Nothing was charged.", fontSize=16)
    return styled(nothing.properties(title=_head(title, lines), width=WIDE.plot, height=60), "white")


def _head(title: str, lines: Sequence[str]) -> alt.TitleParams:
    return alt.TitleParams(
        title, subtitle=[*lines], anchor="start", frame="bounds", fontSize=20, subtitleFontSize=13, offset=16
    )


def _legend(symbol: str) -> alt.Legend:
    return alt.Legend(title=None, orient="bottom", columns=3, labelLimit=190, symbolType=symbol)


def styled(chart: Any, background: str = "transparent") -> Any:
    """Return a chart with fonts, colours and no background, so that it lies on a light or a dark page."""
    axis = {
        "labelColor": INKS["soft"],
        "titleColor": INKS["text"],
        "gridColor": INKS["line"],
        "domainColor": INKS["soft"],
        "tickColor": INKS["soft"],
        "labelFontSize": 11,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
    }
    return (
        chart.configure(font=_FONT, background=background, padding=4)
        .configure_axis(**axis)
        .configure_view(stroke=None)
        .configure_title(color=INKS["text"], subtitleColor=INKS["soft"], fontSize=15, anchor="start", frame="group")
        .configure_legend(labelColor=INKS["text"], labelFontSize=12)
    )


def _milliseconds(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000
