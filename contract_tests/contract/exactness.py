"""Compare what a client made of a body with the body: money digit for digit, times as instants."""

from __future__ import annotations

import json
import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d+))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_MISSING = object()


def exact_json(text: str | bytes) -> Any:
    """Return decoded JSON whose numbers with a fraction or an exponent are Decimals, digit for digit."""
    return json.loads(text, parse_float=Decimal)


def differences(sent: Any, got: Any, location: str = "") -> Iterator[tuple[str, str]]:
    """Yield each place where a decoded body and what a client wrote back of it differ, with what is there instead."""
    if isinstance(sent, dict) and isinstance(got, dict):
        for name in {**sent, **got}:
            there = f"{location}.{name}" if location else str(name)
            yield from differences(sent.get(name, _MISSING), got.get(name, _MISSING), there)
    elif isinstance(sent, list) and isinstance(got, list) and len(sent) == len(got):
        for index, (one, other) in enumerate(zip(sent, got, strict=True)):
            yield from differences(one, other, f"{location}[{index}]")
    elif not _same(sent, got):
        yield location, f"gives {_shown(got)} for {_shown(sent)}"


def microseconds(text: str) -> int | None:
    """Return the microseconds of an RFC 3339 text, finer digits cut; worked out here, not by the client's parser."""
    match = _INSTANT.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups()[:6])
    fraction, sign, offset_hours, offset_minutes = match.groups()[6:]
    offset = (int(offset_hours) * 60 + int(offset_minutes)) * (-1 if sign == "-" else 1) if sign else 0
    minutes = (date(year, month, day).toordinal() * 24 + hour) * 60 + minute - offset
    return (minutes * 60 + second) * 1_000_000 + int(((fraction or "") + "000000")[:6])


def _same(sent: Any, got: Any) -> bool:
    if isinstance(sent, bool) or isinstance(got, bool):
        return sent is got
    if isinstance(sent, int | Decimal) and isinstance(got, int | Decimal):
        if isinstance(got, int) or isinstance(sent, int):  # 3 and 3.0 are one integer
            return sent == got
        return sent.as_tuple() == got.as_tuple()
    if isinstance(sent, str) and isinstance(got, str):
        return str(sent) == str(got) or (microseconds(sent) is not None and microseconds(sent) == microseconds(got))
    return sent is got or (type(sent) is type(got) and bool(sent == got))


def _shown(value: Any) -> str:
    return "nothing" if value is _MISSING else f"{type(value).__name__} {str(value)[:60]!r}"
