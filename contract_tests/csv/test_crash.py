"""An export interrupted anywhere, by a crash, a full disk or another export, is completed to the same bytes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.chaos import crash, ledgers
from contract_tests.support.flavours import NOW, Flavour, files
from venice_billing import ExportError, InvalidParameterError, PermissionDeniedError, _files
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from pathlib import Path

resource = pytest.importorskip("resource", reason="needs the signals and resource limits of Unix")
pytestmark = pytest.mark.anyio
_PAGE: dict[str, Any] = {"page_size": 10}


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(60, seed=3, now=NOW)


def test_export_after_sigkill_completes_to_the_same_bytes(tmp_path: Path) -> None:
    """SIGKILL at random moments; the target keeps its old content until the new file is complete."""
    killed = crash.kill_and_finish(tmp_path, 8, seed=1)
    assert (killed.kills, killed.different) == (8, 0)
    assert killed.in_the_middle >= 3, "the kills came too early or too late to prove anything"


@pytest.mark.parametrize("ending", [".partial", ".progress"])
def test_export_completes_after_truncation_at_any_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    """The last byte on disk may be in the header, in quotes, between CR and LF, or among identical records.

    The rows written before are kept if and only if neither the progress line nor any byte it covers is missing.
    """
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes most of the time, and does not affect this test
    fake, target = account_with_traps(), tmp_path / "usage.csv"
    left = left_by_a_cut(tmp_path, fake)
    (name,) = (name for name in left if name.endswith(ending))
    with fake.client() as client:
        client.export_usage_csv(target, **_PAGE)
        whole = target.read_bytes()
        for size in range(len(left[name]) + 1):
            restore(tmp_path, left | {name: left[name][:size]})
            export = client.export_usage_csv(target, **_PAGE)
            assert target.read_bytes() == whole, f"after {size} bytes: {left[name][:size][-40:]!r}"
            assert export.resumed_rows == (10 if size == len(left[name]) else 0)


@pytest.mark.parametrize("cut", [1, 7, 50, 400])
def test_bytes_after_the_last_whole_page_are_written_again(tmp_path: Path, cut: int) -> None:
    """A kill between the records and the progress line that covers them, or within the records."""
    fake, target = account_with_traps(), tmp_path / "usage.csv"
    with fake.client() as client:
        client.export_usage_csv(target, **_PAGE)
        whole = target.read_bytes()
        left = left_by_a_cut(tmp_path, fake)
        (name,) = (name for name in left if name.endswith(".partial"))
        size = len(left[name])
        restore(tmp_path, left | {name: whole[: size + cut]})
        assert client.export_usage_csv(target, **_PAGE).resumed_rows == 10
    assert target.read_bytes() == whole


@pytest.mark.parametrize("index", [0, 3, 200, -1])
def test_damaged_partial_is_not_resumed(tmp_path: Path, index: int) -> None:
    """A power cut may leave a block of zeros inside the file."""
    fake, target = account_with_traps(), tmp_path / "usage.csv"
    left = left_by_a_cut(tmp_path, fake)
    (name,) = (name for name in left if name.endswith(".partial"))
    damaged = bytearray(left[name])
    damaged[index] = 0
    restore(tmp_path, left | {name: bytes(damaged)})
    with fake.client() as client:
        assert client.export_usage_csv(target, **_PAGE).resumed_rows == 0
    assert b"\0" not in target.read_bytes()


def account_with_traps() -> FakeVenice:
    """Return an account with identical charges, quotes, and line breaks in quotes, sent as CSV with CRLF."""
    rng = random.Random(5)
    rows = [ledgers.charge(rng, NOW.replace(hour=3)) | {"notes": note} for note in ('say ""', "two\nlines", "x\r\ny")]
    return FakeVenice(
        [*rows, rows[0], *rows, *rows, *rows],
        now=NOW,
        quirks=Quirks(csv_layouts=[CsvLayout("\r\n", final_line_break=False)]),
    )


def left_by_a_cut(folder: Path, fake: FakeVenice) -> dict[str, bytes]:
    """Make an export fail after one page, and return the files that it leaves beside the target."""
    fake.quirks.faults = [
        None,
        None,
        faults.status(403),
    ]  # a page, one for comparison of the final line break, the next
    with fake.client() as client, pytest.raises(PermissionDeniedError):
        client.export_usage_csv(folder / "usage.csv", **_PAGE)
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "usage.csv"}


def restore(folder: Path, left: dict[str, bytes]) -> None:
    for name, content in left.items():
        (folder / name).write_bytes(content)


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
    """The second is refused while the first writes, and starts anew after the first has finished."""
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


def test_file_finished_during_the_wait_for_its_lock_is_kept(
    fake: FakeVenice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export that gets the lock after another has finished must not write into the file: it is the target now."""
    lock = _files.lock
    done: list[bytes] = []

    def finished_first(file: Any) -> None:
        if not done:
            done.append(b"whole")
            next(tmp_path.glob("*.partial")).replace(tmp_path / "usage.csv")
            (tmp_path / "usage.csv").write_bytes(b"whole")
        lock(file)

    monkeypatch.setattr(_files, "lock", finished_first)
    fake.quirks.faults = [faults.status(403)]
    with fake.client() as client, pytest.raises(PermissionDeniedError):
        client.export_usage_csv(tmp_path / "usage.csv")
    assert (tmp_path / "usage.csv").read_bytes() == b"whole"


def _export_with_little_room(folder: Path, flavour: str, results: Any) -> None:
    """Run in a child process: to an export, a limit on the size of files looks like a full disk."""
    fake = FakeVenice(60, seed=3, now=NOW)
    face = Flavour(flavour).connect(fake)
    target = folder / "usage.csv"
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
    try:
        asyncio.run(face.call("export_usage_csv", target, **_PAGE))
    except Exception as error:  # noqa: BLE001 - the test checks the class
        results.put((type(error).__name__, str(error)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    export = asyncio.run(face.call("export_usage_csv", target, **_PAGE))
    results.put((export.rows, export.resumed_rows > 0, target.read_bytes()))


@pytest.mark.parametrize("name", ["sync", "async"])
def test_full_disk_is_a_clear_error_and_loses_no_rows(name: str, fake: FakeVenice, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    results = context.SimpleQueue()
    (tmp_path / "full").mkdir()
    process = context.Process(target=_export_with_little_room, args=(tmp_path / "full", name, results))
    process.start()
    process.join(60)
    assert process.exitcode == 0, "the child failed, or did not end"
    (kind, text), (rows, resumed, content) = results.get(), results.get()
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
async def test_impossible_target_is_refused_before_any_request(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, path: Any, problem: str
) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InvalidParameterError, match=problem):
        await flavour.connect(fake).call(
            "export_usage_csv", str(tmp_path / path) if isinstance(path, str) and path.strip() else path
        )
    assert not fake.requests
