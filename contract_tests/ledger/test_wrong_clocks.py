"""A sync on a machine whose clock is wrong: no row is lost, none is there twice, and the next sync leaves no gap."""

from __future__ import annotations

import random
from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, evolve, field, frozen

from contract_tests.ledger.account import synced, texts, walked
from contract_tests.support.flavours import NOW, Flavour
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing.ledger import Ledger

pytestmark = pytest.mark.anyio
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("behind", "overlap"),
    [
        (10 * DAY, 2 * DAY),
        (9 * MINUTE, timedelta()),
        (HOUR, timedelta()),
        (3 * HOUR, timedelta()),
        (3 * HOUR, HOUR),
        (400 * DAY, 2 * DAY),
    ],
    ids=str,
)
async def test_clock_that_was_behind_once_loses_no_row(
    flavour: Flavour, ledger: Ledger, behind: timedelta, overlap: timedelta
) -> None:
    step = behind / 20
    rows = [{"timestamp": NOW - number * step, "amount": "-1", "sku": "x"} for number in range(60, 0, -1)]
    for at in (NOW, NOW - behind, NOW + 5 * MINUTE, NOW + 6 * MINUTE):
        fake = FakeVenice(rows, now=at)
        report = await synced(ledger, flavour.connect(fake), overlap=overlap)
        assert texts(ledger.entries()) == texts(walked(fake)), at
        assert (report.late, report.altered, report.vanished) == (0, 0, 0)
    assert ledger.coverage().until == NOW + 6 * MINUTE


# ---------------------------------------------------------------- made-up histories


@frozen
class Row:
    """A charge; equal ones are several."""

    timestamp: datetime
    number: int
    amount: int
    is_request: bool

    def sent(self) -> dict[str, Any]:
        details = {"inferenceDetails": {"requestId": f"r{self.number}"}} if self.is_request else {}
        return {"timestamp": self.timestamp, "amount": self.amount, "currency": "USD", "sku": "x", **details}


def kept(ledger: Ledger) -> Counter[tuple[datetime, str | None, int]]:
    return Counter(
        (entry.timestamp, entry.inference_details and entry.inference_details.request_id, int(entry.amount))
        for entry in ledger.entries()
    )


def keys(rows: Iterable[Row]) -> Counter[tuple[datetime, str | None, int]]:
    return Counter((row.timestamp, f"r{row.number}" if row.is_request else None, row.amount) for row in rows)


@define
class Account:
    """An account that is booked in steps. What is booked further back than the overlap, no short sync has to find."""

    rng: random.Random
    overlap: timedelta
    now: datetime = NOW
    rows: list[Row] = field(factory=list)
    out_of_reach: list[Row] = field(factory=list)
    _number: int = 0

    def __attrs_post_init__(self) -> None:
        for hours in range(60 * 24, 0, -30):
            self._book(self.now - hours * HOUR)
        self.out_of_reach.clear()  # the first sync reads everything

    def goes_on(self) -> None:
        length = self.rng.choice((MINUTE, HOUR, 10 * HOUR, DAY, 4 * DAY, 20 * DAY))
        for _ in range(self.rng.randrange(8)):
            self._book(self.now + length * self.rng.random())
        self.now += length
        for _ in range(self.rng.randrange(4)):
            late = self.rng.choice((HOUR, self.overlap, 30 * DAY)) * self.rng.random()
            self._book(self.now - late)
        for change in self.rng.sample((self._vanish, self._alter, self._repeat), self.rng.randrange(4)):
            change()

    def _book(self, at: datetime) -> None:
        self._number += 1
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        self._add(Row(at, self._number, -self.rng.randint(1, 3), self.rng.random() < 0.8))

    def _add(self, row: Row) -> None:
        self.rows.append(row)
        self._changed(row)

    def _changed(self, row: Row) -> None:
        if row.timestamp <= self.now - self.overlap:
            self.out_of_reach.append(row)

    def _vanish(self) -> None:
        row = self._any()
        self.rows.remove(row)
        self._changed(row)

    def _alter(self) -> None:
        row = self._any()
        self._changed(row)
        self.rows.remove(row)
        self._add(evolve(row, amount=row.amount - 5))

    def _repeat(self) -> None:
        self._add(self._any())

    def _any(self) -> Row:
        """Return a row, of the latest ones mostly; the first ones stay, so that the account is known by them."""
        later = sorted(self.rows, key=lambda row: row.timestamp)[10:]
        return self.rng.choice(later[-12:] if self.rng.random() < 0.7 else later)


WRONG = (timedelta(), timedelta(), 9 * MINUTE, HOUR, 3 * HOUR, DAY, 10 * DAY, 60 * DAY)


@pytest.mark.parametrize("seed", range(9))
async def test_any_history_of_clocks_leaves_the_rows_of_the_account(
    flavour: Flavour, ledger: Ledger, seed: int
) -> None:
    """Charges are booked late, altered, repeated and gone; clocks are behind and ahead; some syncs read everything."""
    rng, overlap = random.Random(seed), (timedelta(), HOUR, 2 * DAY)[seed % 3]
    account = Account(rng, overlap)
    for _ in range(7):
        before = kept(ledger)
        fake = FakeVenice(
            [row.sent() for row in account.rows], now=account.now + rng.choice((-1, 1)) * rng.choice(WRONG)
        )
        report = await synced(ledger, flavour.connect(fake), overlap=overlap, full=rng.random() < 0.15)
        truth, after = keys(account.rows), kept(ledger)
        if report.covered_from is None:
            assert after == truth
            account.out_of_reach.clear()
        else:
            _compare(before, after, truth, report.covered_from)
        out_of_reach = keys(account.out_of_reach)
        assert not (truth - after) - out_of_reach, "a row is missing that was booked within the overlap"
        assert not (after - truth) - out_of_reach, "a row is too many"
        assert report.rows_added == after.total() - before.total()
        account.goes_on()


def _compare(before: Counter[Any], after: Counter[Any], truth: Counter[Any], start: datetime) -> None:
    def part(rows: Counter[Any], *, is_read: bool) -> Counter[Any]:
        return Counter({row: count for row, count in rows.items() if (row[0] >= start) == is_read})

    assert part(after, is_read=True) == part(truth, is_read=True)
    assert part(after, is_read=False) == part(before, is_read=False)
    assert not (before & truth) - after, "a row is gone that the account still has"
