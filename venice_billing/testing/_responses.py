"""Responses and their transmission: plain data that the transport and the server carry out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from attrs import evolve, field, frozen

from venice_billing.testing._required import whole
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Headers = tuple[tuple[str, str], ...]


@frozen
class Transmission:
    """How a response reaches the client. Waits are seconds; `math.inf` is a server that never answers."""

    connect_wait: float = 0.0
    """The wait before the connection is open. When served, before the headers: the kernel has accepted already."""
    headers_wait: float = 0.0
    headers_rate: float | None = None
    """Bytes per second at which the headers are sent."""
    body_rate: float | None = None
    stall_at: int | None = None
    """Stop after this many bytes of the body, for `stall_wait`."""
    stall_wait: float = 0.0
    cut_at: int | None = None
    """End the connection after this many bytes of the body; -1 means before the headers."""
    reset: bool = False
    """End the connection by a reset instead of a proper close."""
    without_length: bool = False
    """Send no `content-length`: the body ends with the connection, also at `cut_at`."""
    early: bytes = field(default=b"", repr=False)
    """Surplus bytes, sent right after this response. Served only: a transport has no connection to send them on."""
    then: Literal["keep", "close", "close at next request"] = "keep"
    """What happens to the connection after the response; the headers do not say so. Served only."""


@frozen
class RequestedPage:
    """The parts of a request that faults depend on; instants in microseconds."""

    key: str | None = field(default=None, repr=False)
    """The key that came with the request."""
    currency: str | None = None
    start: int | None = None
    end: int | None = None
    descending: bool = False
    first: bool = True
    """Whether the page of the response is the first of its range."""
    last: bool = True


@frozen
class Response:
    """A whole HTTP response. The transport or the server adds `content-length`."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)
    transmission: Transmission = Transmission()
    requested: RequestedPage = RequestedPage()

    def header(self, name: str) -> str | None:
        """Return the value of a header."""
        return next((value for other, value in self.headers if other.lower() == name), None)

    def with_header(self, name: str, value: str) -> Response:
        """Return the response with that header set."""
        rest = tuple(pair for pair in self.headers if pair[0].lower() != name.lower())
        return evolve(self, headers=(*rest, (name, value)))

    def transmitted(self, **changes: Any) -> Response:
        """Return the response with another transmission."""
        return evolve(self, transmission=evolve(self.transmission, **changes))

    def in_answer_to(self, **changes: Any) -> Response:
        """Return the response to a request of which more is known."""
        return evolve(self, requested=evolve(self.requested, **changes))


def header_fields(response: Response) -> list[tuple[bytes, bytes]]:
    """Return the headers as they are sent; text that is not ASCII is sent as UTF-8."""
    length = () if response.transmission.without_length else (("content-length", str(len(response.body))),)
    return [(name.encode(), value.encode()) for name, value in (*response.headers, *length)]


JSON = "application/json; charset=utf-8"
CSV = "text/csv; charset=utf-8"
HTML = "text/html; charset=utf-8"
_REFUSED = 400  # the one status whose body has a schema of its own


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
    """Return an error as the API reports it; a 400 names each parameter twice, as the API does."""
    document: dict[str, object] = {"error": message}
    if details is not None:
        nested: dict[str, object] = {"_errors": list(details.get("", ()))}
        nested |= {name: {"_errors": list(texts)} for name, texts in details.items() if name}
        document["details"] = whole("DetailedErrorDetails", nested)
        document["issues"] = [
            {"code": "custom", "path": [name] if name else [], "message": text}
            for name, texts in details.items()
            for text in texts
        ]
    return json_response(status, whole("StandardError" if status != _REFUSED else "DetailedError", document), headers)
