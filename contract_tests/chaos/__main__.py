# ruff: noqa: T201 - a program that prints
"""Run many seeds, or one again: what was injected, what was lost, what was repeated."""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections import Counter
from typing import TYPE_CHECKING

from chaos.runs import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.runs import Result

REPLAY = "PYTHONPATH=contract_tests .venv/bin/python -m chaos --seed"


def main() -> int:
    """Return 0 if every run passed."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=2_500, help="how many seeds (2500)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="only this seed, with everything there is to tell of it")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        return _replay(arguments.seed)
    started = time.monotonic()
    results = []
    for seed in range(arguments.first, arguments.first + arguments.runs):
        results.append(run(seed))
        if not results[-1].passed:
            print(f"{results[-1]}\n  once more: {REPLAY} {seed}", flush=True)
    print(report(results, time.monotonic() - started))
    return 0 if all(result.passed for result in results) else 1


def report(results: Iterable[Result], seconds: float) -> str:
    """Return what the closing line of a night's log should say."""
    results = list(results)
    injected: Counter[str] = sum((result.injected for result in results), Counter())
    errors: Counter[str] = sum((result.errors for result in results), Counter())
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
        f"runs failed: {sum(not result.passed for result in results)}",
    ]
    return "\n".join(lines)


def _replay(seed: int) -> int:
    result = run(seed)
    print(result)
    print("faults:", dict(result.injected))
    print("errors:", dict(result.errors))
    for error in result.foreign:
        traceback.print_exception(error)
    return 0 if result.passed else 1


if __name__ == "__main__":
    sys.exit(main())
