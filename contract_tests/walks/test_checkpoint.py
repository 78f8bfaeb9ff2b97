"""A checkpoint encodes filters and position as text; a damaged or foreign one is refused."""

from __future__ import annotations

import base64
import json
import sys
import zlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Flavour, as_wire, receive, row
from venice_billing import EntryPage, InvalidParameterError, ResponseValidationError, VeniceError, _iterations, walks
from venice_billing._walk import checkpoint as checkpoints
from venice_billing._walk.checkpoint import Filters, decode, encode
from venice_billing._walk.types import Bounds, Position
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from types import FrameType

    from venice_billing._walk.types import Order

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
COUNTS = st.dictionaries(st.text("0123456789abcdef", min_size=18, max_size=18), st.integers(1, 99))


@st.composite
def walked(draw: st.DrawFn) -> tuple[Filters, Position]:
    """Return the filters of a walk, and a position in its range."""
    start, at, end = sorted(draw(st.lists(MOMENTS, min_size=3, max_size=3, unique=True)))
    bounds = Bounds(draw(st.sampled_from([None, start])), draw(st.sampled_from([None, end])))
    filters = Filters(draw(st.sampled_from([None, "USD", "DIEM"])), bounds, draw(st.sampled_from(["asc", "desc"])))
    return filters, draw(st.just(Position()) | st.builds(Position, st.just(at), COUNTS))


START = datetime(2026, 9, 1, tzinfo=UTC)


@given(walked())
def test_an_encoded_checkpoint_decodes_to_the_same_values(walk: tuple[Filters, Position]) -> None:
    filters, position = walk
    text = encode(filters, position)
    assert decode(text) == (filters, position)
    assert text == encode(filters, position), "equal positions have equal texts"
    assert text.isascii()
    assert text.isprintable()
    assert not set(text) & set(" \"'\\/+="), "the text needs no quoting in a URL, a shell or a file name"


@given(walked(), st.data())
def test_a_truncated_or_altered_checkpoint_is_refused(walk: tuple[Filters, Position], data: st.DataObject) -> None:
    """A wrong position would give a wrong total, so an error is better."""
    filters, position = walk
    text = encode(filters, position)
    index = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("AZaz09-_.").filter(lambda letter: letter != text[index]))
    for damaged in (text[:index], text[:index] + other + text[index + 1 :], text + "A"):
        try:
            assert decode(damaged) == (filters, position), "only the unused bits of the last character may differ"
        except InvalidParameterError as error:
            assert error.parameter == "checkpoint"  # noqa: PT017 - the other way out
        else:
            assert index == len(text) - 1


@given(st.text(max_size=60) | st.binary(max_size=10) | st.none() | st.integers())
def test_other_values_are_refused_with_the_parameter_named(value: object) -> None:
    with pytest.raises(InvalidParameterError, match=r"^checkpoint must be"):
        decode(value)


def sealed(document: object) -> str:
    """Encode any document as a checkpoint with correct check bytes."""
    packed = zlib.compress(json.dumps(document).encode())
    return "vb1." + base64.urlsafe_b64encode(checkpoints._check(packed) + packed).decode().rstrip("=")


LATE = "2026-09-01T00:00:00+00:00"
NO_MOMENTS = (
    "0001-01-01T00:00:00+00:00",
    "9999-12-31T23:59:59.999999+00:00",
    "9999-12-31T23:59:59-23:59",
    "2026-09-01T00:00:00",
    "2026-09-01T02:00:00+02:00",
    "2026-09-01",
    "\ud800",
    "",
    20260901,
)
GOOD: dict[str, object] = {"currency": None, "start": None, "end": None, "order": "asc", "at": None, "seen": {}}


@pytest.mark.parametrize(
    "document",
    [
        [],
        None,
        "text",
        {},
        {**GOOD, "order": "up"},
        {**GOOD, "currency": 5},
        {**GOOD, "start": "soon"},
        {**GOOD, "at": 5},
        {**GOOD, "seen": []},
        {**GOOD, "seen": {"a": 0}},
        {**GOOD, "seen": {"a": "1"}},
        {**GOOD, "at": LATE, "seen": {"f" * 18: True}},
        {**GOOD, "at": LATE, "seen": {"f" * 18: 10**30}},
        {**GOOD, "at": LATE, "seen": {"f" * 18: 1.0}},
        {**GOOD, "at": LATE, "seen": {"\ud800": 1}},
        {**GOOD, "at": LATE, "seen": None},
        {**GOOD, "seen": {"f" * 18: 1}},
        {**GOOD, "currency": "EUR"},
        {**GOOD, "currency": "\ud800"},
        {**GOOD, "currency": ["USD"]},
        {**GOOD, "order": ["asc"]},
        {**GOOD, "start": LATE, "end": LATE},
        {**GOOD, "start": LATE, "end": "2026-08-31T00:00:00+00:00"},
        {**GOOD, "start": LATE, "at": "2026-08-31T00:00:00+00:00"},
        {**GOOD, "end": LATE, "at": LATE},
        *({**GOOD, field: moment} for field in ("start", "end", "at") for moment in NO_MOMENTS),
    ],
)
def test_other_documents_with_correct_check_bytes_are_refused(document: object) -> None:
    assert decode(sealed(GOOD)) == (Filters(None, Bounds(), "asc"), Position())
    with pytest.raises(InvalidParameterError, match=r"^checkpoint must be"):
        decode(sealed(document))


MIDNIGHT = st.sampled_from([*NO_MOMENTS, None, LATE, "0001-01-07T00:00:00+00:00", "9999-12-23T23:59:59.999999+00:00"])


@pytest.mark.anyio
@pytest.mark.parametrize("order", ["asc", "desc"])
@given(start=MIDNIGHT, end=MIDNIGHT, at=MIDNIGHT, seen=st.sampled_from([{}, {"f" * 18: 10**9}, {"f" * 18: 10**300}]))
@settings(deadline=None, max_examples=150)
def test_a_forged_checkpoint_raises_only_venice_errors(
    order: str, start: object, end: object, at: object, seen: dict[str, int]
) -> None:
    """Also at the ends of the calendar, where adding a day overflows."""
    text = sealed({"currency": None, "start": start, "end": end, "order": order, "at": at, "seen": seen})
    client = FakeVenice(3, now=NOW).client()
    for concurrency in (1, 3):
        try:
            list(client.iter_usage_history(checkpoint=text, concurrency=concurrency))
        except VeniceError as error:
            assert isinstance(error, InvalidParameterError) or at is not None  # noqa: PT017 - the other way out


def test_a_crowded_instant_makes_a_checkpoint_of_bounded_size() -> None:
    """The image service books hundreds of charges at once; the checkpoint counts and compresses them."""
    position = Position(START, {f"{number:018x}": 1 for number in range(1000)})
    assert len(encode(Filters("USD", Bounds(START, NOW), "asc"), position)) < 20_000


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice([row(f"2026-09-{day:02d}T00:00:00.000Z") for day in range(1, 29)], now=NOW)


@pytest.mark.anyio
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_filters_may_be_repeated_or_omitted_with_a_checkpoint(
    fake: FakeVenice, flavour: Flavour, order: Order
) -> None:
    client = flavour.connect(fake).client
    filters = {"currency": "USD", "start_timestamp": "2026-09-03", "end_timestamp": START + timedelta(days=20)}
    walk = client.iter_usage_history(**filters, sort_order=order)
    await receive(walk, 5)
    truth = fake.rows(start="2026-09-03T00:00:00Z", end="2026-09-21T00:00:00Z")
    rest = (truth if order == "asc" else truth[::-1])[5:]
    for again in ({}, filters, {**filters, "sort_order": order}, {"currency": "USD"}):
        assert as_wire(await receive(client.iter_usage_history(checkpoint=walk.checkpoint, **again))) == rest


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("method", "other"),
    [
        ("iter_usage_history", {"currency": "DIEM"}),
        ("iter_usage_history", {"start_timestamp": "2026-09-04"}),
        ("iter_usage_history", {"end_timestamp": "2026-09-22"}),
        ("iter_usage_history", {"sort_order": "desc"}),
        ("iter_usage", {"currency": "DIEM"}),
        ("iter_usage", {"start_date": "2026-09-04"}),
        ("iter_usage", {"end_date": "2026-09-22"}),
        ("iter_usage", {"sort_order": "desc"}),
    ],
)
async def test_filters_that_contradict_the_checkpoint_are_refused(
    fake: FakeVenice, flavour: Flavour, method: str, other: dict[str, str]
) -> None:
    client = flavour.connect(fake).client
    walk = client.iter_usage_history(currency="USD", start_timestamp="2026-09-03")
    await receive(walk, 5)
    sent = len(fake.requests)
    with pytest.raises(InvalidParameterError, match="as in the walk the checkpoint comes from") as caught:
        getattr(client, method)(checkpoint=walk.checkpoint, **other)
    assert [caught.value.parameter] == list(other)
    assert len(fake.requests) == sent


@pytest.mark.anyio
async def test_a_checkpoint_of_a_finished_walk_yields_only_new_charges(fake: FakeVenice, flavour: Flavour) -> None:
    client = flavour.connect(fake).client
    walk = client.iter_usage_history()
    await receive(walk)
    assert await receive(client.iter_usage_history(checkpoint=walk.checkpoint)) == []
    booked = [fake.book(), fake.book(), fake.book()]
    assert as_wire(await receive(client.iter_usage_history(checkpoint=walk.checkpoint))) == booked


@pytest.mark.anyio
async def test_a_checkpoint_of_another_account_is_refused(flavour: Flavour, fake: FakeVenice) -> None:
    walk = flavour.connect(fake).client.iter_usage_history()
    await receive(walk, 5)
    other = FakeVenice(100, now=NOW)
    with pytest.raises(Exception, match="no longer in the ledger"):
        await receive(flavour.connect(other).client.iter_usage_history(checkpoint=walk.checkpoint))


@pytest.mark.parametrize("pages", [False, True])
def test_a_checkpoint_is_correct_at_every_line_of_the_walk(*, pages: bool) -> None:
    """A signal handler may read it between two lines of the walk; it is never ahead of what was delivered."""
    client = FakeVenice(200, now=NOW).client()
    walk = client.iter_usage_history(page_size=50)
    counts = {walk.checkpoint: 0}
    for count, _ in enumerate(walk, 1):
        counts[walk.checkpoint] = count
    received = 0
    asked: list[tuple[int, int]] = []

    def trace(frame: FrameType, _event: str, _value: object) -> Any:
        if frame.f_code.co_filename in {walks.__file__, _iterations.__file__}:
            asked.append((received, counts[walk.checkpoint]))
        return trace

    walk = client.iter_usage_history(page_size=50)
    steps = walk.pages() if pages else walk
    before = sys.gettrace()  # that of coverage, if it is measured
    sys.settrace(trace)
    try:
        for step in steps:
            received += len(step) if isinstance(step, EntryPage) else 1
    finally:
        sys.settrace(before)
    assert received == len(counts) - 1
    assert len(asked) > 10 * received / 50
    assert all(0 <= said - had <= (50 if pages else 1) for had, said in asked)


@pytest.mark.anyio
@pytest.mark.parametrize("concurrency", [1, 8])
@pytest.mark.parametrize("received", [5, 28], ids=["in the middle", "finished"])
@pytest.mark.parametrize("days", [(27, 28), (1, 2, 3, 27)], ids=["younger", "with older charges"])
@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_a_checkpoint_on_another_account_is_refused(
    fake: FakeVenice, flavour: Flavour, order: Order, days: tuple[int, ...], received: int, concurrency: int
) -> None:
    """In either order, also where the other account has nothing before the checkpoint's instant."""
    walk = flavour.connect(fake).client.iter_usage_history(sort_order=order)
    await receive(walk, received)
    rows = [row(f"2026-09-{day:02d}T00:00:00.000Z", notes="another account's") for day in days]
    other = flavour.connect(FakeVenice(rows, now=NOW)).client
    with pytest.raises(ResponseValidationError, match="the same account"):
        await receive(other.iter_usage_history(checkpoint=walk.checkpoint, concurrency=concurrency))


@pytest.mark.anyio
@pytest.mark.parametrize("method", ["iter_usage", "iter_usage_history"])
async def test_an_ascending_order_contradicts_the_checkpoint_of_a_descending_walk(
    fake: FakeVenice, flavour: Flavour, method: str
) -> None:
    """Left out, the order is that of the checkpoint."""
    client = flavour.connect(fake).client
    walk = getattr(client, method)(sort_order="desc")
    await receive(walk, 5)
    with pytest.raises(InvalidParameterError, match="left out or 'desc'") as caught:
        getattr(client, method)(checkpoint=walk.checkpoint, sort_order="asc")
    assert caught.value.parameter == "sort_order"
    assert as_wire(await receive(getattr(client, method)(checkpoint=walk.checkpoint))) == fake.ledger[-6::-1]
