"""The charts of a report as SVG and PNG, drawn by vl-convert: nothing is read from the network."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from attrs import frozen

from venice_billing.errors import ExportError
from venice_billing.report.drawings import NARROW, WIDE, drawings, nothing_drawn, one_below_the_other

try:
    import vl_convert
except ImportError as error:  # pragma: no cover - tested in a fresh environment
    raise ExportError("charts need the extra `report`: pip install 'venice-billing[report]'") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing.report.data import CurrencyReport, Report

__all__ = ["Chart", "charts", "picture", "to_png", "to_svg"]

_LONG_FRACTION = re.compile(r"(\.\d)\d+")
_SHAPE = re.compile(r' (?:d|transform)="[^"]*"')
_LINE = re.compile(r"L(?P<x>[-\d.]+),(?P<y>[-\d.]+)")


@frozen(kw_only=True)
class Chart:
    """A chart of one currency.

    Attributes:
        name: A short name, for links.
        title: What it shows.
        summary: The same in a sentence, with figures.
        legend: Labels and colours, in order; empty: it has one series.
        wide: The drawing for screens, as SVG.
        narrow: The drawing for phones, as SVG.
    """

    name: str
    title: str
    summary: str
    legend: Sequence[tuple[str, str]]
    wide: str
    narrow: str


def charts(report: Report, part: CurrencyReport) -> list[Chart]:
    """Return the charts of a currency; none where nothing was charged, now or before."""
    return [
        Chart(
            name=one.name,
            title=one.title,
            summary=one.summary(),
            legend=one.legend(),
            wide=to_svg(one.draw(WIDE)),
            narrow=to_svg(one.draw(NARROW)),
        )
        for one in drawings(report, part)
    ]


def picture(report: Report, title: str, lines: Sequence[str]) -> Any:
    """Return all charts of the chief currency as one, under a title and some lines; without charges, those alone."""
    part = next((one for one in report.currencies if one.totals.debits), None)
    return nothing_drawn(title, lines) if part is None else one_below_the_other(drawings(report, part), title, lines)


def to_svg(chart: Any) -> str:
    """Draw a chart as SVG; coordinates are rounded to a tenth of a pixel."""
    drawn: str = vl_convert.vegalite_to_svg(_specification(chart), allowed_base_urls=[])
    return _SHAPE.sub(lambda found: _shorter(_LONG_FRACTION.sub(r"\1", found[0])), drawn)


def to_png(chart: Any, *, factor: float = 2) -> bytes:
    """Draw a chart as PNG, with `factor` pixels for each of the SVG's."""
    drawn: bytes = vl_convert.vegalite_to_png(_specification(chart), scale=factor, allowed_base_urls=[])
    return drawn


def _specification(chart: Any) -> dict[str, Any]:
    found: dict[str, Any] = chart.to_dict(validate=False)  # altair has validated each part when it was made
    return found


def _shorter(path: str) -> str:
    """Return a path with one coordinate for lines that run along an axis: the steps of a year are thousands."""
    at: tuple[str | None, str | None] = (None, None)

    def line(found: re.Match[str]) -> str:
        nonlocal at
        before, at = at, (found["x"], found["y"])
        if before[0] == found["x"]:
            return f"V{found['y']}"
        return f"H{found['x']}" if before[1] == found["y"] else found[0]

    return _LINE.sub(line, path)
