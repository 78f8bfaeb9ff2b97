"""The errors, one hierarchy under `VeniceError`; `error_for` turns an HTTP answer into its error."""

from __future__ import annotations

import json
import re
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal

from venice_billing._headers import http_date, link_to, retry_after
from venice_billing._runtime.errors import DecodeError, VeniceError
from venice_billing._secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = [
    "APIConnectionError",
    "APIError",
    "AdminKeyRequiredError",
    "AnotherAccountError",
    "AuthenticationError",
    "BillingTimeoutError",
    "ClientClosedError",
    "CursorRejectedError",
    "DecodeError",
    "EndpointRetiredError",
    "ExportError",
    "InsufficientBalanceError",
    "InvalidParameterError",
    "InvalidRequestError",
    "LedgerError",
    "LedgerUnavailableError",
    "MonthOpenError",
    "NotFoundError",
    "PermissionDeniedError",
    "RateLimitError",
    "ResponseValidationError",
    "ServerError",
    "VeniceError",
]

OpenReason = Literal["not_over", "late_charges", "not_reread"]
"""Why a month cannot be closed yet."""

_NO_SECRET = Secret("")
_MESSAGE_LIMIT = 500
_VALUE_LIMIT = 80
_BODY_LIMIT = 64 * 1024
_HISTORY = "/billing/usage-history"
_INSTEAD = "; call get_usage_history() for a page, or iter_usage() for the charges of a range"
_MARGIN = 4096  # so that a key at the limit is found before it is cut in two


class APIError(VeniceError):
    """The API refused the request, or the client refused it before it was sent.

    Attributes:
        status_code: The HTTP status; None when nothing was sent.
        message: What the API said, as one line of at most 500 characters.
        details: The API's own description of the bad fields, if any.
        request_id: The API's id of the request, if any.
        headers: The response headers, names in lower case.
        body: The response body as received, at most its first 64 KiB, without the key.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        details: Any = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        self.message = bounded(message, _MESSAGE_LIMIT)
        self.status_code = status_code
        self.details = details
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.body = body
        super().__init__(self.message if status_code is None else f"HTTP {status_code}: {self.message}")

    @property
    def request_id(self) -> str | None:
        """The API's id of the request: quote it to support."""
        for name in ("x-request-id", "x-venice-request-id", "request-id", "cf-ray"):
            if name in self.headers:
                return self.headers[name]
        return None


class InvalidRequestError(APIError):
    """The API does not accept the request (400, 413, 415, 422)."""


class InvalidParameterError(InvalidRequestError, ValueError):
    """An argument was refused before anything was sent.

    Attributes:
        parameter: The name of the argument.
        value: The value given, as bounded text (never the text of a key).
        allowed: What would have been accepted.
    """

    def __init__(self, parameter: str, value: object, allowed: str) -> None:
        self.parameter = parameter
        self.value = bounded(_shown(value), _VALUE_LIMIT)
        self.allowed = allowed
        super().__init__(f"{parameter} must be {allowed}; got {self.value}")


class CursorRejectedError(InvalidRequestError):
    """The cursor is not accepted (400): expired, altered, or another account's. Start again from a timestamp."""


class AuthenticationError(APIError):
    """There is no key, or the API does not accept it (401)."""


class AdminKeyRequiredError(AuthenticationError):
    """The key is valid, but for inference only: balance and ledger require an ADMIN key (401)."""


class InsufficientBalanceError(APIError):
    """The balance, or the spend limit of the key, is used up (402)."""


class PermissionDeniedError(APIError):
    """The key may not do this (403)."""


class NotFoundError(APIError):
    """There is nothing at this address (404)."""


class EndpointRetiredError(APIError):
    """The endpoint is gone for good (410)."""

    @property
    def successor(self) -> str | None:
        """The address of the replacement, from the `Link` header; None if the API names none."""
        return link_to(self.headers.get("link", ""), "successor-version")

    @property
    def sunset(self) -> datetime | None:
        """When the endpoint stopped answering (UTC), from the `Sunset` header (RFC 8594); None if not sent."""
        return http_date(self.headers.get("sunset", ""))


class RateLimitError(APIError):
    """Too many requests (429).

    Attributes:
        retry_after: Seconds to wait, from `Retry-After` and the reset headers; None if the API names none.
    """

    retry_after: float | None = None


class ServerError(APIError):
    """The API failed (5xx, except 504), or a part of the ledger cannot be read."""


class APIConnectionError(VeniceError):
    """The API was not reached, or the connection broke before the answer was whole."""


class ClientClosedError(VeniceError):
    """The client was closed before the call, or while the call was under way. Trying again does not help."""


class BillingTimeoutError(VeniceError):
    """No whole answer came within `timeout` seconds, or the API itself gave up waiting (504).

    Attributes:
        status_code: 504 if the API gave up; None if the deadline passed in the client.
    """

    def __init__(self, message: str, *, status_code: int | None = None) -> None:
        self.status_code = status_code
        super().__init__(message)


class ResponseValidationError(VeniceError):
    """A 2xx answer breaks the contract.

    Attributes:
        field: Where the problem is, as in `data[3].amount`; empty for the answer as a whole.
        problem: What is wrong there.
    """

    def __init__(self, problem: str, *, field: str = "") -> None:
        self.field = field
        self.problem = bounded(problem, _MESSAGE_LIMIT)
        super().__init__(f"{field or 'the answer'}: {self.problem}")


class LedgerError(VeniceError):
    """The file of a ledger cannot be used, or a sync would spoil it; the message says what to do."""


class LedgerUnavailableError(LedgerError):
    """The file of a ledger cannot be used now: it is in use, the disk is full, or you may not write it."""


class MonthOpenError(LedgerError):
    """A month cannot be closed yet, since it is not over or charges of it may still come.

    Attributes:
        month: The month, like "2026-10".
        reason: "not_over"; "late_charges": it must be read again, by a sync at `closable_at` or later; "not_reread": so
            it was, but not all of it, which a sync with `full=True` does.
        closable_at: When it can be closed at the earliest, after a sync; None: at once, after a full sync.
    """

    def __init__(self, message: str, *, month: str, reason: OpenReason, closable_at: datetime | None) -> None:
        self.month = month
        self.reason = reason
        self.closable_at = closable_at
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return _month_open_error, (str(self), self.month, self.reason, self.closable_at), vars(self)


def _month_open_error(message: str, month: str, reason: OpenReason, closable_at: datetime | None) -> MonthOpenError:
    return MonthOpenError(message, month=month, reason=reason, closable_at=closable_at)


class AnotherAccountError(VeniceError):
    """The key is that of another account than the charges that a warehouse has; nothing was loaded."""


class ExportError(VeniceError):
    """The file of an export cannot be written; the same call continues, with the file in `checkpoint` if any."""


_BY_STATUS: dict[int, type[APIError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    410: EndpointRetiredError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitError,
}
DOCUMENTED = frozenset({*_BY_STATUS, 500, 502, 503, 504})
"""The statuses outside 2xx that the contract names for some operation."""


def error_for(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    continuation: bool = False,
    now: float | None = None,
    secret: Secret = _NO_SECRET,
) -> APIError | BillingTimeoutError:
    """Return the error that an HTTP answer outside 2xx stands for.

    Args:
        status: The HTTP status; any integer.
        headers: The response headers.
        body: The response body: JSON in any of the API's shapes, HTML of a proxy, or nothing.
        continuation: Whether the request carried a cursor and nothing else, so that a 400 is about the cursor.
        now: The time, in Unix seconds, from which reset headers are counted; by default the current time.
        secret: The key of the request; the answer may repeat it, and the error must not.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    message, details = _explanation(status, headers, body)
    message, details = secret.masked(message), _masked(details, secret)
    if status == HTTPStatus.GATEWAY_TIMEOUT:
        return BillingTimeoutError(
            bounded(f"HTTP 504: {message}; ask for a shorter range", _MESSAGE_LIMIT), status_code=status
        )
    kind = _BY_STATUS.get(status, ServerError if status >= HTTPStatus.INTERNAL_SERVER_ERROR else APIError)
    if kind is AuthenticationError and re.search(r"\badmin\b", message, re.IGNORECASE):
        kind = AdminKeyRequiredError
    if kind is InvalidRequestError and continuation and status == HTTPStatus.BAD_REQUEST:
        kind = CursorRejectedError
    if kind is EndpointRetiredError and (link_to(headers.get("link", ""), "successor-version") or "").endswith(
        _HISTORY
    ):
        message = f"{bounded(message, _MESSAGE_LIMIT - len(_INSTEAD))}{_INSTEAD}"
    error = kind(
        message,
        status_code=status,
        details=details,
        headers={secret.masked(name): secret.masked(value) for name, value in headers.items()},
        body=secret.masked_body(body[: _BODY_LIMIT + _MARGIN])[:_BODY_LIMIT],
    )
    if isinstance(error, RateLimitError):
        error.retry_after = retry_after(headers, time.time() if now is None else now)
    return error


def bounded(text: str, limit: int) -> str:
    """Return `text` as one line of at most `limit` characters, with nothing in it that a terminal would obey."""
    line = visible(" ".join(text[: 4 * limit].split()))
    whole = len(line) <= limit and len(text) <= 4 * limit
    return line if whole else line[: limit - 1] + "…"


def visible(text: str) -> str:
    """Return a text with an escape in place of each character that a terminal would obey or could not show."""
    return text if text.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _shown(value: object) -> str:
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - an integer of more than 4,300 digits, or a user's __repr__ that fails
        return f"an unprintable {type(value).__name__}"


def _explanation(status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, Any]:
    """Return the message and the details in an error body of any shape the API is known to send."""
    try:
        document = json.loads(body) if len(body) <= _BODY_LIMIT else None  # nested lists take 25 times their text
    except (ValueError, RecursionError):
        return _plain_explanation(status, headers, body), None
    if not isinstance(document, dict):
        return _plain_explanation(status, headers, body), None
    error = document.get("error")
    if isinstance(error, dict):  # the OpenAI-style envelope
        return _first_text(error.get("message"), default=_reason(status)), error
    details = {key: document[key] for key in ("details", "issues") if document.get(key)}
    message = _first_text(error, document.get("message"), default=_reason(status))
    return message, (details.get("details") if set(details) == {"details"} else details) or None


def _masked(details: Any, secret: Secret) -> Any:
    try:
        return secret.masked_data(details)
    except RecursionError:  # nested a hundred times deeper than any useful details
        return None


def _first_text(*values: Any, default: str) -> str:
    """Return the first value that is a text and not blank."""
    return next((value for value in values if isinstance(value, str) and value.strip()), default)


def _plain_explanation(status: int, headers: Mapping[str, str], body: bytes) -> str:
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return f"redirected to {headers.get('location', 'nowhere')!r}; redirects are not followed"
    text = body[: 8 * _MESSAGE_LIMIT].decode("utf-8", "replace")
    if "<" not in text:
        return text.strip() or _reason(status)
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    return f"{(title[1].strip() if title else '') or _reason(status)} (an HTML page of {len(body)} bytes, no JSON)"


def _reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # proxies answer with codes outside the standard list: 520 to 526
        return "no explanation given"
