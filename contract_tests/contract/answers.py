"""Responses: whatever the contract allows to be answered, both layers must read, exactly."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from attrs import frozen
from hypothesis import given, settings

from contract.coverage import attributes, operation_key
from contract.exactness import differences, exact_json, microseconds
from contract.stage import CSV, FLAVOURS, JSON, Answer, Call, Stage, generated_modules
from contract.values import QUIET, Values
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
    ResponseValidationError,
    ServerError,
    VeniceError,
)
from venice_billing.testing._text import to_json
from venice_billing_api.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from _contract import Contract, Operation, Response

    from contract.findings import Findings

MODULES = generated_modules()
_CSV_PAGES = (
    b"timestamp,amount\n2026-06-15T19:05:10.504Z,-0.10\n",
    b'timestamp,notes\r\n2026-06-15T19:05:10.504Z,"two\r\nlines, and a ""quote"""\r\n',
    b"timestamp,amount\n",
    "timestamp,notes\n2026-06-15T19:05:10.504Z,naïve 🙂".encode(),
)
# What a CSV page says in headers, and where the client shows it: the paging is in no other place.
_CSV_NEEDS = {
    "/billing/usage-history": ("x-next-cursor",),
    "/billing/usage": tuple(f"x-pagination-{name}" for name in ("limit", "page", "total", "total-pages")),
}
_WELL_FORMED = {
    "content-disposition": "attachment; filename=billing-usage-history-20260708T091530123Z.csv",
    "deprecation": "@1783555200",
    "link": '</api/v1/billing/usage-history>; rel="successor-version"',
    "sunset": "Wed, 16 Sep 2026 00:00:00 GMT",
}
_BODIES_PER_STATUS = 5
"""Error bodies the facade is shown under each status: it looks at few of their features, and many share a schema."""
_WAITS = ("retry-after", "x-ratelimit-reset-requests", "x-ratelimit-resets")
_ERRORS: dict[int, type[VeniceError]] = {
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


@frozen
class Examination:
    """One call under one contract, and where its findings go."""

    contract: Contract
    stage: Stage
    findings: Findings
    examples: int

    def successes(self, call: Call, promised: Contract) -> None:
        """Serve every success the contract allows to a call, and compare what it gives with what was sent."""
        operation = self._operation(call, promised)
        if operation is None:
            return
        answering = [
            response for response in operation.responses if response.is_success and (call.media_type in response.bodies)
        ]
        # A further 2xx is an addition; it matters only when it has replaced the one we know.
        known = [response for response in answering if response.codes == (200,)]
        for response in known or answering:
            self._exercise(operation, f"responses.{response.status}")
            for status in response.codes:
                if call.media_type == JSON:
                    self._json_success(call, operation, response, status)
                else:
                    self._csv_success(call, operation, response, status)
        if not answering:
            place = f"responses.200.{call.media_type}"
            self.findings.breaks(operation.name, place, f"{call.method} asks for what is never answered")

    def failures(self, call: Call, promised: Contract) -> None:
        """Serve every documented failure to a call, which must raise the error of its class."""
        operation = self._operation(call, promised)
        for response in operation.responses if operation else ():
            if operation is None or response.is_success:
                continue
            self._exercise(operation, f"responses.{response.status}")
            for status in response.codes:
                for index, (body, media_type) in enumerate(self._error_bodies(operation, response)):
                    headers = [*self._headers(response), *([("content-type", media_type)] if media_type else [])]
                    answer = Answer(status, headers, body)
                    if index < _BODIES_PER_STATUS:
                        self._failure(call, operation, response, answer)
                    self._generated_error(call, operation, response, answer, promised)

    def _operation(self, call: Call, promised: Contract) -> Operation | None:
        operation = self.contract.operation("get", call.url)
        if operation is not None:
            self.findings.exercises(operation_key(operation))
            return operation
        known = promised.operation("get", call.url)
        name = known.name if known else call.method
        self.findings.breaks(name, "path", f"{call.method} asks GET {call.url}, which is no operation")
        return None

    def _exercise(self, operation: Operation, place: str) -> None:
        self.findings.exercises(operation_key(operation), place)

    def _bodies(self, operation: Operation, place: str, schema: Any, examples: int) -> Iterator[str]:
        """Yield JSON texts the schema admits: its corners, then some at random."""
        values = Values(self.contract.reader)
        validator = self.contract.validator(schema)
        texts = [to_json(corner) for corner in values.corners(schema)]

        @given(values.any_of(schema))
        @settings(QUIET, max_examples=max(1, examples))
        def draw(value: Any) -> None:
            texts.append(to_json(value))

        if examples:
            draw()
        valid = [text for text in dict.fromkeys(texts) if validator.is_valid(json.loads(text))]
        if not valid:
            self.findings.breaks(operation.name, place, "admits no value that could be tried")
        yield from valid

    def _json_success(self, call: Call, operation: Operation, response: Response, status: int) -> None:
        place = f"responses.{response.status}.{JSON}"
        self._exercise(operation, place)
        headers = [("content-type", f"{JSON}; charset=utf-8"), *self._headers(response)]
        for name, _ in headers[1:]:
            self._exercise(operation, f"responses.{response.status}.headers.{name}")
        for text in self._bodies(operation, place, response.bodies[JSON], self.examples):
            text = _ascending(text) if call.path == "/billing/usage-history" else text
            answer = Answer(status, headers, text.encode())
            for value in self._readings(call, operation, place, answer):
                for location, instead in differences(exact_json(text), value.to_dict()):
                    self.findings.breaks(operation.name, f"{place}.{location}", instead)
                for location in attributes(value, exact_json(text)):
                    self._exercise(operation, f"{place}.{location}")

    def _readings(self, call: Call, operation: Operation, place: str, answer: Answer) -> Iterator[Any]:
        """Yield what the generated layer and both flavours of the facade make of an answer."""
        parse = MODULES["get", call.path].parse_response
        readers = [
            (
                "parse_response",
                lambda: parse(status_code=answer.status, headers=answer.lower_headers, content=answer.content),
            ),
            *(
                (f"{flavour} {call.method}", lambda flavour=flavour: self._call(flavour, call, answer))
                for flavour in FLAVOURS
            ),
        ]
        for reader, read in readers:
            try:
                value = read()
            except DecodeError as error:
                self.findings.breaks(
                    operation.name, _within(place, error.location), f"{reader} refuses: {error.problem}"
                )
            except ResponseValidationError as error:
                self.findings.breaks(operation.name, _within(place, error.field), f"{reader} refuses: {error.problem}")
            except Exception as error:  # noqa: BLE001 - whatever escapes is a broken promise, to be named
                self.findings.breaks(operation.name, place, f"{reader} raises {type(error).__name__}: {error}")
            else:
                if hasattr(value, "to_dict"):
                    yield value
                else:
                    self.findings.breaks(operation.name, place, f"{reader} gives {type(value).__name__}")

    def _call(self, flavour: Any, call: Call, answer: Answer) -> Any:
        return self.stage.call(flavour, call.method, call.arguments, answer)

    def _csv_success(self, call: Call, operation: Operation, response: Response, status: int) -> None:
        place = f"responses.{response.status}"
        self._exercise(operation, f"{place}.{CSV}")
        content_type = ("content-type", f"{CSV}; charset=utf-8")
        answers = [Answer(status, [content_type, *self._headers(response)], page) for page in _CSV_PAGES]
        answers += [
            Answer(status, [content_type, *headers], _CSV_PAGES[0]) for headers in self._header_corners(response)
        ]
        for name in response.headers:
            self._exercise(operation, f"{place}.headers.{name}")
        for answer in answers:
            self._csv_generated(call, operation, f"{place}.{CSV}", answer)
            for flavour in FLAVOURS:
                try:
                    page = self._call(flavour, call, answer)
                except VeniceError as error:
                    field = getattr(error, "field", "")
                    there = f"{place}.headers.{field}" if field.startswith("x-") else f"{place}.{CSV}"
                    self.findings.breaks(operation.name, there, f"{flavour} {call.method} refuses: {error}")
                    continue
                if bytes(page) != answer.content:
                    self.findings.breaks(operation.name, f"{place}.{CSV}", f"{flavour} {call.method} changes the bytes")
                self._csv_headers(call, operation, f"{place}.headers", answer.lower_headers, page)

    def _csv_generated(self, call: Call, operation: Operation, place: str, answer: Answer) -> None:
        parse = MODULES["get", call.path].parse_response
        try:
            content = parse(status_code=answer.status, headers=answer.lower_headers, content=answer.content)
        except DecodeError as error:
            self.findings.breaks(operation.name, place, f"parse_response refuses: {error.problem}")
        else:
            if content != answer.content:
                self.findings.breaks(operation.name, place, f"parse_response gives {type(content).__name__}")

    def _csv_headers(self, call: Call, operation: Operation, place: str, sent: Mapping[str, str], page: Any) -> None:
        """Compare what the page says of itself with the headers it came with."""
        shown = {"x-next-cursor": page.next_cursor}
        for name in ("limit", "page", "total", "total_pages"):
            shown[f"x-pagination-{name.replace('_', '-')}"] = getattr(page.pagination, name, None)
        for name in _CSV_NEEDS[call.path]:
            if shown[name] is None:
                self.findings.breaks(
                    operation.name, f"{place}.{name}", f"{call.method} finds nothing of it on a CSV page"
                )
            elif not _is_the_same(shown[name], sent[name]):
                self.findings.breaks(
                    operation.name, f"{place}.{name}", f"{call.method} shows {shown[name]!r} for {sent[name]!r}"
                )
        disposition = sent.get("content-disposition", "")
        if "filename=" in disposition and page.filename != disposition.partition("filename=")[2]:
            self.findings.breaks(
                operation.name, f"{place}.content-disposition", f"shows the file name {page.filename!r}"
            )

    def _headers(self, response: Response) -> list[tuple[str, str]]:
        """Return every documented header with a plain value."""
        return [(name, texts[0]) for name, schema in response.headers.items() if (texts := self._texts(name, schema))]

    def _header_corners(self, response: Response) -> Iterator[list[tuple[str, str]]]:
        plain = self._headers(response)
        for name, schema in response.headers.items():
            for text in self._texts(name, schema)[1:]:
                yield [(other, text if other == name else value) for other, value in plain]

    def _texts(self, name: str, schema: Any) -> list[str]:
        """Return header texts the schema admits.

        Lengths, patterns and bounds of an answer may be relaxed without breaking anybody, so where the contract
        names none, the values stay as plain as those it used to send.
        """
        level = self.contract.reader.level(schema)
        corners = Values(self.contract.reader).corners(schema)
        if name in _WELL_FORMED and self.contract.validator(schema).is_valid(_WELL_FORMED[name]):
            corners = [_WELL_FORMED[name]]
        texts = [str(corner).lower() if isinstance(corner, bool) else str(corner) for corner in corners]
        free = level.get("type") == ["string"] and not {"pattern", "enum", "format"} & level.keys()
        safe = "-_" if free and name not in _WELL_FORMED else '-_ ;=/<>",.:@'
        return [text for text in texts if _is_header_text(text, safe)] or ["text"]

    def _error_bodies(self, operation: Operation, response: Response) -> Iterator[tuple[bytes, str]]:
        place = f"responses.{response.status}"
        for media_type, schema in response.bodies.items():
            self._exercise(operation, f"{place}.{media_type}")
            if media_type == JSON:
                for text in self._bodies(operation, f"{place}.{JSON}", schema, self.examples // 20):
                    yield text.encode(), JSON
            else:
                yield b"<html><title>Sorry</title></html>", media_type
        if not response.bodies:
            yield b"", ""

    def _failure(self, call: Call, operation: Operation, response: Response, answer: Answer) -> None:
        place = f"responses.{response.status}"
        expected = _ERRORS.get(answer.status, ServerError if answer.status >= 500 else APIError)
        for name in answer.lower_headers:
            self._exercise(operation, f"{place}.headers.{name}")
        for flavour in FLAVOURS:
            try:
                self._call(flavour, call, answer)
            except expected as error:
                self._check_error(call, operation, place, answer, error)
            except Exception as error:  # noqa: BLE001 - as in _readings
                self.findings.breaks(operation.name, place, f"{flavour} {call.method} raises {type(error).__name__}")
            else:
                self.findings.breaks(operation.name, place, f"{flavour} {call.method} raises nothing")

    def _check_error(self, call: Call, operation: Operation, place: str, answer: Answer, error: Any) -> None:
        if error.status_code != answer.status or not str(error):
            self.findings.breaks(operation.name, place, f"the error says {error.status_code}: {error}")
        if isinstance(error, APIError) and error.body != answer.content:
            self.findings.breaks(operation.name, place, "the error does not keep the body")
        sent = answer.lower_headers
        if isinstance(error, RateLimitError) and any(name in sent for name in _WAITS) and error.retry_after is None:
            heard = next(name for name in _WAITS if name in sent)
            self.findings.breaks(operation.name, f"{place}.headers.{heard}", "retry_after stays None")
        if isinstance(error, EndpointRetiredError):
            for name, shown in (("link", error.successor), ("sunset", error.sunset)):
                if name in sent and shown is None:
                    self.findings.breaks(operation.name, f"{place}.headers.{name}", "the error shows nothing of it")

    def _generated_error(
        self, call: Call, operation: Operation, response: Response, answer: Answer, promised: Contract
    ) -> None:
        """Read an error body with the generated layer, which must give back all of what it was generated for."""
        known = promised.operation("get", call.url)
        known_response = known.response(answer.status) if known else None
        if not known_response or JSON not in known_response.bodies or answer.lower_headers.get("content-type") != JSON:
            return
        place = f"responses.{response.status}.{JSON}"
        parse = MODULES["get", call.path].parse_response
        parsed = parse(status_code=answer.status, headers=answer.lower_headers, content=answer.content)
        body = exact_json(answer.content)
        if parsed is None:
            self.findings.breaks(operation.name, place, "parse_response makes nothing of the error body")
            return
        for location, instead in differences(body, parsed.to_dict()):
            self.findings.breaks(operation.name, f"{place}.{location}", instead)
        for location in attributes(parsed, body):
            self._exercise(operation, f"{place}.{location}")


def _ascending(text: str) -> str:
    """Return a page of the history with its entries in order of time: that they come so stands only in prose."""
    page = exact_json(text)
    try:
        page["data"].sort(key=lambda entry: microseconds(entry["timestamp"]) or 0)
    except (KeyError, TypeError, AttributeError):
        return text  # not the page we know
    return to_json(page)


def _within(place: str, field: str) -> str:
    return f"{place}.{field}" if field else place


def _is_the_same(shown: Any, sent: str) -> bool:
    return shown == sent if isinstance(shown, str) else Decimal(shown) == Decimal(sent)


def _is_header_text(text: str, allowed: str) -> bool:
    plain = "".join(character for character in text if character not in allowed)
    return 0 < len(text) <= 512 and text.strip() == text and plain.isascii() and plain.isalnum() | (not plain)
