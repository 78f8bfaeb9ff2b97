"""One harness and one set of findings for all tests here, and a line per broken promise at the end.

A test notes what is broken in the findings, so that the same test also runs without pytest (see `promises`). Here
it fails if it has noted anything.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from contract.document import UnreadableDocumentError
from contract.readable import readable
from contract_tests.contract.context import Context
from contract_tests.contract.findings import Findings, sorted_lines
from contract_tests.contract.harness import Harness
from contract_tests.contract.promises import promise_of
from contract_tests.contract.suite import EXAMPLES, committed
from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from contract.model import Contract
    from contract_tests.contract.context import Case

_FINDINGS = pytest.StashKey[Findings]()
_LAST = Path(__file__).with_name("test_coverage.py")


@cache
def _contract_in_question() -> Contract:
    """Return VENICE_CONTRACT, or the committed contract; end the run where it cannot be read."""
    named = os.environ.get("VENICE_CONTRACT")
    try:
        return readable(load_document(named), named) if named else committed()
    except UnreadableDocumentError as error:
        pytest.exit(f"VENICE_CONTRACT: {error}", returncode=2)


def pytest_configure() -> None:
    """Read the contract before anything is collected, so that an unreadable one is reported in one line."""
    _contract_in_question()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a promise its parameters; some depend on the contract in question."""
    promise = promise_of(metafunc.function)
    if promise is None:
        return
    checks = list(promise.checks(_contract_in_question()))
    takes_case = "case" in metafunc.fixturenames
    names = [*(["case"] if takes_case else []), *promise.choices]
    values = [[*([check.call] if takes_case else []), *check.choices.values()] for check in checks]
    metafunc.parametrize(names, values, ids=[check.id for check in checks], indirect=["case"] if takes_case else False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests last that look at what the others have found."""
    items.sort(key=lambda item: item.path == _LAST)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail a test that has noted broken promises."""
    context = pyfuncitem.funcargs.get("context")
    result = yield
    if isinstance(context, Context):
        context.tested.add(pyfuncitem.name)
        if context.findings.noted:
            pytest.fail("\n".join(sorted_lines(context.findings.noted)), pytrace=False)
    return result


@pytest.fixture(scope="session")
def findings(pytestconfig: pytest.Config) -> Findings:
    return pytestconfig.stash.setdefault(_FINDINGS, Findings())


@pytest.fixture(scope="session")
def session_context(findings: Findings) -> Iterator[Context]:
    with Harness() as harness:
        yield Context(_contract_in_question(), committed(), harness, findings, EXAMPLES)


@pytest.fixture
def context(session_context: Context) -> Context:
    """Return the context of all tests, with nothing noted yet by this one."""
    session_context.findings.noted.clear()
    return session_context


@pytest.fixture
def case(request: pytest.FixtureRequest, context: Context) -> Case:
    """Return the call that a test is about; without its operation there is nothing more to test."""
    case = context.case(request.param)
    if case is None:
        pytest.fail("\n".join(sorted_lines(context.findings.noted)), pytrace=False)
    return case


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, exitstatus: int, config: pytest.Config) -> None:
    """Report what is broken, one promise a line; nothing where the suite did not run, or failed in another way."""
    findings = config.stash.get(_FINDINGS, None)
    if findings is None or (exitstatus != pytest.ExitCode.OK and not findings.broken):
        return
    name = os.environ.get("VENICE_CONTRACT") or CONTRACT.name
    broken = sorted_lines(findings.broken.values())
    terminalreporter.write_sep("=", f"{len(broken)} broken promises of {name}")
    for line in broken:
        terminalreporter.write_line(f"BROKEN  {line}")
