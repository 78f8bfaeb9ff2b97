"""Bytes of a response as they come -> its body, bounded and proven whole. Pure."""

from __future__ import annotations

import zlib

BODY_LIMIT = 32 * 1024 * 1024
"""Bytes of a decoded body; a page of 1,000 entries has about 320 kB."""

_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class BodyError(ValueError):
    """The body is too large, cut short, or in an encoding that was not asked for."""


class BodyReader:
    """Collects a body chunk by chunk.

    httpx decodes a gzip body too, but says nothing when it ends early, which in CSV is a lost charge, and
    inflates whatever it is sent.
    """

    def __init__(self, content_encoding: str, limit: int = BODY_LIMIT) -> None:
        coding = content_encoding.strip().lower()
        if coding not in {"", "identity", *_WINDOW_BITS}:
            raise BodyError(f"the content encoding {coding[:40]!r} was not asked for")
        self._inflater = zlib.decompressobj(_WINDOW_BITS[coding]) if coding in _WINDOW_BITS else None
        self._limit = limit
        self._size = 0
        self._parts: list[bytes] = []

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes from the wire.

        Raises:
            BodyError: The body grows past the limit, or is not in its encoding.
        """
        if self._inflater is not None:
            chunk = self._inflate(self._inflater, chunk)
        self._size += len(chunk)
        if self._size > self._limit:
            raise BodyError(f"the body is larger than {self._limit} bytes")
        self._parts.append(chunk)

    def finish(self) -> bytes:
        """Return the whole body.

        Raises:
            BodyError: The compressed stream was cut short, or something follows it.
        """
        if self._inflater is not None and self._parts:
            if not self._inflater.eof:
                raise BodyError("the compressed body ends early")
            if self._inflater.unused_data:
                raise BodyError("the compressed body goes on after its end")
        return b"".join(self._parts)

    def _inflate(self, inflater: zlib._Decompress, chunk: bytes) -> bytes:
        try:
            return inflater.decompress(chunk, self._limit - self._size + 1)
        except zlib.error as error:
            raise BodyError(f"the compressed body is damaged: {error}") from None
