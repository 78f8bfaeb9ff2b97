"""A slice of the bad nights that `nox -s chaos` goes through; what fails here is had again by the command it prints."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from chaos import runs, sockets, truth
from chaos.__main__ import REPLAY, report
from chaos.runs import Result

from venice_billing import UsageEntry
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNK = 30


@pytest.mark.parametrize("first", range(0, 240, _CHUNK))
def test_every_row_comes_once_and_in_order_whatever_goes_wrong(first: int) -> None:
    """No row is lost or repeated, and nothing but a `VeniceError` with its checkpoint comes in between."""
    failed = [result for seed in range(first, first + _CHUNK) if not (result := runs.run(seed)).passed]
    assert not failed, "\n".join(f"{result}\n  once more: {REPLAY} --seed {result.case.seed}" for result in failed)


@pytest.mark.parametrize("seed", range(4))
def test_over_real_sockets_too(seed: int) -> None:
    """There, a request also ends with its deadline."""
    result = sockets.run(seed)
    assert result.passed, f"{result}\n  once more: {REPLAY} --socket-seed {seed}"


def test_a_seed_is_the_same_run_each_time() -> None:
    """What a seed stands for depends on nothing else, so that it can be had again."""
    first, again = runs.run(101), runs.run(101)
    assert (str(first), first.injected, first.errors) == (str(again), again.injected, again.errors)


@pytest.mark.parametrize(
    ("spoil", "verdict"),
    [
        (lambda rows: rows[:-1], (1, 0, 0)),
        (lambda rows: [*rows, rows[0]], (0, 1, 0)),
        (lambda rows: rows[::-1], (0, 0, 1)),
        (lambda rows: rows, (0, 0, 0)),
    ],
    ids=["lost", "repeated", "out of order", "right"],
)
def test_the_judge_sees_what_is_wrong(
    spoil: Callable[[list[UsageEntry]], list[UsageEntry]], verdict: tuple[int, int, int]
) -> None:
    """A row that is missing, one that comes twice, or another order does not pass."""
    ledger = FakeVenice(20).ledger
    result = Result(runs.draw(7)[0], Counter())
    truth.judge(result, spoil([UsageEntry.from_dict(row) for row in ledger]), ledger, ledger, changing=False)
    assert (result.lost, result.repeated, len(result.problems)) == verdict
    assert f"rows lost: {verdict[0]}" in report([result], 1.0)
