"""The registry of objects that must not go on after `fork()`; the `begin_anew` of each resets it in the child.

Connections (`_http_client`) and the failure budget (`_budget`) register here; the workers of a walk notice a fork by
themselves.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class ForksAlone(Protocol):
    """An object that holds something that belongs to one process."""

    def begin_anew(self) -> None:
        """Drop what belongs to the parent, without using it: no other code runs in the child yet, no lock is free."""
        ...


_known: WeakSet[ForksAlone] = WeakSet()


def heed_forks(holder: ForksAlone) -> None:
    """Call `holder.begin_anew()` in each child, for as long as `holder` lives."""
    _known.add(holder)


def _begin_anew() -> None:
    for holder in list(_known):
        holder.begin_anew()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_begin_anew)
