"""Export a dataset in a process that is killed before its n-th change of the file system."""

from __future__ import annotations

import os
import signal
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHANGES = ("rename", "replace", "unlink", "rmdir", "mkdir", "fsync", "chmod")
_LONGEST = 120


def export_and_kill(ledger: Path, folder: Path, step: int) -> bool:
    """Return whether the process was killed; if not, the export came to its end in fewer steps."""
    context = get_context("forkserver")  # not a fork of this process, which has threads
    context.set_forkserver_preload(["duckdb", __name__])
    process = context.Process(target=_export, args=(ledger, folder, step), daemon=True)
    process.start()
    process.join(_LONGEST)
    code = process.exitcode
    process.kill()
    process.join()
    process.close()
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the export ended with {code}")
    return code != 0


def _export(ledger: Path, folder: Path, step: int) -> None:
    left = iter(range(step))

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any, **options: Any) -> Any:
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return change(*arguments, **options)

        return count

    with Ledger(ledger) as opened:
        for name in _CHANGES:
            setattr(os, name, counted(getattr(os, name)))
        opened.export(folder, "dataset")
        os._exit(0)  # what changes after the export is not counted
