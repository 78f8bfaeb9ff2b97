"""An interrupt anywhere in the thread that reads a walk loses or repeats no row, and leaves no thread."""

from __future__ import annotations

import contextlib
import queue
import sys
import threading
import time
from _thread import _count as count_threads
from dis import opmap
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field

from contract_tests.support.flavours import NOW, Flavour, as_wire, receive
from venice_billing import _clock, _drivers, _iterations, walks
from venice_billing._walk import workers
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    from venice_billing import VeniceBilling

pytestmark = pytest.mark.anyio

WALK_FOLDER = str(Path(workers.__file__).parent)
OF_WALKS = {module.__file__ for module in (walks, _iterations, _drivers, _clock, threading, queue, contextlib)}


class Interrupt(BaseException):
    """An exception such as a signal handler may raise."""


@define
class Place:
    """A place in the code: a line, the entry of a function, or a call."""

    code: CodeType
    offset: int
    event: str


@define
class Interrupter:
    """Raises in this thread the `turn`th time that a place is reached for the first or the second time.

    Thus each place is interrupted at least twice, and a long walk needs no more turns than a short one.
    """

    kind: type[BaseException]
    is_meant: Callable[[str], bool]
    turn: int
    fired: bool = False
    place: Place | None = None
    _met: dict[tuple[CodeType, int, str], int] = field(factory=dict)

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Interrupt where the interpreter runs signal handlers: at entries of functions and around calls."""
        if event in {"call", "c_call", "c_return"}:
            self._meet(frame, event)

    def trace(self, frame: FrameType, event: str, _: Any) -> Any:
        """Also interrupt before lines, as under a debugger."""
        if not self.is_meant(frame.f_code.co_filename):
            return None
        if event in {"call", "line"}:
            self._meet(frame, event)
        return self.trace

    def _meet(self, frame: FrameType, event: str) -> None:
        if self.fired or not self.is_meant(frame.f_code.co_filename) or is_closed_to_signals(frame, event):
            return
        key = (frame.f_code, frame.f_lasti, event)
        self._met[key] = self._met.get(key, 0) + 1
        if self._met[key] <= 2:
            self.turn -= 1
            if self.turn < 0:
                self.fired = True
                self.place = Place(*key)
                raise self.kind

    @contextlib.contextmanager
    def profiling(self) -> Iterator[None]:
        before = sys.getprofile()
        sys.setprofile(self.profile)
        try:
            yield
        finally:
            sys.setprofile(before)

    @contextlib.contextmanager
    def tracing(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self.trace)
        try:
            yield
        finally:
            sys.settrace(before)


def is_closed_to_signals(frame: FrameType, event: str) -> bool:
    """Return whether no signal handler runs at this entry: within `await` or `yield from`, or by `throw` or `close`.

    Raising there anyway would skip the clean-up of a generator.
    """
    instruction, argument = frame.f_code.co_code[frame.f_lasti : frame.f_lasti + 2]
    return event == "call" and not (instruction == opmap["RESUME"] and argument & 3 < 2)


def of_walks(filename: str) -> bool:
    return filename in {walks.__file__, _iterations.__file__}


def of_the_reader(filename: str) -> bool:
    """Return whether the reading thread runs this file's code: walks, and the standard library modules they use."""
    return filename in OF_WALKS or filename.startswith(WALK_FOLDER)


def of_the_exporter(filename: str) -> bool:
    """Return the same for an export, except for file operations."""
    return of_the_reader(filename) and filename != contextlib.__file__


def wait_for_the_end_of_threads(before: int, place: Place | None) -> None:
    until = time.monotonic() + 30
    while count_threads() > before:
        assert time.monotonic() < until, f"threads are left after an interrupt at {place}: {threading.enumerate()}"
        time.sleep(0.001)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"concurrency": 4},
        {"sort_order": "desc"},
        {"sort_order": "desc", "concurrency": 4},
        {"max_items": 35},
        {"max_items": 35, "concurrency": 4},
    ],
    ids=str,
)
@pytest.mark.parametrize("pages", [True, False])
@pytest.mark.filterwarnings("ignore:coroutine method 'aclose'")  # interrupted just before it is awaited
async def test_the_checkpoint_after_an_interrupt_yields_exactly_the_rest(
    flavour: Flavour, options: dict[str, Any], *, pages: bool
) -> None:
    """Also between the creation of a page and its delivery."""
    fake = FakeVenice(50, now=NOW)
    client = flavour.connect(fake).client
    truth = fake.ledger[::-1] if "sort_order" in options else fake.ledger
    wanted = truth[: options.get("max_items")]
    for turn in count():
        walk = client.iter_usage_history(page_size=10, **options)
        interrupter = Interrupter(Interrupt, of_walks, turn)
        received: list[Any] = []
        try:
            with interrupter.profiling():
                await receive(walk, pages=pages, into=received)
        except Interrupt:
            pass
        if not interrupter.fired:
            break
        had = [entry for page in received for entry in page] if pages else received
        rest = await receive(client.iter_usage_history(checkpoint=walk.checkpoint, **options))
        rows = as_wire([*had, *rest])[: len(wanted)]
        assert rows == wanted, f"interrupted at {interrupter.place}"
    assert turn > 20, "the interrupts were raised elsewhere"


def read_all(client: VeniceBilling, _: Path) -> object:
    return list(client.iter_usage_history(page_size=10, concurrency=4))


def read_some(client: VeniceBilling, _: Path) -> object:
    return list(client.iter_usage_history(page_size=10, max_items=15, concurrency=4))


def leave_early(client: VeniceBilling, _: Path) -> object:
    iterator: Any = iter(client.iter_usage_history(page_size=10, concurrency=4))
    with contextlib.closing(iterator):
        return next(iterator)


def read_backwards(client: VeniceBilling, _: Path) -> object:
    return list(client.iter_usage_history(page_size=10, sort_order="desc", concurrency=4).pages())


def export(client: VeniceBilling, target: Path) -> object:
    return client.export_usage_csv(target, page_size=10, concurrency=4)


@pytest.mark.parametrize("how", ["trace", "profile"])
@pytest.mark.parametrize("read", [read_all, read_some, leave_early, read_backwards, export])
def test_an_interrupt_of_a_concurrent_walk_leaves_no_thread(
    read: Callable[[VeniceBilling, Path], object], how: str, tmp_path: Path
) -> None:
    fake = FakeVenice(60, now=NOW)
    client = fake.client()
    target = tmp_path / "usage.csv"
    read(client, target)
    before = count_threads()
    for turn in count():
        interrupter = Interrupter(KeyboardInterrupt, of_the_exporter if read is export else of_the_reader, turn)
        came_out = False
        try:
            with interrupter.tracing() if how == "trace" else interrupter.profiling():
                read(client, target)
        except KeyboardInterrupt:
            came_out = True
        assert came_out == interrupter.fired, f"the interrupt was swallowed at {interrupter.place}"
        wait_for_the_end_of_threads(before, interrupter.place)
        if not interrupter.fired:
            break
    assert turn > 50, "the interrupts were raised elsewhere"
    read(client, target)
