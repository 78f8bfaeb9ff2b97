"""One stage and one set of findings for all probes, and a line per broken promise at the end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from contract.document import UnreadableDocumentError
from contract.model import Contract
from contract_tests.contract.context import Trial
from contract_tests.contract.findings import Findings, sorted_lines
from contract_tests.contract.harness import Stage
from contract_tests.contract.suite import EXAMPLES, committed
from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document

if TYPE_CHECKING:
    from collections.abc import Iterator

_FINDINGS = pytest.StashKey[Findings]()


@pytest.fixture(scope="session")
def contract() -> Contract:
    """Return the contract in question: VENICE_CONTRACT, or the committed one."""
    named = os.environ.get("VENICE_CONTRACT")
    if not named:
        return committed()
    try:
        return Contract(load_document(named))
    except UnreadableDocumentError as error:
        pytest.exit(f"VENICE_CONTRACT: {error}", returncode=2)


@pytest.fixture(scope="session")
def findings(pytestconfig: pytest.Config) -> Findings:
    return pytestconfig.stash.setdefault(_FINDINGS, Findings())


@pytest.fixture(scope="session")
def trial(contract: Contract, findings: Findings) -> Iterator[Trial]:
    with Stage() as stage:
        yield Trial(contract, committed(), stage, findings, EXAMPLES)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say what is broken, one promise a line; say nothing where the suite did not run."""
    findings = config.stash.get(_FINDINGS, None)
    if findings is None:
        return
    name = os.environ.get("VENICE_CONTRACT") or CONTRACT.name
    broken = sorted_lines(findings.broken.values())
    terminalreporter.write_sep("=", f"{len(broken)} broken promises of {name}")
    for line in broken:
        terminalreporter.write_line(f"BROKEN  {line}")
