"""Check what a test passes to the fake: each error names the argument or the field, the value, and what is allowed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from typing import Any, TypeGuard

from venice_billing.testing._text import Row, format_instant, instant_of, parse_instant
from venice_billing_api.models import inference_details, usage_entry

_LONGEST_VALUE = 80
_LONGEST = 36_525  # days: a century
_OBJECTS = {"inferenceDetails": inference_details.NAMES}
FIELDS = usage_entry.NAMES.union(f"{name}.{inner}" for name, inners in _OBJECTS.items() for inner in inners)
"""The names of a row's fields; those of fields within a field have a dot."""
_NUMBERS = ("pricePerUnitUsd", "units", "amount")
_ALLOWED_TIME = "an aware datetime, or a text such as '2026-10-01T00:00:00Z'"


def refusal(name: str, allowed: str, value: object) -> str:
    """Return the message of an error: what the argument must be, and what it was."""
    return f"{name} must be {allowed}; got {repr(value)[:_LONGEST_VALUE]}"


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is an int or a float, and no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_entries(entries: int | Iterable[object]) -> None:
    """Refuse a value that is neither a number of rows nor an iterable of rows."""
    allowed = "a number of rows, 0 or more, or the rows themselves"
    if isinstance(entries, bool | str | bytes | Mapping) or not isinstance(entries, int | Iterable):
        raise TypeError(refusal("entries", allowed, entries))
    if isinstance(entries, int) and entries < 0:
        raise ValueError(refusal("entries", allowed, entries))


def check_days(days: float) -> None:
    """Refuse a period that is not positive, or longer than a century."""
    allowed = f"a number of days, more than 0 and up to {_LONGEST}"
    if not is_number(days):
        raise TypeError(refusal("days", allowed, days))
    if not 0 < days <= _LONGEST:
        raise ValueError(refusal("days", allowed, days))


def check_choice(name: str, value: object, *choices: str) -> None:
    """Refuse a value that is none of the choices."""
    if value not in choices:
        raise ValueError(refusal(name, " or ".join(map(repr, choices)), value))


def check_type(name: str, value: object, kind: type, allowed: str) -> None:
    """Refuse a value of another type."""
    if not isinstance(value, kind):
        raise TypeError(refusal(name, allowed, value))


def check_keys(admin_key: object, inference_key: object) -> None:
    """Refuse keys that are no texts, and keys that cannot be told apart."""
    check_type("admin_key", admin_key, str, "text")
    check_type("inference_key", inference_key, str, "text")
    if admin_key == inference_key:
        raise ValueError(refusal("inference_key", "another key than admin_key", inference_key))


def check_status(code: object) -> None:
    """Refuse what is no status of HTTP."""
    allowed = "a status of three digits"
    if not isinstance(code, int) or isinstance(code, bool):
        raise TypeError(refusal("code", allowed, code))
    if not 100 <= code <= 999:  # noqa: PLR2004 - three digits
        raise ValueError(refusal("code", allowed, code))


def check_wait(seconds: object) -> None:
    """Refuse what is no length of time; an infinite one is."""
    allowed = "a number of seconds, 0 or more"
    if not is_number(seconds):
        raise TypeError(refusal("seconds", allowed, seconds))
    if not seconds >= 0:
        raise ValueError(refusal("seconds", allowed, seconds))


def check_moment(name: str, moment: object) -> None:
    """Refuse a time that is no instant; None is allowed."""
    if moment is None:
        return
    if not isinstance(moment, datetime):
        raise TypeError(refusal(name, "an aware datetime, or None", moment))
    if moment.utcoffset() is None:
        raise ValueError(refusal(name, "an aware datetime, or None", moment))


def bound(name: str, moment: datetime | str | None) -> int | None:
    """Return a bound of a window as an instant."""
    return None if moment is None else _instant(name, moment)


def check_names(name: str, names: Iterable[str]) -> frozenset[str]:
    """Return a collection of names; a single text is a mistake."""
    allowed = "a collection of field names"
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise TypeError(refusal(name, allowed, names))
    found = frozenset(names)
    if not all(isinstance(item, str) for item in found):
        raise TypeError(refusal(name, allowed, names))
    return found


def check_row(row: Mapping[str, Any], extra_fields: frozenset[str] = frozenset()) -> Row:
    """Return the fields of a row with its time as text and its numbers as `Decimal`s.

    Raises:
        TypeError: A field is of a type that cannot be sent, like a float, whose digits are not exact.
        ValueError: The timestamp is missing or is no instant, a field is neither the API's nor an extra one, or a
            text or a number cannot be sent.
    """
    if not isinstance(row, Mapping):
        raise TypeError(refusal("a row", "a UsageEntry, or a dict of fields by their names", row))
    _check_names(row, FIELDS | extra_fields)
    if "timestamp" not in row:
        raise ValueError(f"a row must have a timestamp, {_ALLOWED_TIME}; got {repr(dict(row))[:_LONGEST_VALUE]}")
    fields = {name: _field(name, value) for name, value in row.items()}
    instant = _instant("a row's timestamp", row["timestamp"])
    if not isinstance(row["timestamp"], str):
        fields["timestamp"] = format_instant(instant)
    return fields


def _check_names(row: Mapping[Any, Any], names: frozenset[str], within: str = "") -> None:
    """Refuse fields with other names; names of fields within a field have a dot."""
    for name, value in row.items():
        if not isinstance(name, str):
            raise TypeError(refusal("the name of a row's field", "a text", name))
        if within + name not in names:
            raise ValueError(_unknown_field(within + name, names))
        if name in _OBJECTS and isinstance(value, Mapping):
            _check_names(value, names, f"{name}.")


def _unknown_field(name: str, names: frozenset[str]) -> str:
    by_letters = {known.lower(): known for known in names}
    near = get_close_matches(name.replace("_", "").lower(), by_letters, n=1)
    return (
        f"a row has no field {name[:_LONGEST_VALUE]!r}{f', did you mean {by_letters[near[0]]!r}?' if near else ';'} "
        f"its fields are {', '.join(sorted(names))}; name others in extra_fields= to send them nevertheless"
    )


def _field(name: str, value: Any) -> Any:
    """Return the value of a field; other types than the contract's may be sent, to see what a client says to them."""
    if name in _NUMBERS:
        return _number(name, value)
    if name != "timestamp":
        _check_sendable(f"a row's {name}", value)
    return value


def _check_sendable(where: str, value: object) -> None:
    """Refuse a value that JSON cannot express exactly."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if not isinstance(name, str):
                raise TypeError(refusal(where, "a dict whose names are texts", value))
            _check_text(where, name)
            _check_sendable(f"{where}.{name}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check_sendable(f"{where}[{index}]", item)
    elif isinstance(value, str):
        _check_text(where, value)
    elif isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError(refusal(where, "a finite number", value))
    elif not isinstance(value, int | None):
        raise TypeError(
            refusal(where, "a text, an int, a Decimal, True, False, None, or a list or dict of them", value)
        )


def _check_text(where: str, value: str) -> None:
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(refusal(where, "text that UTF-8 can hold, without half a character", value))


def _number(name: str, value: object) -> Decimal:
    where, allowed = f"a row's {name}", "a finite number: a Decimal, an int or their text"
    if isinstance(value, bool) or not isinstance(value, Decimal | str | int):
        raise TypeError(refusal(where, allowed, value))
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError(refusal(where, allowed, value)) from None
    if not number.is_finite():
        raise ValueError(refusal(where, allowed, value))
    return number


def _instant(name: str, moment: object) -> int:
    """Return the instant of a text or an aware datetime."""
    if not isinstance(moment, str | datetime):
        raise TypeError(refusal(name, _ALLOWED_TIME, moment))
    try:
        instant = parse_instant(moment) if isinstance(moment, str) else instant_of(moment)
        format_instant(instant)
    except (ValueError, OverflowError):
        raise ValueError(refusal(name, _ALLOWED_TIME, moment)) from None
    return instant
