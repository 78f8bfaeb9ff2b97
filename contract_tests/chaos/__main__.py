# ruff: noqa: T201 - a program that prints
"""Run many seeds or repeat one, and report injected faults and rows that were lost, repeated or unknown to the ledger.

There are five kinds of scenarios: walks and exports under faults and stops, over a transport on a virtual clock; the
same over real sockets; servers that make no progress; servers whose pages are out of order or shift; processes that
fork during a walk. Finally, processes are killed while they export. Each kind has its own seeds, and a seed always
gives the same scenario: --seed N repeats one of the first kind.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from attrs import frozen

from contract_tests.chaos import crash, disorder, forks, scenarios, sockets, stuck
from contract_tests.chaos.cases import report

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract_tests.chaos.cases import Result

REPLAY = ".venv/bin/python -m contract_tests.chaos"


@frozen
class Kind:
    """A kind of scenario."""

    option: str
    """The command-line option for the number of scenarios."""
    count: int
    """The default number of scenarios."""
    replay: str
    """The command-line option that runs one seed."""
    title: str
    run: Callable[[int], Result]


KINDS = (
    Kind("scenarios", 2_500, "seed", "over a transport, on a virtual clock", scenarios.run),
    Kind("sockets", 48, "socket-seed", "over real sockets", sockets.run),
    Kind("stuck", 200, "stuck-seed", "into servers that make no progress", stuck.run),
    Kind("disorder", 200, "disorder-seed", "into servers whose pages are out of order or shift", disorder.run),
    Kind("forks", 30, "fork-seed", "of processes that fork during a walk", forks.run),
)


def main() -> int:
    """Run the scenarios, and return 0 if every one passed."""
    parser = argparse.ArgumentParser(
        prog="chaos", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for kind in KINDS:
        what = f"how many scenarios {kind.title} ({kind.count})"
        parser.add_argument(f"--{kind.option}", type=int, default=kind.count, metavar="N", help=what)
    parser.add_argument("--kills", type=int, default=50, metavar="N", help="how often to kill an export (50)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed of each kind (0)")
    for kind in KINDS:
        only = f"only this scenario {kind.title}, reported in full"
        parser.add_argument(f"--{kind.replay}", type=int, metavar="SEED", help=only)
    arguments = vars(parser.parse_args())
    for kind in KINDS:
        seed = arguments[kind.replay.replace("-", "_")]
        if seed is not None:
            return _replay(kind.run(seed))
    good = [_run_all(kind, arguments["first"], arguments[kind.option]) for kind in KINDS]
    with TemporaryDirectory() as folder:
        killed = crash.kill_and_finish(Path(folder), arguments["kills"], seed=arguments["first"])
    print(f"\nexporting processes killed: {killed.kills}, of them in the middle: {killed.in_the_middle};")
    print(f"finished by the next: {killed.finished}, with other bytes than undisturbed: {killed.different}")
    return 0 if all(good) and not killed.different else 1


def _run_all(kind: Kind, first: int, count: int) -> bool:
    print(f"\n{kind.title}", flush=True)
    started = time.monotonic()
    done = []
    for seed in range(first, first + count):
        result = kind.run(seed)
        done.append(result)
        if not result.passed:
            print(f"{result}\n  to repeat: {REPLAY} --{kind.replay} {seed}", flush=True)
    print(report(done, time.monotonic() - started), flush=True)
    return all(result.passed for result in done)


def _replay(result: Result) -> int:
    print(result)
    print("faults:", dict(result.injected))
    print("errors:", dict(result.errors))
    for error in result.foreign:
        traceback.print_exception(error)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
