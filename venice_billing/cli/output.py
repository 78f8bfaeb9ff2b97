"""What a command says, as a table for a terminal, JSON, JSON lines, CSV or Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from venice_billing import _exact
from venice_billing._spreadsheets import safe_text
from venice_billing._table import escaped, markdown_table
from venice_billing.cli.document import Document, Value, text_of

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["to_text", "write"]


def write(document: Document, how: str, stream: TextIO) -> None:
    """Write a document in one of the formats."""
    if how == "table":
        from venice_billing.cli.terminal import show  # noqa: PLC0415 - rich is needed here alone

        show(document, stream)
    else:
        _WRITERS[how](document, stream)


def _json_value(value: object) -> object:
    if isinstance(value, Decimal):
        return _exact.text(value)  # most readers of JSON would round a number
    if isinstance(value, datetime | date):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: _json_value(item) for name, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_json_value(item) for item in value]
    return value


def _write_json(document: Document, stream: TextIO) -> None:
    whole = {**document.head, "rows": [dict(row) for row in document.rows]}
    stream.write(json.dumps(_json_value(whole), indent=2) + "\n")


def _write_jsonl(document: Document, stream: TextIO) -> None:
    stream.writelines(json.dumps(_json_value(row)) + "\n" for row in document.rows)


def _write_csv(document: Document, stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(document.columns)
    writer.writerows([_csv_cell(row[name]) for name in document.columns] for row in document.rows)


def _csv_cell(value: Value) -> str:
    return safe_text(value) if isinstance(value, str) else text_of(value)


def _write_markdown(document: Document, stream: TextIO) -> None:
    rows = [{name: _cell(row[name]) for name in document.visible} for row in document.rows]
    notes = [f"- {escaped(note)}" for note in document.notes]
    parts = [f"## {escaped(document.title)}", *([markdown_table(document.visible, rows)] if rows else [])]
    stream.write("\n\n".join([*parts, *(["\n".join(notes)] if notes else [])]) + "\n")


def _cell(value: Value) -> str | int | Decimal | None:
    return ("yes" if value else "no") if isinstance(value, bool) else value


_WRITERS: Mapping[str, Callable[[Document, TextIO], None]] = {
    "json": _write_json,
    "jsonl": _write_jsonl,
    "csv": _write_csv,
    "md": _write_markdown,
}


def to_text(document: Document, how: str) -> str:
    """Return what `write` writes."""
    stream = io.StringIO()
    write(document, how, stream)
    return stream.getvalue()
