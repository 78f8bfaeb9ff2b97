"""The standard streams of the process, where their other end has gone."""

from __future__ import annotations

import os
import sys


def discard_output() -> None:
    """Lead what is still to be flushed nowhere, so that the exit of the interpreter does not complain."""
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, sys.stdout.fileno())
    except (OSError, ValueError):  # no real file, as in a test
        pass
    finally:
        os.close(sink)
