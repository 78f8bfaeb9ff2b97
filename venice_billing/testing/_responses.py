"""Responses, and how they are delivered: plain data that the two transports act out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, field, frozen

from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Headers = tuple[tuple[str, str], ...]


@frozen
class Delivery:
    """How a response reaches the client. Waits are seconds; `math.inf` is a server that never answers."""

    connect_wait: float = 0.0
    """Before the connection is there. Served, where the kernel has accepted already, before the headers."""
    headers_wait: float = 0.0
    headers_rate: float | None = None
    """Bytes per second at which the headers trickle."""
    body_rate: float | None = None
    stall_at: int | None = None
    """Stop after so many bytes of the body, for `stall_wait`."""
    stall_wait: float = 0.0
    cut_at: int | None = None
    """End the connection after so many bytes of the body; -1 is before the headers."""
    reset: bool = False
    """End it by a reset instead of a proper close."""
    without_length: bool = False
    """Send no `content-length`: the body ends where the connection does, at `cut_at` as well."""
    early: bytes = field(default=b"", repr=False)
    """Bytes of no response, sent right behind this one. Served only: a transport has no connection to send them on."""
    then: Literal["keep", "close", "close at next request"] = "keep"
    """What becomes of the connection after the response, without a word in the headers. Served only."""


@frozen
class Question:
    """What was asked, as far as a fault may want to know it; instants in microseconds."""

    key: str | None = field(default=None, repr=False)
    """The key that came with the request."""
    currency: str | None = None
    start: int | None = None
    end: int | None = None
    descending: bool = False
    first: bool = True
    """Whether the page answered with is the first of its range."""
    last: bool = True


@frozen
class Response:
    """A whole HTTP response. `content-length` is the transports' business."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    delivery: Delivery = Delivery()
    question: Question = Question()

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        return next((value for other, value in self.headers if other.lower() == name), None)

    def with_header(self, name: str, value: str) -> Response:
        """Return the response with that header set."""
        rest = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return evolve(self, headers=(*rest, (name, value)))

    def delivered(self, **changes: Any) -> Response:
        """Return the response with another delivery."""
        return evolve(self, delivery=evolve(self.delivery, **changes))

    def to(self, **changes: Any) -> Response:
        """Return the response as one to another question."""
        return evolve(self, question=evolve(self.question, **changes))


def header_fields(response: Response) -> list[tuple[bytes, bytes]]:
    """Return the headers as they are sent; what is not ASCII in them goes out as UTF-8."""
    length = () if response.delivery.without_length else (("content-length", str(len(response.body))),)
    return [(name.encode(), value.encode()) for name, value in (*response.headers, *length)]


JSON = "application/json; charset=utf-8"
CSV = "text/csv; charset=utf-8"
HTML = "text/html; charset=utf-8"


def json_response(status: int, value: object, headers: Headers = ()) -> Response:
    """Return a JSON document as a response."""
    return Response(status, (("content-type", JSON), *headers), to_json(value).encode())


def error_response(
    status: int,
    message: str,
    headers: Headers = (),
    *,
    details: Mapping[str, Sequence[str]] | None = None,
) -> Response:
    """Return an error as the API reports it; a 400 names each parameter twice over, as the wire does."""
    document: dict[str, object] = {"error": message}
    if details is not None:
        nested: dict[str, object] = {"_errors": list(details.get("", ()))}
        nested |= {name: {"_errors": list(texts)} for name, texts in details.items() if name}
        document["details"] = nested
        document["issues"] = [
            {"code": "custom", "path": [name] if name else [], "message": text}
            for name, texts in details.items()
            for text in texts
        ]
    return json_response(status, document, headers)
