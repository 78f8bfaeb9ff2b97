"""The API key, shown nowhere, and masked where a server repeats it."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import re
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MASKS = ("[key]", "***", "")
_SHORTEST = 8
"""Least characters of a key that is masked wherever it occurs; a shorter one may be (a part of) a word of the data."""
_MANY = 1000  # escapes in a body
_MARKS = ("\\", "%", "&", "\0")  # escapes begin with these; UTF-16 has NULs between ASCII letters
_NUMBER = re.compile(r"[0-9.eE+-]+")
_WORD = "[A-Za-z0-9_-]"
_BASE64 = "[A-Za-z0-9+/_-]"
_BACKSLASH = r"(?:\\|%(?:25){0,4}5[Cc]|&(?:amp;){0,4}#(?:0{0,6}92|[xX]0{0,6}5[Cc]);)"
_ENOUGH = 12
"""Characters of Base64 that identify a key: nine bytes of it. Texts are cut, so the rest may be missing."""


class Secret:
    """Holds a key; its text leaves this object only in the header of a request.

    The key is found as it is and in the spellings in which servers repeat it: JSON and JavaScript escapes,
    percent-encoding, HTML entities, UTF-16, Base64, hexadecimal. Each character is matched in any of its spellings,
    since an encoder escapes only some characters.
    """

    __slots__ = ("_bytes", "_escapes", "_everywhere", "_hints", "_in_data", "_in_text", "_mask", "_text")

    def __init__(self, text: str) -> None:
        self._text = text
        self._bytes = text.encode()
        self._mask = next(mask for mask in _MASKS if not mask or text.lower() not in mask)
        self._everywhere = len(text) >= _SHORTEST and _NUMBER.fullmatch(text) is None
        self._escapes = tuple(_escapes(text)) if self._everywhere else ()
        self._hints = (text.lower(), *_MARKS, *_hints(text), *(['""'] if '"' in text else []))
        # Made on first use: each takes some milliseconds.
        self._in_data: dict[bool, re.Pattern[bytes]] = {}  # of CSV, and of any other body
        self._in_text: re.Pattern[str] | None = None

    def is_in(self, value: object) -> bool:
        """Tell whether an argument of a user is, or contains, the key; a short key must be the whole of it."""
        if value is None or not self._text:
            return False
        text = str.__str__(value) if isinstance(value, str) else _shown(value)
        return self.masked(text) != text if self._everywhere else text == self._text

    def bearer(self) -> str:
        """Return the value of the `Authorization` header."""
        return f"Bearer {self._text}"

    def masked(self, text: str) -> str:
        """Return a text for people with the key masked; a short key is masked as a whole word only."""
        lower = text.lower()
        if not self._text or not any(hint in lower for hint in self._hints):
            return text
        if self._in_text is None:
            self._in_text = self._text_pattern()
        return self._in_text.sub(self._mask, text)

    def masked_data(self, data: Any) -> Any:
        """Return decoded JSON for people with the key masked, in names and in texts."""
        if isinstance(data, str):
            return self.masked(data)
        if isinstance(data, list):
            return [self.masked_data(item) for item in data]
        if isinstance(data, dict):
            return {self.masked(name): self.masked_data(item) for name, item in data.items()}
        return data

    def masked_body(self, body: bytes) -> bytes:
        """Return the body of a failure, a text for people, with the key masked."""
        return self.masked(body.decode("latin-1")).encode("latin-1")

    def masked_bytes(self, body: bytes, *, is_csv: bool = False) -> bytes:
        """Return the body of any answer with the key masked, unless the key is so short that it may be data.

        In CSV a quote inside a cell is doubled, also one that is escaped already, as in JSON inside a cell.

        A body without the key costs five searches, a few hundredths of the cost of decoding; only a body with escaped
        characters of the key is searched closely.
        """
        if not self._everywhere:
            return body
        if not (is_csv and b'"' in self._bytes):  # in CSV, the last quote of the key may be the first of two
            body = body.replace(self._bytes, self._mask.encode())
        if not self._may_be_escaped_in(body):
            return body
        if is_csv not in self._in_data:
            self._in_data[is_csv] = re.compile(_spelled(self._text, doubled=is_csv).encode())
        return self._in_data[is_csv].sub(self._mask.encode(), body)

    def masked_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers with the key masked and names in lower case; a short key is left, as in `masked_bytes`."""
        if not self._everywhere:
            return {name.lower(): value for name, value in headers.items()}
        return {self.masked(name.lower()): self.masked(value) for name, value in headers.items()}

    def _may_be_escaped_in(self, body: bytes) -> bool:
        return b"\0" in body or any(_occurs(mark, escape, body) for mark, escape in self._escapes)

    def _text_pattern(self) -> re.Pattern[str]:
        """Return a pattern that finds every spelling of the key in a text for people."""
        if self._everywhere:
            ways = [_spelled(self._text, doubled=True), *_in_base64(self._text), self._bytes.hex()]
            return re.compile("|".join(ways), re.IGNORECASE | re.ASCII)
        sent = (self._bytes, self.bearer().encode())
        words = [_spelled(self._text, doubled=True), *(re.escape(base64.b64encode(text).decode()) for text in sent)]
        return re.compile(f"(?<!{_WORD})(?:{'|'.join(words)})(?!{_WORD})", re.ASCII)

    def __repr__(self) -> str:
        return _MASKS[0]

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled."""
        raise TypeError("an API key is not pickled")

    def digest(self) -> str:
        """Return a text that distinguishes accounts and does not reveal the key."""
        return hashlib.blake2b(self._text.encode(), digest_size=16, person=b"venice-billing").hexdigest()


def _shown(value: object) -> str:
    """Return the repr of an argument, and its path if it is one."""
    try:
        path = os.fspath(value) if isinstance(value, os.PathLike) else ""
        text = f"{value!r} {path!r}"
    except Exception:  # noqa: BLE001 - foreign code, or an integer of more than 4,300 digits
        text = ""
    return text


def _spelled(text: str, *, doubled: bool) -> str:
    """Return a pattern of all spellings of a text; NULs between its characters are UTF-16 read as bytes."""
    return r"\0{0,3}".join(_spelled_character(character, doubled=doubled) for character in text)


def _spelled_character(character: str, *, doubled: bool) -> str:
    """Return a pattern of all spellings of one character; repetitions are bounded, so that no search is slow.

    Args:
        character: A character of the key.
        doubled: Whether a quote may be doubled, as in CSV. Elsewhere the second one may be the end of a text.
    """
    code = ord(character)
    digits = "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{code:02x}")
    plain = re.escape(character)
    if character == '"':
        # Doubled first and then escaped: each of both quotes is escaped. The other way round: only the first one is.
        plain = '""?' if doubled else r'"(?:\\{1,8}")?'
    entity = html.escape(character)[1:]
    named = f"|{re.escape(entity)}" if entity else ""
    if character == "'":
        named += "|apos;"
    unescaped = (
        rf"%(?:25){{0,4}}{digits}"
        rf"|(?:&|%26)(?:amp;){{0,4}}(?:#(?:0{{0,6}}{code}|[xX]0{{0,6}}{digits});{named})"
        rf"|{plain}"
    )
    own = "" if character.isalnum() else f"|{unescaped}"
    return rf"(?:{_BACKSLASH}{{1,8}}(?:(?:u00|x|u\{{0{{0,6}}){digits}\}}?{own})|{unescaped})"


def _occurs(mark: bytes, pattern: bytes, body: bytes) -> bool:
    """Tell whether a pattern that begins with a mark occurs; if marks are few, only these are checked."""
    at = -1
    for _ in range(_MANY):
        at = body.find(mark, at + 1)
        if at < 0:
            return False
        if re.compile(pattern).match(body, at):
            return True
    return re.compile(pattern).search(body, at) is not None


def _escapes(text: str) -> Iterator[tuple[bytes, bytes]]:
    """Yield the marks that escapes begin with, each with a pattern of escaped characters of the key."""
    codes = "|".join(sorted({f"{ord(character):02x}" for character in text}))
    marks = "".join(sorted({character for character in text if not character.isalnum()}))
    escaped = f"|[{re.escape(marks)}]" if marks else ""
    yield b"\\", rf"\\(?:(?i:(?:u00|x)(?:{codes})|u\{{0*(?:{codes})\}}){escaped})".encode()
    yield b"%", f"%(?:25)*(?i:{codes}|5c)".encode()
    if '"' in text:
        yield b'""', b'""'
    entities = "|".join(re.escape(html.escape(mark)[1:]) for mark in marks if html.escape(mark) != mark)
    yield b"&", f"&(?:amp;)*(?:#{f'|{entities}' if entities else ''})".encode()


def _hints(text: str) -> Iterator[str]:
    """Yield lower-case texts, one of which is in every text that holds the key encoded as a whole."""
    yield text.encode().hex()
    for core in _cores(text):
        yield max(re.split("[+/=]", core), key=len).lower()


def _in_base64(text: str) -> Iterator[str]:
    """Yield patterns of the key inside Base64; the characters at both ends hold bits of it, and are matched too."""
    for core in _cores(text):
        letters = core.replace("+", r"(?:[+-]|%2b)").replace("/", r"(?:\\?/|_|%2f)")
        yield f"{_BASE64}?{letters}{_BASE64}*(?:={{1,2}})?"


def _cores(text: str) -> Iterator[str]:
    """Yield the beginning of the key in Base64, for each of the three possible groupings of its bytes."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text.encode()).decode()
        yield encoded[-(-before * 8 // 6) : (before + len(text)) * 8 // 6][:_ENOUGH]
