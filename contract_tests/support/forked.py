"""Work in a forked child, for programs that tests start; such a program finds this module by `ENVIRONMENT`.

Imports nothing but the standard library: a program decides itself what it has imported when it forks.
"""

from __future__ import annotations

import os
import select
import signal
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
_SECONDS = 100
_MOST = 2000  # bytes: less than a pipe holds, so that no child waits for a reader


def child(work: Callable[[], str], while_forking: AbstractContextManager[object] | None = None) -> int:
    """Do something in a forked child, bounded in time; return the pipe that its result comes through."""
    reading, writing = os.pipe()
    with while_forking or nullcontext():
        pid = os.fork()
    if pid:
        os.close(writing)
        return reading
    signal.alarm(_SECONDS)
    try:
        os.write(writing, work().encode()[:_MOST])
    finally:
        os._exit(0)


def result(pipe: int) -> str:
    """Return what a child has written, or "hangs"."""
    ready, _, _ = select.select([pipe], [], [], _SECONDS)
    return os.read(pipe, _MOST).decode() if ready else "hangs"
