"""What the watch observes of a published document; the pipeline runs as a maintainer would run it."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import watch
from contract.diff_rows import Severity
from contract.document import UnreadableDocumentError
from contract_tests.support.paths import ROOT
from contract_tests.support.regeneration import UPSTREAM, run
from pipeline.documents import load_document
from watching import upstream
from watching.upstream import changed_files, observe, shown_source

if TYPE_CHECKING:
    from collections.abc import Callable

CONTRACT = "openapi/venice-billing.yaml"


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the contract and the client of the small document."""
    folder = tmp_path_factory.mktemp("committed")
    assert run("--upstream", UPSTREAM, "--output", folder) == 0
    return folder


@pytest.fixture
def published(tmp_path: Path) -> Callable[[Callable[[Any], None]], str]:
    """Return a function that publishes the small document with a change, and returns its path."""

    def published(change: Callable[[Any], None]) -> str:
        document = load_document(UPSTREAM)
        change(document)
        path = tmp_path / "published.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return str(path)

    return published


def test_another_version_and_other_operations_are_ignored(committed: Path, published: Any) -> None:
    def change(document: Any) -> None:
        document["info"]["version"] = "20270101.000000"
        del document["paths"]["/chat/completions"]

    source = published(change)
    seen = observe(source, committed)
    assert (seen.version, seen.is_changed, seen.rows, seen.files) == ("20270101.000000", False, (), {})
    assert seen.digest == hashlib.sha256(Path(source).read_bytes()).hexdigest()


def test_document_without_billing_is_a_failure_with_its_reason(committed: Path, published: Any) -> None:
    seen = observe(published(lambda document: document.update(paths={})), committed)
    assert seen.is_changed
    assert seen.failure == "regenerate: the document has no billing operation: there is nothing to generate"


def test_change_is_observed_with_diff_files_and_the_verdict_of_the_suite(
    committed: Path, published: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small document is not what the client was made for, so the suite is red."""
    monkeypatch.setenv("CONTRACT_EXAMPLES", "1")
    monkeypatch.setenv("GITHUB_TOKEN", "ghs_0123456789")

    def change(document: Any) -> None:
        parameter = {"name": "tenant", "in": "query", "required": True, "schema": {"type": "string"}}
        document["paths"]["/billing/balance"]["get"]["parameters"] = [parameter]

    seen = observe(published(change), committed)
    assert seen.is_changed
    assert seen.is_breaking
    assert not seen.failure
    assert [(row.location, row.severity) for row in seen.rows] == [("parameters.query.tenant", Severity.BREAKING)]
    assert list(seen.files) == ["generated/venice_billing_api/api/billing/get_billing_balance.py", CONTRACT]
    assert "tenant" in str(seen.files[CONTRACT])
    assert not seen.is_suite_green
    assert any("tenant" in line for line in seen.suite)
    assert seen.notes
    assert not set(seen.notes) & set(seen.suite)
    assert not any(str(folder) in line for folder in (ROOT, "/tmp") for line in (*seen.suite, *seen.notes))
    assert not (ROOT / "made").exists()


def test_changed_files_name_what_comes_what_differs_and_what_goes(tmp_path: Path) -> None:
    for folder, files in {
        "old": {"same": "1", "differs": "1", "goes": "1"},
        "new": {"same": "1", "differs": "2", "comes": "1"},
    }.items():
        package = tmp_path / folder / "generated" / "venice_billing_api"
        (package / "__pycache__").mkdir(parents=True)
        (package / "__pycache__" / folder).write_text("")
        for name, text in files.items():
            (package / name).write_text(text)
    found = changed_files(tmp_path / "new", tmp_path / "old")
    place = "generated/venice_billing_api"
    assert found == {f"{place}/comes": "1", f"{place}/differs": "2", f"{place}/goes": None}


def test_generated_code_runs_without_the_secrets_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in upstream.TOKENS:
        monkeypatch.setenv(name, "a-secret-0123456789")
    program = "import os; print([name for name in os.environ.items() if 'a-secret-0123456789' in name[1]])"
    assert upstream._run(tmp_path, "-c", program) == (0, ["[]"])


def test_run_without_an_end_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "_LONGEST_RUN", 0.5)
    child = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', 'import time; time.sleep(600)'])"
    code, lines = upstream._run(tmp_path, "-c", child)  # returns only once no child holds the pipe
    assert code != 0
    assert lines[-1].startswith("ended after")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (["nox > x", "BROKEN  a", "== 1 broken", "nox > failed"], ["BROKEN  a"]),
        (["nox > x", "E  boom", "1 failed, 2 passed in 3.45s (0:01)"], ["E  boom", "1 failed, 2 passed"]),
    ],
)
def test_verdict_is_the_broken_promises_or_the_end_of_the_run(said: list[str], expected: list[str]) -> None:
    assert list(upstream._verdict(said)) == expected


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (
            "https://user:word@venice.test:8443/a/swagger.yaml?token=hidden#part",
            "https://venice.test:8443/a/swagger.yaml",
        ),
        ("../somewhere/swagger.yaml", "swagger.yaml"),
    ],
)
def test_source_is_shown_without_credentials_and_folders(source: str, shown: str) -> None:
    assert shown_source(source) == shown


def test_document_that_cannot_be_read_is_told_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    source = "http://user:word@127.0.0.1:9/swagger.yaml?token=hidden"
    with pytest.raises(UnreadableDocumentError) as raised:
        observe(source)
    assert watch.main(["--upstream", source, "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("watch: http://127.0.0.1:9/swagger.yaml: cannot be read")
    for secret in ("word", "hidden"):
        assert secret not in line + str(raised.value)


def test_document_that_is_none_ends_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "page.html").write_text("<html>")
    assert watch.main(["--upstream", str(tmp_path / "page.html"), "--dry-run"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "page.html" in line
