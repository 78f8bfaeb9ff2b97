"""An export that is cut short anywhere, by a crash, a full disk or another export, is finished to the same bytes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
import resource
from typing import TYPE_CHECKING, Any

import pytest
from chaos import crash, ledgers
from flavours import NOW, Flavour, files

from venice_billing import ExportError, InvalidParameterError, PermissionDeniedError, csv_export
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio
_PAGE: dict[str, Any] = {"page_size": 10}


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(60, seed=3, now=NOW)


def test_a_killed_process_leaves_a_partial_that_the_next_one_finishes_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL at random moments; the file itself is the old one until it is whole."""
    killed = crash.kill_and_finish(tmp_path, 8, seed=1)
    assert (killed.kills, killed.different) == (8, 0)
    assert killed.in_the_middle >= 3, "the kills came too early or too late to prove anything"


def test_a_partial_that_ends_at_any_byte_is_finished_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever byte was the last to reach the disk: in the header, in quotes, between CR and LF, among twins."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # most of the time, and nothing to do with what is proven
    rng = random.Random(5)
    rows = [ledgers.charge(rng, NOW.replace(hour=3)) | {"notes": note} for note in ('say ""', "two\nlines", "x\r\ny")]
    fake = FakeVenice(
        [*rows, rows[0], *rows, *rows, *rows],
        now=NOW,
        quirks=Quirks(csv_layouts=[CsvLayout("\r\n", final_line_break=False)]),
    )
    target, partial = tmp_path / "usage.csv", tmp_path / name_of_the_partial(tmp_path, fake)
    with fake.client() as client:
        client.export_usage_csv(target, **_PAGE)
        whole = target.read_bytes()
        for size in range(len(whole) + 1):
            partial.write_bytes(whole[:size])
            client.export_usage_csv(target, **_PAGE)
            assert target.read_bytes() == whole, f"after {size} bytes: {whole[:size][-40:]!r}"


def name_of_the_partial(folder: Path, fake: FakeVenice) -> str:
    """Break an export off, and see what it leaves."""
    fake.quirks.faults = [None, faults.status(403)]
    with fake.client() as client, pytest.raises(PermissionDeniedError):
        client.export_usage_csv(folder / "usage.csv", **_PAGE)
    (name,) = files(folder)
    return name


async def test_the_old_file_stays_until_the_new_one_is_whole(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path
) -> None:
    target = tmp_path / "usage.csv"
    target.write_bytes(b"old")
    fake.quirks.faults = [None, None, faults.status(403)]
    face = flavour.connect(fake)
    with pytest.raises(PermissionDeniedError) as caught:
        await face.call("export_usage_csv", target, **_PAGE)
    assert target.read_bytes() == b"old"
    assert str(caught.value.checkpoint) in {str(path) for path in tmp_path.iterdir()}
    export = await face.call("export_usage_csv", target, **_PAGE)
    assert (export.rows, export.resumed_rows, files(tmp_path)) == (60, 20, ["usage.csv"])
    assert target.stat().st_mode & 0o777 == 0o600


async def test_two_exports_to_one_file_do_not_mix(flavour: Flavour, fake: FakeVenice, tmp_path: Path) -> None:
    """The second is refused while the first writes, and starts anew when it is through."""
    second = fake.client()

    def meanwhile(request: Any) -> None:
        if request.number == 3:
            with pytest.raises(ExportError, match="another export"):
                second.export_usage_csv(tmp_path / "usage.csv", **_PAGE)

    fake.quirks.faults = meanwhile
    export = await flavour.connect(fake).call("export_usage_csv", tmp_path / "usage.csv", **_PAGE)
    assert (export.rows, export.resumed_rows) == (60, 0)
    fake.quirks.faults = ()
    assert second.export_usage_csv(tmp_path / "usage.csv").rows == 60


def test_a_file_that_was_finished_while_it_was_waited_for_is_left_alone(
    fake: FakeVenice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who gets the lock because the first export is through must not write into what is the target now."""
    lock = csv_export._lock
    done: list[bytes] = []

    def finished_first(file: Any) -> None:
        if not done:
            done.append(b"whole")
            next(tmp_path.glob("*.partial")).replace(tmp_path / "usage.csv")
            (tmp_path / "usage.csv").write_bytes(b"whole")
        lock(file)

    monkeypatch.setattr(csv_export, "_lock", finished_first)
    fake.quirks.faults = [faults.status(403)]
    with fake.client() as client, pytest.raises(PermissionDeniedError):
        client.export_usage_csv(tmp_path / "usage.csv")
    assert (tmp_path / "usage.csv").read_bytes() == b"whole"


def _export_with_little_room(folder: Path, flavour: str, results: Any) -> None:
    """In a process of its own: a limit on the size of files is what a full disk looks like from here."""
    fake = FakeVenice(60, seed=3, now=NOW)
    face = Flavour(flavour).connect(fake)
    target = folder / "usage.csv"
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
    try:
        asyncio.run(face.call("export_usage_csv", target, **_PAGE))
    except Exception as error:  # noqa: BLE001 - the test tells which it must be
        results.put((type(error).__name__, str(error)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    export = asyncio.run(face.call("export_usage_csv", target, **_PAGE))
    results.put((export.rows, export.resumed_rows > 0, target.read_bytes()))


@pytest.mark.parametrize("name", ["sync", "async"])
def test_a_full_disk_is_a_clear_error_and_costs_nothing(name: str, fake: FakeVenice, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    (tmp_path / "full").mkdir()
    process = context.Process(target=_export_with_little_room, args=(tmp_path / "full", name, results))
    process.start()
    (kind, text), (rows, resumed, content) = results.get(), results.get()
    process.join()
    with fake.client() as client:
        client.export_usage_csv(tmp_path / "usage.csv", **_PAGE)
    assert kind == "ExportError"
    assert "too large" in text.lower() or "no space" in text.lower()
    assert (rows, resumed, content) == (60, True, (tmp_path / "usage.csv").read_bytes())


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("folder", "not a folder"),
        ("missing/usage.csv", "folder that exists"),
        ("pipe", "device"),
        ("", "path of a file"),
        ("nul\0byte", "path of a file"),
        (b"bytes", "path of a file"),
        (None, "path of a file"),
    ],
)
async def test_a_target_that_cannot_be_is_refused_before_anything_is_sent(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, path: Any, problem: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidParameterError, match=problem):
        await flavour.connect(fake).call(
            "export_usage_csv", str(tmp_path / path) if isinstance(path, str) and path.strip() else path
        )
    assert not fake.requests


@pytest.mark.parametrize("name", ["x" * 300, "x" * 250])
def test_a_name_too_long_for_the_file_system_is_a_clear_error(fake: FakeVenice, tmp_path: Path, name: str) -> None:
    with fake.client() as client, pytest.raises(ExportError, match="too long"):
        client.export_usage_csv(tmp_path / name)


def test_a_link_in_the_place_of_the_partial_is_not_followed(fake: FakeVenice, tmp_path: Path) -> None:
    """In a folder that others may write to, a link could lead the export into any file."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"dear to somebody")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / name_of_the_partial(elsewhere, fake)).symlink_to(victim)
    with fake.client() as client, pytest.raises(ExportError):
        client.export_usage_csv(tmp_path / "usage.csv", **_PAGE)
    assert victim.read_bytes() == b"dear to somebody"
