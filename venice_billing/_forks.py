"""The registry of objects that must not go on after `fork()`; the `reset_after_fork` of each resets it in the child.

Connections (`_http_client`) and the failure budget (`_budget`) register here; the workers of a walk notice a fork by
themselves.
"""

from __future__ import annotations

import ctypes
import os
from typing import Protocol
from weakref import WeakSet


class ForkSensitive(Protocol):
    """An object that holds something that belongs to one process."""

    def reset_after_fork(self) -> None:
        """Drop what belongs to the parent, without using it: no other code runs in the child yet, no lock is free."""
        ...


_registered: WeakSet[ForkSensitive] = WeakSet()


def reset_in_children(holder: ForkSensitive) -> None:
    """Call `holder.reset_after_fork()` in each child, for as long as `holder` lives."""
    _registered.add(holder)


def leave_to_parent(held: object) -> None:
    """Keep an object of a C library for ever, in a child: its end would touch a file that the parent uses."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))  # no list: those are emptied at the end of the program


def _reset_all() -> None:
    for holder in list(_registered):
        holder.reset_after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_reset_all)
