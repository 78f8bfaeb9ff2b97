"""Amounts that a command line names. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from venice_billing._arguments import amount
from venice_billing.cli.errors import UsageError
from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from decimal import Decimal


def parse_amount(option: str, text: str, example: str) -> Decimal:
    """Return an amount given as text, to the digit.

    Raises:
        UsageError: It is none, or negative.
    """
    try:
        parsed = amount(option, text)
    except InvalidParameterError:
        parsed = None
    if parsed is None or parsed < 0:
        raise UsageError(f"{option} {text!r}: a number of at least 0, like {example}")
    return parsed
