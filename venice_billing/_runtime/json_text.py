"""Decode and encode JSON as text: numbers to the digit, bounded in size and depth, refused in plain words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn

from venice_billing._runtime.errors import DecodeError, cut, described

if TYPE_CHECKING:
    from collections.abc import Callable


def decode_json(content: bytes | str) -> Any:
    """Return the JSON of a body or a text; numbers with a fraction are `Decimal`, digit for digit.

    Raises:
        DecodeError: The body is no JSON in UTF-8, or holds NaN, Infinity, too long numbers or too deep nesting.
    """
    import msgspec  # noqa: PLC0415 - a program that reads only CSV does not need it

    try:
        return _json_decoder()(content)
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
        return _decode_or_explain(content)  # decides whether this is JSON, and says what is wrong if not


def decode_text(text: Any) -> Any:
    """Return the JSON of a text that a user passes, like `decode_json`.

    Raises:
        DecodeError: As `decode_json`, or the value is no text.
    """
    if not isinstance(text, str | bytes | bytearray | memoryview):
        raise DecodeError("", f"expected JSON as text or bytes, got {described(text)}; from_dict reads decoded JSON")
    return decode_json(text if isinstance(text, str | bytes) else bytes(text))


def encode_json(value: Any) -> str:
    """Return decoded JSON as text: a `Decimal` becomes a JSON number with the same digits.

    Raises:
        DecodeError: A number is NaN or infinite, or the value is nested too deeply.
    """
    try:
        text = _encoded(value)
    except RecursionError:
        raise DecodeError("", "too deeply nested") from None
    if "NaN" in text or "Infinity" in text:  # maybe within a text
        decode_json(text)
    return text


@cache
def _json_decoder() -> Callable[[bytes | str], Any]:
    import msgspec  # noqa: PLC0415 - a program that reads only CSV does not need it

    return msgspec.json.Decoder(float_hook=Decimal).decode


@cache
def _json_encoder() -> Callable[[Any], bytes]:
    import msgspec  # noqa: PLC0415 - as above

    return msgspec.json.Encoder(decimal_format="number").encode


def _encoded(value: Any) -> str:
    try:
        return _json_encoder()(value).decode()
    except UnicodeEncodeError:
        return _escaped_json(value)


def _escaped_json(value: Any) -> str:
    """Return decoded JSON as ASCII: half a surrogate pair can be escaped in JSON, but not be sent in UTF-8."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{_escaped_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(_escaped_json, value)) + "]"
    return _json_encoder()(value).decode()


def _decode_or_explain(content: bytes | str) -> Any:
    try:
        text = content.removeprefix("\ufeff") if isinstance(content, str) else content.decode("utf-8-sig")
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except DecodeError:
        raise
    except RecursionError:
        raise DecodeError("", "too deeply nested") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DecodeError("", f"not JSON: {cut(str(error))}") from None
    except (ValueError, ArithmeticError):  # more digits than Python converts, or an exponent no Decimal has
        raise DecodeError("", "a number that is too long, or beyond any sane size") from None


def _refuse_constant(name: str) -> NoReturn:
    raise DecodeError("", f"not JSON: {name} is no number")
