"""The path of an export: when it is resolved, how long its name may be, and which paths are refused."""

from __future__ import annotations

import enum
import os
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import Face, Flavour, files
from venice_billing import ExportError, InvalidParameterError, PermissionDeniedError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


async def test_a_relative_path_is_made_absolute_once(
    fake: FakeVenice, flavour: Flavour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The program changes its working folder while the export runs; the same call there is another export."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)

    def move(request: Any) -> faults.Fault | None:
        os.chdir("sub" if request.number == 1 else ".")
        return faults.status(403) if request.number == 3 else None

    fake.quirks.faults = move
    face = flavour.connect(fake)
    with pytest.raises(PermissionDeniedError) as caught:
        await face.call("export_usage_csv", "usage.csv", page_size=10)
    (partial,) = tmp_path.glob("*.partial")
    assert caught.value.checkpoint == str(partial)
    monkeypatch.chdir(tmp_path)

    def move_once(request: Any) -> None:
        if request.number == 4:
            os.chdir("sub")

    fake.quirks.faults = move_once
    export = await face.call("export_usage_csv", "usage.csv", page_size=10)
    assert (export.path, export.rows, export.resumed_rows) == (tmp_path / "usage.csv", 60, 20)
    assert files(tmp_path) == ["sub", "usage.csv"]
    assert files(tmp_path / "sub") == []


@pytest.mark.parametrize("name", ["x" * 229, "x" * 230, "x" * 251 + ".csv", "\u00e4" * 127, "\U0001f600" * 63 + "abc"])
async def test_names_up_to_the_limit_of_the_system_work(
    fake: FakeVenice, face: Face, tmp_path: Path, name: str
) -> None:
    """Also where the export fails, although the name of its partial file would be longer."""
    fake.quirks.faults = [None, faults.status(403)]
    with pytest.raises(PermissionDeniedError):
        await face.call("export_usage_csv", tmp_path / name, page_size=10)
    assert len(files(tmp_path)) == 2
    assert [path.suffix for path in sorted(tmp_path.iterdir())] == [".partial", ".progress"]
    export = await face.call("export_usage_csv", tmp_path / name)
    assert (export.rows, export.resumed_rows) == (60, 10)
    assert files(tmp_path) == [name]


async def test_long_names_that_differ_at_the_end_do_not_share_partials(
    fake: FakeVenice, face: Face, tmp_path: Path
) -> None:
    for end in "ab":
        fake.quirks.faults = [None, faults.status(403)]
        with pytest.raises(PermissionDeniedError) as caught:
            await face.call("export_usage_csv", tmp_path / ("x" * 250 + end), page_size=10)
        assert str(caught.value.checkpoint) in map(str, tmp_path.iterdir())
    assert len(files(tmp_path)) == 4


async def test_too_long_name_is_refused_before_any_request(fake: FakeVenice, face: Face, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        await face.call("export_usage_csv", tmp_path / ("\u00e4" * 128))
    assert "255 bytes, not 256" in str(caught.value)
    assert str(tmp_path)[:40] in str(caught.value)
    assert "goes on" not in str(caught.value)
    assert (files(tmp_path), fake.requests) == ([], [])


async def test_too_long_path_is_refused_before_any_request(fake: FakeVenice, face: Face, tmp_path: Path) -> None:
    with pytest.raises(InvalidParameterError, match="this system takes no path of") as caught:
        await face.call("export_usage_csv", tmp_path.joinpath(*["x" * 200] * 40))
    assert "goes on" not in str(caught.value)
    assert (files(tmp_path), fake.requests) == ([], [])


async def test_no_empty_partial_is_left_without_its_progress_file(
    fake: FakeVenice, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def full(path: Any, *arguments: Any) -> int:
        if str(path).endswith(".progress"):
            raise OSError(28, "No space left on device")
        return opened(path, *arguments)

    monkeypatch.setattr(os, "open", full)
    with pytest.raises(ExportError, match="No space left"):
        await face.call("export_usage_csv", tmp_path / "usage.csv")
    assert (files(tmp_path), fake.requests) == ([], [])


@pytest.mark.parametrize("path", ["folder/", "folder//", "folder/.", "there/", "there/.", "there/..", "."])
async def test_path_of_a_folder_is_refused(
    fake: FakeVenice, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Whether the folder exists or not."""
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidParameterError, match="folder"):
        await face.call("export_usage_csv", path)
    assert (files(tmp_path), fake.requests) == (["there"], [])


class Target(str, enum.Enum):  # noqa: UP042 - a StrEnum is formatted as its value
    """An enum whose members are texts but are formatted as their names."""

    USAGE = "usage.csv"


class Named:
    """A path-like object whose path is a member of an enum."""

    def __fspath__(self) -> str:
        return Target.USAGE


@pytest.mark.parametrize("path", [Target.USAGE, Named()])
async def test_enum_member_is_read_as_the_path_it_holds(
    face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    export = await face.call("export_usage_csv", path)
    assert export.path == tmp_path / "usage.csv"
    assert files(tmp_path) == ["usage.csv"]
