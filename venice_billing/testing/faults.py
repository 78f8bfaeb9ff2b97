"""Faults of networks and servers: each turns a good response into the one that arrives instead.

Pass them to `Quirks.faults`. They are made by the functions below, or directly: `Fault("name", change)`.
"""

from __future__ import annotations

import gzip
import math
from typing import TYPE_CHECKING

from attrs import evolve

from venice_billing.testing._bombs import bomb_of_lists, gzip_bomb
from venice_billing.testing._checks import check_status, check_wait
from venice_billing.testing._fault import Fault
from venice_billing.testing._page_faults import (
    cut_at_record,
    echo_key,
    edit,
    foreign_currency,
    foreign_time,
    unknown_currency,
    unknown_fields,
)
from venice_billing.testing._responses import HTML, Headers, Response, error_response

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "ALL",
    "EARLY_ANSWER",
    "HARMLESS",
    "HTML_ERROR",
    "SERVED_ONLY",
    "Fault",
    "amount",
    "body",
    "body_hang",
    "bomb_of_lists",
    "closed_after",
    "connect_hang",
    "cookie",
    "cut_at_record",
    "deep_nesting",
    "early",
    "echo_key",
    "edit",
    "empty",
    "foreign_currency",
    "foreign_time",
    "gzip_bomb",
    "hang",
    "invalid_json",
    "invalid_utf8",
    "no_length",
    "redirect",
    "reset",
    "status",
    "trickle_body",
    "trickle_headers",
    "truncated",
    "truncated_gzip",
    "unknown_currency",
    "unknown_fields",
    "wrong_content_type",
]

HTML_ERROR = (
    b"<!DOCTYPE html><html><head><title>Bad gateway</title></head><body><h1>Error</h1>"
    + b"<p>The web server reported a bad gateway error.</p>" * 540
    + b"</body></html>"
)
"""An error page of 28 KB, as proxies send them."""


EARLY_ANSWER = (
    b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 29\r\n\r\n{"data":[],"nextCursor":null}'
)
"""A whole response that no request asked for: an empty ledger."""


def status(code: int, *, html: bool = False, headers: Headers = ()) -> Fault:
    """Answer with an error status instead, in JSON or as a proxy's HTML page.

    Raises:
        TypeError: The status is no int.
        ValueError: The status has not three digits.
    """
    check_status(code)
    body = Response(code, (("content-type", HTML), *headers), HTML_ERROR)
    response = body if html else error_response(code, f"Simulated failure {code}", headers)
    return Fault(f"status {code}{' html' if html else ''}", lambda _: response)


def connect_hang(seconds: float = math.inf) -> Fault:
    """Delay accepting the connection."""
    check_wait(seconds)
    return Fault("connect hang", lambda response: response.transmitted(connect_wait=seconds))


def hang(seconds: float = math.inf) -> Fault:
    """Send nothing for a time, then the response."""
    check_wait(seconds)
    return Fault("headers hang", lambda response: response.transmitted(headers_wait=seconds))


def body_hang(at: int = 10, seconds: float = math.inf) -> Fault:
    """Stop for a time after `at` bytes of the body."""
    check_wait(seconds)
    return Fault(
        "body hang",
        lambda response: response.transmitted(stall_at=min(at, len(response.body) - 1), stall_wait=seconds),
    )


def trickle_headers(bytes_per_second: float = 5.0) -> Fault:
    """Send the headers byte by byte."""
    return Fault("headers trickle", lambda response: response.transmitted(headers_rate=bytes_per_second))


def trickle_body(bytes_per_second: float = 5.0) -> Fault:
    """Send the body byte by byte."""
    return Fault("body trickle", lambda response: response.transmitted(body_rate=bytes_per_second))


def reset(at: int = -1) -> Fault:
    """Reset the connection: before the headers, or after `at` bytes of the body."""
    return Fault("reset", lambda response: response.transmitted(cut_at=min(at, len(response.body) - 1), reset=True))


def truncated(at: int = 100) -> Fault:
    """Close the connection early, so that the body is shorter than its `content-length`."""
    return Fault("truncated", lambda response: response.transmitted(cut_at=min(at, len(response.body) - 1)))


def no_length() -> Fault:
    """Send the whole body without a `content-length`: it ends with the connection."""
    return Fault("no length", lambda response: response.transmitted(without_length=True))


def closed_after(*, at_next_request: bool = False) -> Fault:
    """Close the kept connection after the response without notice, as servers do with idle ones. Served only.

    Args:
        at_next_request: Close it only after reading the next request, and leave that request unanswered, as when a
            client sends a request just while the server closes.
    """
    then = "close at next request" if at_next_request else "close"
    return Fault(f"{'lost' if at_next_request else 'closed'} after", lambda response: response.transmitted(then=then))


def early(content: bytes = EARLY_ANSWER) -> Fault:
    """Send surplus bytes right after the response. Served only; a transport leaves the response unchanged."""
    return Fault("early bytes", lambda response: response.transmitted(early=content))


def cookie(value: str = "session=1; Path=/") -> Fault:
    """Ask the client to keep a cookie; text that is not ASCII is sent as UTF-8."""
    return Fault("cookie", lambda response: response.with_header("set-cookie", value))


def truncated_gzip() -> Fault:
    """Send the first half of a gzip stream as if it were the whole."""

    def change(response: Response) -> Response:
        packed = gzip.compress(response.body, mtime=0)
        return evolve(response, body=packed[: len(packed) // 2]).with_header("content-encoding", "gzip")

    return Fault("truncated gzip", change)


def body(content: bytes, *, content_type: str | None = None, name: str = "body") -> Fault:
    """Send another body with the same status."""

    def change(response: Response) -> Response:
        changed = evolve(response, body=content)
        return changed if content_type is None else changed.with_header("content-type", content_type)

    return Fault(name, change)


def invalid_utf8() -> Fault:
    """Put a byte into the body that is invalid in UTF-8."""

    def change(response: Response) -> Response:
        middle = response.body.find(b'"') + 1
        return evolve(response, body=response.body[:middle] + b"\xff" + response.body[middle:])

    return Fault("invalid utf-8", change)


def invalid_json() -> Fault:
    """End the document before its last bracket."""
    return Fault("invalid json", lambda response: evolve(response, body=response.body[:-1]))


def empty() -> Fault:
    """Send no body."""
    return body(b"", name="empty")


def deep_nesting(depth: int = 200_000) -> Fault:
    """Send nothing but opening and closing brackets."""
    return body(b"[" * depth + b"]" * depth, name="deep nesting")


def wrong_content_type(content_type: str = HTML) -> Fault:
    """Send the body with another media type."""
    return Fault("wrong content type", lambda response: response.with_header("content-type", content_type))


def amount(literal: str) -> Fault:
    """Replace the first amount (or DIEM balance) of a JSON response by `literal`: NaN, Infinity, 1e400."""

    def change(response: Response) -> Response:
        for field in (b'"amount":', b'"diem":', b'"totalUsd":'):
            before, found, after = response.body.partition(field)
            if found:
                rest = after[min(index for index in map(after.find, (b",", b"}")) if index >= 0) :]
                return evolve(response, body=before + found + literal.encode() + rest)
        return response

    return Fault(f"amount {literal[:20]}", change)


def redirect(location: str = "https://elsewhere.invalid/api/v1/billing/balance", code: int = 302) -> Fault:
    """Redirect the client; a relative location can make a loop."""
    return Fault("redirect", lambda _: Response(code, (("location", location),)))


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
    "cut at record": cut_at_record,
    "no length": no_length,
    "closed after": closed_after,
    "lost after": lambda: closed_after(at_next_request=True),
    "early bytes": lambda: early(b"\r\n0\r\n\r\n"),
    "early answer": early,
    "cookie": cookie,
    "cookie, not ascii": lambda: cookie("name=\u017elu\u0165ou\u010dk\u00fd; Path=/"),
    "truncated gzip": truncated_gzip,
    "gzip bomb": gzip_bomb,
    "bomb of lists": lambda: bomb_of_lists(1_000_000),
    "invalid utf-8": invalid_utf8,
    "invalid json": invalid_json,
    "nan": lambda: amount("NaN"),
    "huge number": lambda: amount("1e400"),
    "empty": empty,
    "deep nesting": deep_nesting,
    "wrong content type": wrong_content_type,
    "redirect": redirect,
    "redirect loop": lambda: redirect("?again"),
    "foreign currency": foreign_currency,
    "foreign time": foreign_time,
    "echoed key as name": echo_key,
    "echoed key as value": lambda: echo_key("value"),
    "echoed key as error": lambda: echo_key("error"),
    "echoed key as header": lambda: echo_key("header"),
    "echoed key as value, escaped": lambda: echo_key("value", escaped=True),
    "unknown fields": unknown_fields,
    "unknown currency": unknown_currency,
}
"""A function that makes each kind of fault, by name, for drawing at random."""

SERVED_ONLY = frozenset({"closed after", "lost after", "early bytes", "early answer"})
"""The faults of `ALL` that affect a connection: over `FakeVenice.transport()` they change nothing."""

HARMLESS = SERVED_ONLY | frozenset(
    {
        "no length",
        "cookie",
        "cookie, not ascii",
        "foreign currency",
        "foreign time",
        "echoed key as name",
        "echoed key as header",
        "unknown fields",
        "unknown currency",
    }
)
"""The faults of `ALL` after which a response can still be correct: alone they are no reason for an error.

But for early bytes and an early answer over a socket: a client asks again when it sees bytes after a body.
"""
