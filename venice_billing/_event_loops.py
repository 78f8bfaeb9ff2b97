"""The event loops of asyncio and trio: which one runs, whether it has ended, and threads for blocking functions."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def under_asyncio() -> bool:
    """Tell whether the running event loop is asyncio's."""
    loops = sys.modules.get("asyncio")  # not loaded: not running
    try:
        return loops is not None and loops.get_running_loop() is not None
    except RuntimeError:
        return False


def running_loop() -> Any:
    """Return an object that identifies the running event loop, asyncio's or trio's."""
    asyncio = sys.modules.get("asyncio")  # not loaded: not running
    if asyncio is not None:
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            pass
    import trio  # noqa: PLC0415 - its loop runs, or none does

    return trio.lowlevel.current_trio_token()


def has_ended(loop: Any) -> bool:
    if hasattr(loop, "is_closed"):
        return bool(loop.is_closed())
    try:
        loop.run_sync_soon(_nothing)
    except RuntimeError:  # trio.RunFinishedError
        return True
    return False


def _nothing() -> None:
    """Do nothing, in another event loop."""


async def in_thread(function: Callable[[], T], *, undo: Callable[[T], object] | None = None) -> T:
    """Run a function in a worker thread; even a cancelled caller waits until the function has returned.

    So a file is never closed or unlocked while a thread still writes it.

    Args:
        function: The function to run. It should be short, since it cannot be cancelled.
        undo: Gets the result if the caller was cancelled meanwhile, and so never receives it.
    """
    import anyio.to_thread  # noqa: PLC0415 - a synchronous program needs none of it

    if not under_asyncio():  # trio itself waits for the thread, and then returns its result
        return await anyio.to_thread.run_sync(function)
    return await _in_thread_of_asyncio(function, undo)


async def _in_thread_of_asyncio(function: Callable[[], T], undo: Callable[[T], object] | None) -> T:
    import asyncio  # noqa: PLC0415 - as above

    import anyio.to_thread  # noqa: PLC0415 - as above

    cancellation: asyncio.CancelledError | None = None
    # In a separate task, which no cancellation of the caller reaches, by `Task.cancel` or by a scope of anyio's.
    running = asyncio.ensure_future(anyio.to_thread.run_sync(function))
    with anyio.CancelScope(shield=True):
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError as cancelled:
                cancellation = cancelled
    if cancellation is None:
        return running.result()
    if undo is not None and not running.cancelled() and running.exception() is None:
        undo(running.result())
    raise cancellation
