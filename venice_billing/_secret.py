"""The API key, kept so that it shows nowhere."""

from __future__ import annotations

import hashlib
from typing import NoReturn

_MASK = "[key]"


class Secret:
    """Holds a key; its text leaves only in the header of a request."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def bearer(self) -> str:
        """Return the value of the `Authorization` header."""
        return f"Bearer {self._text}"

    def masked(self, text: str) -> str:
        """Return `text` without the key: servers and libraries like to repeat what they refuse."""
        return text.replace(self._text, _MASK)

    def masked_bytes(self, body: bytes) -> bytes:
        """Return `body` without the key."""
        return body.replace(self._text.encode(), _MASK.encode())

    def __repr__(self) -> str:
        return _MASK

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into a file."""
        raise TypeError("an API key is not pickled")

    def digest(self) -> str:
        """Return a text that tells accounts apart and does not lead back to the key."""
        return hashlib.blake2b(self._text.encode(), digest_size=16, person=b"venice-billing").hexdigest()
