"""A report as a file: HTML, Markdown, SVG or PNG, there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from venice_billing._files import write_all
from venice_billing._targets import checked_target, replacing
from venice_billing.errors import InvalidParameterError
from venice_billing.report import tables
from venice_billing.report.data import Report

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["FORMATS", "ReportFormat", "format_of", "render_report", "write_report"]

ReportFormat = Literal["html", "md", "svg", "png"]
"""What a report can be: a page, text with tables, or one picture of the charts of the chief currency."""

FORMATS: tuple[ReportFormat, ...] = get_args(ReportFormat)
_SUFFIXES: Mapping[str, ReportFormat] = {
    ".html": "html",
    ".htm": "html",
    ".md": "md",
    ".markdown": "md",
    ".svg": "svg",
    ".png": "png",
}


def format_of(path: object, format: object = None) -> ReportFormat:
    """Return the format of a report: as named, or as the suffix of the path says.

    Raises:
        InvalidParameterError: It is none of the formats, or the suffix tells none.
    """
    if format is not None:
        if format not in FORMATS:
            raise InvalidParameterError("format", format, f"one of {', '.join(map(repr, FORMATS))}")
        return FORMATS[FORMATS.index(format)]
    suffix = Path(path).suffix.lower() if isinstance(path, str | os.PathLike) else ""
    if suffix not in _SUFFIXES:
        raise InvalidParameterError("path", path, "a file that ends in .html, .md, .svg or .png, or give the format")
    return _SUFFIXES[suffix]


def render_report(report: Report, format: ReportFormat) -> bytes:
    """Return a report as the bytes of a file; text is UTF-8.

    HTML is one page that works offline; Markdown has its tables; SVG and PNG are one picture of the charts of the
    currency with the most charges.

    Args:
        report: The report.
        format: html, md, svg or png.

    Raises:
        ExportError: The extra `report` is not installed.
        InvalidParameterError: An argument is invalid.

    Example:
        >>> from datetime import UTC, datetime
        >>> from venice_billing.report import make_report, render_report
        >>> report = make_report(client.iter_usage_history(), "2026-09", now=datetime(2026, 10, 1, tzinfo=UTC))
        >>> print(render_report(report, "md").decode()[:28])
        # Venice spend of 2026-09
    """
    if not isinstance(report, Report):
        raise InvalidParameterError("report", type(report), "a Report, as make_report gives it")
    return _RENDERERS[format_of(None, format)](report)


def write_report(report: Report, path: str | os.PathLike[str], format: ReportFormat | None = None) -> Path:
    """Write a report to a file, which only you may read, and return its absolute path.

    The file appears, or is replaced, when it is complete.

    Args:
        report: The report.
        path: The file.
        format: html, md, svg or png; if None, what the suffix of `path` says.

    Raises:
        ExportError: The file cannot be written, or the extra `report` is not installed.
        InvalidParameterError: An argument is invalid.
    """
    how = format_of(path, format)
    target = checked_target(path)
    data = render_report(report, how)
    with replacing(target) as part:
        write_all(part.file, data)
    return target


def _html(report: Report) -> bytes:
    from venice_billing.report.html import to_html  # noqa: PLC0415 - needs the extra

    return to_html(report).encode("utf-8", "backslashreplace")


def _markdown(report: Report) -> bytes:
    from venice_billing.report.markdown import to_markdown  # noqa: PLC0415 - for this format alone

    return to_markdown(report).encode("utf-8", "backslashreplace")


def _svg(report: Report) -> bytes:
    from venice_billing.report.charts import picture, to_svg  # noqa: PLC0415 - needs the extra

    return to_svg(picture(report, tables.title(report), _picture_lines(report))).encode("utf-8", "backslashreplace")


def _png(report: Report) -> bytes:
    from venice_billing.report.charts import picture, to_png  # noqa: PLC0415 - needs the extra

    return to_png(picture(report, tables.title(report), _picture_lines(report)))


def _picture_lines(report: Report) -> list[str]:
    """Return what stands above the charts of a picture."""
    totals = [tables.part_line(report, part) for part in report.currencies if part.totals.debits]
    demo = ["Demo: a made-up account."] if report.is_demo else []
    return [*demo, *tables.head_lines(report), *totals, *tables.forecast_lines(report)]


_RENDERERS: Mapping[str, Callable[[Report], bytes]] = {"html": _html, "md": _markdown, "svg": _svg, "png": _png}
