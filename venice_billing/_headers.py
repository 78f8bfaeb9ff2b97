"""Values of response headers: waits that the API asks for, dates, links and file names. Pure.

Each value is read once from front to back, so that the cost of a hostile header is linear in its length.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# A quote or bracket that is never closed reaches to the end, so no alternative is tried twice at one position.
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|<[^>]*(?:>|\Z)|[,;]|[^",;<]+', re.DOTALL)
_QUOTED = re.compile(r"\\(.)", re.DOTALL)
_DRIVES = re.compile(r"(?:[A-Za-z]:)+")
_LONGEST_NAME = 255  # bytes: the limit of the usual file systems
_LONGEST_READ = 4096
_LONGEST_SUFFIX = 16
_DIGITS = 15
_HUGE = 1e15  # seconds, or milliseconds: practically for ever
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control and format characters, surrogates, line breaks


def link_to(header: str, relation: str) -> str | None:
    """Return the target of the first link of a relation in a `Link` header (RFC 8288), or None."""
    for target, parameters in _items(header, separator=","):
        relations = parameters.get("rel", "").lower().split()
        if relation in relations and target.startswith("<") and target.endswith(">"):
            return target[1:-1].strip()
    return None


def file_name(header: str) -> str | None:
    """Return the file name that a `Content-Disposition` header (RFC 6266) suggests, as a bare name; None without one.

    Folders, drives and invisible characters are left out, and a name too long for a file system is shortened.
    """
    _, parameters = next(_items(header, separator=""))
    return _bare(_extended(parameters.get("filename*", "")) or parameters.get("filename", ""))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds the API asks to wait, counted from `now` (Unix seconds); None if it does not say.

    The longest of `Retry-After` (seconds or a date), `x-ratelimit-reset-requests` (Unix seconds) and
    `x-ratelimit-resets` (Unix milliseconds): each names a limit that is still in force until then.
    """
    asked = headers.get("retry-after", "").strip()
    waits = [
        seconds for part in asked.split(",") if (seconds := _number(part)) is not None
    ]  # proxies repeat the header
    if not waits and (date := http_date(asked)) is not None:
        waits.append(date.timestamp() - now)
    for name, unit in (("x-ratelimit-reset-requests", 1), ("x-ratelimit-resets", 1000)):
        if (reset := _number(headers.get(name, ""))) is not None:
            waits.append(reset / unit - now)
    return max(0.0, *waits) if waits else None


def http_date(text: str) -> datetime | None:
    """Return the moment of an HTTP date in UTC; None where it is none."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, LookupError, OverflowError):  # the parser raises all of these on bad dates
        return None


def _items(header: str, separator: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each item of a list with its parameters, whose names are in lower case; the first of equal names counts."""
    parts: list[list[str]] = [[]]
    for match in _PIECE.finditer(header):
        piece = match[0]
        if piece == separator:
            yield _item(parts)
            parts = [[]]
        elif piece == ";":
            parts.append([])
        else:
            parts[-1].append(piece)
    yield _item(parts)


def _item(parts: list[list[str]]) -> tuple[str, dict[str, str]]:
    first, *rest = ["".join(pieces).strip() for pieces in parts]
    parameters: dict[str, str] = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters.setdefault(name.strip().lower(), _unquoted(value.strip()))
    return first, parameters


def _unquoted(value: str) -> str:
    return _QUOTED.sub(r"\1", value[1:].removesuffix('"')) if value.startswith('"') else value


def _extended(value: str) -> str:
    """Return the text of an extended value such as `UTF-8''a%20b` (RFC 8187); empty if the value is none."""
    charset, _, rest = value.partition("'")
    _, quote, text = rest.partition("'")
    if not quote or charset.lower() not in {"utf-8", "iso-8859-1"}:
        return ""
    return unquote_to_bytes(text).decode(charset, "replace")


def _bare(name: str) -> str | None:
    name = "".join(character for character in name[-_LONGEST_READ:] if unicodedata.category(character) not in _UNSEEN)
    name = re.split(r"[/\\]", name)[-1].strip()
    if drives := _DRIVES.match(name):
        name = name[drives.end() :].strip()
    name = _shortened(name).strip()
    return name if name.strip(". ") else None


def _shortened(name: str) -> str:
    """Return a name of at most 255 bytes, with its suffix."""
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode()) > _LONGEST_SUFFIX:
        stem, dot, suffix = name, "", ""
    room = _LONGEST_NAME - len((dot + suffix).encode())
    return stem.encode()[:room].decode("utf-8", "ignore") + dot + suffix


def _number(text: str) -> float | None:
    """Return a number of seconds or milliseconds; an absurdly large one counts as practically for ever, not as None."""
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
        return None
    whole, dot, fraction = text.strip().lstrip("0").partition(".")
    return float(f"0{whole}{dot}{fraction[:9]}") if len(whole) <= _DIGITS else _HUGE
