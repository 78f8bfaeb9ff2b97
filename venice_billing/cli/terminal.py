"""Documents and progress in a terminal, by rich: as wide as it is, plain where it is no terminal."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from venice_billing._table import aligned, printable
from venice_billing.cli.document import text_of
from venice_billing.cli.errors import UsageError

try:
    from rich.bar import Bar
    from rich.cells import cell_len
    from rich.console import Console
    from rich.measure import Measurement
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.table import Table
    from rich.text import Text
except ImportError as error:  # pragma: no cover - tested in a fresh environment
    raise UsageError(
        "tables need the extra `cli`: pip install 'venice-billing[cli]', or use --format json, jsonl, csv or md"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from venice_billing.cli.document import Document, Value

_BLOCKS = "▁▂▃▄▅▆▇█"
_BAR_WIDTH = 16
_WIDE = 10_000  # columns of what is no terminal: nothing is cut there
_WIDEST_NAME = 48
_NARROWEST_NAME = 8
_DISPENSABLE = ("count", "net", "credits", "purchases", "refunds", "debits_before_so_far")
"""Columns that a narrow terminal leaves out, in this order; the other formats have all of them."""


def show(document: Document, stream: TextIO) -> None:
    """Show a document: the title, its rows as a table, its notes. Pictures are left out where they do not fit."""
    console = _console(stream)
    console.print(Text(printable(document.title, widest=None), style="bold"))
    if document.rows:
        names, pictures = _fitting(document, console)
        narrowest = _measured(_table(document, names, pictures, is_sample=True)).minimum
        console.width = max(console.width, narrowest)
        console.print(_table(document, names, pictures))
    for note in document.notes:
        console.print(Text(printable(note, widest=None), style="dim"))


def bars(values: Sequence[Decimal], most: Sequence[Decimal]) -> list[Bar | str]:
    """Return a bar for each value, as long as its share of the most that stands beside it."""
    return [
        Bar(float(top), 0, float(value), width=_BAR_WIDTH, color="cyan") if top > 0 and value > 0 else ""
        for value, top in zip(values, most, strict=True)
    ]


def sparkline(values: Sequence[Decimal]) -> str:
    """Return one character for each value, as high as its share of the largest; nothing at all is a space."""
    most = max(values, default=Decimal(0))
    if most <= 0:
        return " " * len(values)
    highest = len(_BLOCKS) - 1
    return "".join(_BLOCKS[round(float(value / most) * highest)] if value > 0 else " " for value in values)


def draws(encoding: str) -> bool:
    """Tell whether a terminal of an encoding can show bars and sparklines."""
    try:
        _BLOCKS.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def progress(stream: TextIO, what: str) -> Iterator[Callable[[int, float | None], None]]:
    """Show how far something has come, with an estimate; yields a function of the rows so far and the share done."""
    console = _console(stream)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        task = shown.add_task(what, total=None, rows=0)

        def update(rows: int, share: float | None) -> None:
            total, completed = (None, None) if share is None else (1.0, min(share, 1.0))
            shown.update(task, total=total, completed=completed, rows=rows)

        yield update


class _Console(Console):
    """A console that leaves it to the command how to end when nobody reads on; rich would exit with 1, a finding."""

    def on_broken_pipe(self) -> None:
        raise  # noqa: PLE0704 - what rich has just caught


def _console(stream: TextIO) -> Console:
    plain = bool(os.environ.get("NO_COLOR"))
    console = _Console(file=stream, highlight=False, markup=False, emoji=False, color_system=None if plain else "auto")
    if not console.is_terminal:
        console.width = _WIDE
    return console


def _fitting(document: Document, console: Console) -> tuple[list[str], list[str]]:
    """Return the columns and pictures that there is room for: pictures go first, then figures beside the debits."""
    pictures = list(document.pictures) if draws(console.encoding) else []
    names = list(document.visible)
    while _measured(_table(document, names, pictures, is_sample=True)).maximum > console.width:
        extra = next((name for name in _DISPENSABLE if name in names), None)
        if pictures:
            pictures.pop()
        elif extra is not None:
            names.remove(extra)
        else:
            break  # names are folded; a figure is never cut
    return names, pictures


def _measured(table: Table) -> Measurement:
    """Return how narrow and how wide a table may be, whatever the terminal."""
    console = Console(file=io.StringIO(), width=_WIDE)
    return Measurement.get(console, console.options, table)


def _table(document: Document, names: Sequence[str], pictures: Sequence[str], *, is_sample: bool = False) -> Table:
    """Return a table; a sample has the widest cells alone, since rich takes a millisecond to measure a row."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    columns: list[Sequence[Any]] = []
    for name in names:
        values = [row[name] for row in document.rows]
        is_number = all(isinstance(value, Decimal | int | None) and not isinstance(value, bool) for value in values)
        cells = _numbers(values) if is_number else _texts(values)
        table.add_column(
            name.replace("_", " "),
            justify="right" if is_number else "left",
            no_wrap=is_number,
            overflow="fold",
            min_width=max(map(len, cells), default=0) if is_number else _NARROWEST_NAME,
        )
        columns.append(cells)
    for heading in pictures:
        table.add_column(heading, no_wrap=True)
        columns.append(document.pictures[heading])
    for line in zip(*map(_widest, columns) if is_sample else columns, strict=True):
        table.add_row(*line)
    return table


def _widest(cells: Sequence[Any]) -> tuple[Any, Any]:
    """Return the widest cell of a column, and the one with the longest word, at which a narrow column is folded."""

    def width(cell: Text | Bar | str) -> int:
        return _BAR_WIDTH if isinstance(cell, Bar) else cell_len(str(cell))

    def longest_word(cell: Text | Bar | str) -> int:
        return max(map(cell_len, str(cell).split()), default=0) if isinstance(cell, Text) else width(cell)

    return max(cells, key=width), max(cells, key=longest_word)


def _numbers(values: Sequence[Value]) -> list[Text]:
    texts = iter(aligned([value for value in values if isinstance(value, Decimal | int)]))
    return [Text("" if value is None else next(texts)) for value in values]


def _texts(values: Sequence[Value]) -> list[Text]:
    return [Text("-" if value is None else printable(text_of(value), widest=_WIDEST_NAME)) for value in values]
