"""Try the contract suite on every mutation of the contract: each breaking one must turn it red, no other may.

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
"""Random values per property: the corners do the work, chance only helps."""


@frozen
class Outcome:
    """What the suite said to one mutation."""

    mutation: str
    severity: str
    felt: tuple[BrokenPromise, ...]
    """The broken promises that tests ran into."""
    named: tuple[BrokenPromise, ...]
    """Those that only the contract diff names."""

    @property
    def is_red(self) -> bool:
        """Whether the suite ended red."""
        return bool(self.felt or self.named)

    @property
    def is_right(self) -> bool:
        """Whether it was right to."""
        return self.is_red == (self.severity == "breaking")

    @property
    def first(self) -> str:
        """The first broken promise, as the suite words it."""
        return str((*self.felt, *self.named, "green")[0])


def attempt(name: str, examples: int = EXAMPLES) -> Outcome:
    """Run the suite on the contract with one mutation."""
    mutation = next(each for each in MUTATIONS if each.name == name)
    felt, named = examine(Contract(mutation(committed().document)), examples)
    return Outcome(name, mutation.severity, tuple(felt), tuple(named))


def report(outcomes: Sequence[Outcome]) -> str:
    """Return the table, and the sums that count."""
    mark = {True: "ok", False: "WRONG"}
    lines = [f"{mark[each.is_right]:5}  {each.severity:10}  {each.mutation}: {each.first}" for each in outcomes]
    breaking = [each for each in outcomes if each.severity == "breaking"]
    caught = [each for each in breaking if each.is_red]
    alarms = [each for each in outcomes if each.severity != "breaking" and each.is_red]
    felt = sum(bool(each.felt) for each in caught)
    lines += [
        f"caught {len(caught)} of {len(breaking)} breaking mutations, {felt} of them by exercising the client",
        f"false alarms {len(alarms)} of {len(outcomes) - len(breaking)} harmless mutations",
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutations named, or all, and return the exit code."""
    parser = argparse.ArgumentParser(prog="mutants", description="Try the contract suite on mutations of the contract.")
    parser.add_argument("--examples", type=int, default=EXAMPLES, help="random values per property (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--slice", type=int, default=1, metavar="N", help="every N-th mutation only")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a mutation; by default all")
    options = parser.parse_args(arguments)
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


if __name__ == "__main__":
    sys.exit(main())
