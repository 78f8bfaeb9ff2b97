"""The iterators of walks: cut short, left, copied, pickled, and used while the interpreter exits."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import Face, Flavour, as_wire, receive
from venice_billing import EntryPage, ServerError, UsageWalk, VeniceError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing import VeniceBilling

pytestmark = pytest.mark.anyio

CONCURRENCY = pytest.mark.parametrize("concurrency", [1, 4])
WAYS = pytest.mark.parametrize("way", ["entries", "pages", "rows"])


class Interrupt(BaseException):
    """An exception such as a signal handler may raise."""


def opened(walk: UsageWalk, way: str) -> Iterator[Any]:
    return {"entries": walk.__iter__, "pages": walk.pages, "rows": walk.rows}[way]()


def entries_in(items: list[Any], way: str) -> int:
    return sum(map(len, items)) if way == "pages" else len(items)


@pytest.fixture
def client(fake: FakeVenice) -> Iterator[VeniceBilling]:
    with fake.client(max_retries=0) as client:
        yield client


@WAYS
@CONCURRENCY
def test_an_iterator_that_failed_raises_with_checkpoint(
    fake: FakeVenice, client: VeniceBilling, way: str, concurrency: int
) -> None:
    """A generator would end instead, as if the walk were complete."""
    walk = client.iter_usage_history(page_size=50, concurrency=concurrency)
    iterator = opened(walk, way)
    received = [next(iterator)]
    fake.quirks.faults = lambda _: faults.status(503)
    with pytest.raises(ServerError) as failed:
        received.extend(iterator)
    fake.quirks.faults = ()
    for _ in range(3):
        with pytest.raises(VeniceError, match="cut short") as caught:
            next(iterator)
        assert caught.value.checkpoint == failed.value.checkpoint == walk.checkpoint
    rest = list(client.iter_usage_history(checkpoint=walk.checkpoint))
    assert entries_in(received, way) + len(rest) == len(fake.ledger)


@WAYS
@CONCURRENCY
def test_an_iterator_that_was_interrupted_raises_with_checkpoint(
    fake: FakeVenice, client: VeniceBilling, monkeypatch: pytest.MonkeyPatch, way: str, concurrency: int
) -> None:
    walk = client.iter_usage_history(page_size=50, concurrency=concurrency)
    iterator = opened(walk, way)
    received = [next(iterator)]

    def interrupt(*_: object) -> None:
        raise Interrupt

    monkeypatch.setattr(walk._latest, "end", interrupt)
    with pytest.raises(Interrupt):
        received.extend(iterator)
    monkeypatch.undo()
    with pytest.raises(VeniceError, match="cut short") as caught:
        next(iterator)
    rest = list(client.iter_usage_history(checkpoint=caught.value.checkpoint))
    assert entries_in(received, way) + len(rest) == len(fake.ledger)


@WAYS
@CONCURRENCY
@pytest.mark.parametrize("max_items", [None, 30])
def test_a_finished_iterator_stays_finished(
    fake: FakeVenice, client: VeniceBilling, way: str, concurrency: int, max_items: int | None
) -> None:
    iterator = opened(client.iter_usage_history(max_items=max_items, concurrency=concurrency), way)
    assert entries_in(list(iterator), way) == (max_items or len(fake.ledger))
    assert list(iterator) == list(iterator) == []


@WAYS
@CONCURRENCY
def test_a_closed_iterator_is_exhausted(client: VeniceBilling, way: str, concurrency: int) -> None:
    """In the middle of a page, too; the checkpoint stays that of the last item."""
    walk = client.iter_usage_history(page_size=50, concurrency=concurrency)
    iterator: Any = opened(walk, way)
    next(iterator)
    checkpoint = walk.checkpoint
    iterator.close()
    assert list(iterator) == []
    assert walk.checkpoint == checkpoint


def test_an_exception_in_the_loop_does_not_cut_the_iterator_short(fake: FakeVenice, client: VeniceBilling) -> None:
    iterator = iter(client.iter_usage_history(page_size=50))
    received: list[Any] = []

    def read() -> None:
        for entry in iterator:
            received.append(entry)
            if len(received) == 70:
                raise Interrupt

    with pytest.raises(Interrupt):
        read()
    assert as_wire([*received, *iterator]) == fake.ledger


async def test_a_copied_page_equals_its_original(face: Face, flavour: Flavour) -> None:
    pages = await receive(face.client.iter_usage_history(page_size=50), pages=True)
    first, second = pages[:2]
    for copied in (copy.copy(first), copy.deepcopy(first), pickle.loads(pickle.dumps(first))):
        assert type(copied) is EntryPage
        assert copied == first
        assert copied != second
    assert first != list(first), "a page is no list"
    assert first != object()


async def test_a_walk_is_not_pickled_but_copied(face: Face) -> None:
    """It holds its client."""
    walk = face.client.iter_usage_history(max_items=10)
    with pytest.raises(TypeError, match=r"Walk cannot be pickled.*\.checkpoint"):
        pickle.dumps(walk)
    assert as_wire(await receive(copy.copy(walk))) == as_wire(await receive(walk))


def test_an_iterator_is_not_pickled(client: VeniceBilling) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(iter(client.iter_usage_history()))


_AT_EXIT = """
import builtins, sys
from venice_billing import VeniceBilling, VeniceError
class Report:
    def __init__(self):
        walk = VeniceBilling("a-long-key", base_url=sys.argv[1]).iter_usage_history(page_size=100, concurrency=8)
        self.walk = walk
        self.begun = iter(walk) if sys.argv[2] == "begun" else None
        if self.begun:
            next(self.begun)
        self.me = self if sys.argv[2] == "begun" else None
    def __del__(self):
        try:
            print("rows", len(list(self.begun or self.walk)))
        except VeniceError as error:
            print("checkpoint", isinstance(error.checkpoint, str))
        except BaseException as error:
            print("foreign", repr(error))
builtins.report = Report()
"""


@pytest.mark.parametrize("when", ["new", "begun"])
def test_a_concurrent_walk_at_the_exit_of_the_interpreter_ends(when: str) -> None:
    """In `__del__`, when no thread runs any more and none can be started."""
    fake = FakeVenice(2000)
    with fake.serve() as server:
        program = _AT_EXIT.replace('"a-long-key"', repr(fake.admin_key))
        done = subprocess.run(
            [sys.executable, "-c", program, server.base_url, when],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    assert done.stdout in {"checkpoint True\n", "rows 2000\n"}, done.stderr
