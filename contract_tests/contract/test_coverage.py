"""Do the committed client and facade serve the contract at VENICE_CONTRACT, by default the committed one?

The probes are `contract.suite.probes`. The last tests look at what the probes have found, so they run last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.contract.findings import sorted_lines
from contract_tests.contract.suite import Probe, probes, unexercised, unexplained

if TYPE_CHECKING:
    from collections.abc import Sequence

    from contract.model import Contract
    from contract_tests.contract.context import Trial
    from contract_tests.contract.findings import Broken, Findings

PROBES = tuple(probes())
_ran: list[str] = []


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_the_client_keeps_its_promise(probe: Probe, trial: Trial) -> None:
    known = {*trial.findings.broken}
    probe.run(trial)
    _ran.append(probe.name)
    _fail_with([broken for place, broken in trial.findings.broken.items() if place not in known])


def test_nothing_else_breaks_its_consumers(contract: Contract, findings: Findings) -> None:
    """The contract diff is the last net, for what this client does not happen to feel."""
    _skip_unless_all_ran()
    rest = list(unexplained(contract, findings))
    for each in rest:
        findings.breaks(each.operation, each.location, each.instead)
    _fail_with(rest)


def test_all_of_the_contract_is_exercised(contract: Contract, findings: Findings) -> None:
    _skip_unless_all_ran()
    assert findings.broken or unexercised(contract, findings) == []


def _fail_with(broken: Sequence[Broken]) -> None:
    if broken:
        pytest.fail("\n".join(sorted_lines(broken)), pytrace=False)


def _skip_unless_all_ran() -> None:
    missing = {probe.name for probe in PROBES} - {*_ran}
    if missing:
        pytest.skip(f"{len(missing)} probes did not run")
