"""The whole contract was put to the test, and the contract diff finds nothing that the tests have missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.contract.suite import checks, unexercised, unexplained

if TYPE_CHECKING:
    from contract_tests.contract.context import Context


@pytest.fixture
def complete(context: Context) -> Context:
    """Return the context after all promises were tested in it: those that did not run in this process, run now."""
    for check in checks(context.contract):
        if check.name not in context.tested:
            check.run(context)
            context.tested.add(check.name)
    return context


def test_everything_the_contract_names_is_exercised(complete: Context) -> None:
    """Operations, parameters, statuses, media types, headers and properties: each was met by some test."""
    assert complete.findings.broken or unexercised(complete.contract, complete.findings) == []


def test_no_other_change_breaks_a_consumer(complete: Context) -> None:
    """The contract diff is the last net, for what this client does not happen to feel."""
    complete.findings.noted.clear()
    for broken in list(unexplained(complete.contract, complete.findings)):
        complete.findings.breaks(broken.operation, broken.location, broken.instead)
