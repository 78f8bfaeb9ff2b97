"""Measure how long the command takes to start, as a user runs it, beside the start of Python itself.

Prints medians of CPU (user and system) and of wall time, of runs in turn; returns 1 where one is over its limit.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from measure import compiled

from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM = str(Path(sys.executable).with_name("venice-billing"))  # the script that pip has made
_FLOOR = "python -I -c pass"


@frozen
class Job:
    """A command line, and how many times the start of Python its own may take.

    Attributes:
        words: The command line.
        limit: The most; None for the start of Python.
    """

    words: Sequence[str]
    limit: float | None = None


@frozen
class Cost:
    """What a run cost, in seconds.

    Attributes:
        cpu: Of the process, user and system.
        wall: From its start to its end.
    """

    cpu: float
    wall: float


_JOBS: Mapping[str, Job] = {
    _FLOOR: Job([sys.executable, "-I", "-c", "pass"]),
    "venice-billing --version": Job([_PROGRAM, "--version"], 3),
    "venice-billing --help": Job([_PROGRAM, "--help"], 3.5),
    "venice-billing status": Job([_PROGRAM, "status", "--max-age", "1d"], 3.5),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run every job in turn, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20, help="runs of each command (default 20)")
    runs = parser.parse_args(arguments).runs
    with compiled(), tempfile.TemporaryDirectory() as home, FakeVenice(10).serve() as server:
        settings = {"VENICE_API_KEY": "fake-admin-key", "VENICE_BASE_URL": server.base_url}
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"), home)
        environment = {**os.environ, **settings, **places}
        for job in _JOBS.values():  # compiles, and fills the cache of `status`
            _run(job, environment)
        costs: dict[str, list[Cost]] = {name: [] for name in _JOBS}
        for _ in range(runs):
            for name, job in _JOBS.items():
                costs[name].append(_run(job, environment))
    return _report(costs)


def _run(job: Job, environment: Mapping[str, str]) -> Cost:
    began = time.perf_counter()
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    process = os.posix_spawn(job.words[0], job.words, environment, file_actions=quiet)
    _, status, used = os.wait4(process, 0)
    if status:
        raise SystemExit(f"{' '.join(job.words)} failed: {os.waitstatus_to_exitcode(status)}")
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - began)


def _report(costs: Mapping[str, Sequence[Cost]]) -> int:
    medians = {
        name: Cost(statistics.median(one.cpu for one in runs), statistics.median(one.wall for one in runs))
        for name, runs in costs.items()
    }
    floor, over = medians[_FLOOR], []
    print(f"{'':<26}{'CPU':>8}{'':>8}{'wall':>8}{'':>8}{'limit':>8}")
    for name, cost in medians.items():
        limit = _JOBS[name].limit
        shares = cost.cpu / floor.cpu, cost.wall / floor.wall
        figures = f"{cost.cpu * 1000:>5.1f} ms{shares[0]:>7.2f}x{cost.wall * 1000:>5.1f} ms{shares[1]:>7.2f}x"
        print(f"{name:<26}{figures}{'' if limit is None else f'{limit:>7.1f}x'}")
        if limit is not None and max(shares) > limit:
            over.append(name)
    return 1 if over else 0


if __name__ == "__main__":
    sys.exit(main())
