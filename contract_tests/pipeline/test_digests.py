"""Digests in the contract: a plain clone, without any upstream document, tells what was changed by hand, and where."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import regenerate
from contract_tests.support.paths import CONTRACT, ROOT
from contract_tests.support.regeneration import UPSTREAM
from pipeline.digests import changed_overlays, edits, sealed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OVERLAYS = {"corrections.yaml": {"actions": [{"target": "$", "update": {"a": 1}}]}}
SMALL = sealed("A head.", "one: 1\ntwo: 2\nthree: 3\n", OVERLAYS)
LINES = CONTRACT.read_text().splitlines()


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with what regenerating needs, and nothing beside it; `regenerate` works in it."""
    for name in ("openapi", "generated"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(regenerate, "_ROOT", tmp_path / "clone")
    monkeypatch.setattr(regenerate, "_OPENAPI", tmp_path / "clone" / "openapi")
    return tmp_path / "clone"


def line_of(pattern: str) -> int:
    """Return the number of the first line of the committed contract that a pattern matches."""
    return next(number for number, line in enumerate(LINES, 1) if re.search(pattern, line))


PAGE_SIZE = line_of(r"maximum: 1000")
PARAMETER_WORDS = line_of(r"description: .*instant")
REQUIRED = line_of(r"- inferenceDetails")
SKU = line_of(r"^        sku:")
HEAD = line_of(r"Upstream version")

EDITS = {
    "value": (PAGE_SIZE, lambda lines: lines.__setitem__(PAGE_SIZE - 1, "            maximum: 999"), "maximum: 999"),
    "words": (PARAMETER_WORDS, lambda lines: lines.__setitem__(PARAMETER_WORDS - 1, "x: y"), "x: y"),
    "line removed": (REQUIRED, lambda lines: lines.pop(REQUIRED - 1), "1 line removed before this one"),
    "lines added": (SKU, lambda lines: lines.insert(SKU - 1, "        region: {}"), "region: {}"),
    "comment in the head": (
        HEAD,
        lambda lines: lines.__setitem__(HEAD - 1, "# Upstream version: 1"),
        "# Upstream version: 1",
    ),
}


@pytest.mark.parametrize("mode", [["--check"], []], ids=["check", "plain"])
@pytest.mark.parametrize(("line", "edit", "words"), EDITS.values(), ids=EDITS)
def test_hand_edit_of_the_contract_is_named_with_its_line(
    line: int, edit: object, words: str, mode: list[str], clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(edit)
    lines = list(LINES)
    edit(lines)
    contract = clone / "openapi" / "venice-billing.yaml"
    contract.write_text("\n".join([*lines, ""]))
    assert regenerate.main(mode) == 1
    output = capsys.readouterr()
    report = (output.out if mode else output.err).splitlines()
    assert report[0] == f"edited by hand: openapi/venice-billing.yaml:{line}: {words}"
    assert report[1].startswith("undo that: ")
    assert len(report) == 2
    assert contract.read_text() == "\n".join([*lines, ""])


@pytest.mark.parametrize("mode", [["--check"], []], ids=["check", "plain"])
@pytest.mark.parametrize("name", ["corrections.yaml", "descriptions.yaml"])
def test_changed_overlay_is_named_with_what_to_do(
    name: str, mode: list[str], clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = clone / "openapi" / name
    path.write_text(f"{path.read_text()}\n  - target: $.info\n    update: {{ x-new: true }}\n")
    assert regenerate.main(mode) == 1
    output = capsys.readouterr()
    expected = f"{name} changed since the contract was made: run with --upstream URL\n"
    assert (output.out if mode else output.err) == expected


def test_comments_and_layout_of_an_overlay_do_not_count(clone: Path) -> None:
    path = clone / "openapi" / "corrections.yaml"
    path.write_text("# A further comment.\n" + path.read_text().replace("actions:\n", "actions:\n\n"))
    assert regenerate.main(["--check"]) == 0


def test_line_breaks_of_windows_do_not_count(clone: Path) -> None:
    contract = clone / "openapi" / "venice-billing.yaml"
    contract.write_bytes(contract.read_bytes().replace(b"\n", b"\r\n"))
    assert regenerate.main(["--check"]) == 0


def test_overlay_that_is_none_is_refused_in_one_line(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "openapi" / "corrections.yaml").write_text("actions: [}")
    assert regenerate.main(["--check"]) == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("regenerate: corrections.yaml: neither YAML nor JSON")
    assert complaint.count("\n") == 1


def test_the_command_finds_an_edit_in_a_plain_clone(tmp_path: Path) -> None:
    """The real program, in a folder without the upstream documents beside it."""
    for name in ("openapi", "generated", "scripts"):
        shutil.copytree(ROOT / name, tmp_path / "clone" / name, ignore=shutil.ignore_patterns("__pycache__"))
    contract = tmp_path / "clone" / "openapi" / "venice-billing.yaml"
    contract.write_text(contract.read_text().replace("maximum: 1000", "maximum: 999"))
    command = [sys.executable, "scripts/regenerate.py", "--check"]
    run = subprocess.run(command, cwd=tmp_path / "clone", capture_output=True, text=True, check=False, timeout=300)
    assert run.returncode == 1
    assert f"edited by hand: openapi/venice-billing.yaml:{PAGE_SIZE}: maximum: 999\n" in run.stdout


def test_hand_edit_is_named_with_its_line_beside_an_upstream_document_too(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--upstream", str(UPSTREAM)]
    assert regenerate.main(small) == 0
    contract = clone / "openapi" / "venice-billing.yaml"
    lines = contract.read_text().splitlines()
    contract.write_text("\n".join([*lines[:20], "edited: true", *lines[20:], ""]))
    capsys.readouterr()
    assert regenerate.main([*small, "--check"]) == 1
    assert capsys.readouterr().out == (
        "differs: openapi/venice-billing.yaml\nedited by hand: openapi/venice-billing.yaml:21: edited: true\n"
    )
    assert regenerate.main(small) == 0
    assert contract.read_text().splitlines() == lines


# ---------------------------------------------------------------- texts


def test_contract_as_it_was_made_shows_no_edit() -> None:
    assert edits(SMALL) == []
    assert edits(CONTRACT.read_text()) == []


def test_contract_without_digests_is_no_contract_that_was_made() -> None:
    assert edits("openapi: 3.0.0\n") == ["?: the check characters at its end are gone"]
    assert edits("") == ["?: the check characters at its end are gone"]


def test_lines_after_the_end_are_named() -> None:
    assert edits(SMALL + "four: 4\n") == [f"{len(SMALL.splitlines()) + 1}: four: 4"]


def test_missing_end_is_named() -> None:
    assert edits(SMALL.replace("three: 3\n", "")) == ["end: 1 line removed before this one"]


def test_many_edited_lines_are_counted() -> None:
    added = "".join(f"more{number}: 0\n" for number in range(9))
    found = edits(SMALL.replace("two: 2\n", f"two: 2\n{added}"))
    assert len(found) == 6
    assert found[-1] == "?: and 4 lines besides"


def test_edit_that_the_check_characters_miss_is_found_by_the_digest() -> None:
    """Two characters a line tell 4096 lines apart; a line that has those of the old one is easily found."""
    start, end = SMALL.split("two: 2")
    accidental = next(
        text
        for number in range(10**6)
        if (text := f"{start}two: {number + 3}{end}") and not any(edit[0].isdigit() for edit in edits(text))
    )
    assert edits(accidental) == ["?: its lines do not fit the digest in its head"]


def test_overlay_is_compared_by_its_content() -> None:
    assert changed_overlays(SMALL, OVERLAYS) == []
    reordered = {"corrections.yaml": {"actions": [{"update": {"a": 1}, "target": "$"}]}}
    assert changed_overlays(SMALL, reordered) == []
    assert changed_overlays(SMALL, {"corrections.yaml": {"actions": []}}) == ["corrections.yaml"]


def test_overlay_whose_digest_is_gone_is_not_said_to_have_changed(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A contract that is empty, or in another encoding, says nothing about the overlays."""
    for content in (b"", CONTRACT.read_text().encode("utf-16")):
        (clone / "openapi" / "venice-billing.yaml").write_bytes(content)
        assert regenerate.main(["--check"]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "edited by hand: openapi/venice-billing.yaml:?: the check characters at its end are gone",
            "undo that: what openapi/venice-billing.yaml says is changed in corrections.yaml and descriptions.yaml",
        ]


@pytest.mark.parametrize("edit", [lambda lines: lines[:-1], lambda lines: [*lines[:-1], lines[-1][:-4] + "AAAA"]])
def test_edited_end_is_not_taken_for_edited_lines(edit: Callable[[list[str]], list[str]]) -> None:
    text = "\n".join([*edit(LINES), ""])
    assert edits(text) == ["?: its lines are as they were made, and the check characters at its end are not"]
