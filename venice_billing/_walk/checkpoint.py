"""Encode the position of a walk as text, and decode it. Pure.

The text holds the filters and the position, nothing that expires: no cursor, no key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing._walk.types import Bounds, Order, Position
from venice_billing.errors import InvalidParameterError
from venice_billing_api.models import HistoryCurrency

_PREFIX = "vb1."
_CHECK_BYTES = 6
_LARGEST = 8 * 1024 * 1024  # bytes of the unpacked document: about 300,000 rows at one instant
_MOST = 10**9
_DIGEST = re.compile(r"[0-9a-f]{18}")
_ALLOWED = "the text of a walk's checkpoint, whole and unaltered"


@frozen
class Filters:
    """The filters and the order of a walk."""

    currency: str | None
    bounds: Bounds
    order: Order


def encode(filters: Filters, position: Position) -> str:
    """Return the checkpoint of a walk that stands at `position`."""
    document = {
        "currency": filters.currency,
        "start": _text(filters.bounds.start),
        "end": _text(filters.bounds.end),
        "order": filters.order,
        "at": _text(position.at),
        "seen": dict(sorted(position.seen.items())),
    }
    packed = zlib.compress(json.dumps(document, separators=(",", ":")).encode(), 9)
    return _PREFIX + base64.urlsafe_b64encode(_check(packed) + packed).decode().rstrip("=")


def decode(text: object) -> tuple[Filters, Position]:
    """Return the filters and the position in a checkpoint.

    Raises:
        InvalidParameterError: The text is no checkpoint, or was cut or altered.
    """
    if not isinstance(text, str) or not text.startswith(_PREFIX):
        raise InvalidParameterError("checkpoint", text, _ALLOWED)
    try:
        document = _unpacked(text.removeprefix(_PREFIX))
        filters = _filters(document)
        return filters, _position(document, filters.bounds)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, zlib.error):
        raise InvalidParameterError("checkpoint", text, _ALLOWED) from None


def resumed(text: object, given: Filters, names: tuple[str, str]) -> tuple[Filters, Position]:
    """Return the filters and the position in a checkpoint; filters that were given again must agree.

    Args:
        text: The checkpoint.
        given: The filters passed with the checkpoint; None and the default order stand for "not given".
        names: The names of the arguments `given.bounds` was made of, for errors.

    Raises:
        InvalidParameterError: The text is no checkpoint, or the checkpoint of a walk with other filters.
    """
    filters, position = decode(text)
    pairs: list[tuple[str, Any, Any]] = [
        ("currency", given.currency, filters.currency),
        (names[0], given.bounds.start, filters.bounds.start),
        (names[1], given.bounds.end, filters.bounds.end),
    ]
    for name, value, stored in pairs:
        if value is not None and value != stored:
            said = "left out" if stored is None else f"left out or {stored}"
            raise InvalidParameterError(name, str(value), f"{said}, as in the walk the checkpoint comes from")
    return filters, position


def _unpacked(text: str) -> dict[str, Any]:
    raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    check, packed = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
    if check != _check(packed):
        raise ValueError("the check bytes differ")
    document: dict[str, Any] = json.loads(zlib.decompressobj().decompress(packed, _LARGEST))
    return document


def _check(packed: bytes) -> bytes:
    return hashlib.blake2b(packed, digest_size=_CHECK_BYTES).digest()


def _filters(document: dict[str, Any]) -> Filters:
    order, currency = document["order"], document["currency"]
    if order not in ("asc", "desc") or currency not in (None, *HistoryCurrency):
        raise ValueError("not the filters of a walk")
    start, end = _moment(document["start"]), _moment(document["end"])
    if start is not None and end is not None and start >= end:
        raise ValueError("not a range of time")
    return Filters(currency, Bounds(start, end), order)


def _position(document: dict[str, Any], bounds: Bounds) -> Position:
    at, seen = _moment(document["at"]), document["seen"]
    if at is None and seen:
        raise ValueError("rows without an instant")
    if at is not None and not bounds.contain(at):
        raise ValueError("a position outside of the range")
    for digest, count in seen.items():
        if not _DIGEST.fullmatch(digest) or type(count) is not int or not 0 < count <= _MOST:
            raise ValueError("not counts of rows")
    return Position(at, seen)


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    """Parse an instant that `_text` wrote; refuse one within a day of either end of the calendar."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    if moment.utcoffset() != timedelta() or not arguments.is_within_calendar(moment):
        raise ValueError("not an instant of a walk")
    return moment.astimezone(UTC)
