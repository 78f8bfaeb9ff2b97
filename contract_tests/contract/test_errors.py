"""Responses, the bad ones: every documented status becomes the error of its class, and keeps what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract_tests.contract.harness import FLAVOURS, JSON, Answer
from contract_tests.contract.samples import json_texts, plain_headers
from venice_billing import (
    APIError,
    AuthenticationError,
    BillingTimeoutError,
    EndpointRetiredError,
    InsufficientBalanceError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    ServerError,
    VeniceError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.model import Response
    from contract_tests.contract.context import Subject

_ERRORS: dict[int, type[APIError | BillingTimeoutError]] = {
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
    504: BillingTimeoutError,
}
_WAITS = ("retry-after", "x-ratelimit-reset-requests", "x-ratelimit-resets")
_SHOWN_TO_FACADE = 5
"""Bodies per status: the facade looks at few features of an error, and many statuses share a schema."""


def examine_failures(subject: Subject) -> None:
    """Serve every documented failure to a call."""
    for response in subject.operation.responses:
        if not response.is_success:
            place = f"responses.{response.status}"
            subject.exercises(place, *(f"{place}.headers.{name}" for name in response.headers))
            subject.exercises(*(f"{place}.{media_type}" for media_type in response.bodies))
            for status in subject.operation.codes(response):
                _examine(subject, response, place, status)


def _examine(subject: Subject, response: Response, place: str, status: int) -> None:
    headers = plain_headers(subject.trial.contract, response)
    for index, (body, content_type) in enumerate(_bodies(subject, response)):
        answer = Answer(status, [*headers, *content_type], body)
        if index < _SHOWN_TO_FACADE:
            _raise(subject, place, answer)
        if _was_promised(subject, answer):
            _parse(subject, f"{place}.{JSON}", answer)
    for name, value in headers:
        if name in _WAITS:  # each by itself, as the others would speak for it
            _raise(subject, place, Answer(status, [(name, value)]))


def _bodies(subject: Subject, response: Response) -> Iterator[tuple[bytes, list[tuple[str, str]]]]:
    for media_type, described in response.bodies.items():
        content_type = [("content-type", media_type)]
        if media_type != JSON:
            yield b"<html><title>Sorry</title></html>", content_type
            continue
        for text in json_texts(subject.trial.contract, described.schema, subject.trial.examples // 20):
            yield text.encode(), content_type
    if not response.bodies:
        yield b"", []


def _raise(subject: Subject, place: str, answer: Answer) -> None:
    expected = _ERRORS.get(answer.status, ServerError if answer.status >= 500 else APIError)
    for flavour in FLAVOURS:
        caller = f"{flavour} {subject.call.method}"
        try:
            subject.facade(flavour, answer)
        except expected as error:
            _check(subject, place, answer, error)
        except VeniceError as error:
            subject.breaks(place, f"{caller} raises {type(error).__name__}, not {expected.__name__}")
        except Exception as error:  # noqa: BLE001 - whatever else escapes is a broken promise, to be named
            subject.breaks(place, f"{caller} raises {type(error).__name__}: {error}")
        else:
            subject.breaks(place, f"{caller} raises nothing")


def _check(subject: Subject, place: str, answer: Answer, error: APIError | BillingTimeoutError) -> None:
    if error.status_code != answer.status or not str(error):
        subject.breaks(place, f"the error says {error.status_code}: {error}")
    if isinstance(error, APIError) and error.body != answer.content:
        subject.breaks(place, "the error does not keep the body")
    sent = answer.lower_headers
    shown: dict[str, object] = {}
    if isinstance(error, RateLimitError):
        shown = dict.fromkeys(_WAITS, error.retry_after)
    if isinstance(error, EndpointRetiredError):
        shown = {"link": error.successor, "sunset": error.sunset}
    for name in (name for name, value in shown.items() if name in sent and value is None):
        subject.breaks(f"{place}.headers.{name}", f"{type(error).__name__} shows nothing of it")


def _was_promised(subject: Subject, answer: Answer) -> bool:
    """Tell whether the generated layer was made to read such an error."""
    known = subject.trial.promised.operation("get", subject.call.url)
    response = known.response(answer.status) if known else None
    return response is not None and JSON in response.bodies and answer.lower_headers.get("content-type") == JSON


def _parse(subject: Subject, place: str, answer: Answer) -> None:
    parsed = subject.generated(answer)
    if parsed is None:
        subject.breaks(place, "parse_response makes nothing of the error body")
    else:
        subject.compare(place, answer.content, parsed)
