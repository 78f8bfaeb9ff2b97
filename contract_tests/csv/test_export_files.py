"""An export writes only its own files: anything else at their paths is refused and left unchanged."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import Face, Flavour, files
from venice_billing import ExportError, PermissionDeniedError, _files
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
FOREIGN = b"dear to somebody\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that other users may write to as well."""
    made = tmp_path / "shared"
    made.mkdir()
    return made


@pytest.fixture(params=["partial", "progress"])
def beside(request: pytest.FixtureRequest, fake: FakeVenice, tmp_path: Path, folder: Path) -> Path:
    """Return the path in the folder at which the export to `usage.csv` will write its partial or progress file."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    fake.quirks.faults = [None, faults.status(403)]
    with fake.client() as client, pytest.raises(PermissionDeniedError):
        client.export_usage_csv(elsewhere / "usage.csv", page_size=10)
    fake.quirks.faults = ()
    (found,) = elsewhere.glob(f"*.{request.param}")
    return folder / found.name


def symbolic_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim)


def dangling_link(path: Path, victim: Path) -> None:
    path.symlink_to(victim.with_name("not-yet"))


def hard_link(path: Path, victim: Path) -> None:
    path.hardlink_to(victim)


def a_folder(path: Path, _victim: Path) -> None:
    path.mkdir()


def a_pipe(path: Path, _victim: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path, _victim: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(path.parent, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/{path.name}")  # a whole path is too long for a socket
        os.close(here)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("kind", [symbolic_link, dangling_link, hard_link, a_folder, a_pipe, a_socket])
async def test_anything_but_our_own_file_is_refused_and_left_alone(
    face: Face, folder: Path, tmp_path: Path, beside: Path, kind: Callable[[Path, Path], None], *, resume: bool
) -> None:
    """A link could make the export truncate and overwrite any file that its user may write."""
    victim = tmp_path / "victim"
    victim.write_bytes(FOREIGN)
    victim.chmod(0o644)
    kind(beside, victim)
    before = beside.lstat()
    with pytest.raises(ExportError, match="not a partial export of yours") as caught:
        await face.call("export_usage_csv", folder / "usage.csv", resume=resume)
    assert str(beside) in str(caught.value)
    assert "remove it" in str(caught.value)
    assert (victim.read_bytes(), victim.stat().st_mode & 0o777) == (FOREIGN, 0o644)
    assert (beside.lstat().st_mode, beside.lstat().st_ino) == (before.st_mode, before.st_ino)
    assert not (folder / "usage.csv").exists()
    assert not (tmp_path / "not-yet").exists()


async def test_another_users_file_is_refused_and_left_alone(
    fake: FakeVenice, face: Face, folder: Path, beside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The owner of the file could read and change the export, whatever the mode of the file."""
    beside.write_bytes(FOREIGN)
    beside.chmod(0o666)
    sent = len(fake.requests)
    ours = beside.stat().st_uid
    users = iter([ours + 1] if beside.name.endswith(".partial") else [ours, ours + 1])
    monkeypatch.setattr(os, "geteuid", lambda: next(users))
    with pytest.raises(ExportError, match="another user's file"):
        await face.call("export_usage_csv", folder / "usage.csv")
    assert (beside.read_bytes(), beside.stat().st_mode & 0o777) == (FOREIGN, 0o666)
    assert len(fake.requests) == sent


async def test_own_file_that_others_could_read_becomes_private(face: Face, folder: Path, beside: Path) -> None:
    beside.write_bytes(b"left by a copy\n")
    beside.chmod(0o644)
    export = await face.call("export_usage_csv", folder / "usage.csv")
    assert (export.rows, export.resumed_rows) == (60, 0)
    assert (folder / "usage.csv").stat().st_mode & 0o777 == 0o600
    assert files(folder) == ["usage.csv"]


async def test_new_partial_is_created_exclusively(
    face: Face, folder: Path, beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link that appears between the check and the creation is not followed either: creation is exclusive."""
    opened, victim = os.open, tmp_path / "victim"
    victim.write_bytes(FOREIGN)

    def create_a_link_first(path: Any, flags: int, *mode: int) -> int:
        if str(path) == str(beside) and not beside.is_symlink():
            beside.symlink_to(victim)
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", create_a_link_first)
    with pytest.raises(ExportError, match="not a partial export of yours"):
        await face.call("export_usage_csv", folder / "usage.csv")
    assert victim.read_bytes() == FOREIGN


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_replaced_partial_never_becomes_the_target(
    fake: FakeVenice, flavour: Flavour, folder: Path, *, is_replaced: bool
) -> None:
    target = folder / "usage.csv"

    def meanwhile(request: Any) -> None:
        if request.number == 3:
            (partial,) = folder.glob("*.partial")
            partial.unlink()
            if is_replaced:
                partial.write_bytes(FOREIGN)

    fake.quirks.faults = meanwhile
    with pytest.raises(ExportError, match="removed or replaced"):
        await flavour.connect(fake).call("export_usage_csv", target, page_size=10)
    assert not target.exists()
    assert [path.read_bytes() for path in folder.glob("*.partial")] == [FOREIGN] * is_replaced


def test_export_gives_up_on_a_file_that_is_replaced_repeatedly(
    fake: FakeVenice, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_files, "is_still_at", lambda *_: False)
    with fake.client() as client, pytest.raises(ExportError, match="keep replacing"):
        client.export_usage_csv(folder / "usage.csv")
