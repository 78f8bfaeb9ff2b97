"""A gateway may remove the header that names the next page: a full page without it is not taken for the last one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from contract_tests.support.flavours import NOW, Face, Flavour, row, timestamps
from venice_billing import ResponseValidationError
from venice_billing.testing import FakeVenice, Quirks, SeenRequest, faults
from venice_billing.testing._text import CSV_COLUMNS, to_csv_record

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing._responses import Response

pytestmark = pytest.mark.anyio

AT_ONCE = pytest.mark.parametrize("concurrency", [1, 8])
ONE_INSTANT = "2026-09-15T00:00:00.000Z"
RANGE = {"start_timestamp": "2026-07-01", "end_timestamp": "2026-10-01"}


def hourly(count: int, **options: Any) -> FakeVenice:
    rows = [
        row(at, notes=f"charge {number}") for number, at in enumerate(timestamps(NOW, range(-3600 * count, 0, 3600)))
    ]
    return FakeVenice(rows, now=NOW, **options)


def removed() -> faults.Fault:
    def change(answer: Response) -> Response:
        return evolve(answer, headers=tuple(pair for pair in answer.headers if pair[0].lower() != "x-next-cursor"))

    return faults.Fault("no next cursor", change)


def content(fake: FakeVenice) -> str:
    return "".join(f"{line}\n" for line in [",".join(CSV_COLUMNS), *map(to_csv_record, fake.ledger)])


def is_csv(seen: SeenRequest) -> bool:
    return "csv" in seen.headers.get("accept", "")


@AT_ONCE
@pytest.mark.parametrize("asked", [{}, {"currency": "USD"}, RANGE], ids=str)
@pytest.mark.parametrize("page_size", [10, None])
async def test_an_export_without_cursors_is_refused(
    flavour: Flavour, tmp_path: Path, concurrency: int, asked: dict[str, Any], page_size: int | None
) -> None:
    fake, target = hourly(3000), tmp_path / "usage.csv"
    fake.quirks.faults = lambda _: removed()
    face = flavour.connect(fake)
    with pytest.raises(ResponseValidationError, match="X-Next-Cursor"):
        await face.call("export_usage_csv", target, concurrency=concurrency, page_size=page_size, **asked)
    assert not target.exists()


@AT_ONCE
@pytest.mark.parametrize("number", [1, 2, 5])
async def test_a_cursor_that_is_missing_once_costs_no_charge(
    flavour: Flavour, tmp_path: Path, concurrency: int, number: int
) -> None:
    fake, target = hourly(95), tmp_path / "usage.csv"
    fake.quirks.faults = lambda seen: removed() if seen.number == number else None
    await flavour.connect(fake).call("export_usage_csv", target, page_size=10, concurrency=concurrency)
    assert target.read_text() == content(fake)


@pytest.mark.parametrize("count", [29, 30, 31])
async def test_a_last_page_that_is_full_costs_one_request_more(flavour: Flavour, tmp_path: Path, count: int) -> None:
    fake, target = hourly(count), tmp_path / "usage.csv"
    await flavour.connect(fake).call("export_usage_csv", target, page_size=10)
    assert target.read_text() == content(fake)
    assert [is_csv(seen) for seen in fake.requests] == {29: [True] * 3, 30: [True] * 3 + [False], 31: [True] * 4}[count]


@pytest.mark.parametrize("different", [1, 7, 100])
@pytest.mark.parametrize("before", [0, 5])
async def test_full_pages_of_one_instant_end_as_well(
    flavour: Flavour, tmp_path: Path, different: int, before: int
) -> None:
    instants = [*timestamps(NOW, range(-9_000_000, -9_000_000 + before)), *[ONE_INSTANT] * (30 - before)]
    fake = FakeVenice([row(at, notes=f"charge {n % different}") for n, at in enumerate(instants)], now=NOW)
    target = tmp_path / "usage.csv"
    await flavour.connect(fake).call("export_usage_csv", target, page_size=10)
    assert target.read_text() == content(fake)


async def test_a_missing_cursor_within_an_instant_is_noticed(flavour: Flavour, tmp_path: Path) -> None:
    fake = FakeVenice([row(ONE_INSTANT, notes=f"charge {number}") for number in range(2500)], now=NOW)
    fake.quirks.faults = lambda _: removed()
    with pytest.raises(ResponseValidationError, match="X-Next-Cursor"):
        await flavour.connect(fake).call("export_usage_csv", tmp_path / "usage.csv")


@AT_ONCE
@pytest.mark.parametrize("end", [None, "2026-11-01T11:01:00Z"])
async def test_a_full_last_page_is_proven_where_the_ledger_hangs_on_narrow_ranges(
    flavour: Flavour, tmp_path: Path, concurrency: int, end: str | None
) -> None:
    fake = hourly(30, quirks=Quirks(narrow_window_hangs=True, empty_result_hangs=True))
    target = tmp_path / "usage.csv"
    await flavour.connect(fake).call(
        "export_usage_csv", target, page_size=10, concurrency=concurrency, end_timestamp=end
    )
    assert target.read_text() == content(fake)


async def test_a_charge_booked_after_a_full_last_page_is_no_error(flavour: Flavour, tmp_path: Path) -> None:
    fake, target = hourly(30), tmp_path / "usage.csv"

    def book(seen: SeenRequest) -> None:
        if seen.number == 3:
            fake.book(row(timestamps(NOW, [-60])[0], notes="booked meanwhile"))

    fake.quirks.faults = book
    export = await flavour.connect(fake).call("export_usage_csv", target, page_size=10)
    assert export.rows == 31
    assert target.read_text() == content(fake)


async def test_records_without_a_time_are_counted(flavour: Flavour, tmp_path: Path) -> None:
    """No column shows how far a page reaches, so the whole ledger is counted."""

    def change(answer: Response) -> Response:
        lines = answer.body.splitlines(keepends=True)
        return evolve(answer, body=b"".join(line.partition(b",")[2] for line in lines))

    fake, target = hourly(30), tmp_path / "usage.csv"
    fake.quirks.faults = lambda seen: faults.Fault("no time", change) if is_csv(seen) else None
    export = await flavour.connect(fake).call("export_usage_csv", target, page_size=10)
    assert export.rows == 30


async def test_a_single_page_of_a_hanging_range_is_whole_or_refused(flavour: Flavour) -> None:
    fake = hourly(3000)
    fake.quirks.faults = lambda seen: faults.hang() if seen.param("endTimestamp") else removed()
    face: Face = flavour.connect(fake)
    with pytest.raises(ResponseValidationError, match="X-Next-Cursor"):
        await face.call("get_usage_history", format="csv", **RANGE)
