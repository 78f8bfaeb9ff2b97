"""Responses, the good ones: whatever the contract allows, both layers read it, and give back all of it."""

from __future__ import annotations

from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING, Any

from contract_tests.contract.served import (
    HeaderList,
    ascending,
    header_corners,
    json_texts,
    numbered,
    numbered_headers,
    plain_headers,
)
from contract_tests.contract.stage import CSV, FLAVOURS, HISTORY, JSON, ORIGINAL, Answer
from venice_billing import ResponseValidationError, UsageCsv
from venice_billing_api.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _contract import Response

    from contract_tests.contract.subject import Subject

# What a CSV page says of its place in the ledger: in headers, and nowhere else.
_CSV_NEEDS = {
    HISTORY: ("x-next-cursor",),
    ORIGINAL: tuple(f"x-pagination-{name}" for name in ("limit", "page", "total", "total-pages")),
}
_AS_PROSE_SAYS: dict[str, Callable[[str], str]] = {HISTORY: ascending, ORIGINAL: numbered}
_CSV_PAGES = (
    b"timestamp,amount\n2026-06-15T19:05:10.504Z,-0.10\n",
    b'timestamp,notes\r\n2026-06-15T19:05:10.504Z,"two\r\nlines, and a ""quote"""\r\n',
    b"timestamp,amount\n",
    "timestamp,notes\n2026-06-15T19:05:10.504Z,naïve 🙂".encode(),
)


def examine_successes(subject: Subject) -> None:
    """Serve every success the contract allows to a call, and compare what it gives with what was sent."""
    wanted = subject.call.media_type
    answering = [each for each in subject.operation.responses if each.is_success and wanted in each.bodies]
    # A further 2xx is an addition; it matters only where it has replaced the one we know.
    known = [response for response in answering if 200 in subject.operation.codes(response)]
    for response in known or answering:
        place = f"responses.{response.status}"
        subject.exercises(place, f"{place}.{wanted}", *(f"{place}.headers.{name}" for name in response.headers))
        for status in subject.operation.codes(response):
            (_json if wanted == JSON else _csv)(subject, response, status)
    if not answering:
        subject.breaks(f"responses.200.{wanted}", f"{subject.call.method} asks for what is never answered")


def _json(subject: Subject, response: Response, status: int) -> None:
    place = f"responses.{response.status}.{JSON}"
    headers = [("content-type", f"{JSON}; charset=utf-8"), *plain_headers(subject.trial.contract, response)]
    texts = json_texts(subject.trial.contract, response.bodies[JSON], subject.trial.examples)
    if not texts:
        subject.breaks(place, "admits no value that could be tried")
    for text in texts:
        content = _AS_PROSE_SAYS.get(subject.call.path, str)(text).encode()
        for value in _readings(subject, place, Answer(status, headers, content)):
            subject.compare(place, content, value)


def _csv(subject: Subject, response: Response, status: int) -> None:
    contract, content_type = subject.trial.contract, ("content-type", f"{CSV}; charset=utf-8")
    plain: HeaderList = [content_type, *numbered_headers(plain_headers(contract, response))]
    answers = [Answer(status, plain, page) for page in _CSV_PAGES]
    corners = map(numbered_headers, header_corners(contract, response))
    answers += [Answer(status, [content_type, *some], _CSV_PAGES[0]) for some in corners]
    place = f"responses.{response.status}"
    for answer in answers:
        for page in _readings(subject, f"{place}.{CSV}", answer):
            if bytes(page) != answer.content:
                subject.breaks(f"{place}.{CSV}", "changes the bytes of a page")
            if isinstance(page, UsageCsv):
                _compare_headers(subject, f"{place}.headers", answer, page)
    if subject.call.path == HISTORY:
        for page in _readings(subject, f"{place}.{CSV}", Answer(status, [content_type], _CSV_PAGES[0])):
            if isinstance(page, UsageCsv) and page.next_cursor is not None:
                subject.breaks(f"{place}.headers.x-next-cursor", "goes on after the last page")


def _compare_headers(subject: Subject, place: str, answer: Answer, page: UsageCsv) -> None:
    """Compare what a page says of itself with the headers it came with: all that the contract documents."""
    sent = answer.lower_headers
    shown: dict[str, Any] = {"x-next-cursor": page.next_cursor}
    for name in ("limit", "page", "total", "total_pages"):
        shown[f"x-pagination-{name.replace('_', '-')}"] = getattr(page.pagination, name, None)
    for name in _CSV_NEEDS[subject.call.path]:
        if shown[name] is None:
            subject.breaks(f"{place}.{name}", f"{subject.call.method} finds nothing of it on a CSV page")
        elif not _says_the_same(shown[name], sent[name]):
            subject.breaks(f"{place}.{name}", f"{subject.call.method} shows {shown[name]!r} for {sent[name]!r}")
    _, has_name, filename = sent.get("content-disposition", "").partition("filename=")
    if has_name and page.filename != filename:
        subject.breaks(f"{place}.content-disposition", f"shows the file name {page.filename!r}")


def _readings(subject: Subject, place: str, answer: Answer) -> Iterator[Any]:
    """Yield what the generated layer and both flavours of the facade make of an answer."""
    readers: dict[str, Callable[[], Any]] = {"parse_response": partial(subject.generated, answer)}
    for flavour in FLAVOURS:
        readers[f"{flavour} {subject.call.method}"] = partial(subject.facade, flavour, answer)
    for reader, read in readers.items():
        try:
            value = read()
        except DecodeError as error:
            subject.breaks(_within(place, error.location), f"{reader} refuses: {error.problem}")
        except ResponseValidationError as error:
            subject.breaks(_within(place, error.field), f"{reader} refuses: {error.problem}")
        except Exception as error:  # noqa: BLE001 - whatever escapes is a broken promise, to be named
            subject.breaks(place, f"{reader} raises {type(error).__name__}: {error}")
        else:
            if hasattr(value, "to_dict") or isinstance(value, bytes):
                yield value
            else:
                subject.breaks(place, f"{reader} gives {type(value).__name__}")


def _within(place: str, field: str) -> str:
    if field.startswith("x-"):  # a header, not a field of the body
        return f"{place.rpartition('.')[0] if '/' in place else place}.headers.{field}"
    return f"{place}.{field}" if field else place


def _says_the_same(shown: Any, sent: str) -> bool:
    return shown == sent if isinstance(shown, str) else Decimal(shown) == Decimal(sent)
