"""An export notices what other programs do to its files meanwhile, and never reports a damaged file as whole."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, files
from venice_billing import ExportError, InvalidParameterError, VeniceError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio
OPTIONS: dict[str, Any] = {"page_size": 10}
FOREIGN = b"dear to somebody\n"


@pytest.fixture
def whole(fake: FakeVenice, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "usage.csv"
    FakeVenice(fake.ledger, now=NOW).client().export_usage_csv(path)
    return path.read_bytes()


def at_request(fake: FakeVenice, number: int, act: Callable[[], object]) -> None:
    """Do something just before the request with this number is answered."""

    def meanwhile(request: Any) -> None:
        if request.number == number:
            act()

    fake.quirks.faults = meanwhile


def partial(target: Path) -> Path:
    (found,) = target.parent.glob("*.partial")
    return found


def truncate(path: Path) -> None:
    os.truncate(path, 100)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def extend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"9999\n")


def edit(path: Path) -> None:
    """Change bytes in place: the size stays."""
    with path.open("r+b") as file:
        file.seek(200)
        file.write(b"9999")


def link(path: Path) -> None:
    path.with_name("second-name").hardlink_to(path)


@pytest.mark.parametrize("number", [3, 6])
@pytest.mark.parametrize("damage", [truncate, empty, extend, edit, link])
async def test_change_of_the_partial_file_is_an_error(
    fake: FakeVenice, face: Face, target: Path, whole: bytes, *, damage: Callable[[Path], None], number: int
) -> None:
    """At the last request too, after which only the check before the rename can notice it."""
    target.write_bytes(FOREIGN)
    at_request(fake, number, lambda: damage(partial(target)))
    with pytest.raises(ExportError, match=r"another program|second name") as caught:
        await face.call("export_usage_csv", target, **OPTIONS)
    assert "starts over" in str(caught.value)
    assert caught.value.checkpoint is None
    assert target.read_bytes() == FOREIGN
    fake.quirks.faults = ()
    export = await face.call("export_usage_csv", target, **OPTIONS)
    assert (export.rows, export.resumed_rows, target.read_bytes()) == (60, 0, whole)
    assert [name for name in files(target.parent) if name != "second-name"] == ["usage.csv"]


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link(path: Path) -> None:
    path.symlink_to(path.with_name("elsewhere"))


@pytest.mark.parametrize("kind", [a_folder, a_pipe, a_link])
async def test_whatever_appears_at_the_target_is_left_alone(
    fake: FakeVenice, face: Face, target: Path, whole: bytes, kind: Callable[[Path], None]
) -> None:
    at_request(fake, 4, lambda: kind(target))
    with pytest.raises(ExportError, match="is not replaced") as caught:
        await face.call("export_usage_csv", target, **OPTIONS)
    assert "the same call goes on where it stopped" in str(caught.value)
    mode = target.lstat().st_mode
    target.rename(target.with_name("moved"))
    assert target.with_name("moved").lstat().st_mode == mode
    fake.quirks.faults = ()
    export = await face.call("export_usage_csv", target, **OPTIONS)
    assert (export.resumed_rows, target.read_bytes()) == (60, whole)


async def test_another_users_target_is_not_replaced(
    fake: FakeVenice, face: Face, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.write_bytes(FOREIGN)
    ours = target.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: ours + 1)
    with pytest.raises(ExportError, match="another user's file, which is not replaced") as caught:
        await face.call("export_usage_csv", target)
    assert str(target) in str(caught.value)
    assert "goes on" not in str(caught.value)
    assert (target.read_bytes(), files(target.parent), fake.requests) == (FOREIGN, ["usage.csv"], [])


@pytest.mark.parametrize("exists", [True, False])
async def test_symbolic_link_as_target_is_refused(
    fake: FakeVenice, face: Face, target: Path, tmp_path: Path, *, exists: bool
) -> None:
    """Replacing the link would leave the file that it names as it was."""
    if exists:
        (tmp_path / "real.csv").write_bytes(FOREIGN)
    target.symlink_to("real.csv")
    before = files(tmp_path)
    with pytest.raises(InvalidParameterError, match="not a symbolic link"):
        await face.call("export_usage_csv", target)
    assert (files(tmp_path), fake.requests, target.is_symlink()) == (before, [], True)


@pytest.mark.parametrize("status", [401, 500])
async def test_failure_of_the_first_request_leaves_no_file(
    fake: FakeVenice, flavour: Flavour, target: Path, status: int
) -> None:
    fake.quirks.faults = lambda _: faults.status(status)
    with pytest.raises(VeniceError) as caught:
        await flavour.connect(fake, max_retries=0).call("export_usage_csv", target)
    assert (files(target.parent), caught.value.checkpoint) == ([], None)


async def test_second_export_is_told_to_wait(fake: FakeVenice, face: Face, target: Path) -> None:
    texts: list[str] = []

    def second() -> None:
        with pytest.raises(ExportError, match="another export is writing this file") as caught:
            fake.client().export_usage_csv(target, **OPTIONS)
        texts.append(str(caught.value))

    at_request(fake, 1, second)
    await face.call("export_usage_csv", target, **OPTIONS)
    assert "wait for its end" in texts[0]
    assert "goes on" not in texts[0]


async def test_error_before_the_first_row_does_not_promise_to_go_on(
    face: Face, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(ExportError, match="Permission denied") as caught:
        await face.call("export_usage_csv", target)
    assert "goes on" not in str(caught.value)


async def test_path_of_bytes_is_refused_with_the_types_that_are_allowed(face: Face) -> None:
    with pytest.raises(InvalidParameterError, match=r"as text or a pathlib\.Path"):
        await face.call("export_usage_csv", b"usage.csv")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_lock_ends_with_its_process_though_a_forked_child_lives_on(
    fake: FakeVenice, target: Path, whole: bytes
) -> None:
    """A lock belongs to the open file, and a child inherits that."""
    receive, send = os.pipe()

    def fork_and_crash() -> None:
        if (child := os.fork()) == 0:
            time.sleep(60)
            os._exit(0)
        os.write(send, str(child).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    if (parent := os.fork()) == 0:
        at_request(fake, 3, fork_and_crash)
        fake.client().export_usage_csv(target, **OPTIONS)
        os._exit(1)
    os.waitpid(parent, 0)
    os.close(send)
    child = int(os.read(receive, 100))
    os.close(receive)
    try:
        export = fake.client().export_usage_csv(target, **OPTIONS)
    finally:
        os.kill(child, signal.SIGKILL)
    assert (export.rows, export.resumed_rows, target.read_bytes()) == (60, 20, whole)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_forked_child_does_not_go_on_with_the_export_of_its_parent(
    fake: FakeVenice, target: Path, whole: bytes
) -> None:
    """Nor does it take away the files or the lock of the parent when its own call fails."""
    receive, send = os.pipe()
    pids: list[int] = []

    def fork() -> None:
        pids.append(os.fork())
        if pids[0]:
            os.waitpid(pids[0], 0)

    at_request(fake, 3, fork)
    try:
        export = fake.client().export_usage_csv(target, **OPTIONS)
    except ExportError as error:
        if pids != [0]:
            raise
        os.write(send, str(error).encode())
    finally:
        if pids == [0]:
            os._exit(0)
    os.close(send)
    assert b"only the parent goes on" in os.read(receive, 1000)
    os.close(receive)
    assert (export.rows, target.read_bytes(), files(target.parent)) == (60, whole, ["usage.csv"])
