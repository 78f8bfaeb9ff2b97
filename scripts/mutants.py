"""Run the contract suite on every mutation of the contract: it must fail for the breaking ones, and for no other.

python scripts/mutants.py [--examples N] [--workers N] [--slice N] [NAME ...]
"""

from __future__ import annotations

import argparse
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from attrs import frozen

from contract.model import Contract
from contract_tests.contract.suite import committed, examine
from contract_tests.support.mutations import MUTATIONS, Mutation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract_tests.contract.findings import BrokenPromise

EXAMPLES = 10
"""Random values per property, beside the corner cases that are always tried."""


@frozen
class Outcome:
    """The result of the suite for one mutation."""

    mutation: str
    severity: str
    found_by_tests: tuple[BrokenPromise, ...]
    """Promises that a test found broken by exercising the client."""
    found_by_diff: tuple[BrokenPromise, ...]
    """Promises that only the contract diff reports as broken."""

    @property
    def is_red(self) -> bool:
        """Whether the suite failed."""
        return bool(self.found_by_tests or self.found_by_diff)

    @property
    def is_right(self) -> bool:
        """Whether the suite failed for a breaking mutation, or passed for a harmless one."""
        return self.is_red == (self.severity == "breaking")

    @property
    def first(self) -> str:
        """The first broken promise as the suite reports it, or `green`."""
        return str((*self.found_by_tests, *self.found_by_diff, "green")[0])


def attempt(name: str, examples: int = EXAMPLES) -> Outcome:
    """Run the suite on the contract with one mutation."""
    mutation = next(each for each in MUTATIONS if each.name == name)
    by_tests, by_diff = examine(Contract(mutation(committed().document)), examples)
    return Outcome(name, mutation.severity, tuple(by_tests), tuple(by_diff))


def report(outcomes: Sequence[Outcome]) -> str:
    """Return one line per mutation, then how many breaking ones were caught and how many others failed."""
    mark = {True: "ok", False: "WRONG"}
    lines = [f"{mark[each.is_right]:5}  {each.severity:10}  {each.mutation}: {each.first}" for each in outcomes]
    breaking = [each for each in outcomes if each.severity == "breaking"]
    caught = [each for each in breaking if each.is_red]
    alarms = [each for each in outcomes if each.severity != "breaking" and each.is_red]
    by_tests = sum(bool(each.found_by_tests) for each in caught)
    lines += [
        f"caught {len(caught)} of {len(breaking)} breaking mutations, {by_tests} of them by exercising the client",
        f"false alarms {len(alarms)} of {len(outcomes) - len(breaking)} harmless mutations",
        f"right {sum(each.is_right for each in outcomes)} of {len(outcomes)}",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suite on the mutations named, or on all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="mutants", description="Run the contract suite on mutations of the contract.")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="random values per property (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--slice", type=_step, default=1, metavar="N", help="every N-th mutation only")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutation; by default all")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - {each.name for each in MUTATIONS}):
        parser.error(f"no mutation is called {unknown[0]!r}")
    started = time.monotonic()
    chosen: list[Mutation] = [each for each in MUTATIONS if not options.names or each.name in options.names]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        attempts = pool.map(
            partial(attempt, examples=options.examples), [each.name for each in chosen[:: options.slice]]
        )
        outcomes = list(attempts)
    print(report(outcomes))
    print(f"{len(outcomes)} mutations in {time.monotonic() - started:.0f} s")
    return 0 if outcomes and all(each.is_right for each in outcomes) else 1


def _step(argument: str) -> int:
    step = int(argument)
    if step < 1:
        raise argparse.ArgumentTypeError(f"{argument} is not 1 or more")
    return step


if __name__ == "__main__":
    sys.exit(main())
