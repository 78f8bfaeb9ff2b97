"""What a contract lets a server send: bodies as text, headers as text, corners first."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings

from contract_tests.contract.exactness import exact_json, microseconds
from contract_tests.contract.harness import CSV
from contract_tests.contract.values import QUIET, Values
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.model import Contract, Response
    from contract_tests.contract.harness import MockResponse

HeaderList = list[tuple[str, str]]

_LONGEST_HEADER = 512
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,512}")  # of the parameter of a request
_ZEROS = ("0", "0.0")
_LAST_PAGE = 10**15  # that can be asked for
_PUNCTUATION = "-_ ;=/<>\",.:@*%'"
_WELL_FORMED = {
    "content-disposition": "attachment; filename=billing-usage-history-20260708T091530123Z.csv",
    "deprecation": "@1783555200",
    "link": '</api/v1/billing/usage-history>; rel="successor-version"',
    "sunset": "Wed, 16 Sep 2026 00:00:00 GMT",
}


def json_texts(contract: Contract, schema: Any, examples: int) -> list[str]:
    """Return JSON texts that the schema admits: its corners, then some at random."""
    values = Values(contract.reader)
    texts = [to_json(corner) for corner in values.corners(schema)]

    @settings(QUIET, max_examples=max(1, examples))
    @given(values.any_of(schema))
    def draw(value: Any) -> None:
        texts.append(to_json(value))

    if examples:
        draw()
    validator = contract.validator(schema)
    return [text for text in dict.fromkeys(texts) if validator.is_valid(json.loads(text))]


def as_history_page(text: str) -> str:
    """Return a page of the history that can be walked on from, as only prose says of each.

    Its entries come in order of time, and its cursor is one that the next request may carry.
    """
    page = exact_json(text)
    try:
        page["data"].sort(key=lambda entry: microseconds(entry["timestamp"]) or 0)
    except (KeyError, TypeError, AttributeError):
        return text  # not the page we know
    cursor = page.get("nextCursor")
    if isinstance(cursor, str) and not _CURSOR.fullmatch(cursor):
        page["nextCursor"] = "next"
    return to_json(page)


def numbered(text: str) -> str:
    """Return a page of the original ledger under a number that can be asked for: that they begin at 1 is only prose."""
    page = exact_json(text)
    try:
        if 1 <= page["pagination"]["page"] <= _LAST_PAGE:
            return text
        page["pagination"]["page"] = 1
    except (KeyError, TypeError):
        return text  # not the page we know
    return to_json(page)


def numbered_headers(headers: HeaderList) -> HeaderList:
    """Return the headers of such a page under a number that can be asked for."""
    return [(name, "1" if name == "x-pagination-page" and text in _ZEROS else text) for name, text in headers]


def page_number(response: MockResponse) -> int | None:
    """Return which page a response says it is; None if it is none of the original ledger, or does not say so."""
    try:
        text = response.lower_headers["x-pagination-page"] if _is_csv(response) else _pagination(response)["page"]
        number = int(Decimal(text))
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return number if 1 <= number <= _LAST_PAGE else None


def plain_headers(contract: Contract, response: Response) -> HeaderList:
    """Return every documented header with a plain value."""
    texts = {name: header_texts(contract, name, header.schema) for name, header in response.headers.items()}
    return [(name, some[0]) for name, some in texts.items()]


def header_corners(contract: Contract, response: Response) -> Iterator[HeaderList]:
    """Yield the headers with one of them at another corner of its schema, each in turn."""
    plain = plain_headers(contract, response)
    for name, header in response.headers.items():
        for text in header_texts(contract, name, header.schema)[1:]:
            yield [(other, text if other == name else value) for other, value in plain]


def header_texts(contract: Contract, name: str, schema: Any) -> list[str]:
    """Return header values the schema admits, at least one.

    Lengths, patterns and bounds of a response may be relaxed without breaking anybody, so where the contract names
    none, the values stay as plain as those it used to ask for.
    """
    if name in _WELL_FORMED and contract.validator(schema).is_valid(_WELL_FORMED[name]):
        return [_WELL_FORMED[name]]
    level = contract.reader.level(schema)
    is_free = level.get("type") == ["string"] and not {"pattern", "enum", "format"} & level.keys()
    allowed = "-_" if is_free else _PUNCTUATION
    corners = (
        json.dumps(each) if isinstance(each, bool) else str(each) for each in Values(contract.reader).corners(schema)
    )
    return [text for text in corners if _fits_a_header(text, allowed)] or ["text"]


def _is_csv(response: MockResponse) -> bool:
    return response.lower_headers["content-type"].startswith(CSV)


def _pagination(response: MockResponse) -> Any:
    return exact_json(response.content)["pagination"]


def _fits_a_header(text: str, punctuation: str) -> bool:
    rest = text.translate(dict.fromkeys(map(ord, punctuation)))
    is_plain = not rest or (rest.isascii() and rest.isalnum())
    return 0 < len(text) <= _LONGEST_HEADER and text.strip() == text and is_plain
