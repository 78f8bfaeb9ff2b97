"""Arguments as users pass them -> values as the contract requires them, or `InvalidParameterError`. Pure."""

from __future__ import annotations

import encodings.idna  # noqa: F401 - encoding a host name imports it, which fails where no file can be opened
import ipaddress
import re
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from inspect import iscoroutinefunction
from operator import index
from typing import TYPE_CHECKING, Any

import httpx

from venice_billing._runtime.codec import read_number
from venice_billing._runtime.errors import DecodeError
from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Iterable

Moment = datetime | date | str
"""An instant as users pass it: an aware datetime, a date (its midnight, UTC), or ISO 8601 text of either.

Digits finer than a microsecond are rounded up, so a range keeps no row before its start, and every row before its end.
"""

PAGE_SIZES = (10, 1000)  # of the ledger; the original endpoint takes 1 to 500
LIMITS = (1, 500)
CONCURRENCY = (1, 16)
RETRIES = (0, 10)
_LARGEST_PORT = 65535
_LARGEST = 10**15  # a number of pages, or of entries, that no ledger has
LOOKBACK_DAYS = 90  # the API silently clamps longer ones, so the caller would get other days than requested
_FIRST_MOMENT = datetime(1, 1, 7, tzinfo=UTC)
_LAST_MOMENT = datetime(9999, 12, 24, tzinfo=UTC)
_MARK_OF_URLS = "://"  # in no key
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,512}")
_MOMENT_ALLOWED = "an aware datetime, a date, or ISO 8601 text with a UTC offset or Z"
# Python's own parser also accepts texts like "2026-09-01T09:000Z", and drops digits beyond microseconds.
_MOMENT_TEXT = re.compile(
    r"(?:\d{4}-\d\d-\d\d|\d{8}|\d{4}-?W\d\d(?:-?\d)?)"
    r"(?:[Tt ](?:\d\d:\d\d(?::\d\d(?:[.,](?P<fraction>\d+))?)?|\d\d(?:\d\d(?:\d\d(?:[.,](?P<basic>\d+))?)?)?)"
    r"(?:[Zz]|[+-]\d\d(?::?\d\d(?::?\d\d)?)?)?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?", re.ASCII)
_NUMBER_ALLOWED = "a number to the digit: a Decimal, an int, or a text like '-0.0125'"
_MICROSECOND_DIGITS = 6
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_PARTS = re.compile(
    r"(?P<date>(?P<year>\d{4})-?(?P<month>\d\d)-?(?P<day>\d\d))"
    r"(?:[Tt ](?P<hour>\d\d)(?::?(?P<minute>\d\d)(?::?(?P<second>\d\d))?)?)?"
)


class _Hidden:
    def __repr__(self) -> str:
        return "a value that is not shown here"


HIDDEN = _Hidden()
"""Replaces, in an error, a value that must not be shown."""


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return a whole number within bounds."""
    number, most = _whole(value), _LARGEST if high is None else high
    if number is not None and low <= number <= most:
        return number
    has_bound = high is not None or (number is not None and number > most)
    allowed = f"a whole number from {low} to {most}" if has_bound else f"a whole number of at least {low}"
    raise InvalidParameterError(name, value, allowed)


def optional_integer(name: str, value: object, low: int, high: int | None = None) -> int | None:
    """Return None, or a whole number within bounds."""
    return None if value is None else integer(name, value, low, high)


def choice(name: str, value: object, allowed: Iterable[str]) -> str:
    """Return the text of one of the allowed values; an enum member counts as its text."""
    options = list(allowed)
    text = _text(value)
    if text is None or text not in options:
        raise InvalidParameterError(name, value, "one of " + ", ".join(map(repr, options)))
    return text


def seconds(name: str, value: object, *, or_none: bool = False) -> float:
    """Return a positive number of seconds, at most a day; 0 only if `or_none`."""
    allowed = "a number of seconds " + ("from 0 to 86400" if or_none else "above 0, at most 86400")
    number = float.__float__(value) if isinstance(value, float) else _whole(value)
    if number is None:
        raise InvalidParameterError(name, value, allowed)
    if not 0 <= number <= 24 * 3600 or (number == 0 and not or_none):
        raise InvalidParameterError(name, value, allowed)
    return float(number)


def amount(name: str, value: object) -> Decimal:
    """Return a finite number of a sane size, to the digit; a float is refused, since it has lost digits already."""
    text = _text(value)
    if isinstance(value, float):
        raise InvalidParameterError(name, value, _NUMBER_ALLOWED + "; a float may have lost digits, its text has not")
    if text is not None and not _NUMBER.fullmatch(text.strip()):
        raise InvalidParameterError(name, value, _NUMBER_ALLOWED)
    try:
        return read_number(value if text is None else Decimal(text.strip()))
    except DecodeError:
        raise InvalidParameterError(name, value, f"{_NUMBER_ALLOWED}, from 1E-100 to 1E+31") from None


def callback(name: str, value: object, argument: str) -> None:
    """Refuse what is neither a function nor None; nobody would await a coroutine function."""
    if value is not None and (not callable(value) or iscoroutinefunction(value)):
        raise InvalidParameterError(name, value, f"a plain function of {argument}, or None")


def duration(name: str, value: object, others: str = "") -> timedelta:
    """Return a length of time that is not negative; `others` says what else its caller takes."""
    length = _length(value)
    if length is None or length < timedelta():
        raise InvalidParameterError(name, value, f"{others}a timedelta that is not negative")
    return length


def instant(name: str, value: object) -> datetime:
    """Return an aware datetime in UTC."""
    text = _text(value)
    moment = value if text is None else _from_text(name, text)
    if isinstance(moment, datetime):
        try:
            plain = None if moment.tzinfo is None or moment.utcoffset() is None else _plain(moment)
        except OverflowError:
            raise InvalidParameterError(name, value, "a time within the years 1 to 9999 in UTC") from None
        except Exception as error:  # a time zone, and a subclass of datetime, may be foreign code
            raise InvalidParameterError(name, "a time that fails, itself or its zone", _MOMENT_ALLOWED) from error
        if plain is None:
            raise InvalidParameterError(name, value, _MOMENT_ALLOWED + " (a naive time could be any zone's)")
        return plain
    if isinstance(moment, date):
        return datetime.combine(moment, time(), UTC)
    raise InvalidParameterError(name, value, _MOMENT_ALLOWED)


def window(start_name: str, start: object, end_name: str, end: object) -> tuple[datetime | None, datetime | None]:
    """Return the bounds of a window, in UTC: start inclusive, end exclusive, start before end."""
    first = None if start is None else instant(start_name, start)
    last = None if end is None else instant(end_name, end)
    if first is not None and last is not None and first >= last:
        raise InvalidParameterError(start_name, start, f"earlier than {end_name} ({last.isoformat()})")
    return _within_calendar(first), _within_calendar(last)


def day(name: str, value: object) -> str:
    """Return a whole day as the text YYYY-MM-DD."""
    moment = instant(name, value)
    if moment.time() != time():
        raise InvalidParameterError(name, value, "a whole day: a date, or midnight UTC")
    return moment.date().isoformat()


def days(start: object, end: object) -> tuple[str, str] | None:
    """Return the first and the last day of a range of days, both or neither."""
    if start is None and end is None:
        return None
    if start is None or end is None:
        missing, given = ("start_date", "end_date") if start is None else ("end_date", "start_date")
        raise InvalidParameterError(missing, None, f"given together with {given}, or both left out")
    first, last = day("start_date", start), day("end_date", end)
    if first > last:
        raise InvalidParameterError("start_date", start, f"no later than end_date ({last})")
    return first, last


def lookback(value: object) -> str:
    """Return a lookback such as '7d', of a text, a number of days or a timedelta."""
    text, length, number = _text(value), _length(value), _whole(value)
    if length is not None and not length % _DAY:
        text = f"{length // _DAY}d"
    elif number is not None:
        text = f"{number}d" if 0 < number <= LOOKBACK_DAYS else None  # Python refuses to write a very long number
    if text is None or not re.fullmatch(r"[1-9][0-9]{0,3}d", text) or int(text[:-1]) > LOOKBACK_DAYS:
        allowed = f"a number of whole days from 1 to {LOOKBACK_DAYS}: '7d', 7 or timedelta(days=7)"
        raise InvalidParameterError("lookback", value, allowed)
    return text


def cursor(value: object, **filters: object) -> str:
    """Return a cursor, if no filter was passed with it: the API refuses filters beside a cursor."""
    text = _text(value)
    if text is None or not is_cursor(text):
        raise InvalidParameterError("cursor", value, "1 to 512 letters, digits, '_' or '-', from a previous page")
    for name, given in filters.items():
        if given is not None:
            raise InvalidParameterError(
                name, given, "left out beside a cursor: the cursor carries the filters of its walk"
            )
    return text


def is_cursor(text: str) -> bool:
    """Tell whether a text is a cursor as the contract defines it."""
    return _CURSOR.fullmatch(text) is not None


def api_key(value: object, name: str = "api_key") -> str:
    """Return a key that fits into a header; errors never repeat its text, and say where it comes from by `name`."""
    key = _text(value)
    if key is None:
        raise InvalidParameterError(name, type(value), "text")
    if not key.strip():
        raise InvalidParameterError(name, key, "a Venice API key, not empty and not white space")
    if _MARK_OF_URLS in key:
        raise InvalidParameterError(name, HIDDEN, "a Venice API key, not a URL: are the key and the base URL swapped?")
    if not re.fullmatch(r"[!-~]+", key):
        raise InvalidParameterError(name, HIDDEN, "printable ASCII without white space")
    return key


def base_url(value: object, name: str = "base_url") -> str:
    """Return the base URL without its final slash; plain http is for loopback only, since requests carry the key.

    Errors show the URL only if it looks like one: anything else may be a key.
    """
    text = _text(value)
    if text is None:
        raise InvalidParameterError(name, type(value), "an https URL")
    if _MARK_OF_URLS not in text:
        raise InvalidParameterError(name, HIDDEN, "an https URL: the scheme https:// is missing")
    url = _url(name, text)
    if url.userinfo:
        raise InvalidParameterError(name, HIDDEN, "a URL without user and password")
    if url.query or url.fragment:
        raise InvalidParameterError(name, HIDDEN, "an https URL without query or fragment")
    if url.scheme not in {"http", "https"} or not url.host or "[" in url.host:
        raise InvalidParameterError(name, text, "an https URL")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise InvalidParameterError(name, text, "an https URL: plain http would show the key, and is for loopback only")
    if not _port_is_usual(text):
        raise InvalidParameterError(name, text, "an https URL, its port from 1 to 65535")
    return str(url).rstrip("/")


def _port_is_usual(url: str) -> bool:
    """Tell whether a URL has no port, or one that a socket accepts unchanged.

    httpx accepts any number, a sign and digits of other scripts; a socket takes 65536 + N for N.
    """
    host = re.split(r"[/?#]", url.partition("://")[2], maxsplit=1)[0]
    _, colon, port = host.rpartition("]")[2].rpartition(":")
    usual = re.fullmatch(r"[0-9]{1,5}", port.strip()) is not None
    return not colon or not port.strip() or (usual and 1 <= int(port) <= _LARGEST_PORT)


def _url(name: str, value: str) -> httpx.URL:
    try:
        url = httpx.URL(value.strip())
        if "%" in url.host and ":" not in url.host:  # httpx escapes what no name can hold, such as a single bracket
            raise InvalidParameterError(name, value, "an https URL")
        # httpx and every look-up do this later, and raise a bare ValueError for a label that is no name.
        url.host.encode("idna")
        url.raw_host.decode("ascii").encode("idna")
    except (httpx.InvalidURL, ValueError):
        raise InvalidParameterError(name, value, "an https URL") from None
    return url


def _text(value: object) -> str | None:
    """Return a plain text, whatever the methods of its subclass do; None for anything else."""
    return str.__str__(value) if isinstance(value, str) else None


def _whole(value: Any) -> int | None:
    """Return a plain int, also of an int of numpy; None for anything else, a bool included.

    An enum member would be sent as its name, and the methods of other classes may be foreign code.
    """
    if isinstance(value, bool):
        return None
    try:
        return index(value)
    except Exception:  # noqa: BLE001 - as above
        return None


def _length(value: object) -> timedelta | None:
    """Return a plain timedelta, as above; None for anything else."""
    if not isinstance(value, timedelta):
        return None
    days, seconds, microseconds = (
        getattr(timedelta, unit).__get__(value) for unit in ("days", "seconds", "microseconds")
    )
    return timedelta(days, seconds, microseconds)


def is_within_calendar(moment: datetime) -> bool:
    """Tell whether an aware datetime is at least a day away from both ends of the calendar."""
    return _FIRST_MOMENT <= moment <= _LAST_MOMENT


def _within_calendar(moment: datetime | None) -> datetime | None:
    """Return a bound at least a day away from both ends of the calendar, where nothing is booked anyway."""
    return None if moment is None else min(max(moment, _FIRST_MOMENT), _LAST_MOMENT)


def _plain(moment: datetime) -> datetime:
    """Return a time as a plain datetime in UTC: subclasses such as pandas' have other arithmetic."""
    plain = datetime(*moment.timetuple()[:6], moment.microsecond, moment.tzinfo, fold=moment.fold).astimezone(UTC)
    return plain + _MICROSECOND if getattr(moment, "nanosecond", 0) else plain


def _from_text(name: str, text: str) -> datetime | date:
    match = _MOMENT_TEXT.fullmatch(text)
    if match is None:
        raise InvalidParameterError(name, text, _MOMENT_ALLOWED)
    try:
        return date.fromisoformat(text.upper())
    except ValueError:
        pass
    finer = (match["fraction"] or match["basic"] or "")[_MICROSECOND_DIGITS:].strip("0")
    try:
        moment = datetime.fromisoformat(text.upper())
        return moment + _MICROSECOND if finer else moment
    except ValueError:
        raise InvalidParameterError(name, text, _missing_part(text) or _MOMENT_ALLOWED) from None
    except OverflowError:
        raise InvalidParameterError(name, text, "a time within the years 1 to 9999 in UTC") from None


def _missing_part(text: str) -> str | None:
    """Return what is wrong with a well-formed time that does not exist, such as one in a month 13."""
    parts = _PARTS.match(text)
    if parts is None:
        return None
    if not 1 <= int(parts["month"]) <= 12:  # noqa: PLR2004 - the months of a year
        return f"a date that exists: there is no month {parts['month']}"
    try:
        date(int(parts["year"]), int(parts["month"]), int(parts["day"]))
    except ValueError:
        return f"a date that exists: there is no {parts['date']}"
    for name, end in (("hour", 24), ("minute", 60), ("second", 60)):
        if parts[name] is not None and int(parts[name]) >= end:
            return f"a time that exists: there is no {name} {parts[name]}"
    return None


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
