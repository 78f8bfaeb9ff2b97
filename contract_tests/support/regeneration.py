"""Runs of `scripts/regenerate.py` in this process, and the small upstream document that most of them start from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

import regenerate
from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

    from contract.document import Document

UPSTREAM = ROOT / "contract_tests" / "pipeline" / "upstream.yaml"


def run(*arguments: str | Path) -> int:
    """Regenerate; return the exit code."""
    return regenerate.main([str(argument) for argument in arguments])


def regenerate_from(document: Document, folder: Path) -> int:
    """Regenerate from a document into `folder / "made"`; return the exit code."""
    (folder / "upstream.yaml").write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    return run("--upstream", folder / "upstream.yaml", "--output", folder / "made")


def contract_of(document: Document) -> Document:
    """Return the contract made of a document, as data."""
    text, _ = regenerate.contract_from(yaml.safe_dump(document).encode(), "a test")
    contract: Document = yaml.safe_load(text)
    return contract


def snapshot(folder: Path) -> dict[str, bytes]:
    """Return the content of each file below a folder, by its path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
