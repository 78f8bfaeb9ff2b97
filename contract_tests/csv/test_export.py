"""An export is one CSV file with every record as sent, complete or absent, and resumable from any byte."""

from __future__ import annotations

import errno
import io
import stat
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, as_one_page, files
from venice_billing import (
    CsvExport,
    ExportError,
    ResponseValidationError,
    ServerError,
    VeniceBilling,
    VeniceError,
    _files,
    csv_export,
)
from venice_billing._csv import take_apart
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


def partial(folder: Path) -> Path:
    (found,) = folder.glob("*.partial")
    return found


@pytest.mark.parametrize("page_size", [10, 77, None])
async def test_the_pages_become_one_document(fake: FakeVenice, face: Face, target: Path, page_size: int | None) -> None:
    result = await face.call("export_usage_csv", target, page_size=page_size)
    expected = as_one_page(fake)
    assert target.read_bytes() == expected
    assert result == CsvExport(path=target, rows=300, resumed_rows=0, size=len(expected), started_at=NOW)
    assert files(target.parent) == ["usage.csv"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600, "a bill is private to its owner"


async def test_filters_select_the_rows(fake: FakeVenice, face: Face, target: Path) -> None:
    filters = {"currency": "USD", "start_timestamp": "2026-09-01", "end_timestamp": "2026-10-01"}
    await face.call("export_usage_csv", str(target), **filters, page_size=20)
    assert target.read_bytes() == as_one_page(fake, **filters)


async def test_export_of_an_empty_ledger_is_a_header(flavour: Flavour, target: Path) -> None:
    result = await flavour.connect(FakeVenice(0, now=NOW)).call("export_usage_csv", target)
    assert (result.rows, target.read_bytes().count(b"\n")) == (0, 1)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_concurrent_requests_write_the_same_bytes(
    fake: FakeVenice, face: Face, target: Path, concurrency: int
) -> None:
    await face.call("export_usage_csv", target, page_size=20, concurrency=concurrency)
    assert target.read_bytes() == as_one_page(fake)


@pytest.mark.parametrize(
    "layout",
    [
        CsvLayout(line_break="\r\n"),
        CsvLayout(bom=True),
        CsvLayout(final_line_break=False),
        CsvLayout(line_break="\r\n", bom=True, final_line_break=False),
    ],
    ids=["crlf", "bom", "no-final", "all"],
)
async def test_layouts_of_pages(fake: FakeVenice, face: Face, target: Path, layout: CsvLayout) -> None:
    """The file has no byte order mark, one header, and the document's line break after every page."""
    fake.quirks.csv_layouts = [layout]
    result = await face.call("export_usage_csv", target, page_size=20)
    expected = take_apart(as_one_page(fake))
    newline = layout.line_break.encode()
    assert target.read_bytes() == expected.header + newline + b"".join(
        record if record.endswith(b"\n") else record + newline for record in expected.records
    )
    assert result.rows == 300


async def test_header_that_changes_between_pages_is_an_error(fake: FakeVenice, face: Face, target: Path) -> None:
    """One file must not mix two sets of columns; the same call resumes once the usual columns are back."""
    names = as_one_page(fake).split(b"\n")[0].decode()
    usual, other = CsvLayout(), CsvLayout(header=names.replace("units", "quantity"))
    fake.quirks.csv_layouts = [usual, usual, usual, other]  # the first layout was used by the request above
    with pytest.raises(ResponseValidationError, match="columns changed") as caught:
        await face.call("export_usage_csv", target, page_size=40)
    assert caught.value.field == "header row"
    assert caught.value.checkpoint == str(partial(target.parent))
    fake.quirks.csv_layouts = [usual]
    result = await face.call("export_usage_csv", target, page_size=40)
    assert result.resumed_rows == 80
    assert target.read_bytes() == as_one_page(fake)


async def test_interrupted_export_keeps_the_old_file_and_resumes(fake: FakeVenice, face: Face, target: Path) -> None:
    target.write_bytes(b"last month\n")
    fake.quirks.faults = lambda seen: faults.status(500) if seen.number > 3 else None
    with pytest.raises(ServerError) as caught:
        await face.call("export_usage_csv", target, page_size=40)
    assert target.read_bytes() == b"last month\n"
    assert caught.value.checkpoint == str(partial(target.parent))
    fake.quirks.faults = ()
    fake.clock.advance(60)
    result = await face.call("export_usage_csv", target, page_size=70)
    assert (result.rows, result.resumed_rows) == (300, 120)
    assert target.read_bytes() == as_one_page(fake)
    assert files(target.parent) == ["usage.csv"]


async def test_resume_false_starts_anew(fake: FakeVenice, face: Face, target: Path) -> None:
    fake.quirks.faults = lambda seen: faults.status(404) if seen.number == 3 else None
    with pytest.raises(VeniceError):
        await face.call("export_usage_csv", target, page_size=50)
    result = await face.call("export_usage_csv", target, resume=False)
    assert result.resumed_rows == 0
    assert target.read_bytes() == as_one_page(fake)


async def test_exports_with_other_filters_do_not_mix(fake: FakeVenice, face: Face, target: Path) -> None:
    """A partial file is resumed only by the same export, even if other exports have the same target."""
    fake.quirks.faults = lambda seen: faults.status(404) if seen.number == 2 else None
    with pytest.raises(VeniceError):
        await face.call("export_usage_csv", target, currency="USD", page_size=50)
    result = await face.call("export_usage_csv", target, currency="DIEM")
    assert result.resumed_rows == 0
    assert target.read_bytes() == as_one_page(fake, currency="DIEM")
    result = await face.call("export_usage_csv", target, currency="USD")
    assert result.resumed_rows == 50
    assert target.read_bytes() == as_one_page(fake, currency="USD")


@pytest.mark.parametrize("failing", ["os.fsync", "pathlib.Path.replace"])
async def test_disk_error_at_the_end_is_raised_and_the_call_resumes(
    fake: FakeVenice, face: Face, target: Path, failing: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(failing, fail)
        with pytest.raises(ExportError, match="Input/output error") as caught:
            await face.call("export_usage_csv", target)
    assert isinstance(caught.value.__cause__, OSError)
    assert not target.exists()
    assert (await face.call("export_usage_csv", target)).resumed_rows == 300
    assert target.read_bytes() == as_one_page(fake)


class SmallDisk(io.FileIO):
    """A file on a disk that has room for `room` bytes more."""

    room = 0

    def write(self, data: Any) -> int:
        fits = bytes(data)[: self.room]
        if not fits:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.room -= len(fits)
        return super().write(fits)


@pytest.mark.parametrize("room", [0, 10, 5_000, 20_001])
async def test_full_disk_is_raised_and_the_same_call_resumes(
    fake: FakeVenice, face: Face, target: Path, room: int
) -> None:
    """The disk may be full at any byte: the incomplete last page is cut off, and fetched again.

    Files without a whole page are removed.
    """
    opened = _files.open_own

    def on_small_disk(path: Path, *, locked: bool = False) -> io.FileIO:
        if not locked:
            return opened(path)
        opened(path).close()
        file = SmallDisk(path, "r+b")
        file.room = room
        return file

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_export, "open_own", on_small_disk)
        with pytest.raises(ExportError, match="No space left on device") as caught:
            await face.call("export_usage_csv", target, page_size=50)
    if room > 10_000:
        assert caught.value.checkpoint == str(partial(target.parent))
        assert partial(target.parent).stat().st_size <= room
    else:
        assert (caught.value.checkpoint, files(target.parent)) == (None, [])
    result = await face.call("export_usage_csv", target)
    assert (result.rows, result.resumed_rows > 0) == (300, room > 10_000)
    assert target.read_bytes() == as_one_page(fake)


@pytest.mark.parametrize("fault", [faults.wrong_content_type(), faults.wrong_content_type("application/json")])
async def test_only_csv_is_accepted_as_csv(fake: FakeVenice, face: Face, target: Path, fault: faults.Fault) -> None:
    fake.quirks.faults = lambda _: fault
    with pytest.raises(ResponseValidationError, match=r"text/csv|not JSON"):
        await face.call("export_usage_csv", target)
    assert not target.exists()


@pytest.mark.parametrize("fault", ["truncated gzip", "invalid utf-8", "empty", "truncated", "gzip bomb"])
async def test_a_damaged_page_never_reaches_the_file(
    fake: FakeVenice, flavour: Flavour, target: Path, fault: str
) -> None:
    damage = faults.ALL[fault]()
    fake.quirks.faults = lambda seen: damage if seen.number == 2 else None
    face = flavour.connect(fake, max_retries=0)
    with pytest.raises(VeniceError):
        await face.call("export_usage_csv", target, page_size=50)
    assert not target.exists()
    assert (await face.call("export_usage_csv", target)).rows == 300
    assert target.read_bytes() == as_one_page(fake)


@pytest.mark.parametrize("quirks", [Quirks(dead_cursor_every=2), Quirks(cursor_lives_requests=0)])
async def test_exports_are_exact_with_dead_and_expired_cursors(flavour: Flavour, target: Path, quirks: Quirks) -> None:
    fake = FakeVenice(300, now=NOW, quirks=quirks)
    await flavour.connect(fake).call("export_usage_csv", target, page_size=40)
    fake.quirks = Quirks()
    assert target.read_bytes() == as_one_page(fake)


@pytest.mark.parametrize("bounds", [{}, {"start_timestamp": "2026-09-01"}], ids=["all", "a range"])
def test_export_without_a_time_column_is_exact(target: Path, bounds: dict[str, str]) -> None:
    """The contract names no columns. If none holds a time, a dead cursor means an exact restart."""
    records = [
        f"{number // 2},-0.1\n".encode() for number in range(70)
    ]  # each twice: identical records are two charges
    dead = {"c40"}

    def answer(request: httpx.Request) -> httpx.Response:
        size = int(request.url.params.get("pageSize", 20))
        first = int(request.url.params.get("cursor", "c0")[1:])
        if request.url.params.get("cursor") in dead:
            return httpx.Response(400, json={"error": "cursor expired"})
        last = first + min(size, 20 if size == 20 else 30)
        headers = {"content-type": "text/csv"} | ({"x-next-cursor": f"c{last}"} if last < len(records) else {})
        return httpx.Response(200, headers=headers, content=b"what,amount\n" + b"".join(records[first:last]))

    with VeniceBilling("key", http_client=httpx.Client(transport=httpx.MockTransport(answer))) as client:
        result = client.export_usage_csv(target, page_size=20, **bounds)  # type: ignore[arg-type]
    assert target.read_bytes() == b"what,amount\n" + b"".join(records)
    assert result.rows == 70
