"""An export resumes only the same export of the same account, and only if it was started recently."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, as_one_page, files
from venice_billing import InvalidParameterError, PermissionDeniedError, ResponseValidationError
from venice_billing._secret import Secret
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
HOUR = timedelta(hours=1)


async def cut_short(fake: FakeVenice, face: Face, target: Path, *, pages: int = 2, **options: Any) -> None:
    """Export some pages, then fail."""
    fake.quirks.faults = [*[None] * pages, faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await face.call("export_usage_csv", target, page_size=10, **options)
    fake.quirks.faults = ()


async def test_charge_booked_late_is_in_the_export_a_day_later(fake: FakeVenice, face: Face, target: Path) -> None:
    """The same call a day after the failure starts over: the rows written then may lack charges booked since."""
    await cut_short(fake, face, target)
    fake.clock.advance(24 * 3600)
    fake.book({"timestamp": "2026-08-05T00:00:00.000Z", "notes": "booked late"})
    export = await face.call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows, export.started_at) == (61, 0, NOW + timedelta(days=1))
    assert target.read_bytes() == as_one_page(fake)


@pytest.mark.parametrize(
    ("resume", "age", "resumed"),
    [
        (True, HOUR, True),
        (True, HOUR + timedelta(seconds=1), False),
        (False, timedelta(), False),
        (timedelta(minutes=5), timedelta(minutes=5), True),
        (timedelta(minutes=5), timedelta(minutes=6), False),
        (timedelta(days=2), timedelta(days=1), True),
        (timedelta(), timedelta(), True),
        (timedelta(), timedelta(seconds=1), False),
        (timedelta.max, timedelta(days=300), True),
    ],
)
async def test_export_is_resumed_as_long_as_it_is_fresh(
    fake: FakeVenice, face: Face, target: Path, *, resume: Any, age: timedelta, resumed: bool
) -> None:
    await cut_short(fake, face, target)
    fake.clock.advance(age.total_seconds())
    export = await face.call("export_usage_csv", target, resume=resume)
    assert (export.rows, export.resumed_rows) == (60, 20 if resumed else 0)
    assert export.started_at == (NOW if resumed else NOW + age)
    assert export.started_at.tzinfo is UTC
    assert target.read_bytes() == as_one_page(fake)
    assert files(target.parent) == ["usage.csv"]


async def test_started_at_is_that_of_the_first_attempt(fake: FakeVenice, face: Face, target: Path) -> None:
    """Otherwise an export that fails every half hour would stay fresh for ever."""
    await cut_short(fake, face, target)
    fake.clock.advance(1800)
    await cut_short(fake, face, target)
    fake.clock.advance(1800)
    await cut_short(fake, face, target, pages=0)
    export = await face.call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows > 20, export.started_at) == (60, True, NOW)
    await cut_short(fake, face, target)
    fake.clock.advance(1800)
    await cut_short(fake, face, target)
    fake.clock.advance(1801)
    export = await face.call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows) == (60, 0)


async def test_export_from_the_future_is_not_resumed(fake: FakeVenice, face: Face, target: Path) -> None:
    """The clock was set back, so the age of the partial file is unknown."""
    await cut_short(fake, face, target)
    earlier = FakeVenice(fake.ledger, now=NOW - timedelta(minutes=1))
    with earlier.client() as client:
        export = client.export_usage_csv(target)
    assert (export.rows, export.resumed_rows, export.started_at) == (60, 0, NOW - timedelta(minutes=1))


@pytest.mark.parametrize("resume", [None, 1, 0, "yes", 3600.0, timedelta(seconds=-1)])
@pytest.mark.parametrize("left", [False, True])
async def test_invalid_resume_is_refused_before_any_change(
    fake: FakeVenice, face: Face, target: Path, *, resume: Any, left: bool
) -> None:
    if left:
        await cut_short(fake, face, target)
    before, sent = {path: path.read_bytes() for path in target.parent.iterdir()}, len(fake.requests)
    with pytest.raises(InvalidParameterError, match="True, False, or a timedelta") as caught:
        await face.call("export_usage_csv", target, resume=resume)
    assert caught.value.parameter == "resume"
    assert {path: path.read_bytes() for path in target.parent.iterdir()} == before
    assert len(fake.requests) == sent


async def test_modification_times_of_the_files_are_ignored(fake: FakeVenice, face: Face, target: Path) -> None:
    """A backup, an archive or `touch` can change these times."""
    await cut_short(fake, face, target)
    fake.clock.advance(2 * 3600)
    for path in target.parent.iterdir():
        os.utime(path, (fake.clock.time(), fake.clock.time()))
    assert (await face.call("export_usage_csv", target)).resumed_rows == 0


async def test_altered_start_time_is_not_trusted(fake: FakeVenice, face: Face, target: Path) -> None:
    """The checksum covers the start time too."""
    await cut_short(fake, face, target)
    (line,) = target.parent.glob("*.progress")
    text = line.read_text(encoding="ascii")
    line.write_text(text.replace(NOW.isoformat(), (NOW + HOUR).isoformat()), encoding="ascii")
    assert line.read_text(encoding="ascii") != text
    fake.clock.advance(3600)
    assert (await face.call("export_usage_csv", target)).resumed_rows == 0


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n" * 81,
        b"2026-11-01T12:00:00 5 00000000",
        b"9999-12-31T23:59:59-23:59 5 0",
        b"\xff" * 81,
        "2026-11-01T12:00:00+00:00 ٣ 0".encode(),
    ],
)
async def test_invalid_progress_line_starts_over(fake: FakeVenice, face: Face, target: Path, line: bytes) -> None:
    await cut_short(fake, face, target)
    next(target.parent.glob("*.progress")).write_bytes(line)
    export = await face.call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows) == (60, 0)
    assert target.read_bytes() == as_one_page(fake)
    assert files(target.parent) == ["usage.csv"]


async def test_export_is_not_resumed_with_another_accounts_key(flavour: Flavour, target: Path) -> None:
    """Otherwise two accounts with the same filters and the same target would mix their rows in one file."""
    mine = FakeVenice(60, seed=1, now=NOW, admin_key="the-key-of-one-account")
    theirs = FakeVenice(60, seed=2, now=NOW, admin_key="the-key-of-another-account")
    await cut_short(mine, flavour.connect(mine), target)
    export = await flavour.connect(theirs).call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows) == (60, 0)
    assert target.read_bytes() == as_one_page(theirs)
    export = await flavour.connect(mine).call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows) == (60, 20)
    assert target.read_bytes() == as_one_page(mine)


async def test_export_is_not_resumed_from_another_server(fake: FakeVenice, flavour: Flavour, target: Path) -> None:
    await cut_short(fake, flavour.connect(fake), target)
    elsewhere = flavour.connect(fake, base_url="https://staging.venice.ai/api/v1")
    assert (await elsewhere.call("export_usage_csv", target)).resumed_rows == 0


async def test_files_beside_the_target_do_not_contain_the_key(fake: FakeVenice, flavour: Flavour, target: Path) -> None:
    await cut_short(fake, flavour.connect(fake), target)
    for path in target.parent.iterdir():
        assert fake.admin_key not in path.name
        assert fake.admin_key.encode() not in path.read_bytes()


def test_digests_of_different_keys_differ() -> None:
    assert Secret("one").digest() == Secret("one").digest() != Secret("other").digest()
    assert "one" not in Secret("one").digest()


def test_started_at_is_in_utc_and_before_the_first_request(fake: FakeVenice, target: Path) -> None:
    """Charges booked during a slow first request may be missing as well."""
    fake.quirks.latency = 5.0
    with fake.client() as client:
        export = client.export_usage_csv(target)
    assert export.started_at == datetime(2026, 11, 1, 12, tzinfo=UTC)
    assert fake.clock.time() > export.started_at.timestamp()


async def test_export_whose_last_rows_are_gone_starts_over(flavour: Flavour, target: Path) -> None:
    """The rows that the partial file ends with have vanished: it is not what the API has, and is never finished."""
    fake = FakeVenice(60, now=NOW)
    await cut_short(fake, flavour.connect(fake), target)
    (partial,) = target.parent.glob("*.partial")
    (latest,) = re.findall(r"[0-9]{4}-[0-9-]+T[0-9:.]+Z", partial.read_text().splitlines()[-1])
    after = FakeVenice([row for row in fake.ledger if row["timestamp"] != latest], now=NOW)
    face = flavour.connect(after)
    with pytest.raises(ResponseValidationError, match="no longer in the ledger") as caught:
        await face.call("export_usage_csv", target)
    assert caught.value.checkpoint is None
    assert files(target.parent) == []
    export = await face.call("export_usage_csv", target)
    assert (export.rows, export.resumed_rows) == (len(after.ledger), 0)
    assert target.read_bytes() == as_one_page(after)
