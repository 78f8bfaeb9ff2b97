"""Every documented failure becomes the error of its class, and the error keeps what it was told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from contract_tests.contract.harness import CALLS, FLAVOURS, JSON, MockResponse
from contract_tests.contract.promises import promise
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

    from contract.model import Contract, Response
    from contract_tests.contract.context import Case
    from contract_tests.contract.harness import Call, Flavour

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
_JSON_CALLS = [call for call in CALLS if call.media_type == JSON]  # failures do not depend on the media type


def _failures(contract: Contract, call: Call) -> list[int]:
    """Return the status codes of all documented failures of a call."""
    operation = contract.operation("get", call.url)
    responses = [each for each in operation.responses if not each.is_success] if operation else []
    return [code for response in responses for code in operation.codes(response)] if operation else []


def _waits(contract: Contract, call: Call) -> list[int]:
    """Return those that may say how long to wait."""
    operation = contract.operation("get", call.url)
    codes = _failures(contract, call)
    return [code for code in codes if operation and {*_WAITS} & {*_response(operation.response(code)).headers}]


@promise(calls=_JSON_CALLS, status=_failures, client=FLAVOURS)
def test_status_raises_its_error(case: Case, status: int, client: Flavour) -> None:
    """The error has the class of the status, the status itself, words, and the body as it came."""
    response = _response(case.operation.response(status))
    place = f"responses.{response.status}"
    case.exercises(place, *(f"{place}.headers.{name}" for name in response.headers))
    case.exercises(*(f"{place}.{media_type}" for media_type in response.bodies))
    for served in list(_served(case, response, status))[:_SHOWN_TO_FACADE]:
        _expect_error(case, client, place, served)


@promise(calls=_JSON_CALLS, status=_waits, client=FLAVOURS)
def test_each_header_about_waiting_is_heeded_alone(case: Case, status: int, client: Flavour) -> None:
    """Each of the headers that say when to come back is enough without the others."""
    response = _response(case.operation.response(status))
    for name, value in plain_headers(case.context.contract, response):
        if name in _WAITS:
            _expect_error(case, client, f"responses.{response.status}", MockResponse(status, [(name, value)]))


@promise(calls=_JSON_CALLS, status=_failures)
def test_error_body_is_parsed_whole(case: Case, status: int) -> None:
    """The generated layer reads every documented error body, and loses nothing of it."""
    response = _response(case.operation.response(status))
    place = f"responses.{response.status}.{JSON}"
    for served in _served(case, response, status):
        if _was_promised(case, served):
            parsed = case.parse(served)
            if parsed is None:
                case.breaks(place, "parse_response makes nothing of the error body")
            else:
                case.compare(place, served.content, parsed)


def _response(response: Response | None) -> Response:
    assert response is not None, "the status is one of the operation's own"
    return response


def _served(case: Case, response: Response, status: int) -> Iterator[MockResponse]:
    """Yield responses of one status, with every kind of body it may have."""
    contract = case.context.contract
    headers = plain_headers(contract, response)
    for media_type, body in response.bodies.items():
        content_type = ("content-type", media_type)
        if media_type == JSON:
            texts = json_texts(contract, body.schema, case.context.examples // 20)
            yield from (MockResponse(status, [*headers, content_type], text.encode()) for text in texts)
        else:
            yield MockResponse(status, [*headers, content_type], b"<html><title>Sorry</title></html>")
    if not response.bodies:
        yield MockResponse(status, headers)


def _expect_error(case: Case, client: Flavour, place: str, served: MockResponse) -> None:
    expected = _ERRORS.get(served.status, ServerError if served.status >= 500 else APIError)
    caller = f"{client} {case.call.method}"
    try:
        case.read(client, served)
    except expected as error:
        _compare(case, place, served, error)
    except VeniceError as error:
        case.breaks(place, f"{caller} raises {type(error).__name__}, not {expected.__name__}")
    except Exception as error:  # noqa: BLE001 - whatever else escapes is a broken promise, to be named
        case.breaks(place, f"{caller} raises {type(error).__name__}: {error}")
    else:
        case.breaks(place, f"{caller} raises nothing")


def _compare(case: Case, place: str, served: MockResponse, error: APIError | BillingTimeoutError) -> None:
    """Compare what an error shows with the response it was made of."""
    if error.status_code != served.status or not str(error):
        case.breaks(place, f"the error says {error.status_code}: {error}")
    if isinstance(error, APIError) and error.body != served.content:
        case.breaks(place, "the error does not keep the body")
    sent = served.lower_headers
    shown: dict[str, object] = {}
    if isinstance(error, RateLimitError):
        shown = dict.fromkeys(_WAITS, error.retry_after)
    if isinstance(error, EndpointRetiredError):
        shown = {"link": error.successor, "sunset": error.sunset}
    for name in (name for name, value in shown.items() if name in sent and value is None):
        case.breaks(f"{place}.headers.{name}", f"{type(error).__name__} shows nothing of it")


def _was_promised(case: Case, served: MockResponse) -> bool:
    """Tell whether the generated layer was made to read such an error."""
    known = case.context.promised.operation("get", case.call.url)
    response = known.response(served.status) if known else None
    return response is not None and JSON in response.bodies and served.lower_headers.get("content-type") == JSON
