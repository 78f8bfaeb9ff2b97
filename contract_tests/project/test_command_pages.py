"""The pages of the commands are as `scripts/command_pages.py` makes them from the parser, one for each command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import command_pages
from contract_tests.support.paths import ROOT
from venice_billing.cli.app import COMMANDS

if TYPE_CHECKING:
    import pytest


def test_pages_are_those_of_the_parser() -> None:
    made = command_pages.pages()
    assert made.keys() == {"index.md", *(f"{name}.md" for name in COMMANDS)}
    assert command_pages.differences(made) == [], "run scripts/command_pages.py"


def test_page_that_differs_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    kept = {page.name: page.read_text("utf-8") for page in (ROOT / "docs" / "commands").glob("*.md")}
    other = kept | {"spend.md": kept["spend.md"] + "x", "forgotten.md": "# forgotten\n"}
    monkeypatch.setattr(command_pages, "pages", lambda: other)
    assert command_pages.main(["--check"]) == 1
    assert [line.split()[0] for line in capsys.readouterr().err.splitlines()] == [
        "docs/commands/forgotten.md",
        "docs/commands/spend.md",
    ]
    monkeypatch.setattr(command_pages, "pages", lambda: kept)
    assert command_pages.main(["--check"]) == 0
