"""Some of the scenarios that `nox -s chaos` runs; for each that fails, the command that repeats it is printed."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract_tests.chaos import cases, forks, oracle, scenarios, sockets, stuck
from contract_tests.chaos.__main__ import REPLAY
from contract_tests.chaos.cases import Result, report
from venice_billing import UsageEntry
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 30


def _told(failed: list[Result], option: str) -> str:
    return "\n".join(f"{result}\n  once more: {REPLAY} --{option} {result.case.seed}" for result in failed)


@pytest.mark.parametrize("first", range(0, 240, _CHUNK))
def test_every_row_comes_once_and_in_order_whatever_goes_wrong(first: int) -> None:
    """No row is lost or repeated, and nothing but a `VeniceError` with its checkpoint comes in between."""
    failed = [result for seed in range(first, first + _CHUNK) if not (result := scenarios.run(seed)).passed]
    assert not failed, _told(failed, "seed")


@pytest.mark.parametrize("seed", range(4))
def test_over_real_sockets_too(seed: int) -> None:
    """There, a request also ends with its deadline, by and large: this machine may be busy."""
    result = sockets.run(seed, latest=20)
    assert result.passed, _told([result], "socket-seed")


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_a_server_without_progress_ends_in_an_error_soon(first: int) -> None:
    """It is a `ServerError` whose checkpoint leads to exactly the rest, once there is progress again."""
    failed = [result for seed in range(first, first + 10) if not (result := stuck.run(seed)).passed]
    assert not failed, "\n".join(
        f"{result}\n  once more: {REPLAY} --stuck-seed {result.case.seed}" for result in failed
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("seed", [0, 1, 6, 7])  # walks with one worker and with three, and calls
def test_after_a_fork_both_processes_have_every_row_once(seed: int) -> None:
    """Each goes on with its copy of a walk, or with calls of its own."""
    result = forks.run(seed)
    assert result.passed, _told([result], "fork-seed")


def test_a_seed_is_the_same_scenario_each_time() -> None:
    """What a seed stands for depends on nothing else, so that it can be had again."""
    first, again = scenarios.run(101), scenarios.run(101)
    assert (str(first), first.injected, first.errors) == (str(again), again.injected, again.errors)


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (lambda rows: rows[:-1], (1, 0, 0, 0)),
        (lambda rows: [*rows, rows[0]], (0, 1, 0, 0)),
        (lambda rows: [*rows, UsageEntry.from_dict({**rows[0].to_dict(), "units": Decimal(7)})], (0, 0, 1, 0)),
        (lambda rows: rows[::-1], (0, 0, 0, 1)),
        (lambda rows: rows, (0, 0, 0, 0)),
    ],
    ids=["lost", "repeated", "of no ledger", "out of order", "right"],
)
def test_the_oracle_sees_what_is_wrong(
    spoil: Callable[[list[UsageEntry]], list[UsageEntry]], verdict: tuple[int, int, int, int]
) -> None:
    """A row that is missing, one that comes twice, one that was never booked, or another order does not pass."""
    ledger = FakeVenice(20).ledger
    result = Result(cases.draw(7)[0])
    oracle.compare(result, spoil([UsageEntry.from_dict(row) for row in ledger]), ledger, ledger, changing=False)
    assert (result.lost, result.repeated, result.strange, len(result.problems)) == verdict
    assert f"rows lost: {verdict[0]}" in report([result], 1.0)
