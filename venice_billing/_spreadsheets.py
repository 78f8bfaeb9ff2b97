"""Texts in CSV that no spreadsheet takes for a formula."""

from __future__ import annotations

import re

_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""What spreadsheets take for a formula, in its full-width forms too; and such a text after it was escaped."""


def safe_text(text: str) -> str:
    """Return a text with an apostrophe before it where a spreadsheet would run it; take one away to have the text."""
    return f"'{text}" if _FORMULA.match(text) else text
