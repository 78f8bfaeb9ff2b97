"""Validators of `Quirks`: they refuse a value that would switch nothing, with which a test would prove nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from venice_billing.testing._checks import is_number, refusal

if TYPE_CHECKING:
    from attrs import Attribute

    Validator = Callable[[Any, Attribute[Any], Any], None]


def flag(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what is neither True nor False."""
    if not isinstance(value, bool):
        raise TypeError(refusal(attribute.name, "True or False", value))


def seconds(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what is no length of time."""
    _check_seconds(attribute.name, value, "a number of seconds, 0 or more")


def latency(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what is neither a length of time nor a range of them."""
    allowed = "a number of seconds, 0 or more, or a tuple of the shortest and the longest"
    ends: tuple[Any, ...] = value if isinstance(value, tuple) and len(value) == 2 else (value,)  # noqa: PLR2004 - both
    for end in ends:
        _check_seconds(attribute.name, end, allowed)
    if ends[0] > ends[-1]:
        raise ValueError(refusal(attribute.name, allowed, value))


def whole(least: int) -> Validator:
    """Refuse what is no whole number of at least `least`."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        allowed = f"a whole number of at least {least}"
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(refusal(attribute.name, allowed, value))
        if value < least:
            raise ValueError(refusal(attribute.name, allowed, value))

    return check


def function(_: object, attribute: Attribute[Any], value: object) -> None:
    """Refuse what cannot be called."""
    if not callable(value):
        raise TypeError(refusal(attribute.name, "a function", value))


def one_of(*choices: str) -> Validator:
    """Refuse what is none of the choices."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if value not in choices:
            raise ValueError(refusal(attribute.name, f"one of {', '.join(map(repr, choices))}", value))

    return check


def several_of(*choices: str) -> Validator:
    """Refuse what is no sequence of the choices."""

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if isinstance(value, str) or not isinstance(value, Sequence) or not set(value) <= set(choices):
            raise ValueError(refusal(attribute.name, f"a list of {', '.join(map(repr, choices))}", value))

    return check


def items(kind: type, *, least: int = 0, or_none: bool = False, or_function: bool = False) -> Validator:
    """Refuse what is no sequence of objects of a class."""
    allowed = f"a list of {kind.__name__}s{' and Nones' if or_none else ''}"
    allowed += f", at least {least}" if least else ""
    allowed += ", or a function of a SeenRequest" if or_function else ""
    kinds = (kind, type(None)) if or_none else (kind,)

    def check(_: object, attribute: Attribute[Any], value: object) -> None:
        if or_function and callable(value):
            return
        if isinstance(value, str | bytes) or not isinstance(value, Sequence):
            raise TypeError(refusal(attribute.name, allowed, value))
        wrong = [item for item in value if not isinstance(item, kinds)]
        if wrong:
            raise TypeError(refusal(attribute.name, allowed, wrong[0]))
        if len(value) < least:
            raise ValueError(refusal(attribute.name, allowed, value))

    return check


def _check_seconds(name: str, value: object, allowed: str) -> None:
    if not is_number(value):
        raise TypeError(refusal(name, allowed, value))
    if not 0 <= value < float("inf"):
        raise ValueError(refusal(name, allowed, value))
