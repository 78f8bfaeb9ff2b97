"""An empty page that names a next one: rows may have been left out, so the range is opened again there, once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.support.flavours import NOW, Flavour, as_wire, receive, row, timestamps
from contract_tests.support.memory_ledger import EVERYTHING, MemoryLedger, Row, ledger_rows, received
from venice_billing._walk.sequential import sequential
from venice_billing._walk.types import Page, Position
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing._responses import Response

pytestmark = pytest.mark.anyio

AT_ONCE = pytest.mark.parametrize("concurrency", [1, 8])
NUMBERS = pytest.mark.parametrize("number", [1, 2, 3, 4])


@pytest.fixture
def fake() -> FakeVenice:
    rows = [row(at, notes=f"charge {n}") for n, at in enumerate(timestamps(NOW, range(-3600 * 55, 0, 3600)))]
    return FakeVenice(rows, now=NOW)


def emptied(answer: Response) -> Response:
    """Return a page without its rows if it names the next page, which it does as before."""
    if "csv" in (answer.header("content-type") or ""):
        is_last = answer.header("x-next-cursor") is None
        return answer if is_last else evolve(answer, body=answer.body.splitlines(keepends=True)[0])
    document = json.loads(answer.body)
    return evolve(answer, body=json.dumps({**document, "data": []}).encode()) if document["nextCursor"] else answer


@AT_ONCE
@NUMBERS
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_rows_of_a_page_that_came_empty_are_not_lost(
    flavour: Flavour, fake: FakeVenice, order: str, concurrency: int, number: int
) -> None:
    fake.quirks.faults = lambda seen: faults.Fault("emptied", emptied) if seen.number == number else None
    options: dict[str, Any] = {"sort_order": order, "concurrency": concurrency, "page_size": 10}
    entries = await receive(flavour.connect(fake).client.iter_usage_history(**options))
    assert as_wire(entries) == (fake.ledger if order == "asc" else fake.ledger[::-1])


@AT_ONCE
@NUMBERS
async def test_records_of_a_page_that_came_empty_are_not_lost(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, concurrency: int, number: int
) -> None:
    fake.quirks.faults = lambda seen: faults.Fault("emptied", emptied) if seen.number == number else None
    face = flavour.connect(fake)
    export = await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=10, concurrency=concurrency)
    assert export.rows == 55


@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_that_are_always_empty_are_followed(order: Any) -> None:
    """As those of a server that filters after it has cut the pages: each is asked for twice at most."""

    def spoil(_: int, page: Page[Row]) -> Page[Row]:
        state: Any = page.state
        chosen, end, size = state
        state = (chosen, max(0, end - size), size, "empty")
        return page if page.rows and end // size % 2 else Page([], f"again-{end}", state)

    class Sparse(MemoryLedger):
        """Sends an empty page before every second page."""

        def follow(self, page: Page[Row]) -> Any:
            yield from ()
            state: Any = page.state
            chosen, end, size, *is_empty = state
            if is_empty:
                self.requests += 1
                stop = min(end + size, len(chosen))
                following = f"cursor-{stop}" if stop < len(chosen) else None
                return Page(chosen[end:stop], following, (chosen, stop, size))
            return self._page(chosen, end, size)

    ledger = Sparse(ledger_rows(*range(0, 300, 10)), 3, spoil)
    walked = received(sequential(ledger, EVERYTHING, order, Position(), 3))
    assert walked == (ledger.rows if order == "asc" else ledger.rows[::-1])
    assert ledger.requests <= 2 * 20
