"""Cursors: signed, opaque tokens that hold the filters of a walk and the position to continue from."""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from venice_billing.testing._account import Position

_LAYOUT = struct.Struct(">BHIqqqdI")
_SIGNATURE_BYTES = 16
_NO_END = 2**63 - 1
CURSOR_CURRENCIES = (None, "USD", "DIEM", "BUNDLED_CREDITS")


@frozen
class Cursor:
    """The content of a token."""

    page: int
    """How many pages the walk has had: 1 in the cursor of the first page."""
    after: Position
    """The position of the last entry sent; a walk continues after it, even if rows are booked meanwhile."""
    end: int | None
    currency: str | None
    page_size: int
    issued_at: float
    """When the token was issued: Unix seconds by the clock of the fake."""
    issued_by: int
    """The number of the request that was answered with the token."""


class CursorRefusedError(ValueError):
    """The token was not issued by this account, was altered, or has expired."""


class CursorMint:
    """Write and read the tokens of one account."""

    def __init__(self, account: str) -> None:
        self._key = hashlib.sha256(f"cursor of {account}".encode()).digest()

    def write(self, cursor: Cursor) -> str:
        """Return the token."""
        payload = _LAYOUT.pack(
            CURSOR_CURRENCIES.index(cursor.currency),
            cursor.page_size,
            cursor.page,
            *cursor.after,
            _NO_END if cursor.end is None else cursor.end,
            cursor.issued_at,
            cursor.issued_by,
        )
        return urlsafe_b64encode(payload + self._sign(payload)).decode().rstrip("=")

    def read(self, token: str) -> Cursor:
        """Return the content of the token.

        Raises:
            CursorRefusedError: The token was altered, or belongs to another account.
        """
        try:
            sealed = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except Base64Error:
            raise CursorRefusedError("Invalid cursor") from None
        payload, signature = sealed[:-_SIGNATURE_BYTES], sealed[-_SIGNATURE_BYTES:]
        # The text must be exactly the one issued: base64 has several spellings of the same bytes.
        canonical = urlsafe_b64encode(sealed).decode().rstrip("=") == token
        if not canonical or not hmac.compare_digest(signature, self._sign(payload)):
            raise CursorRefusedError("Invalid cursor")
        currency, page_size, page, instant, number, end, issued_at, issued_by = _LAYOUT.unpack(payload)
        return Cursor(
            page=page,
            after=(instant, number),
            end=None if end == _NO_END else end,
            currency=CURSOR_CURRENCIES[currency],
            page_size=page_size,
            issued_at=issued_at,
            issued_by=issued_by,
        )

    def _sign(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, "sha256")[:_SIGNATURE_BYTES]
