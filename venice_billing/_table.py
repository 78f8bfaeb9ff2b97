"""Rows as lines of text for a `repr`: numbers aligned to the decimal point, a bounded number of lines."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, TypeGuard

from venice_billing import _exact
from venice_billing.errors import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Cell = str | int | Decimal | None

_MOST_ROWS = 20
_WIDEST = 40
_WIDEST_OF_MARKDOWN = 200  # ids are told apart by their ends
_MARKUP = re.compile(r"[\\`*<>\[\]|&~]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is none


def table_text(title: str, columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return a title, a heading and the first rows, with the number of those left out."""
    shown = rows[:_MOST_ROWS]
    cells = [_column(name, [row[name] for row in shown]) for name in columns]
    lines = ["  ".join(line).rstrip() for line in zip(*cells, strict=True)]
    left_out = [f"... and {len(rows) - len(shown)} more rows"] if len(rows) > len(shown) else []
    return "\n".join([title, *(lines if shown else []), *left_out])


def markdown_table(columns: Sequence[str], rows: Sequence[Mapping[str, Cell]]) -> str:
    """Return all rows as a table in Markdown, which is aligned as plain text too."""
    cells = []
    for column in columns:
        values = [row[column] for row in rows]
        if _are_numbers(values):
            lines = _right([column, *aligned(values)])
            rule = "-" * (len(lines[0]) - 1) + ":"
        else:
            texts = ["-" if value is None else escaped(str(value)) for value in values]
            lines = _left([column, *texts, "---"])[:-1]
            rule = "-" * len(lines[0])
        cells.append([lines[0], rule, *lines[1:]])
    return "\n".join("| " + " | ".join(line) + " |" for line in zip(*cells, strict=True))


def escaped(text: str) -> str:
    """Return a text of the API as it stands in Markdown: on one line, bounded, with nothing in it that is markup."""
    return _MARKUP.sub(r"\\\g<0>", printable(text, widest=_WIDEST_OF_MARKDOWN))


def _are_numbers(values: Sequence[Cell]) -> TypeGuard[Sequence[Decimal | int]]:
    return all(isinstance(value, Decimal | int) for value in values)


def _column(name: str, values: Iterable[Cell]) -> list[str]:
    """Return the heading and the cells of a column, all of the same width."""
    values = list(values)
    if _are_numbers(values):
        return _right([name, *aligned(values)])
    return _left([name, *("-" if value is None else printable(str(value)) for value in values)])


def aligned(numbers: Iterable[Decimal | int]) -> list[str]:
    """Return numbers padded behind the fraction, so that their decimal points stand below one another."""
    texts = [_exact.text(Decimal(number)) for number in numbers]
    fractions = [len(text.partition(".")[2]) + ("." in text) for text in texts]
    widest = max(fractions, default=0)
    return [text + " " * (widest - fraction) for text, fraction in zip(texts, fractions, strict=True)]


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def _left(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells]


def printable(text: str, *, widest: int | None = _WIDEST) -> str:
    """Return a text of the API on one line, bounded, and with nothing in it that a terminal would obey."""
    return visible(text if widest is None or len(text) <= widest else text[: widest - 3] + "...")
