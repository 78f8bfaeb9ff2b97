"""Figures as a Markdown table, each beside its ratios and what they should be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMES = {
    "ours": "**venice-billing**",
    "ours_8": "**venice-billing**, `concurrency=8`",
    "ours_async": "**venice-billing**, async",
    "ours_async_8": "**venice-billing**, async, `concurrency=8`",
    "ours_over_httpx": "**venice-billing**, `http_client=httpx.Client()`",
    "ours_newest_first": "**venice-billing**, newest first",
    "our_export": "**venice-billing**",
    "our_export_8": "**venice-billing**, `concurrency=8`",
    "untyped": "httpx + msgspec, untyped (no Decimal, no times)",
    "typed": "httpx + msgspec structs with Decimal and datetime (the floor)",
    "typed_8": "the floor, cut by hand into 8 windows",
    "typed_http_client": "the same structs over http.client",
    "raw_export": "a loop of httpx requests that writes the same bytes",
    "venice_py": "venice-py 2.9.0, page size 1000",
    "venice_py_default": "venice-py 2.9.0, its default page size",
    "balance": "**venice-billing**",
    "balance_async": "**venice-billing**, async",
    "balance_bare": "bare httpx",
    "balance_async_bare": "bare httpx, async",
}


@frozen
class Target:
    """What a figure is compared with, and the ratio it should not exceed; None where it is only told."""

    base: str
    limit: float | None = None


@frozen
class Row:
    """A line of a table."""

    name: str
    figures: Sequence[float]
    targets: Sequence[Target] = ()


def table(title: str, columns: Sequence[str], rows: Sequence[Row], bases: Mapping[str, float]) -> str:
    """Return a titled table; what a peer that is not installed would say is left out."""
    lines = [f"## {title}", "", f"| | {' | '.join(columns)} | ratios |", "|---|" + "---:|" * len(columns) + "---|"]
    for row in rows:
        ratios = [_ratio(row, target, bases[target.base]) for target in row.targets if target.base in bases]
        figures = " | ".join(_number(figure) for figure in row.figures)
        lines.append(f"| {named(row.name)} | {figures} | {'; '.join(filter(None, ratios))} |")
    return "\n".join(lines)


def named(job: str) -> str:
    """Return what readers call a job; what stands behind a comma says on what."""
    name, comma, rest = job.partition(",")
    return NAMES.get(name, name) + comma + rest


def _ratio(row: Row, target: Target, base: float) -> str:
    if row.name == target.base or not base:
        return ""
    ratio = row.figures[0] / base
    told = f"{ratio:.2f} x {named(target.base)}"
    if target.limit is None:
        return told
    return f"{told}, target {target.limit:g}: {'met' if ratio <= target.limit else '**missed**'}"


def _number(figure: float) -> str:
    return f"{figure:,.2f}" if figure < 100 else f"{figure:,.0f}"  # noqa: PLR2004 - three digits say enough
