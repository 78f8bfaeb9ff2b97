"""A cancelled async export holds no file and no lock once it is cancelled, since the thread that writes is awaited."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from contract_tests.support.flavours import NOW
from venice_billing import _files, csv_export
from venice_billing._event_loops import in_thread
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    import io
    from collections.abc import Awaitable, Callable, Iterator

pytestmark = pytest.mark.anyio
LONG = 60.0
BACKENDS = pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])


class Gate:
    """Blocks the first thread that arrives until the gate is opened."""

    def __init__(self) -> None:
        self.reached = Event()
        self.opened = Event()

    def before(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that waits at this gate and then calls the given function."""

        def held_up(*args: Any, **kwargs: Any) -> Any:
            if not self.reached.is_set():
                self.reached.set()
                self.opened.wait(LONG)
            return function(*args, **kwargs)

        return held_up


@pytest.fixture
def gate() -> Iterator[Gate]:
    made = Gate()
    yield made
    made.opened.set()


@pytest.fixture(params=["open_own", "write_all", "fsync", "replace"])
def held_up(request: pytest.FixtureRequest, gate: Gate, monkeypatch: pytest.MonkeyPatch) -> list[io.FileIO]:
    """Block an export where it opens its file, writes, or finishes; return the files that it opens."""
    files: list[io.FileIO] = []

    def noted(path: Path, *, locked: bool = False) -> io.FileIO:
        files.append(_files.open_own(path, locked=locked))
        return files[-1]

    first: Any = gate.before if request.param == "open_own" else lambda function: function
    monkeypatch.setattr(csv_export, "open_own", first(noted))
    if request.param == "write_all":
        monkeypatch.setattr(csv_export, "write_all", gate.before(_files.write_all))
    if request.param == "fsync":
        monkeypatch.setattr(os, "fsync", gate.before(os.fsync))
    if request.param == "replace":
        monkeypatch.setattr(Path, "replace", gate.before(Path.replace))
    return files


async def some_turns() -> None:
    """Run the event loop often enough for every task that is ready to continue."""
    for _ in range(50):
        await anyio.lowlevel.checkpoint()


async def cancelled_by_a_scope(call: Callable[[], Awaitable[Any]], gate: Gate) -> bool:
    """Cancel a call while its thread is blocked; return whether the call ended before the thread."""
    ended: list[bool] = []
    scope = anyio.CancelScope()

    async def run() -> None:
        with scope:
            await call()
        ended.append(True)

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        await anyio.to_thread.run_sync(gate.reached.wait, LONG)
        scope.cancel()
        await some_turns()
        early = bool(ended)
        gate.opened.set()
    return early


async def cancelled_as_a_task(call: Callable[[], Awaitable[Any]], gate: Gate, times: int = 1) -> bool:
    """Do the same with `Task.cancel`."""
    task = asyncio.ensure_future(call())
    await anyio.to_thread.run_sync(gate.reached.wait, LONG)
    for _ in range(times):
        task.cancel()
        await some_turns()
    early = task.done()
    gate.opened.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    return early


async def check(client: Any, target: Path, files: list[io.FileIO], *, early: bool) -> None:
    """Check that the same call works at once, and that the cancelled call has left no file open."""
    assert not early, "the cancellation completed while a thread still had the file"
    assert all(file.closed for file in files)
    export = await client.export_usage_csv(target, page_size=10)
    assert export.rows == 60
    assert sorted(path.name for path in target.parent.iterdir()) == ["usage.csv"]


@BACKENDS
async def test_same_call_works_right_after_scope_cancellation(
    anyio_backend: str, gate: Gate, held_up: list[io.FileIO], tmp_path: Path
) -> None:
    target = tmp_path / "usage.csv"
    async with FakeVenice(60, now=NOW).async_client() as client:
        early = await cancelled_by_a_scope(lambda: client.export_usage_csv(target, page_size=10), gate)
        await check(client, target, held_up, early=early)


@pytest.mark.parametrize("times", [1, 3])
async def test_same_call_works_right_after_task_cancellation(
    gate: Gate, held_up: list[io.FileIO], tmp_path: Path, times: int
) -> None:
    """As by `asyncio.timeout`, `asyncio.TaskGroup` or Ctrl-C."""
    target = tmp_path / "usage.csv"
    async with FakeVenice(60, now=NOW).async_client() as client:
        early = await cancelled_as_a_task(lambda: client.export_usage_csv(target, page_size=10), gate, times)
        await check(client, target, held_up, early=early)


@BACKENDS
async def test_event_loop_runs_while_a_thread_is_awaited(anyio_backend: str, gate: Gate) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        await anyio.to_thread.run_sync(gate.reached.wait, LONG)
        for turns in range(1, 6):  # noqa: B007 - the last number is the result
            await anyio.lowlevel.checkpoint()
        gate.opened.set()

    async with anyio.create_task_group() as group:
        group.start_soon(count)
        assert await in_thread(gate.before(lambda: turns)) == 5


@BACKENDS
async def test_error_of_the_function_is_raised_to_the_caller(anyio_backend: str) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await in_thread(fail)


async def test_error_after_the_cancellation_is_raised_as_cancellation(gate: Gate) -> None:
    def fail() -> int:
        raise ZeroDivisionError

    undone: list[int] = []
    assert not await cancelled_as_a_task(lambda: in_thread(gate.before(fail), undo=undone.append), gate)
    assert undone == []


async def test_result_of_a_cancelled_call_is_undone(gate: Gate) -> None:
    undone: list[int] = []
    assert not await cancelled_as_a_task(lambda: in_thread(gate.before(lambda: 5), undo=undone.append), gate)
    assert undone == [5]


async def test_asyncio_timeout_still_raises_timeout_error(gate: Gate) -> None:
    """`asyncio.timeout` counts the cancellations of its task, and that count stays right."""

    async def open_soon() -> None:
        await anyio.to_thread.run_sync(gate.reached.wait, LONG)
        await asyncio.sleep(0.1)
        gate.opened.set()

    opening = asyncio.ensure_future(open_soon())
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await in_thread(gate.before(lambda: None))
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr] # a test is a task
    await opening
