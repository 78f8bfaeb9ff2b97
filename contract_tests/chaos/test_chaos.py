"""Some of the scenarios that `nox -s chaos` runs; each failure prints the command that repeats it."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from contract_tests.chaos import cases, disorder, forks, oracle, scenarios, sockets, stuck
from contract_tests.chaos.__main__ import REPLAY
from contract_tests.chaos.cases import Result, report
from venice_billing import UsageEntry
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 30


def _told(failed: list[Result], option: str) -> str:
    return "\n".join(f"{result}\n  to repeat: {REPLAY} --{option} {result.case.seed}" for result in failed)


@pytest.mark.parametrize("first", range(0, 240, _CHUNK))
def test_every_row_comes_once_and_in_order_under_faults(first: int) -> None:
    """No row is lost or repeated, and every error is a `VeniceError` with a checkpoint."""
    failed = [result for seed in range(first, first + _CHUNK) if not (result := scenarios.run(seed)).passed]
    assert not failed, _told(failed, "seed")


@pytest.mark.parametrize("seed", range(4))
def test_every_row_comes_once_and_in_order_over_real_sockets(seed: int) -> None:
    """Requests also end near their deadline; the tolerance is large, since the machine may be busy."""
    result = sockets.run(seed, latest=20)
    assert result.passed, _told([result], "socket-seed")


@pytest.mark.parametrize("first", range(0, 20, 10))
def test_a_server_without_progress_soon_causes_an_error(first: int) -> None:
    """The error has a checkpoint that yields exactly the rest, once the server makes progress again."""
    failed = [result for seed in range(first, first + 10) if not (result := stuck.run(seed)).passed]
    assert not failed, "\n".join(
        f"{result}\n  to repeat: {REPLAY} --stuck-seed {result.case.seed}" for result in failed
    )


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_pages_out_of_order_are_read_whole_or_refused(first: int) -> None:
    """Pages that only shift are read whole."""
    failed = [result for seed in range(first, first + 20) if not (result := disorder.run(seed)).passed]
    assert not failed, _told(failed, "disorder-seed")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("seed", [0, 1, 6, 7])  # walks with one worker and with three, and calls
def test_after_a_fork_both_processes_have_every_row_once(seed: int) -> None:
    """Each continues its copy of a walk, or makes its own calls."""
    result = forks.run(seed)
    assert result.passed, _told([result], "fork-seed")


def test_a_seed_always_gives_the_same_scenario() -> None:
    """A scenario depends on its seed alone, so that it can be repeated."""
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
    ids=["lost", "repeated", "unknown to the ledger", "out of order", "right"],
)
def test_the_oracle_detects_wrong_rows(
    spoil: Callable[[list[UsageEntry]], list[UsageEntry]], verdict: tuple[int, int, int, int]
) -> None:
    """A missing row, a repeated row, a row that was never booked and a wrong order are each detected."""
    ledger = FakeVenice(20).ledger
    result = Result(cases.draw(7)[0])
    oracle.compare(result, spoil([UsageEntry.from_dict(row) for row in ledger]), ledger, ledger, changing=False)
    assert (result.lost, result.repeated, result.strange, len(result.problems)) == verdict
    assert f"rows lost: {verdict[0]}" in report([result], 1.0)
