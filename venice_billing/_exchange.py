"""Build requests and read responses, bounded and proven whole: all that both drivers know about HTTP.

A failure on the network becomes an outcome, never an exception, so no traceback of a public error has a frame that
holds the key.
"""

from __future__ import annotations

import json
import zlib
from typing import TYPE_CHECKING, Any

from venice_billing._call import Broken, Expired, Outcome, Reply, Send, Unreadable
from venice_billing._default_headers import USER_AGENT
from venice_billing._runtime.http_libraries import http_of
from venice_billing._version import __version__

if TYPE_CHECKING:
    import httpx

    from venice_billing._runtime.deadline import Deadline
    from venice_billing._secret import Secret

BODY_LIMIT = 3 * 1024 * 1024
"""Most bytes of a decoded body: a page of 1,000 entries has about 320 kB, and nested lists take 50 times their text."""
_ERROR_LIMIT = 68 * 1024
"""Bytes that are read of an error's body: a little more than is kept, so that no key is cut in two."""
_ALL_HEADERS = "venice_billing.headers"
_WINDOW_BITS = {"gzip": 16 + zlib.MAX_WBITS, "x-gzip": 16 + zlib.MAX_WBITS, "deflate": zlib.MAX_WBITS}


class Exchange:
    """Builds requests and reads responses, in either flavour."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self._base_url = base_url
        self._key = key
        self._urls: dict[str, httpx.URL] = {}

    def request(self, client: httpx.Client | httpx.AsyncClient, send: Send, bound: Deadline) -> httpx.Request:
        """Return the request to send, with the headers of the client, and none of its cookies or parameters.

        It is of the library of the client, which takes no other.
        """
        http = http_of(client)
        headers = http.Headers(client.headers)
        agent = _user_agent(http, send.headers.get(USER_AGENT))
        headers.update({**send.headers, **send.request.headers, "Accept-Encoding": "gzip", USER_AGENT: agent})
        headers["Authorization"] = self._key.bearer()
        request: httpx.Request = http.Request(
            send.request.method,
            self._url(http, send.request.path),
            params=dict(send.request.params) or None,  # with None, httpx does not parse the URL again
            headers=headers,
            extensions=bound.extensions(),
        )
        return request

    def incoming(self, response: httpx.Response) -> IncomingResponse:
        """Return a reader for a response, with its original headers."""
        response.headers = response.extensions.pop(_ALL_HEADERS, response.headers)
        return IncomingResponse(response, self._key)

    def fault(self, fault: Exception) -> Outcome:
        """Return the outcome of a request that failed."""
        if isinstance(fault, http_of(fault).TimeoutException | TimeoutError):
            return Expired()
        return Broken(self._key.masked(f"{type(fault).__name__}: {fault}"))

    def _url(self, http: Any, path: str) -> httpx.URL:
        """Return the URL of a path, cached: there are four in all, and httpx would parse them for each request."""
        if path not in self._urls:
            self._urls[path] = http.URL(self._base_url + path)
        return self._urls[path]


def _user_agent(http: Any, product: str | None) -> str:
    """Return the products that send a request, the most significant one first (RFC 9110): the user's own, then ours."""
    products = [product] if product else []
    return " ".join([*products, f"venice-billing/{__version__}", f"python-{http.__name__}/{http.__version__}"])


def set_location_aside(response: httpx.Response) -> None:
    """Remove the address of a redirect until `Exchange.incoming`: a response hook for clients of this package.

    httpx builds the next request even if redirects are not followed, and fails if the address is invalid.
    """
    if "location" in response.headers:
        response.extensions[_ALL_HEADERS] = response.headers.copy()
        del response.headers["location"]


async def set_location_aside_async(response: httpx.Response) -> None:
    """Do the same in an asynchronous client."""
    set_location_aside(response)


class IncomingResponse:
    """A response while it is read; a fault of its body becomes part of the outcome.

    Only the beginning of an error's body is read, for the message.
    """

    def __init__(self, response: httpx.Response, key: Secret) -> None:
        self._response = response
        self._key = key
        self._is_success = response.is_success
        self._received = 0
        self._problem = ""
        self._reader: BodyReader | None = None
        # True if an event hook or a mock has read the body; httpx has decoded it then.
        self.is_read = response.is_stream_consumed
        try:
            coding = "" if self.is_read else key.masked(response.headers.get("content-encoding", ""))
            self._reader = BodyReader(coding, BODY_LIMIT) if self._is_success else BodyReader(coding, _ERROR_LIMIT)
            if self.is_read:
                self._feed(response.content)
        except BodyError as error:
            self._problem = str(error)

    def take(self, chunk: bytes) -> bool:
        """Take the next bytes, and tell whether to go on."""
        self._received += len(chunk)
        try:
            return not self._problem and self._feed(chunk)
        except BodyError as error:
            self._problem = str(error)
            return False

    def note_bytes_after(self) -> None:
        """Note that bytes came after the body: a length counted in characters, for example, cuts the body short."""
        if self._is_success and not self._problem:
            self._problem = f"bytes came after the {self._received} bytes of the body, whose length or end is wrong"

    def outcome(self) -> Outcome:
        """Return the whole response; for an error with an unreadable body, status and headers are enough."""
        body = self._body()
        if self._is_success and not self._problem and "content-range" in self._response.headers:
            self._problem = "a part of the answer (Content-Range), which was not asked for"
        if self._is_success and not self._problem and not self._is_whole(body):
            self._problem = (
                "the answer names no length and the connection ended: it may have been cut short"
                if self._length() is None
                else f"{self._received} bytes of {self._length()}"
            )
        if self._is_success and self._problem:
            return Unreadable(self._problem)
        headers = self._key.masked_headers(self._response.headers)
        is_csv = "csv" in self._response.headers.get("content-type", "").lower()
        return Reply(self._response.status_code, headers, self._key.masked_bytes(body, is_csv=is_csv))

    def _feed(self, chunk: bytes) -> bool:
        if self._reader is None:
            return False
        self._reader.feed(chunk)
        if self._is_success and self._reader.is_full:
            raise BodyError(f"the body is larger than {BODY_LIMIT} bytes")
        return not self._reader.is_full

    def _body(self) -> bytes:
        if self._reader is None:
            return b""
        try:
            return self._reader.finish() if self._is_success else self._reader.read()
        except BodyError as error:
            self._problem = self._problem or str(error)
            return b""

    def _length(self) -> int | None:
        text = self._response.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None  # noqa: PLR2004 - digits

    def _is_whole(self, body: bytes) -> bool:
        """Tell whether length, framing or content prove that nothing is missing."""
        if (length := self._length()) is not None:
            return self.is_read or self._received == length
        headers = self._response.headers
        # HTTP/2 marks the end of a body. The version of a response proves nothing: an HTTP/1.1 server may write any
        # version. The extension "stream_id" is httpcore's own, and proves that the connection speaks HTTP/2.
        if "chunked" in headers.get("transfer-encoding", "") or "stream_id" in self._response.extensions:
            return True
        if not body or (self._reader is not None and self._reader.proves_its_end):
            return True  # nothing can be missing, and an empty body is refused later as no document
        return _is_json(body)


class BodyError(ValueError):
    """The body is too large, cut short, or in an encoding that was not asked for."""


class BodyReader:
    """Collects a body chunk by chunk, up to a limit.

    httpx decodes a gzip body too, but does not report one that ends early, which in CSV loses charges, and inflates it
    without a limit.

    Attributes:
        is_full: Whether the body was larger than the limit.
    """

    def __init__(self, content_encoding: str, limit: int = BODY_LIMIT) -> None:
        coding = content_encoding.strip().lower()
        if coding not in {"", "identity", *_WINDOW_BITS}:
            raise BodyError(f"the content encoding {coding[:40]!r} was not asked for")
        self._inflater = zlib.decompressobj(_WINDOW_BITS[coding]) if coding in _WINDOW_BITS else None
        self._limit = limit
        self._left = limit
        self._parts: list[bytes] = []
        self.is_full = False

    @property
    def proves_its_end(self) -> bool:
        """Whether the encoding marks its end, and the mark was read."""
        return self._inflater is not None and self._inflater.eof

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes from the network; bytes beyond the limit are dropped.

        Raises:
            BodyError: The bytes are not in the encoding.
        """
        if self.is_full:
            return
        if self._inflater is not None:
            chunk = self._inflated(self._inflater, chunk)
        self.is_full = len(chunk) > self._left
        chunk = chunk[: self._left]
        self._left -= len(chunk)
        self._parts.append(chunk)

    def read(self) -> bytes:
        """Return the bytes read so far."""
        return b"".join(self._parts)

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
        return self.read()

    def _inflated(self, inflater: zlib._Decompress, chunk: bytes) -> bytes:
        try:
            return inflater.decompress(chunk, self._left + 1)
        except zlib.error as error:
            raise BodyError(f"the compressed body is damaged: {error}") from None


def _is_json(body: bytes) -> bool:
    """Tell whether a body is one whole JSON object or list; a number, for example, may have lost digits."""
    if body.lstrip()[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True
