"""Convert between decoded JSON and Python values: money to the digit, instants in UTC, every type checked."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar, copy_context
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from uuid import UUID

from venice_billing._runtime.errors import DecodeError, cut, mistyped, within
from venice_billing._runtime.json_text import decode_json
from venice_billing._runtime.types import NO_NAMES, NOTHING

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
T = TypeVar("T")
E = TypeVar("E", bound=Enum)

# A number beyond these powers of ten is no amount and no count, but an attack or a mistake:
# "1e400" has 5 bytes in JSON and 400 digits in a sum.
LARGEST_POWER = 30
_SMALLEST_POWER = -100
_LARGEST = 10**LARGEST_POWER


def _ignore(kind: str, name: str) -> None:
    """Ignore unknown fields and values, which are kept as data."""


_notice: ContextVar[Callable[[str, str], None]] = ContextVar("notice", default=_ignore)


def read_with_notice(notice: Callable[[str, str], None], read: Callable[[S], T], source: S) -> T:
    """Return `read(source)`, and call `notice` with the kind and the name of each unknown field and value.

    `notice` is set in a separate context, so that an interrupt at any moment leaves nothing set.
    """
    context = copy_context()
    context.run(_notice.set, notice)
    return context.run(read, source)


def parse_datetime(text: str) -> datetime:
    """Return the instant of an RFC 3339 text as an aware UTC datetime; fractions beyond microseconds are cut.

    Raises:
        DecodeError: The text is no RFC 3339 date-time, or has no offset.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        parsed = _unusual_datetime(text)
    if parsed.tzinfo is UTC:
        return parsed
    if parsed.tzinfo is None:
        raise mistyped("a time with an offset", text)
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise mistyped("a time within the years 1 to 9999", text) from None


def format_datetime(instant: datetime) -> str:
    """Return an instant as text for the API: UTC, `Z`, milliseconds (microseconds if needed).

    Raises:
        ValueError: The datetime is naive, so it names no instant.
    """
    if instant.utcoffset() is None:
        raise ValueError(f"a naive datetime names no instant, give it a tzinfo: {instant!r}")
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds" if utc.microsecond % 1000 else "milliseconds") + "Z"


def media_type(headers: Mapping[str, str]) -> str:
    """Return the media type of an answer in lower case, without parameters; empty if the answer names none."""
    for name, value in headers.items():
        if name.lower() == "content-type":
            return value.partition(";")[0].strip().lower()
    return ""


def refuse_media_type(headers: Mapping[str, str], expected: str) -> NoReturn:
    """Raise the error of an answer whose media type is not one of the documented ones."""
    raise DecodeError("", f"expected {expected}, got {cut(media_type(headers)) or 'no content type'}")


def read_error(content: bytes, read: Callable[[Any], T]) -> T | None:
    """Return the error in a body, or None: a failure need not be JSON, since proxies answer with HTML."""
    try:
        return read(decode_json(content))
    except DecodeError:
        return None


def read_object(value: Any) -> dict[str, Any]:
    """Return an object."""
    if value.__class__ is dict:
        found: dict[str, Any] = value
        return found
    if isinstance(value, Mapping):
        return dict(value)
    raise mistyped("an object", value)


def read_field(source: dict[str, Any], name: str, read: Callable[[Any], T]) -> T:
    """Read a field of an object; an error names the field."""
    if name not in source:
        raise DecodeError(name, "missing")
    try:
        return read(source[name])
    except DecodeError as error:
        raise within(error, name) from None


def read_optional_field(source: dict[str, Any], name: str, read: Callable[[Any], T]) -> T | None:
    """Read a field of an object like `read_field`; return None if the field was not sent."""
    return read_field(source, name, read) if name in source else None


def read_nulls(source: dict[str, Any], names: set[str]) -> frozenset[str]:
    """Return those of the names whose fields were sent as null."""
    return frozenset(name for name in names if name in source and source[name] is None) or NO_NAMES


def read_rest(source: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Return the fields of an object whose names are not in `names`."""
    return {name: item for name, item in source.items() if name not in names}


def read_unknown(source: dict[str, Any], names: frozenset[str], kind: str) -> dict[str, Any]:
    """Return the fields of an object that the contract does not name, and give notice of each."""
    if source.keys() <= names:
        return NOTHING
    rest = read_rest(source, names)
    for name in rest:
        _notice.get()(f"field of {kind}", name)
    return rest


def read_text(value: Any) -> str:
    """Return a text."""
    if isinstance(value, str):
        return value
    raise mistyped("text", value)


def read_number(value: Any) -> Decimal:
    """Return a number of a sane size, exactly; a float counts as the digits it prints as."""
    if value.__class__ is Decimal:
        number: Decimal = value
    elif isinstance(value, (int, Decimal)) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(repr(value))
    else:
        raise mistyped("a number", value)
    if _SMALLEST_POWER <= number.adjusted() <= LARGEST_POWER and number.is_finite():
        return number
    raise mistyped("a number of a sane size", value)


def read_integer(value: Any) -> int:
    """Return an integer of a sane size; 3.0 is an integer, as in JSON Schema."""
    if value.__class__ is int and -_LARGEST < value < _LARGEST:
        return int(value)
    try:
        number = read_number(value)
    except DecodeError:
        raise mistyped("an integer", value) from None
    if number != number.to_integral_value():
        raise mistyped("an integer", value)
    return int(number)


def read_boolean(value: Any) -> bool:
    """Return true or false."""
    if isinstance(value, bool):
        return value
    raise mistyped("true or false", value)


def read_null(value: Any) -> None:
    """Return null."""
    if value is not None:
        raise mistyped("null", value)


def read_anything(value: Any) -> Any:
    """Return a value of which the contract does not give the type."""
    return value


def read_datetime(value: Any) -> datetime:
    """Return an instant in UTC."""
    if value.__class__ is str or isinstance(value, str):
        return parse_datetime(value)
    raise mistyped("a time", value)


def read_date(value: Any) -> date:
    """Return a calendar date."""
    try:
        return date.fromisoformat(read_text(value))
    except ValueError:
        raise mistyped("a date", value) from None


def read_uuid(value: Any) -> UUID:
    """Return a UUID."""
    try:
        return UUID(read_text(value))
    except ValueError:
        raise mistyped("a UUID", value) from None


def read_enum(enum: type[E], value: Any) -> E:
    """Return a member of an enum, and give notice of one that the contract does not name."""
    try:
        member = enum(value)
    except ValueError:
        raise mistyped(f"a {enum.__name__}", value) from None
    if value not in enum._value2member_map_:
        _notice.get()(f"{enum.__name__} value", value)
    return member


def member_of(enum: type[E]) -> Callable[[Any], E]:
    """Return a reader of members of an enum."""
    return partial(read_enum, enum)


def nullable(read: Callable[[Any], T]) -> Callable[[Any], T | None]:
    """Return a reader that also accepts null."""
    return lambda value: None if value is None else read(value)


def list_of(read: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    """Return a reader of lists; an error names the item."""

    def read_list(value: Any) -> list[T]:
        if not isinstance(value, list):
            raise mistyped("a list", value)
        items: list[T] = []
        try:
            for item in value:
                items.append(read(item))  # noqa: PERF401 - an error names the item by the number of items read
        except DecodeError as error:
            raise within(error, f"[{len(items)}]") from None
        return items

    return read_list


def one_of(*readers: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a reader that tries several readers in order and returns the first result."""

    def read_one_of(value: Any) -> Any:
        problems: list[DecodeError] = []
        for read in readers:
            try:
                return read(value)
            except DecodeError as error:
                problems.append(error)
        raise max(problems, key=lambda error: len(error.location))  # the error at the deepest location says most

    return read_one_of


def read_values(source: dict[str, Any], read: Callable[[Any], T]) -> dict[str, T]:
    """Read each value of an object, under any name."""
    values: dict[str, T] = {}
    for name, item in source.items():
        try:
            values[name] = read(item)
        except DecodeError as error:
            raise within(error, cut(name)) from None
    return values


def write_any(value: Any) -> Any:
    """Return the JSON form of a value of any type that a model may hold."""
    if isinstance(value, list):
        return [write_any(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return format_datetime(value)
    return value.to_dict() if hasattr(value, "to_dict") else value


def _unusual_datetime(text: str) -> datetime:
    """Parse what RFC 3339 allows and `fromisoformat` does not: lower-case letters, and the leap second."""
    usual = text.upper()
    leap = usual[16:19] == ":60"
    try:
        parsed = datetime.fromisoformat(usual[:17] + "59" + usual[19:] if leap else usual)
        return parsed + timedelta(seconds=1) if leap else parsed
    except (ValueError, OverflowError):
        raise mistyped("a time", text) from None
