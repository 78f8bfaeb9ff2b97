"""Several at work on one plan of windows: threads for the synchronous client, tasks for the asynchronous one.

The plan decides everything; workers only claim, perform and record, and end with their consumer.
"""

from __future__ import annotations

import os
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from venice_billing._call import Wait
from venice_billing._clock import Interruption
from venice_billing._walk.windows import advance

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from venice_billing._call import Outcome, Send
    from venice_billing._walk.types import Batch, Window, WindowPlan
    from venice_billing.errors import VeniceError

Row = TypeVar("Row")

_PATIENCE = 0.5
"""Seconds for which an end waits for the threads: one may be in a look-up or a connect, which nothing interrupts."""


def work_in_threads(
    windows: WindowPlan[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
) -> Iterator[Batch[Row]]:
    """Yield what a plan has ready, in order, while threads work on it.

    A child process forked on the way has none of the threads: there the plan begins anew behind what was handed on.
    """
    threads = _Workers(windows, perform)
    try:
        threads.start()
        while True:
            if threads.are_the_parents:
                windows.begin_anew()
                threads = _Workers(windows, perform)
                threads.start()
            if (batch := threads.next_ready()) is None:
                return
            yield batch
    finally:
        threads.end()


class _Workers(Generic[Row]):
    """The threads of one process at work on a plan."""

    def __init__(
        self, windows: WindowPlan[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
    ) -> None:
        self._windows = windows
        self._perform = perform
        self._process = os.getpid()
        self._changed = Condition()
        self._stop = Interruption()
        self._mishaps: list[BaseException] = []
        self._threads = [
            Thread(target=self._work, name=f"venice-billing-{number}", daemon=True)
            for number in range(windows.concurrency)
        ]

    @property
    def are_the_parents(self) -> bool:
        """Whether this process was forked since: the threads do not exist here, and their locks may never be free."""
        return os.getpid() != self._process

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def next_ready(self) -> Batch[Row] | None:
        """Return what is to be handed on next, or None at the end."""
        with self._changed:
            while (batch := self._windows.ready()) is None and not self._windows.finished and not self._mishaps:
                self._changed.notify_all()  # a window that is through makes the next one the first
                self._changed.wait()
            self._changed.notify_all()  # what is taken makes room
        if self._mishaps:
            raise self._mishaps[0]
        return batch

    def end(self) -> None:
        """Stop the threads; one that cannot be interrupted is left behind, and touches nothing any more."""
        if self.are_the_parents:
            return
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        patience = monotonic() + _PATIENCE
        for thread in self._threads:
            if thread.is_alive():  # not yet, if the start was interrupted
                thread.join(max(0.0, patience - monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            self._windows.close()

    def _work(self) -> None:
        try:
            while (window := self._claimed()) is not None:
                result = self._worked(window)
                with self._changed:
                    if self._stop.is_set():
                        return
                    self._windows.record(window, result)
                    self._changed.notify_all()
                del result  # the plan has it, and lets go of it sooner
        except BaseException as mishap:  # noqa: BLE001 - it is raised in the consumer's thread
            with self._changed:
                self._mishaps.append(mishap)
                self._changed.notify_all()

    def _claimed(self) -> Window[Row] | None:
        """Return the next window to work on, or None when there will be none."""
        with self._changed:
            while not self._stop.is_set() and not self._windows.finished:
                if (window := self._windows.claim()) is not None:
                    return window
                self._changed.wait()
        return None

    def _worked(self, window: Window[Row]) -> Batch[Row] | VeniceError | None:
        """Take a window to its next result, or give up its request once it is time to stop."""
        step, result = advance(window, None)
        while step is not None and not self._stop.is_set():
            if isinstance(step, Wait) and not step.queued:
                with self._changed:
                    self._windows.slow_down()
            outcome = self._perform(step, self._stop)
            if self._stop.is_set():
                break  # the outcome is that of the interruption, and not the API's
            step, result = advance(window, outcome)
        if step is not None:
            window.steps.close()
        return result


async def work_in_tasks(
    windows: WindowPlan[Row], perform: Callable[[Send | Wait], Awaitable[Outcome | None]]
) -> AsyncGenerator[Batch[Row], None]:
    """Yield what a plan has ready, in order, while tasks work on it.

    Plain tasks, no task group: an abandoned `async for` is finalised from another task, where a group cannot end.
    """
    import asyncio  # noqa: PLC0415 - only who awaits needs it

    changed = asyncio.Condition()
    mishaps: list[BaseException] = []

    async def work() -> None:
        try:
            while (window := await _claimed_async(windows, changed)) is not None:
                result = await _worked_async(window, windows, perform)
                async with changed:
                    windows.record(window, result)
                    changed.notify_all()
                del result
        except Exception as mishap:  # noqa: BLE001 - it is raised in the consumer's task
            async with changed:
                mishaps.append(mishap)
                changed.notify_all()

    tasks: list[asyncio.Task[None]] = []
    try:
        for _ in range(windows.concurrency):
            tasks.append(asyncio.create_task(work()))  # noqa: PERF401 - if interrupted, those that were made must end
        while (batch := await _next_ready_async(windows, changed, mishaps)) is not None:
            yield batch
    finally:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            windows.close()


async def _claimed_async(windows: WindowPlan[Row], changed: asyncio.Condition) -> Window[Row] | None:
    async with changed:
        while not windows.finished:
            if (window := windows.claim()) is not None:
                return window
            await changed.wait()
    return None


async def _next_ready_async(
    windows: WindowPlan[Row], changed: asyncio.Condition, mishaps: list[BaseException]
) -> Batch[Row] | None:
    async with changed:
        while (batch := windows.ready()) is None and not windows.finished and not mishaps:
            changed.notify_all()
            await changed.wait()
        changed.notify_all()
    if mishaps:
        raise mishaps[0]
    return batch


async def _worked_async(
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
