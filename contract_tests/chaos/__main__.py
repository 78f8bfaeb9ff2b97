# ruff: noqa: T201 - a program that prints
"""Run many seeds, or one again: what was injected, what was lost, what was repeated."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from chaos import crash, runs, sockets

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.runs import Result

REPLAY = "PYTHONPATH=contract_tests .venv/bin/python -m chaos"


def main() -> int:
    """Return 0 if every run passed."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_500, help="how many seeds (2500)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--sockets", type=int, default=48, help="how many of them over real sockets, too (48)")
    parser.add_argument("--kills", type=int, default=50, help="how often to kill a process that exports (50)")
    parser.add_argument("--seed", type=int, help="only this seed, with everything there is to tell of it")
    parser.add_argument("--socket-seed", type=int, help="the same over real sockets")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _replay(runs.run(arguments.seed))
    if arguments.socket_seed is not None:
        return _replay(sockets.run(arguments.socket_seed))
    seeds = range(arguments.first, arguments.first + arguments.runs)
    good = _night("over a transport, on a virtual clock", map(runs.run, seeds), "--seed")
    good &= _night(
        "over real sockets",
        map(sockets.run, range(arguments.first, arguments.first + arguments.sockets)),
        "--socket-seed",
    )
    with TemporaryDirectory() as folder:
        killed = crash.kill_and_finish(Path(folder), arguments.kills, seed=arguments.first)
    print(f"\nexporting processes killed: {killed.kills}, of them in the middle: {killed.in_the_middle};")
    print(f"finished by the next: {killed.finished}, with other bytes than undisturbed: {killed.different}")
    return 0 if good and not killed.different else 1


def _night(title: str, results: Iterable[Result], replay: str) -> bool:
    print(f"\n{title}", flush=True)
    started = time.monotonic()
    done = []
    for result in results:
        done.append(result)
        if not result.passed:
            print(f"{result}\n  once more: {REPLAY} {replay} {result.case.seed}", flush=True)
    print(report(done, time.monotonic() - started), flush=True)
    return all(result.passed for result in done)


def report(results: Iterable[Result], seconds: float) -> str:
    """Return what the closing line of a night's log should say."""
    results = list(results)
    injected: Counter[str] = sum((result.injected for result in results), Counter())
    errors: Counter[str] = sum((result.errors for result in results), Counter())
    worst = max((result.overshoot for result in results), default=0.0)  # none on a virtual clock
    lines = [
        f"{len(results)} runs in {seconds:.0f} s, {sum(result.hours for result in results):.0f} h by the virtual clock",
        f"rows delivered: {sum(result.rows for result in results)}",
        f"faults injected: {injected.total()}",
        *(f"  {count:6} {name}" for name, count in injected.most_common()),
        f"errors raised, and gone on from: {errors.total()}",
        *(f"  {count:6} {name}" for name, count in errors.most_common()),
        f"rows lost: {sum(result.lost for result in results)}",
        f"rows repeated: {sum(result.repeated for result in results)}",
        f"foreign exceptions: {sum(len(result.foreign) for result in results)}",
        *([f"worst deadline overshoot: {worst:.3f} s"] if worst else []),
        f"runs failed: {sum(not result.passed for result in results)}",
    ]
    return "\n".join(lines)


def _replay(result: Result) -> int:
    print(result)
    print("faults:", dict(result.injected))
    print("errors:", dict(result.errors))
    for error in result.foreign:
        traceback.print_exception(error)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
