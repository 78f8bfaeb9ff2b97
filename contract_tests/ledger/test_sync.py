"""A sync makes the ledger what a walk through the account gives: the first, later ones, and one that was cut short."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.ledger.account import synced, texts, walked, with_small_pages
from contract_tests.support.flavours import NOW, Face, Flavour, files
from venice_billing import InvalidParameterError, LedgerError, PermissionDeniedError
from venice_billing.ledger import Ledger, SyncProgress
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


async def check(ledger: Ledger, fake: FakeVenice) -> None:
    """The ledger has every row of the account, as often and in the order as a walk gives it."""
    assert texts(ledger.entries()) == texts(walked(fake))


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_first_sync_copies_the_account(ledger: Ledger, face: Face, fake: FakeVenice, concurrency: int) -> None:
    report = await synced(ledger, face, concurrency=concurrency)
    await check(ledger, fake)
    assert (report.rows_read, report.rows_added, report.resumed_rows, len(ledger)) == (600, 600, 0, 600)
    assert (report.covered_from, report.covered_until, report.is_full) == (None, NOW, True)
    assert files(ledger.path.parent) == sorted(f"{ledger.path.name}{ending}" for ending in ("", ".tmp", ".wal")), (
        "nothing of the sync is left"
    )


async def test_sync_with_nothing_new_costs_few_requests_and_changes_nothing(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    await synced(ledger, face)
    before, requests = texts(ledger.entries()), len(fake.requests)
    fake.clock.advance(3600)
    report = await synced(ledger, face)
    assert len(fake.requests) - requests <= 6
    assert (report.rows_added, report.late, report.altered, report.vanished) == (0, 0, 0, 0)
    assert texts(ledger.entries()) == before
    assert ledger.adjustments() == []


async def test_increment_adds_new_rows_and_identical_ones_count_one_by_one(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    await synced(ledger, face)
    fake.clock.advance(60)
    rows = [fake.book({"amount": "-0.5", "currency": "USD", "sku": "one"}) for _ in range(3)]
    fake.clock.advance(60)
    report = await synced(ledger, face)
    await check(ledger, fake)
    assert len({str(row) for row in rows}) == 1
    assert (report.rows_added, report.late, ledger.adjustments()) == (3, 0, [])


async def test_charge_booked_late_within_the_overlap_is_found_and_noted(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    await synced(ledger, face)
    fake.clock.advance(3600)
    fake.book({"amount": "-0.25", "currency": "USD", "sku": "late"}, late=20 * HOUR)
    report = await synced(ledger, face)
    await check(ledger, fake)
    assert (report.rows_added, report.late) == (1, 1)
    (adjustment,) = ledger.adjustments()
    assert (adjustment.change, adjustment.before, adjustment.entry.sku) == ("late", None, "late")
    assert (adjustment.seen_at, adjustment.sync) == (NOW + HOUR, 2)
    assert str(adjustment.difference) == "-0.25"


async def test_identical_charge_booked_late_is_a_second_charge(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    fake.book({"amount": "-0.25", "currency": "USD", "sku": "twin"}, late=3 * HOUR)
    await synced(ledger, face)
    twin = next(row for row in fake.ledger if row["sku"] == "twin")
    fake.book(twin)
    report = await synced(ledger, face)
    await check(ledger, fake)
    assert (report.late, sum(entry.sku == "twin" for entry in ledger.entries())) == (1, 2)


async def test_full_sync_finds_what_was_booked_before_the_overlap(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=40 * DAY)
    assert (await synced(ledger, face)).late == 0
    report = await synced(ledger, face, full=True)
    await check(ledger, fake)
    assert (report.late, report.covered_from, report.is_full) == (1, None, True)


async def test_overlap_says_how_far_back_an_increment_begins(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=10 * DAY)
    assert (await synced(ledger, face, overlap=8 * DAY)).late == 0
    assert (await synced(ledger, face, overlap=12 * DAY)).late == 1
    await check(ledger, fake)


async def test_without_an_overlap_late_charges_are_found_by_a_full_sync_alone(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    await synced(ledger, face)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=10 * DAY)
    assert (await synced(ledger, face, overlap=timedelta())).late == 0
    assert (await synced(ledger, face, overlap=timedelta(), full=True)).late == 1
    await check(ledger, fake)


async def test_overlap_of_more_than_the_calendar_reads_everything(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    await synced(ledger, face)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=60 * DAY)
    assert (await synced(ledger, face, overlap=timedelta.max)).late == 1
    await check(ledger, fake)


async def test_altered_and_vanished_rows_are_noted(flavour: Flavour, tmp_path: Path) -> None:
    before = FakeVenice(200, days=20, now=NOW)
    rows = before.ledger
    altered, vanished = rows[-3], rows[-2]
    after = FakeVenice(
        [{**row, "amount": "-7.5"} if row is altered else row for row in rows if row is not vanished], now=NOW
    )
    with Ledger(tmp_path / "venice.duckdb") as ledger:
        await synced(ledger, flavour.connect(before))
        report = await synced(ledger, flavour.connect(after))
        assert (report.late, report.altered, report.vanished, report.rows_added) == (0, 1, 1, -1)
        await check(ledger, after)
        found = {adjustment.change: adjustment for adjustment in ledger.adjustments()}
    change, loss = found["altered"], found["vanished"]
    assert change.before is not None
    assert change.after is not None
    assert str(change.after.amount) == "-7.5"
    assert change.difference == change.after.amount - change.before.amount
    assert (loss.after, loss.entry.to_dict()["timestamp"]) == (None, vanished["timestamp"])
    assert loss.difference == -loss.entry.amount


async def test_coverage_says_which_sync_read_which_stretch(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    assert (ledger.coverage().until, ledger.coverage().stretches) == (None, ())
    await synced(ledger, face)
    fake.clock.advance(5 * 86400)
    fake.book({"sku": "new"})
    fake.clock.advance(60)
    report = await synced(ledger, face)
    coverage = ledger.coverage()
    first, second = coverage.stretches
    assert (coverage.since, coverage.until) == (NOW, NOW + 5 * DAY + timedelta(minutes=1))
    assert (first.start, first.end, first.sync, first.synced_at) == (None, report.covered_from, 1, NOW)
    assert (second.start, second.end, second.sync) == (report.covered_from, coverage.until, 2)
    await synced(ledger, face, full=True)
    assert [stretch.sync for stretch in ledger.coverage().stretches] == [3]


async def test_rows_that_arrive_during_a_sync_are_there_after_the_next(
    ledger: Ledger, face: Face, fake: FakeVenice
) -> None:
    fake.quirks.arrivals = lambda request: [{"sku": f"arrived-{request.number}"}]
    await synced(ledger, face, concurrency=3)
    fake.quirks.arrivals = None
    await synced(ledger, face)
    await check(ledger, fake)


async def test_sync_that_fails_keeps_its_pages_and_the_next_goes_on(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of ten rows; the eleventh request is refused: the ledger is as it was, and a hundred rows wait."""
    with_small_pages(face, monkeypatch)
    fake.quirks.faults = [None] * 10 + [faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await synced(ledger, face)
    assert (len(ledger), ledger.coverage().until) == (0, None)
    requests = len(fake.requests)
    report = await synced(ledger, face)
    await check(ledger, fake)
    assert report.rows_read == 600
    assert 80 <= report.resumed_rows <= 100  # equal charges at a page border are settled by a page that overlaps
    assert len(fake.requests) - requests <= 60


async def test_resumed_sync_finds_what_was_booked_late_meanwhile(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_small_pages(face, monkeypatch)
    fake.quirks.faults = [None] * 58 + [faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await synced(ledger, face)
    fake.clock.advance(3600)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=30 * HOUR)
    fake.quirks.faults = ()
    assert (await synced(ledger, face)).covered_until == NOW + HOUR
    await check(ledger, fake)


async def test_full_sync_does_not_go_on_with_a_part(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    await synced(ledger, face)
    with_small_pages(face, monkeypatch)
    fake.book({"amount": "-0.25", "currency": "USD"}, late=40 * DAY)
    fake.quirks.faults = [None, faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await synced(ledger, face, overlap=20 * DAY)
    report = await synced(ledger, face, full=True)
    await check(ledger, fake)
    assert (report.late, report.resumed_rows) == (1, 0)


async def test_part_that_was_fetched_with_another_key_is_dropped(
    flavour: Flavour, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the ledger would have the first rows of one account and the last ones of another."""
    one, other = FakeVenice(100, now=NOW, seed=1), FakeVenice(100, now=NOW, seed=2, admin_key="another-admin-key")
    face = flavour.connect(one)
    with_small_pages(face, monkeypatch)
    one.quirks.faults = [None] * 5 + [faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await synced(ledger, face)
    report = await synced(ledger, flavour.connect(other))
    assert report.resumed_rows == 0
    await check(ledger, other)


async def test_another_account_is_refused_and_the_ledger_is_as_it_was(
    flavour: Flavour, ledger: Ledger, fake: FakeVenice
) -> None:
    await synced(ledger, flavour.connect(fake))
    for other in (FakeVenice(600, now=NOW, seed=7), FakeVenice(0, now=NOW)):
        with pytest.raises(LedgerError, match="another account's"):
            await synced(ledger, flavour.connect(other))
    await check(ledger, fake)
    assert (ledger.adjustments(), len(ledger.coverage().stretches)) == ([], 1)
    assert (await synced(ledger, flavour.connect(fake))).rows_added == 0


async def test_latest_stretch_that_vanished_as_a_whole_is_no_other_account(flavour: Flavour, ledger: Ledger) -> None:
    fake = FakeVenice(300, days=60, now=NOW)
    await synced(ledger, flavour.connect(fake))
    kept = fake.rows(end=NOW - 10 * DAY)
    report = await synced(ledger, flavour.connect(FakeVenice(kept, now=NOW)), overlap=DAY)
    assert report.vanished == 300 - len(kept)
    assert len(ledger) == len(kept)


async def test_account_without_rows(flavour: Flavour, ledger: Ledger) -> None:
    fake = FakeVenice(0, now=NOW)
    face = flavour.connect(fake)
    assert (await synced(ledger, face)).rows_read == 0
    assert (await synced(ledger, face)).rows_read == 0
    fake.book({"sku": "first"}, late=50 * DAY)
    await synced(ledger, face)
    await check(ledger, fake)


async def test_clock_that_was_ahead_leaves_no_gap(flavour: Flavour, ledger: Ledger, fake: FakeVenice) -> None:
    """A sync on a machine whose clock is ten days ahead; then it is right, and charges of those days come."""
    ahead = FakeVenice(fake.ledger, now=NOW + 10 * DAY)
    await synced(ledger, flavour.connect(ahead))
    fake.clock.advance(4 * 86400)
    fake.book({"sku": "between"})
    fake.clock.advance(10 * 86400)
    await synced(ledger, flavour.connect(fake))
    await check(ledger, fake)


async def test_two_syncs_at_once_are_refused(ledger: Ledger, face: Face, fake: FakeVenice) -> None:
    said: list[str] = []

    def meanwhile(_: SyncProgress) -> None:
        with fake.client() as client, pytest.raises(LedgerError, match="another sync") as caught:
            ledger.sync(client)
        said.append(str(caught.value))

    await synced(ledger, face, progress=meanwhile)
    assert len(said) == 1
    await check(ledger, fake)


async def test_progress_is_told_after_each_page(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_small_pages(face, monkeypatch)
    told: list[SyncProgress] = []
    await synced(ledger, face, progress=told.append)
    rows = [progress.rows for progress in told]
    assert rows == sorted(set(rows))
    assert (rows[0], rows[-1], len(rows) >= 60) == (10, 600, True)
    assert told[-1].latest == walked(fake)[-1].timestamp
    assert {(progress.covered_from, progress.covered_until) for progress in told} == {(None, NOW)}


async def test_error_of_the_callback_ends_the_sync_and_the_next_goes_on(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_small_pages(face, monkeypatch)

    def failing(progress: SyncProgress) -> None:
        if progress.rows == 50:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await synced(ledger, face, progress=failing)
    assert (await synced(ledger, face)).resumed_rows == 50
    await check(ledger, fake)


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"overlap": 2}, "overlap"),
        ({"overlap": -DAY}, "overlap"),
        ({"full": 1}, "full"),
        ({"concurrency": 0}, "concurrency"),
        ({"progress": "yes"}, "progress"),
    ],
)
async def test_bad_argument_is_refused_by_name(
    ledger: Ledger, face: Face, fake: FakeVenice, options: Any, parameter: str
) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        await synced(ledger, face, **options)
    assert (caught.value.parameter, fake.requests) == (parameter, [])


def test_client_of_another_type_is_refused(ledger: Ledger) -> None:
    with pytest.raises(InvalidParameterError, match="client must be a VeniceBilling"):
        ledger.sync("client")  # type: ignore[call-overload]


async def test_another_account_with_the_same_grants_is_refused(flavour: Flavour, ledger: Ledger) -> None:
    """Both accounts get the same amount at each midnight; their requests differ."""
    grants = [
        {"timestamp": NOW - 12 * HOUR - day * DAY, "amount": 10, "sku": "daily-grant", "inferenceDetails": None}
        for day in (0, 1)
    ]
    one, other = (FakeVenice([*FakeVenice(50, days=5, now=NOW, seed=seed).ledger, *grants], now=NOW) for seed in (1, 2))
    await synced(ledger, flavour.connect(one))
    with pytest.raises(LedgerError, match="another account's"):
        await synced(ledger, flavour.connect(other))
    await check(ledger, one)


async def test_another_account_is_refused_where_no_row_was_covered(flavour: Flavour, ledger: Ledger) -> None:
    """The clock of the machine is an hour slow, and all charges are of that hour."""
    one, other = (
        FakeVenice([{"timestamp": NOW - timedelta(minutes=minutes)}], now=NOW - HOUR, seed=minutes)
        for minutes in (5, 9)
    )
    await synced(ledger, flavour.connect(one))
    with pytest.raises(LedgerError, match="another account's"):
        await synced(ledger, flavour.connect(other))
    await check(ledger, one)
