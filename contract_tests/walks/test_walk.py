"""Walks without any I/O: every charge once and in order, wherever pagination is lost or resumed."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.memory_ledger import START, MemoryLedger, Row, cut, ledger_rows, received, start_walk
from venice_billing import (
    BillingTimeoutError,
    CursorRejectedError,
    EndpointRetiredError,
    InvalidRequestError,
    NotFoundError,
    ResponseValidationError,
    ServerError,
    VeniceError,
)
from venice_billing._walk.sequential import first_not_retired, sequential
from venice_billing._walk.types import DAY, Bounds, Order, Page, Position

if TYPE_CHECKING:
    from venice_billing._call import Steps

KINDS = ("asc", "desc", "windows")
# Few instants and few names, so that identical rows and crowded instants are common; spans of milliseconds to weeks.
SPANS = st.sampled_from([0.001, 1.0, 60.0, 3600.0, 86400.0])
LEDGERS = st.builds(
    lambda span, drawn: [Row(START + timedelta(seconds=at * span), name) for at, name in drawn],
    SPANS,
    st.lists(st.tuples(st.integers(0, 20), st.sampled_from("aab")), max_size=40),
)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_received_rows_and_the_rest_are_the_ledger(kind: str, data: st.DataObject) -> None:
    """For any ledger, any page size and any point at which the walk is stopped and resumed."""
    rows = data.draw(LEDGERS)
    ledger = MemoryLedger(rows, data.draw(st.integers(1, 12)))
    truth = ledger.rows if kind == "asc" else ledger.rows[::-1]
    head, position = cut(start_walk(ledger, kind, Position()), data.draw(st.integers(0, len(rows))))
    later = MemoryLedger(rows, data.draw(st.integers(1, 12)))
    assert head + received(start_walk(later, kind, position)) == truth


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_received_rows_and_the_rest_are_the_range(kind: str, data: st.DataObject) -> None:
    """The bounds are exact to the microsecond, although requests state them in milliseconds."""
    rows = data.draw(LEDGERS)
    edges = st.one_of(st.none(), st.integers(-1, 21_000_000))
    start, end = (
        None if edge is None else START + timedelta(microseconds=edge) for edge in (data.draw(edges), data.draw(edges))
    )
    bounds = Bounds(start, end)
    ledger = MemoryLedger(rows, data.draw(st.integers(1, 5)))
    expected = [row for row in ledger.rows if bounds.contain(row.at)]
    assert received(start_walk(ledger, kind, Position(), bounds)) == (expected if kind == "asc" else expected[::-1])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_faults_at_any_request_lose_no_row(kind: str, data: st.DataObject) -> None:
    """Faults are dead cursors, rejected cursors and hangs, never two in a row."""
    faults = data.draw(st.dictionaries(st.integers(2, 30), st.sampled_from(["dead", "rejected", "hang"])))

    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        fault = faults.get(number) if page.state[1] > len(page.rows) and number - 1 not in faults else None  # type: ignore[index]
        if fault is not None:
            raise {
                "dead": ServerError("dead", status_code=500),
                "rejected": CursorRejectedError("expired", status_code=400),
                "hang": BillingTimeoutError("no answer"),
            }[fault]
        return page

    rows = data.draw(LEDGERS)
    ledger = MemoryLedger(rows, data.draw(st.integers(1, 12)), spoil)
    try:
        walked = received(start_walk(ledger, kind, Position()))
    except ServerError as error:
        assert "reopenings" in str(error)  # noqa: PT017 - a page smaller than an instant cannot be passed
        return
    assert walked == (ledger.rows if kind == "asc" else ledger.rows[::-1])


@pytest.mark.parametrize("kind", KINDS)
def test_identical_rows_are_counted(kind: str) -> None:
    """Two equal rows are two charges: the position says how many of each were received."""
    twins = [Row(START, "same")] * 5 + [Row(START, "other")] + [Row(START + DAY, "later")]
    for count in range(len(twins) + 1):
        head, position = cut(start_walk(MemoryLedger(twins, 2), kind, Position()), count)
        rest = received(start_walk(MemoryLedger(twins, 4), kind, position))
        assert Counter(head + rest) == Counter(twins)


def test_a_position_counts_only_the_rows_of_its_own_instant() -> None:
    ledger = MemoryLedger([])
    first = Position().after([Row(START, "a"), Row(START + DAY, "b"), Row(START + DAY, "b")], ledger)
    assert first == Position(START + DAY, {"b": 2})
    assert first.after([Row(START + DAY, "c")], ledger) == Position(START + DAY, {"b": 2, "c": 1})
    assert first.after([Row(START + 2 * DAY, "c")], ledger) == Position(START + 2 * DAY, {"c": 1})
    assert first.after([], ledger) is first


@pytest.mark.parametrize(
    "error",
    [
        ServerError("hangs, then fails", status_code=500),
        CursorRejectedError("expired", status_code=400),
        BillingTimeoutError("no answer"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_dead_cursor_is_bridged_at_the_last_timestamp(error: VeniceError) -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        if number == 2:
            raise error
        return page

    ledger = MemoryLedger(ledger_rows(0, 10, 20, 30, 40), 2, spoil)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows
    assert ledger.opened == [Bounds(), Bounds(START + timedelta(seconds=10))]


def test_other_errors_end_the_walk() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        if number == 2:
            raise InvalidRequestError("no", status_code=422)
        return page

    with pytest.raises(InvalidRequestError):
        received(sequential(MemoryLedger(ledger_rows(0, 1, 2), 1, spoil), Bounds(), "asc", Position()))


def test_unreachable_data_is_a_server_error_naming_the_timestamp() -> None:
    """The error follows a few reopenings at one position; each uses another page size, which moves the cursors."""
    sizes: list[int | None] = []

    class PageSource(MemoryLedger):
        def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
            sizes.append(page_size)
            return super().open(bounds, order, page_size)

    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        if page.state[1] > 1000:  # type: ignore[index]
            raise ServerError("dead", status_code=500)
        return page

    ledger = PageSource([Row(START, "same")] * 2500, 1000, spoil)
    with pytest.raises(ServerError, match="2026-09-01T00:00:00"):
        received(sequential(ledger, Bounds(), "asc", Position(), 1000))
    assert sizes[0] == 1000
    assert len(set(sizes)) == len(sizes) - 1, "only the first reopening repeats a page size"
    assert all(10 <= size <= 1000 for size in sizes if size)
    assert len(sizes) <= 6


def test_dead_cursors_at_every_page_are_bridged_given_progress() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        if page.state[1] > len(page.rows):  # type: ignore[index]
            raise ServerError("dead", status_code=500)
        return page

    ledger = MemoryLedger(ledger_rows(*range(60)), 3, spoil)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows


def test_a_page_with_its_own_cursor_is_not_delivered_twice() -> None:
    """Not even when all its rows have one timestamp, so that timestamps cannot reveal the repetition."""
    rows = [Row(START + timedelta(seconds=second), "same") for second in (0, 0, 1, 1, 2, 2)]
    first: dict[str, Page[Row]] = {}

    class PageSource(MemoryLedger):
        def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
            yield from ()
            if len(self.opened) > 1:
                return (yield from super().follow(page))
            if page.following not in first:
                found = yield from super().follow(page)
                first[str(page.following)] = evolve(found, following=page.following)
            return first[str(page.following)]

    assert received(sequential(PageSource(rows, 2), Bounds(), "asc", Position())) == rows


def test_a_cycle_of_cursors_is_an_error() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return Page([Row(START, "same")], f"cursor-{number % 2}", ([], 0, 1))

    with pytest.raises(ServerError, match="cursor came twice"):
        received(sequential(MemoryLedger([], 1, spoil), Bounds(), "asc", Position()))


def test_empty_pages_within_a_walk_are_followed() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return Page([], "cursor-0", (page.state[0], 0, 2)) if number == 1 else page  # type: ignore[index]

    ledger = MemoryLedger(ledger_rows(0, 1, 2), 2, spoil)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows


def test_a_page_that_goes_back_in_time_is_not_delivered() -> None:
    def spoil(number: int, page: Page[Row]) -> Page[Row]:
        return evolve(page, rows=ledger.rows[:2]) if number == 3 else page

    ledger = MemoryLedger(ledger_rows(0, 10, 20, 30, 40, 50), 2, spoil)
    assert received(sequential(ledger, Bounds(), "asc", Position())) == ledger.rows
    assert len(ledger.opened) == 2


def test_received_rows_that_vanished_are_an_error() -> None:
    """If the rows of the position are gone, the rest would not be exact; it may be another account."""
    rows = ledger_rows(0, 10, 10, 20)
    _, position = cut(sequential(MemoryLedger(rows), Bounds(), "asc", Position()), 2)
    without = MemoryLedger([rows[0], rows[2], rows[3]])
    with pytest.raises(ResponseValidationError, match="no longer in the ledger") as caught:
        received(sequential(without, Bounds(), "asc", position))
    assert caught.value.field == "checkpoint"


def test_rows_of_a_widened_window_beyond_the_bounds_are_left_out() -> None:
    """The ledger answers a narrow window only as part of a day; rows around the window are not delivered."""
    around = ledger_rows(0, 100, 200, 300, 400, 500)

    class Wide(MemoryLedger):
        def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
            return super().open(Bounds(), order, page_size)

    bounds = Bounds(START + timedelta(seconds=100), START + timedelta(seconds=300))
    ledger = Wide(around, 2)
    assert received(sequential(ledger, bounds, "asc", Position())) == around[1:3]
    assert ledger.requests == 2, "past the end, no further page is requested"
    assert received(sequential(Wide(around, 2), bounds, "desc", Position())) == around[1:3][::-1]


def retired(number: int, kind: type[VeniceError]) -> Any:
    def spoil(request: int, page: Page[Row]) -> Page[Row]:
        if request >= number:
            raise kind("gone", status_code=410)  # type: ignore[call-arg]
        return page

    return spoil


@pytest.mark.parametrize("kind", [EndpointRetiredError, NotFoundError])
@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("request_number", [1, 2, 3])
def test_a_walk_switches_from_a_retired_source_to_the_next(
    kind: type[VeniceError], order: Literal["asc", "desc"], request_number: int
) -> None:
    """It continues at its position in the same order; no charge is lost or repeated, identical rows included."""
    rows = [Row(START + timedelta(seconds=number // 4), "same") for number in range(12)]
    first = MemoryLedger(rows, 3, retired(request_number, kind))
    second = MemoryLedger(rows, 5)
    walks = [lambda at, ledger=ledger: sequential(ledger, Bounds(), order, at) for ledger in (first, second)]
    truth = first.rows if order == "asc" else first.rows[::-1]
    assert received(first_not_retired(walks, Position())) == truth
    assert second.requests > 0


def test_the_first_refusal_is_raised_when_all_sources_have_retired() -> None:
    ledgers = [MemoryLedger([], 3, retired(1, kind)) for kind in (NotFoundError, EndpointRetiredError)]
    walks = [lambda at, ledger=ledger: sequential(ledger, Bounds(), "asc", at) for ledger in ledgers]
    with pytest.raises(NotFoundError):
        received(first_not_retired(walks, Position()))


def test_no_other_source_is_asked_while_the_first_answers() -> None:
    first, second = MemoryLedger(ledger_rows(0, 1)), MemoryLedger(ledger_rows(0, 1))
    walks = [lambda at, ledger=ledger: sequential(ledger, Bounds(), "asc", at) for ledger in (first, second)]
    assert received(first_not_retired(walks, Position())) == first.rows
    assert second.requests == 0


def test_leaving_a_walk_closes_its_generators() -> None:
    closed: list[str] = []

    class PageSource(MemoryLedger):
        def open(self, bounds: Bounds, order: Order, page_size: int | None) -> Steps[Page[Row]]:
            try:
                return (yield from super().open(bounds, order, page_size))
            finally:
                closed.append("open")

        def follow(self, page: Page[Row]) -> Steps[Page[Row]]:
            try:
                yield None  # type: ignore[misc] # where a request would be under way
                return page
            finally:
                closed.append("follow")

    walk = first_not_retired(
        [lambda at: sequential(PageSource(ledger_rows(0, 1, 2), 1), Bounds(), "asc", at)], Position()
    )
    next(walk)
    next(walk)
    walk.close()
    assert closed == ["open", "follow"]
