"""Interrupts at any moment: Ctrl-C between two lines of the package, or a task cancelled during a request."""

from __future__ import annotations

import asyncio
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import venice_billing
import venice_billing_api

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from contract_tests.chaos.fault_schedule import FaultSchedule

_OURS = tuple(str(Path(package.__path__[0])) for package in (venice_billing, venice_billing_api))
_THE_FAKES = str(Path(_OURS[0], "testing"))


@contextmanager
def interrupted(at: int) -> Iterator[None]:
    """Raise `KeyboardInterrupt` before the `at`th line of the package that this thread runs, and swallow it."""
    left = at

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if event == "call":
            name = frame.f_code.co_filename
            return trace if name.startswith(_OURS) and not name.startswith(_THE_FAKES) else None
        if event == "line":
            left -= 1
            if not left:
                sys.settrace(before)
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        sys.settrace(before)


@contextmanager
def cancelled(at: int, schedule: FaultSchedule) -> Iterator[None]:
    """Cancel this task when the `at`th request arrives."""
    task = asyncio.current_task()
    left = at

    def seen() -> None:
        nonlocal left
        left -= 1
        if not left and task is not None:
            task.cancel()

    schedule.on_request = seen
    try:
        yield
    finally:
        schedule.on_request = None
