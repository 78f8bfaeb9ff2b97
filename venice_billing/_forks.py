"""What a child process must not go on with, after `fork()`: connections, locks, threads, and what is under way."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class ForksAlone(Protocol):
    """What holds something that belongs to one process."""

    def begin_anew(self) -> None:
        """Let go of what is the parent's, without touching it: the child runs nothing else yet, and no lock is free."""
        ...


_known: WeakSet[ForksAlone] = WeakSet()


def heed_forks(holder: ForksAlone) -> None:
    """Let `holder` begin anew in each child, for as long as it lives."""
    _known.add(holder)


def _begin_anew() -> None:
    for holder in list(_known):
        holder.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_begin_anew)
