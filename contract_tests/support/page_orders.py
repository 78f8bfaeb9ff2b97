"""Servers whose pages are out of order or shift: faults for `FakeVenice`, each page in order by itself."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import evolve

from venice_billing.testing import SeenRequest, faults
from venice_billing.testing._text import CSV_COLUMNS, to_csv_record, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing.testing import FakeVenice
    from venice_billing.testing._responses import Response

Kind = Literal["one row dated later", "pages swapped"]
KINDS: tuple[Kind, ...] = get_args(Kind)
HISTORY = "/api/v1/billing/usage-history"
WALKS: dict[str, dict[str, Any]] = {
    f"{order}, {concurrency} at once": {"sort_order": order, "concurrency": concurrency}
    for order in ("asc", "desc")
    for concurrency in (1, 8)
}


class OffsetPages:
    """Answers history requests with pages by offset, as servers without stable cursors do.

    Filters are honest: a page has the rows of its range in the order of `sequence`.

    Args:
        fake: The account.
        late: How many charges are booked with an early time, once, before the second page of a range.
        moved: Where each row of the ledger stands, if not in order of time: a function of the rows of a range.
        swapped: Whether the second and the third page of a range come in the wrong order.
        overlap: How many rows each page repeats of the page before.
        behind_a_new_row: Whether a new row comes before the repeated ones.
    """

    def __init__(
        self,
        fake: FakeVenice,
        *,
        late: int = 0,
        moved: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] = lambda rows: rows,
        swapped: bool = False,
        overlap: int = 0,
        behind_a_new_row: bool = False,
    ) -> None:
        self._fake = fake
        self._late = late
        self._moved = moved
        self._swapped = swapped
        self._overlap = overlap
        self._behind_a_new_row = behind_a_new_row

    def fault(self, seen: SeenRequest) -> faults.Fault | None:
        """Return the answer to a history request, as a fault."""
        if seen.path != HISTORY:
            return None
        cursor = seen.param("cursor")
        if cursor is not None:
            state = json.loads(base64.urlsafe_b64decode(f"{cursor}=="))
            self._book_late()
        else:
            names = ("startTimestamp", "endTimestamp", "currency")
            state = [*(seen.param(name) for name in names), int(seen.param("pageSize") or 1000), 0]
        return faults.Fault("pages by offset", lambda answer: self._answer(answer, state, seen))

    def _answer(self, answer: Response, state: list[Any], seen: SeenRequest) -> Response:
        start, end, currency, size, number = state
        filters = {"start": start and datetime.fromisoformat(start), "end": end and datetime.fromisoformat(end)}
        rows = self._moved(self._fake.rows(currency=currency, **filters))
        firsts = range(0, max(1, len(rows) - self._overlap), size - self._overlap)
        pages = [rows[first : first + size] for first in firsts]
        if self._behind_a_new_row:
            pages[1:] = [
                [*page[self._overlap :][:1], *page[: self._overlap], *page[self._overlap + 1 :]] for page in pages[1:]
            ]
        if self._swapped and len(pages) > 3:
            pages[1], pages[2] = pages[2], pages[1]
        page = pages[number] if number < len(pages) else []
        state = [start, end, currency, size, number + 1]
        following = _cursor(state) if number + 1 < len(pages) else None
        return _response(evolve(answer, status=200), page, following, csv="csv" in seen.headers.get("accept", ""))

    def _book_late(self) -> None:
        late, self._late = self._late, 0
        first = datetime.fromisoformat(self._fake.ledger[0]["timestamp"])
        for number in range(late):
            at = (first - timedelta(days=number + 1)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            self._fake.book({**self._fake.ledger[-1], "timestamp": at, "notes": f"late {number}"})


def disordered(fake: FakeVenice, kind: Kind) -> Callable[[SeenRequest], faults.Fault | None]:
    """Return a server whose pages are out of order."""
    if kind == "pages swapped":
        return OffsetPages(fake, swapped=True).fault
    dated_late = fake.ledger[len(fake.ledger) // 2]

    def moved(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Put one row of the middle at the end of the first ten."""
        if dated_late not in rows:
            return rows
        others = list(rows)
        others.remove(dated_late)  # one of them: equal rows are several charges
        return [*others[:9], dated_late, *others[9:]]

    return OffsetPages(fake, moved=moved).fault


def _cursor(state: list[Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(state).encode()).decode().rstrip("=")


def _response(answer: Response, rows: list[dict[str, Any]], following: str | None, *, csv: bool) -> Response:
    if not csv:
        document = to_json({"data": rows, "nextCursor": following}).encode()
        return faults.body(document, content_type="application/json").apply(answer)
    lines = [",".join(CSV_COLUMNS), *map(to_csv_record, rows)]
    answer = faults.body("".join(f"{line}\n" for line in lines).encode(), content_type="text/csv").apply(answer)
    return answer.with_header("x-next-cursor", following) if following else answer
