"""The original ledger numbers its pages and gives their total: pages that contradict this are refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.support.flavours import NOW, ORIGINAL, Flavour, as_wire, receive, row, timestamps
from venice_billing import ResponseValidationError
from venice_billing.testing import FakeVenice, SeenRequest, faults
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from venice_billing.testing._responses import Response

pytestmark = pytest.mark.anyio

Change = Callable[[dict[str, Any], int], None]
"""Changes a document in place; the second argument is its page number."""

ORDERS = pytest.mark.parametrize("order", ["asc", "desc"])


@pytest.fixture
def fake() -> FakeVenice:
    """Return a server without the history, and an account with 25 charges, every fifth one in DIEM."""
    rows = [
        row(timestamp, currency="USD" if number % 5 else "DIEM")
        for number, timestamp in enumerate(timestamps(NOW - timedelta(days=9), range(0, 25 * 3600, 3600)))
    ]
    return FakeVenice(rows, now=NOW, original="alive", history=False)


def changed(fake: FakeVenice, change: Change) -> None:
    """Let the original ledger send pages altered by `change`."""

    def fault(seen: SeenRequest) -> faults.Fault | None:
        def rewrite(answer: Response) -> Response:
            document = json.loads(answer.body, parse_float=Decimal)
            change(document, int(seen.param("page") or 1))
            return evolve(answer, body=to_json(document).encode())

        return faults.Fault("changed page", rewrite) if seen.path == ORIGINAL else None

    fake.quirks.faults = fault


def only_page(document: dict[str, Any], _: int) -> None:
    document["pagination"]["totalPages"] = 1


def last_page_empty(document: dict[str, Any], page: int) -> None:
    if page == document["pagination"]["totalPages"]:
        document["data"] = []


def fewer_pages_later(document: dict[str, Any], page: int) -> None:
    document["pagination"]["totalPages"] -= page - 1


def fewer_in_all(document: dict[str, Any], _: int) -> None:
    document["pagination"]["total"] -= 1


@ORDERS
@pytest.mark.parametrize("change", [only_page, last_page_empty, fewer_pages_later, fewer_in_all])
async def test_pages_that_do_not_add_up_to_the_total_are_refused(
    flavour: Flavour, fake: FakeVenice, order: str, change: Change
) -> None:
    changed(fake, change)
    walk = flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order)
    received: list[Any] = []
    with pytest.raises(ResponseValidationError) as caught:
        await receive(walk, into=received)
    assert caught.value.field == "pagination.total"
    assert caught.value.checkpoint == walk.checkpoint
    in_order = fake.ledger if order == "asc" else fake.ledger[::-1]
    assert as_wire(received) == in_order[: len(received)]
    fake.quirks.faults = ()
    rest = await receive(flavour.connect(fake).client.iter_usage(page_size=10, checkpoint=caught.value.checkpoint))
    assert as_wire(received + rest) == in_order


@ORDERS
async def test_a_walk_refuses_a_page_that_it_did_not_request(flavour: Flavour, order: str) -> None:
    """Otherwise rows of one instant are delivered twice, and nothing else shows the error."""
    fake = FakeVenice([row("2026-10-01T00:00:00.000Z")] * 30, now=NOW, original="alive", history=False)
    changed(fake, lambda document, _: document["pagination"].update(page=1))
    received: list[Any] = []
    with pytest.raises(ResponseValidationError, match="page 2 was asked for, and page 1 came") as caught:
        await receive(flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order), into=received)
    assert caught.value.field == "pagination.page"
    assert caught.value.checkpoint
    assert len(received) == 10


@ORDERS
async def test_rows_filtered_by_the_client_count_towards_the_total(
    flavour: Flavour, fake: FakeVenice, order: str
) -> None:
    """The server's total counts the rows that the server sends."""
    outside = {**fake.ledger[0], "timestamp": "2026-01-01T00:00:00.000Z"}

    def one_more(document: dict[str, Any], page: int) -> None:
        document["pagination"]["total"] += 1
        if page == 1:
            document["data"].insert(5, outside)

    changed(fake, one_more)
    walk = flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order, start_date="2026-09-01")
    assert as_wire(await receive(walk)) == (fake.ledger if order == "asc" else fake.ledger[::-1])


@ORDERS
async def test_rows_of_other_currencies_count_towards_the_total(flavour: Flavour, fake: FakeVenice, order: str) -> None:
    """Where the ledger hangs on the currency filter, the total is that of all currencies."""
    fake.quirks.faults = lambda seen: faults.hang() if seen.param("currency") else None
    walk = flavour.connect(fake).client.iter_usage(currency="DIEM", sort_order=order, start_date="2026-09-01")
    expected = fake.rows(currency="DIEM")
    assert as_wire(await receive(walk)) == (expected if order == "asc" else expected[::-1])


@ORDERS
async def test_charges_recorded_during_a_walk_do_not_contradict_the_total(
    flavour: Flavour, fake: FakeVenice, order: str
) -> None:
    """Shifted pages are read again, and the rows added to the first page are counted."""
    before = fake.ledger
    fake.quirks.arrivals = lambda seen: [row("2026-10-30T00:00:00.000Z")] if seen.number in {2, 4} else ()
    received = as_wire(await receive(flavour.connect(fake).client.iter_usage(page_size=10, sort_order=order)))
    assert len(fake.ledger) == len(before) + 2
    assert [each for each in received if each in before] == (before if order == "asc" else before[::-1])
    assert order == "desc" or received == fake.ledger


async def test_a_ledger_without_charges_may_have_a_total_of_zero(flavour: Flavour) -> None:
    fake = FakeVenice(0, now=NOW, original="alive", history=False)
    assert await receive(flavour.connect(fake).client.iter_usage()) == []


@pytest.mark.parametrize(("asked", "answered"), [(2, 1), (1, 2), (None, 2)])
async def test_a_single_page_with_another_number_is_refused(
    flavour: Flavour, fake: FakeVenice, asked: int | None, answered: int
) -> None:
    face = flavour.connect(fake)
    changed(fake, lambda document, _: document["pagination"].update(page=answered))
    with pytest.raises(ResponseValidationError, match=f"page {asked or 1} was asked for") as caught:
        await face.call("get_usage", page=asked, limit=10)
    assert caught.value.field == "pagination.page"


async def test_a_single_csv_page_with_another_number_is_refused(flavour: Flavour, fake: FakeVenice) -> None:
    face = flavour.connect(fake)
    fake.quirks.faults = lambda _: faults.Fault(
        "another page", lambda answer: answer.with_header("x-pagination-page", "1")
    )
    assert (await face.call("get_usage", format="csv", limit=10)).pagination.page == 1
    with pytest.raises(ResponseValidationError, match="page 2 was asked for, and page 1 came") as caught:
        await face.call("get_usage", format="csv", page=2, limit=10)
    assert caught.value.field == "x-pagination-page"


async def test_a_csv_page_without_page_headers_is_accepted(flavour: Flavour, fake: FakeVenice) -> None:
    def bare(answer: Response) -> Response:
        return evolve(answer, headers=tuple(pair for pair in answer.headers if not pair[0].startswith("x-pagination")))

    fake.quirks.faults = lambda _: faults.Fault("no page headers", bare)
    page = await flavour.connect(fake).call("get_usage", format="csv", page=2, limit=10)
    assert page.pagination is None
    assert page.count(b"\n") == 11


@pytest.mark.parametrize("format", ["json", "csv"])
async def test_the_highest_page_number_is_accepted(flavour: Flavour, fake: FakeVenice, format: str) -> None:
    page = await flavour.connect(fake).call("get_usage", page=10**15, format=format)
    assert page.pagination.page == 10**15
    assert page.pagination.total == 25
