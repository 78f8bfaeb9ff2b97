"""What a network and a server can do to an answer: each fault turns a good answer into what arrives instead.

Give them to `Quirks.faults`. They are made by the functions below, or by hand: `Fault("name", change)`.
"""

from __future__ import annotations

import gzip
import json
import math
import struct
import zlib
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from attrs import evolve, frozen

from venice_billing.testing._answers import HTML, Answer, Headers, error_answer
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Callable

HTML_ERROR = (
    b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Error</h1>"
    + b"<p>The web server reported a bad gateway error.</p>" * 540
    + b"</body></html>"
)
"""28 KB of error page, as proxies send it."""


@frozen
class Fault:
    """A named change of an answer."""

    name: str
    apply: Callable[[Answer], Answer]

    def __str__(self) -> str:
        return self.name


def status(code: int, *, html: bool = False, headers: Headers = ()) -> Fault:
    """Answer with an error status instead, in JSON or as a proxy's HTML page."""
    body = Answer(code, (("content-type", HTML), *headers), HTML_ERROR)
    answer = body if html else error_answer(code, f"Simulated failure {code}", headers)
    return Fault(f"status {code}{' html' if html else ''}", lambda _: answer)


def connect_hang(seconds: float = math.inf) -> Fault:
    """Let the connection wait to be accepted."""
    return Fault("connect hang", lambda answer: answer.delivered(connect_wait=seconds))


def hang(seconds: float = math.inf) -> Fault:
    """Send nothing for a time, then the answer."""
    return Fault("headers hang", lambda answer: answer.delivered(headers_wait=seconds))


def body_hang(at: int = 10, seconds: float = math.inf) -> Fault:
    """Stop after so many bytes of the body."""
    return Fault(
        "body hang",
        lambda answer: answer.delivered(stall_at=min(at, len(answer.body) - 1), stall_wait=seconds),
    )


def trickle_headers(bytes_per_second: float = 5.0) -> Fault:
    """Send the headers byte by byte."""
    return Fault("headers trickle", lambda answer: answer.delivered(headers_rate=bytes_per_second))


def trickle_body(bytes_per_second: float = 5.0) -> Fault:
    """Send the body byte by byte."""
    return Fault("body trickle", lambda answer: answer.delivered(body_rate=bytes_per_second))


def reset(at: int = -1) -> Fault:
    """Reset the connection: before the headers, or after so many bytes of the body."""
    return Fault("reset", lambda answer: answer.delivered(cut_at=min(at, len(answer.body) - 1), reset=True))


def truncated(at: int = 100) -> Fault:
    """Close the connection early: the body is shorter than its `content-length` says."""
    return Fault("truncated", lambda answer: answer.delivered(cut_at=min(at, len(answer.body) - 1)))


def truncated_gzip() -> Fault:
    """Send the first half of a gzip stream as if it were all."""

    def change(answer: Answer) -> Answer:
        packed = gzip.compress(answer.body, mtime=0)
        return evolve(answer, body=packed[: len(packed) // 2]).with_header("content-encoding", "gzip")

    return Fault("truncated gzip", change)


def gzip_bomb(size: int = 1 << 28) -> Fault:
    """Send a small gzip stream that unpacks to `size` bytes of white space and an empty object."""
    return Fault(
        "gzip bomb",
        lambda answer: evolve(answer, body=_bomb(size)).with_header("content-encoding", "gzip"),
    )


@cache
def _bomb(size: int) -> bytes:
    block = b" " * (1 << 20)
    count = size // len(block)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # A full flush ends a block so that it may be repeated as it stands.
    packed_block = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    packed = packed_block * count + packer.compress(b"{}") + packer.flush()
    checksum = 0
    for _ in range(count):
        checksum = zlib.crc32(block, checksum)
    trailer = struct.pack("<II", zlib.crc32(b"{}", checksum), (count * len(block) + 2) & 0xFFFFFFFF)
    return b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff" + packed + trailer


def body(content: bytes, *, content_type: str | None = None, name: str = "body") -> Fault:
    """Send other bytes under the same status."""

    def change(answer: Answer) -> Answer:
        changed = evolve(answer, body=content)
        return changed if content_type is None else changed.with_header("content-type", content_type)

    return Fault(name, change)


def invalid_utf8() -> Fault:
    """Put a byte into the body that UTF-8 has no place for."""

    def change(answer: Answer) -> Answer:
        middle = answer.body.find(b'"') + 1
        return evolve(answer, body=answer.body[:middle] + b"\xff" + answer.body[middle:])

    return Fault("invalid utf-8", change)


def invalid_json() -> Fault:
    """End the document before its last bracket."""
    return Fault("invalid json", lambda answer: evolve(answer, body=answer.body[:-1]))


def empty() -> Fault:
    """Send no body."""
    return body(b"", name="empty")


def deep_nesting(depth: int = 200_000) -> Fault:
    """Send nothing but opening and closing brackets."""
    return body(b"[" * depth + b"]" * depth, name="deep nesting")


def wrong_content_type(content_type: str = HTML) -> Fault:
    """Call the body something else."""
    return Fault("wrong content type", lambda answer: answer.with_header("content-type", content_type))


def amount(literal: str) -> Fault:
    """Write the first amount (or DIEM balance) of a JSON answer as that text: NaN, Infinity, 1e400."""

    def change(answer: Answer) -> Answer:
        for field in (b'"amount":', b'"diem":', b'"totalUsd":'):
            before, found, after = answer.body.partition(field)
            if found:
                rest = after[min(index for index in map(after.find, (b",", b"}")) if index >= 0) :]
                return evolve(answer, body=before + found + literal.encode() + rest)
        return answer

    return Fault(f"amount {literal[:20]}", change)


def edit(change: Callable[[Any], object], *, name: str = "edit") -> Fault:
    """Change the JSON document (numbers are exact) in place; others, and compressed ones, pass untouched."""

    def apply(answer: Answer) -> Answer:
        packed = answer.header("content-encoding") is not None
        if packed or not (answer.header("content-type") or "").startswith("application/json"):
            return answer
        document = json.loads(answer.body, parse_float=Decimal)
        change(document)
        return evolve(answer, body=to_json(document).encode())

    return Fault(name, apply)


def unknown_fields() -> Fault:
    """Add a field that no document names to the answer and to each of its rows."""

    def change(document: Any) -> None:
        document["newField"] = {"since": "tomorrow"}
        for row in document.get("data", ()):
            row["newField"] = [1, Decimal("2.50"), None]

    return edit(change, name="unknown fields")


def unknown_currency(currency: str = "POINTS") -> Fault:
    """Book every row, and the consumption, in a currency that no document names."""

    def change(document: Any) -> None:
        if "consumptionCurrency" in document:
            document["consumptionCurrency"] = currency
        for row in document.get("data", ()):
            row["currency"] = currency

    return edit(change, name="unknown currency")


def redirect(location: str = "https://elsewhere.invalid/api/v1/billing/balance", code: int = 302) -> Fault:
    """Send the client elsewhere; a relative location can be a loop."""
    return Fault("redirect", lambda _: Answer(code, (("location", location),)))


ALL: dict[str, Callable[[], Fault]] = {
    **{f"status {code}": lambda code=code: status(code) for code in (500, 502, 503, 504)},  # type: ignore[misc]
    "status 502 html": lambda: status(502, html=True),
    "status 522 html": lambda: status(522, html=True),
    "connect hang": connect_hang,
    "headers hang": hang,
    "body hang": body_hang,
    "headers trickle": trickle_headers,
    "body trickle": trickle_body,
    "reset": reset,
    "reset in body": lambda: reset(50),
    "truncated": truncated,
    "truncated gzip": truncated_gzip,
    "gzip bomb": gzip_bomb,
    "invalid utf-8": invalid_utf8,
    "invalid json": invalid_json,
    "nan": lambda: amount("NaN"),
    "huge number": lambda: amount("1e400"),
    "empty": empty,
    "deep nesting": deep_nesting,
    "wrong content type": wrong_content_type,
    "redirect": redirect,
    "redirect loop": lambda: redirect("?again"),
    "unknown fields": unknown_fields,
    "unknown currency": unknown_currency,
}
"""A maker of every kind of fault, by name, for those who draw at random."""
