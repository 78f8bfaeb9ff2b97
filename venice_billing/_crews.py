"""Several at work on one plan of windows: threads for the synchronous client, tasks for the asynchronous one.

The plan decides everything; a crew only claims, performs and records, and is gone when its consumer is.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from threading import Condition, Event, Lock, Thread
from typing import TYPE_CHECKING, TypeVar

from venice_billing._call import Wait
from venice_billing._windows import advance

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from venice_billing._call import Outcome, Send
    from venice_billing._stretches import Window
    from venice_billing._walk import Deliver
    from venice_billing._windows import Windows
    from venice_billing.errors import VeniceError
    from venice_billing_api.deadline import Deadline

Row = TypeVar("Row")


class Interruption:
    """Tells the threads of a crew to stop, whatever they are waiting for."""

    def __init__(self) -> None:
        self._event = Event()
        self._lock = Lock()
        self._requests: set[Deadline] = set()

    def is_set(self) -> bool:
        """Tell whether to stop."""
        return self._event.is_set()

    def wait(self, seconds: float) -> None:
        """Let time pass, or less if it is time to stop."""
        self._event.wait(seconds)

    @contextmanager
    def ends(self, request: Deadline) -> Iterator[None]:
        """Let a request end with the crew."""
        with self._lock:
            self._requests.add(request)
        if self.is_set():
            request.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._requests.discard(request)

    def set(self) -> None:
        """Stop."""
        self._event.set()
        with self._lock:
            for request in self._requests:
                request.cancel()


def crew(
    windows: Windows[Row], perform: Callable[[Send | Wait, Interruption], Outcome | None]
) -> Iterator[Deliver[Row]]:
    """Yield what a plan has ready, in order, while threads work on it."""
    changed = Condition()
    stop = Interruption()
    mishaps: list[BaseException] = []

    def work() -> None:
        try:
            while (window := _claimed(windows, changed, stop)) is not None:
                result = _worked(window, windows, changed, lambda step: perform(step, stop))
                with changed:
                    windows.record(window, result)
                    changed.notify_all()
                del result  # the plan has it, and lets go of it sooner
        except BaseException as mishap:  # noqa: BLE001 - it is raised in the consumer's thread
            with changed:
                mishaps.append(mishap)
                changed.notify_all()

    threads = [Thread(target=work, name=f"venice-billing-{n}", daemon=True) for n in range(windows.concurrency)]
    try:
        for thread in threads:
            thread.start()
        while (delivery := _next_ready(windows, changed, mishaps)) is not None:
            yield delivery
    finally:
        stop.set()
        with changed:
            changed.notify_all()
        for thread in threads:
            if thread.ident is not None:
                thread.join()
        windows.close()


async def async_crew(
    windows: Windows[Row], perform: Callable[[Send | Wait], Awaitable[Outcome | None]]
) -> AsyncGenerator[Deliver[Row], None]:
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

    tasks = [asyncio.create_task(work()) for _ in range(windows.concurrency)]
    try:
        while (delivery := await _next_ready_async(windows, changed, mishaps)) is not None:
            yield delivery
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        windows.close()


def under_asyncio() -> bool:
    """Tell whether the running event loop is asyncio's."""
    loops = sys.modules.get("asyncio")  # not loaded: not running
    try:
        return loops is not None and loops.get_running_loop() is not None
    except RuntimeError:
        return False


def _claimed(windows: Windows[Row], changed: Condition, stop: Interruption) -> Window[Row] | None:
    """Return the next window to work on, or None when there will be none."""
    with changed:
        while not stop.is_set() and not windows.finished:
            if (window := windows.claim()) is not None:
                return window
            changed.wait()
    return None


def _worked(
    window: Window[Row],
    windows: Windows[Row],
    changed: Condition,
    perform: Callable[[Send | Wait], Outcome | None],
) -> Deliver[Row] | VeniceError | None:
    outcome: Outcome | None = None
    while True:
        step, result = advance(window, outcome)
        if step is None:
            return result
        if isinstance(step, Wait):
            with changed:
                windows.slow_down()
        outcome = perform(step)


def _next_ready(windows: Windows[Row], changed: Condition, mishaps: list[BaseException]) -> Deliver[Row] | None:
    """Return what is to be handed on next, or None at the end."""
    with changed:
        while (delivery := windows.ready()) is None and not windows.finished and not mishaps:
            changed.notify_all()  # a window that is through makes the next one the first
            changed.wait()
        changed.notify_all()  # what is taken makes room
    if mishaps:
        raise mishaps[0]
    return delivery


async def _claimed_async(windows: Windows[Row], changed: asyncio.Condition) -> Window[Row] | None:
    async with changed:
        while not windows.finished:
            if (window := windows.claim()) is not None:
                return window
            await changed.wait()
    return None


async def _next_ready_async(
    windows: Windows[Row], changed: asyncio.Condition, mishaps: list[BaseException]
) -> Deliver[Row] | None:
    async with changed:
        while (delivery := windows.ready()) is None and not windows.finished and not mishaps:
            changed.notify_all()
            await changed.wait()
        changed.notify_all()
    if mishaps:
        raise mishaps[0]
    return delivery


async def _worked_async(
    window: Window[Row], windows: Windows[Row], perform: Callable[[Send | Wait], Awaitable[Outcome | None]]
) -> Deliver[Row] | VeniceError | None:
    outcome: Outcome | None = None
    while True:
        step, result = advance(window, outcome)
        if step is None:
            return result
        if isinstance(step, Wait):
            windows.slow_down()
        outcome = await perform(step)
