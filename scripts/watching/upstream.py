"""Regenerate from a published document into another folder, and compare the result with what is committed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from attrs import evolve

from contract.diff import diff
from contract.document import UnreadableDocumentError
from pipeline.documents import load_document, parse_document, read_source
from watching.decision import Observation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contract.document import Document

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = Path("openapi", "venice-billing.yaml")
PACKAGE = Path("generated", "venice_billing_api")
TOKENS = ("GITHUB_TOKEN", "GH_TOKEN", "VENICE_API_KEY")
"""Variables that hold secrets: what runs generated code does without them."""
_LONGEST_RUN = 900.0
_LAST_LINES = 20


def observe(source: str, committed: Path = ROOT) -> Observation:
    """Return what regenerating from the document at a path or URL shows; `committed` is not changed.

    Raises:
        UnreadableDocumentError: It cannot be read, or is no OpenAPI document.
    """
    try:
        content = read_source(source)
        info = parse_document(content, source).get("info")
    except UnreadableDocumentError as error:
        raise UnreadableDocumentError(_without_credentials(str(error), source)) from None
    version = str(info.get("version", "unknown")) if isinstance(info, dict) else "unknown"
    seen = Observation(version=version, digest=hashlib.sha256(content).hexdigest())
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder).resolve()
        published, output = scratch / "published.yaml", scratch / "made"
        published.write_bytes(content)
        arguments = ("--upstream", str(published), "--output", str(output))
        code, lines = _run(scratch, "scripts/regenerate.py", *arguments)
        if code:
            return evolve(seen, is_changed=True, failure=" ".join(lines[-1:]) or f"regenerate: exit code {code}")
        old, new = load_document(committed / CONTRACT), load_document(output / CONTRACT)
        if _meaning(old) == _meaning(new):
            return seen
        rows = tuple(diff(old, new))
        files = changed_files(output, committed)
        # As a maintainer would run it: green when the client in the folder keeps the contract there.
        suite, said = _run(scratch, "-m", "nox", "--session", "regenerate", "--", *arguments)
    return evolve(
        seen,
        is_changed=True,
        substance=_substance(new, files),
        rows=rows,
        is_suite_green=suite == 0,
        suite=tuple(_verdict([line for line in said if line not in lines])) if suite else (),
        notes=tuple(lines),
        files=files,
    )


def changed_files(made: Path, committed: Path) -> dict[str, str | None]:
    """Return the regenerated files that differ from the committed ones, by path; None where a file goes."""
    new, old = _texts(made), _texts(committed)
    return {path: new.get(path) for path in sorted(new.keys() | old.keys()) if new.get(path) != old.get(path)}


def shown_source(source: str) -> str:
    """Return a path's name, or a URL without what may be secret in it: user, password and query."""
    parts = urlsplit(source)
    if parts.scheme not in {"http", "https"}:
        return Path(source).name
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _without_credentials(text: str, source: str) -> str:
    parts = urlsplit(source)
    for secret in (source, parts.netloc.rpartition("@")[0], parts.query, parts.fragment):
        text = text.replace(secret, shown_source(source) if secret == source else "...") if secret else text
    return " ".join(text.split())


def _meaning(contract: Document) -> Any:
    """Return a contract without what each publication changes: its version, and digests beside it."""
    kept = {key: value for key, value in contract.items() if not str(key).startswith("x-")}
    info = contract.get("info") or {}
    kept["info"] = {key: info[key] for key in info if key != "version" and not str(key).startswith("x-")}
    return kept


def _substance(contract: Document, files: Mapping[str, str | None]) -> str:
    others = {path: text for path, text in files.items() if path != CONTRACT.as_posix()}
    return hashlib.sha256(json.dumps([_meaning(contract), others], sort_keys=True).encode()).hexdigest()


def _texts(root: Path) -> dict[str, str]:
    paths = [root / CONTRACT, *(root / PACKAGE).rglob("*")]
    return {
        path.relative_to(root).as_posix(): path.read_text("utf-8")
        for path in paths
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }


def _run(scratch: Path, *arguments: str) -> tuple[int, list[str]]:
    """Run the Python of this process; return its exit code, and what it printed without the paths of this machine."""
    environment = {name: value for name, value in os.environ.items() if name not in TOKENS}
    environment |= {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1"}
    environment.pop("FORCE_COLOR", None)
    with subprocess.Popen(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,  # so that its children can be ended with it
    ) as process:
        try:
            text, _ = process.communicate(timeout=_LONGEST_RUN)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            text = f"{process.communicate()[0]}\nended after {_LONGEST_RUN:.0f} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    for folder in (scratch, ROOT):
        text = text.replace(f"{folder}{os.sep}", "").replace(str(folder), ".")
    return process.returncode, [line.rstrip() for line in text.splitlines() if line.strip()]


def _verdict(lines: list[str]) -> Iterator[str]:
    """Yield the broken promises that the suite names; without any, how the run ended, timings aside."""
    broken = [line for line in lines if line.startswith("BROKEN")]
    others = [line for line in lines if not line.startswith("nox > ")]
    for line in broken or others[-_LAST_LINES:]:
        yield re.sub(r" in \d+(\.\d+)?s\b.*", "", line)
