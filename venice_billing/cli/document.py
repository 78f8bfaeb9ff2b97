"""What a command says, before it has a format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from attrs import evolve, field, frozen

from venice_billing import _exact

__all__ = ["Document", "Row", "Value", "made_up", "text_of"]

Value = str | int | Decimal | bool | None
Row = Mapping[str, Value]


@frozen(kw_only=True)
class Document:
    """What a command says.

    Attributes:
        title: One line that says what this is, of which period, in which zone.
        columns: The names of the rows' values, in order.
        rows: The rows; money is `Decimal`, to the digit.
        head: What JSON says beside the rows: the period, the zone, whether it is complete.
        notes: Lines below the rows, for people.
        shown: The names that a terminal and Markdown show, if not all; JSON and CSV always have all.
        pictures: Further columns of a terminal: the heading, and what stands in each row.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    head: Mapping[str, Any] = field(factory=dict)
    notes: Sequence[str] = ()
    shown: Sequence[str] | None = None
    pictures: Mapping[str, Sequence[Any]] = field(factory=dict)

    @property
    def visible(self) -> Sequence[str]:
        """The names of the columns that people see."""
        return self.columns if self.shown is None else self.shown


def made_up(document: Document) -> Document:
    """Return a document that says that it is of the demo account."""
    title = f"Demo account: {document.title[:1].lower()}{document.title[1:]}"
    return evolve(document, title=title, head={**document.head, "demo": True})


def text_of(value: object) -> str:
    """Return a value as text: money and times exactly, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return _exact.text(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value.isoformat() if isinstance(value, datetime | date) else str(value)
