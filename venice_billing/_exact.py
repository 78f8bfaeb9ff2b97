"""Sums of money without rounding, at any number of digits."""

from __future__ import annotations

from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Clamped, Context, Decimal, Inexact, InvalidOperation, Overflow

# Python's own context rounds each sum to 28 digits without a word. This one has room for every digit, and were one
# lost all the same, it would raise an error. It holds no memory for digits that are not there.
_EXACT = Context(
    prec=MAX_PREC, Emin=MIN_EMIN, Emax=MAX_EMAX, clamp=0, traps=[Clamped, Inexact, InvalidOperation, Overflow]
)

_SHORT = Context(prec=28, Emin=MIN_EMIN, Emax=MAX_EMAX, clamp=0, traps=[Clamped, Inexact, InvalidOperation, Overflow])

ZERO = Decimal(0)


def add(one: Decimal, other: Decimal) -> Decimal:
    """Return the exact sum of two finite numbers."""
    return _EXACT.add(one, other)


def subtract(one: Decimal, other: Decimal) -> Decimal:
    """Return the exact difference of two finite numbers."""
    return _EXACT.subtract(one, other)


def multiply(one: Decimal, other: Decimal) -> Decimal:
    """Return the exact product of two finite numbers."""
    return _EXACT.multiply(one, other)


def scaled(number: Decimal, digits: int) -> Decimal:
    """Return a finite number times a power of ten."""
    return _EXACT.scaleb(number, digits)


def quotient(one: Decimal, other: Decimal) -> Decimal | None:
    """Return the exact quotient of two finite numbers; None if it has more than 28 digits, or divides by zero."""
    try:
        return _SHORT.divide(one, other) if other else None
    except Inexact:
        return None


def text(number: Decimal) -> str:
    """Return a finite number as text, to the digit: no exponent, no zeros at the end of a fraction, no negative zero.

    Equal numbers have equal texts, whatever they were summed from: 0.50 and 5E-1 are both "0.5".
    """
    return f"{_EXACT.normalize(number):f}" if number else "0"
