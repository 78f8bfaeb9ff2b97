"""Whatever success the contract allows, both layers read it and give back all of it."""

from __future__ import annotations

from decimal import Decimal
from email.message import Message
from typing import TYPE_CHECKING, Any

from contract_tests.contract.context import READERS
from contract_tests.contract.harness import CALLS, CSV, FLAVOURS, HISTORY, JSON, ORIGINAL, MockResponse
from contract_tests.contract.promises import promise
from contract_tests.contract.samples import as_history_page, header_corners, numbered, numbered_headers, plain_headers
from venice_billing import ResponseValidationError, UsageCsv
from venice_billing_api.errors import DecodeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract_tests.contract.context import Case, Reader
    from contract_tests.contract.harness import Flavour

# What a CSV page says of its place in the ledger: in headers, and nowhere else.
_CSV_NEEDS = {
    HISTORY: ("x-next-cursor",),
    ORIGINAL: tuple(f"x-pagination-{name}" for name in ("limit", "page", "total", "total-pages")),
}
_AS_PROSE_SAYS: dict[str, Callable[[str], str]] = {HISTORY: as_history_page, ORIGINAL: numbered}
_CSV_PAGES = (
    b"timestamp,amount,currency\n2026-06-15T19:05:10.504Z,-0.10,USD\n",
    b'timestamp,notes\r\n2026-06-15T19:05:10.504Z,"two\r\nlines, and a ""quote"""\r\n',
    b"timestamp,amount,currency\n",
    "timestamp,notes\n2026-06-15T19:05:10.504Z,naïve 🙂".encode(),
)
_JSON_CALLS = [call for call in CALLS if call.media_type == JSON]
_CSV_CALLS = [call for call in CALLS if call.media_type == CSV]


@promise(calls=CALLS)
def test_the_media_type_asked_for_is_documented(case: Case) -> None:
    """A success is described in the media type that the method asks for."""
    wanted = case.call.media_type
    if not case.successes():
        case.breaks(f"responses.200.{wanted}", f"{case.call.method} asks for what is never answered")
    for response, _ in case.successes():
        place = f"responses.{response.status}"
        case.exercises(place, f"{place}.{wanted}", *(f"{place}.headers.{name}" for name in response.headers))


@promise(calls=_JSON_CALLS, reader=READERS)
def test_json_body_is_given_back_whole(case: Case, reader: Reader) -> None:
    """Every corner of the schema, and values at random: no field is lost or changed, no digit rounded."""
    for response, status in case.successes():
        place = f"responses.{response.status}.{JSON}"
        headers = [("content-type", f"{JSON}; charset=utf-8"), *plain_headers(case.context.contract, response)]
        texts = case.context.bodies(response.bodies[JSON].schema)
        if not texts:
            case.breaks(place, "admits no value that could be tried")
        for text in texts:
            content = _AS_PROSE_SAYS.get(case.call.path, str)(text).encode()
            for value in _read(case, reader, place, MockResponse(status, headers, content)):
                case.compare(place, content, value)


@promise(calls=_CSV_CALLS, reader=READERS)
def test_csv_page_is_given_back_byte_for_byte(case: Case, reader: Reader) -> None:
    """Quotes, line breaks in fields, other line ends and no rows at all: the bytes stay as they came."""
    for response, status in case.successes():
        place = f"responses.{response.status}.{CSV}"
        plain = numbered_headers(plain_headers(case.context.contract, response))
        headers = [("content-type", f"{CSV}; charset=utf-8"), *plain]
        for content in _CSV_PAGES:
            for page in _read(case, reader, place, MockResponse(status, headers, content)):
                if bytes(page) != content:
                    case.breaks(place, "changes the bytes of a page")


@promise(calls=_CSV_CALLS, client=FLAVOURS)
def test_csv_page_shows_what_its_headers_say(case: Case, client: Flavour) -> None:
    """Whatever the headers may hold, the page has the cursor, the numbers and the file name they name."""
    for response, status in case.successes():
        place = f"responses.{response.status}"
        contract = case.context.contract
        for headers in map(numbered_headers, (plain_headers(contract, response), *header_corners(contract, response))):
            served = MockResponse(status, [("content-type", f"{CSV}; charset=utf-8"), *headers], _CSV_PAGES[0])
            for page in _read(case, client, f"{place}.{CSV}", served):
                if isinstance(page, UsageCsv):
                    _compare_headers(case, f"{place}.headers", served, page)
                else:
                    case.breaks(f"{place}.{CSV}", f"{client} {case.call.method} gives {type(page).__name__}")


@promise(calls=[call for call in _CSV_CALLS if call.path == HISTORY], client=FLAVOURS)
def test_csv_page_without_a_cursor_is_the_last(case: Case, client: Flavour) -> None:
    """Nothing follows a page of the history whose headers name no cursor."""
    for response, status in case.successes():
        place = f"responses.{response.status}"
        served = MockResponse(status, [("content-type", CSV)], _CSV_PAGES[0])
        for page in _read(case, client, f"{place}.{CSV}", served):
            if getattr(page, "next_cursor", None) is not None:
                case.breaks(f"{place}.headers.x-next-cursor", "goes on after the last page")


def _compare_headers(case: Case, place: str, response: MockResponse, page: UsageCsv) -> None:
    """Compare what a page says of itself with the headers it came with: all that the contract documents."""
    sent = response.lower_headers
    shown: dict[str, Any] = {"x-next-cursor": page.next_cursor}
    for name in ("limit", "page", "total", "total_pages"):
        shown[f"x-pagination-{name.replace('_', '-')}"] = getattr(page.pagination, name, None)
    for name in _CSV_NEEDS[case.call.path]:
        if shown[name] is None:
            case.breaks(f"{place}.{name}", f"{case.call.method} finds nothing of it on a CSV page")
        elif not _says_the_same(shown[name], sent[name]):
            case.breaks(f"{place}.{name}", f"{case.call.method} shows {shown[name]!r} for {sent[name]!r}")
    filename = _suggested_name(sent.get("content-disposition", ""))
    if filename is not None and page.filename != filename:
        case.breaks(f"{place}.content-disposition", f"shows the file name {page.filename!r}")


def _suggested_name(disposition: str) -> str | None:
    """Return the file name in a Content-Disposition, as the standard library reads it: quoted, plain, or encoded."""
    message = Message()
    message["content-disposition"] = disposition
    return message.get_filename()


def _read(case: Case, reader: Reader, place: str, response: MockResponse) -> Iterator[Any]:
    """Yield what a reader makes of a response; where it makes nothing of it, note that and yield nothing."""
    name = reader if reader == "parse_response" else f"{reader} {case.call.method}"
    try:
        value = case.read(reader, response)
    except DecodeError as error:
        case.breaks(_within(place, error.location), f"{name} refuses: {error.problem}")
    except ResponseValidationError as error:
        case.breaks(_within(place, error.field), f"{name} refuses: {error.problem}")
    except Exception as error:  # noqa: BLE001 - whatever escapes is a broken promise, to be named
        case.breaks(place, f"{name} raises {type(error).__name__}: {error}")
    else:
        if hasattr(value, "to_dict") or isinstance(value, bytes):
            yield value
        else:
            case.breaks(place, f"{name} gives {type(value).__name__}")


def _within(place: str, field: str) -> str:
    if field.startswith("x-"):  # a header, not a field of the body
        return f"{place.rpartition('.')[0] if '/' in place else place}.headers.{field}"
    return f"{place}.{field}" if field else place


def _says_the_same(shown: Any, sent: str) -> bool:
    return shown == sent if isinstance(shown, str) else Decimal(shown) == Decimal(sent)
