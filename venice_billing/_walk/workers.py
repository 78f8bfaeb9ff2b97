"""Workers on one plan of windows: threads for the synchronous client, tasks for the asynchronous one.

The plan decides everything; workers only claim windows, perform steps and record results, and end with their consumer.

The consumer's thread may be the main thread, where a signal handler may raise between any two steps of Python code,
as Ctrl-C does. `Condition`, `Event` and `Thread.start` are Python code: interrupted halfway, they leave a lock held
for ever, or release it twice. So the consumer's thread uses only what is acquired and released in compiled code:

- `_Workers._lock`, by `with`: for each look at the plan, and each change of it. No thread waits while it holds the
  lock. The lock knows its owner, so that `stop` can release it where an interrupt kept `with` from doing so: a debugger
  or another tracer runs Python code, and so signal handlers, at points where the interpreter alone does not.
- `_Workers._news`: a queue in which the consumer finds a token once there is something new in the plan.
- `_Workers._leave`: a queue in which the consumer puts a token when it stops consuming.
- `_Workers._ended`: a queue in which the consumer finds a token once all threads have ended.

Everything else is done by threads that no signal handler interrupts. One of them leads: it starts the workers, waits
for the token in `_leave`, stops the workers and waits for their end. The leader is unknown to `threading`, so nothing
called there may ask for its name, as `Thread.join` does. Idle workers wait for a token in `_Workers._wake`, and put one
in `_Workers._done` as the last thing that they do.
"""

from __future__ import annotations

import os
import sys
from _thread import start_new_thread
from contextlib import closing, suppress
from queue import Empty, SimpleQueue
from threading import RLock, Thread
from time import sleep
from typing import TYPE_CHECKING, Generic, TypeVar

from venice_billing._call import Send, Wait
from venice_billing._clock import Interruption
from venice_billing._walk.types import Batch
from venice_billing._walk.windows import advance, work_alone
from venice_billing.errors import VeniceError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Sequence

    from venice_billing._call import Outcome
    from venice_billing._walk.types import Window, WindowPlan

Row = TypeVar("Row")

_PATIENCE = 0.5
"""Seconds that `end` waits for the threads: one may be in a look-up or a connect, which cannot be interrupted."""


def work_in_threads(
    windows: WindowPlan[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
) -> Generator[Batch[Row], None, None]:
    """Yield the batches of a plan, in order, while threads work on it.

    A child process forked meanwhile has none of the threads: there the plan starts again after the rows handed on.
    Where no thread can be started, at a limit of the system or at the interpreter's exit, the consumer's thread works.
    """
    workers = _Workers(windows, perform)
    is_alone = False
    try:
        try:
            while (batch := workers.next_ready()) is not None:
                yield batch
        except _NoThreadsError:
            is_alone = True
        finally:
            workers.end()
    finally:
        workers.stop()  # if an interrupt kept `end` from doing so
    if is_alone:
        yield from _work_in_this_thread(windows, perform)


class _NoThreadsError(Exception):
    """No thread could be started."""


def _work_in_this_thread(
    windows: WindowPlan[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
) -> Generator[Batch[Row], None, None]:
    interruption, outcome = Interruption(), None
    with closing(work_alone(windows)) as steps:
        while True:
            try:
                step = steps.send(outcome)
            except StopIteration:
                return
            outcome = None
            if isinstance(step, Send | Wait):
                outcome = perform(step, interruption)
            elif isinstance(step, Batch):
                yield step


class _Workers(Generic[Row]):
    """The threads of one process at work on a plan. The consumer calls the public methods, threads the others."""

    def __init__(
        self, windows: WindowPlan[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
    ) -> None:
        self._windows = windows
        self._perform = perform
        self._reset()

    def _reset(self) -> None:
        """Start without threads and with a free lock: at the beginning, and in a forked child."""
        self._process = os.getpid()
        self._leader: int | None = None
        self._lock = RLock()
        self._news: SimpleQueue[None] = SimpleQueue()
        self._leave: SimpleQueue[None] = SimpleQueue()
        self._ended: SimpleQueue[None] = SimpleQueue()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._done: SimpleQueue[None] = SimpleQueue()
        self._consumer_waits = False
        self._idle = 0
        self._failures: list[BaseException] = []
        self._has_no_workers = False
        self._interruption = Interruption()

    @property
    def _is_in_a_fork(self) -> bool:
        """Whether this is a child forked since: the threads do not exist here, and their locks may never be free."""
        return os.getpid() != self._process

    def next_ready(self) -> Batch[Row] | None:
        """Return the batch to hand on next, or None at the end."""
        if self._is_in_a_fork:
            self._reset()
            self._windows.replan()
        self._start()
        while True:
            with self._lock:
                if self._failures:
                    raise self._failures[0]
                if self._has_no_workers:
                    raise _NoThreadsError
                batch = self._windows.ready()
                self._wake_idle()  # a batch taken makes room, and a finished window makes the next one the first
                if batch is not None or self._windows.finished:
                    return batch
                self._consumer_waits = True
            self._news.get()

    def _start(self) -> None:
        """Start the leader.

        Raises:
            _NoThreadsError: No thread can be started.
            VeniceError: The interpreter exits, and has ended the threads already.
        """
        if sys.is_finalizing():
            if self._leader is not None:
                raise VeniceError("the interpreter exits; the walk goes on from .checkpoint")
            raise _NoThreadsError
        if self._leader is None:
            try:
                self._leader = start_new_thread(self._lead, ())
            except RuntimeError:
                raise _NoThreadsError from None

    def stop(self) -> None:
        """Tell the threads to end; a second call does no harm."""
        if not self._is_in_a_fork:
            self._leave.put(None)
            with suppress(RuntimeError):  # not held, unless an interrupt kept `with` from releasing it
                self._lock.release()

    def end(self) -> None:
        """Stop the threads; one that cannot be interrupted is left running, and changes nothing any more."""
        self.stop()
        if not self._is_in_a_fork and self._leader is not None and not sys.is_finalizing():
            with suppress(Empty):
                self._ended.get(timeout=_PATIENCE)

    def _lead(self) -> None:
        """Start the workers, stop them when the consumer leaves, and wait for their end."""
        started: list[Thread] = []
        try:
            for number in range(self._windows.concurrency):
                thread = Thread(target=self._work, name=f"venice-billing-{number}", daemon=True)
                thread.start()
                started.append(thread)
        except RuntimeError:  # at a limit of the system: fewer workers do
            if not started:
                self._report_no_workers()
                return  # and leave the plan to the consumer
        except BaseException as failure:  # noqa: BLE001 - re-raised in the consumer's thread
            self._fail(failure)
        self._leave.get()
        self._interruption.set()
        for _ in started:
            self._wake.put(None)
        for _ in started:
            self._done.get()
        while any(thread.is_alive() for thread in started):  # a few microseconds more
            sleep(0.0001)
        self._windows.close()
        self._ended.put(None)

    def _work(self) -> None:
        try:
            while (window := self._next_window()) is not None:
                result = self._work_on(window)
                with self._lock:
                    if self._interruption.is_set():
                        return
                    self._windows.record(window, result)
                    self._notify_all()
                del result  # the plan holds the result now, and drops it sooner
        except BaseException as failure:  # noqa: BLE001 - re-raised in the consumer's thread
            self._fail(failure)
        finally:
            self._done.put(None)

    def _next_window(self) -> Window[Row] | None:
        """Return the next window to work on, or None when there will be none."""
        while True:
            with self._lock:
                if self._interruption.is_set() or self._windows.finished:
                    return None
                if (window := self._windows.claim()) is not None:
                    return window
                self._idle += 1
            self._wake.get()

    def _work_on(self, window: Window[Row]) -> Batch[Row] | VeniceError | None:
        """Take a window to its next result, or give up its request once it is time to stop."""
        step, result = advance(window, None)
        while step is not None and not self._interruption.is_set():
            if isinstance(step, Wait) and not step.queued:
                with self._lock:
                    self._windows.slow_down()
            outcome = self._perform(step, self._interruption)
            if self._interruption.is_set():
                break  # the outcome comes from the interruption, not from the API
            step, result = advance(window, outcome)
        if step is not None:
            window.steps.close()
        return result

    def _fail(self, failure: BaseException) -> None:
        with self._lock:
            self._failures.append(failure)
            self._notify_all()

    def _report_no_workers(self) -> None:
        with self._lock:
            self._has_no_workers = True
            self._notify_all()
        self._ended.put(None)

    def _notify_all(self) -> None:
        """Announce a change of the plan; the caller holds the lock."""
        if self._consumer_waits:
            self._consumer_waits = False
            self._news.put(None)
        self._wake_idle()

    def _wake_idle(self) -> None:
        for _ in range(self._idle):
            self._wake.put(None)
        self._idle = 0


async def work_in_tasks(
    windows: WindowPlan[Row], perform: Callable[[Send | Wait], Awaitable[Outcome | None]]
) -> AsyncGenerator[Batch[Row], None]:
    """Yield the batches of a plan, in order, while tasks work on it.

    Plain tasks, no task group: an abandoned `async for` is finalised by another task, which cannot close a group.

    Raises:
        VeniceError: The consumer asks for a batch in another event loop, where the tasks do not run.
    """
    import asyncio  # noqa: PLC0415 - a synchronous program does not need it

    loop = asyncio.get_running_loop()
    changes = _Changes(asyncio.Event)

    async def work() -> None:
        while (window := await _next_window_async(windows, changes)) is not None:
            result = await _work_on_async(window, windows, perform)
            windows.record(window, result)
            changes.notify()
            del result

    def note_end(task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            task.exception()  # so that asyncio does not log it: the first exception is raised in the consumer's task
        changes.notify()

    tasks: list[asyncio.Task[None]] = []
    try:
        for _ in range(windows.concurrency):
            tasks.append(asyncio.create_task(work()))  # if interrupted, the tasks created so far must end
            tasks[-1].add_done_callback(note_end)
        while (batch := await _next_ready_async(windows, changes, tasks)) is not None:
            yield batch
            if asyncio.get_running_loop() is not loop:
                raise VeniceError("the walk was begun in another event loop; it goes on from .checkpoint")
    finally:
        try:
            await _end_all(tasks, loop)
        finally:
            windows.close()


async def _end_all(tasks: Sequence[asyncio.Task[None]], loop: asyncio.AbstractEventLoop) -> None:
    """Cancel tasks and wait for their end; those of another event loop are only told."""
    import asyncio  # noqa: PLC0415 - as in `work_in_tasks`

    if asyncio.get_running_loop() is not loop:
        if not loop.is_closed():
            for task in tasks:
                loop.call_soon_threadsafe(task.cancel)
        return
    for task in tasks:
        task.cancel()
    # An event loop that ends has cancelled all tasks, and closes this generator and the generators around it
    # concurrently: this works as long as none of them waits.
    if not all(task.done() for task in tasks):
        await asyncio.gather(*tasks, return_exceptions=True)


class _Changes:
    """Wakes the tasks that wait for a change of the plan."""

    def __init__(self, new_event: Callable[[], asyncio.Event]) -> None:
        self._new_event = new_event
        self._event = new_event()

    def notify(self) -> None:
        """Wake all that wait."""
        self._event.set()
        self._event = self._new_event()

    async def wait(self) -> None:
        """Wait for the next change."""
        await self._event.wait()


async def _next_window_async(windows: WindowPlan[Row], changes: _Changes) -> Window[Row] | None:
    while not windows.finished:
        if (window := windows.claim()) is not None:
            return window
        await changes.wait()
    return None


async def _next_ready_async(
    windows: WindowPlan[Row], changes: _Changes, tasks: Sequence[asyncio.Task[None]]
) -> Batch[Row] | None:
    while True:
        for task in tasks:
            if task.done():
                task.result()  # raises the exception of a task that failed
        batch = windows.ready()
        changes.notify()
        if batch is not None or windows.finished:
            return batch
        await changes.wait()


async def _work_on_async(
    window: Window[Row], windows: WindowPlan[Row], perform: Callable[[Send | Wait], Awaitable[Outcome | None]]
) -> Batch[Row] | VeniceError | None:
    outcome: Outcome | None = None
    while True:
        step, result = advance(window, outcome)
        if step is None:
            return result
        if isinstance(step, Wait) and not step.queued:
            windows.slow_down()
        outcome = await perform(step)
