"""A report as one HTML file: styles, script and charts within it, and a policy that forbids every request."""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from venice_billing._version import __version__
from venice_billing.errors import ExportError
from venice_billing.report import tables
from venice_billing.report.charts import charts
from venice_billing.report.shapes import label

try:
    from jinja2 import Environment, StrictUndefined, Template
    from markupsafe import Markup
except ImportError as error:  # pragma: no cover - tested in a fresh environment
    raise ExportError("reports need the extra `report`: pip install 'venice-billing[report]'") from error

if TYPE_CHECKING:
    from collections.abc import Sequence

    from venice_billing.report.data import CurrencyReport, Report

__all__ = ["to_html"]

_MOST_PARTS = 4
"""How many currencies have charts; the totals name all of them."""


def to_html(report: Report) -> str:
    """Return a report as one HTML page that needs no other file and no network."""
    css, script = _asset("page.css"), _asset("page.js")
    shown, left_out = report.currencies[:_MOST_PARTS], report.currencies[_MOST_PARTS:]
    page = {
        "title": tables.title(report),
        "lines": tables.head_lines(report),
        "totals": tables.totals_table(report),
        "forecasts": tables.forecast_lines(report),
        "epoch": tables.epoch_line(report),
        "epoch_percent": float(report.epoch.used_percent) if report.epoch else 0,
        "parts": [_part(report, part, number) for number, part in enumerate(shown, 1)],
        "left_out": _left_out(left_out),
        "made": tables.made_line(report),
    }
    return _template().render(
        report=report,
        page=page,
        version=__version__,
        css=Markup(css),  # noqa: S704 - a file of ours
        script=Markup(script),  # noqa: S704 - a file of ours
        policy=_policy(css, script),
    )


def _part(report: Report, part: CurrencyReport, number: int) -> dict[str, Any]:
    return {
        "id": f"part-{number}",
        "currency": label(part.currency, "currency"),
        "line": tables.part_line(report, part),
        "charts": charts(report, part),
        "models": tables.group_table(report, part, "model") if len(part.by_model) else None,
        "requests": tables.request_table(report, part) if part.requests else None,
        "more": tables.more_tables(report, part) if part.totals.count else [],
    }


def _left_out(parts: Sequence[CurrencyReport]) -> str:
    if not parts:
        return ""
    names = ", ".join(label(part.currency, "currency") for part in parts)
    return f"{len(parts)} more currencies stand in the totals alone: {names}."


def _policy(css: str, script: str) -> str:
    """Return a Content-Security-Policy under which a browser runs this style and this script, and loads nothing."""
    return (
        f"default-src 'none'; style-src '{_digest(css)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return files("venice_billing.report").joinpath("page", name).read_text("utf-8")


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_asset("page.html"))
