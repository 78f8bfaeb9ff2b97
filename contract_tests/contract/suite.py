"""The suite as a list of probes, each of which puts one part of the client's promise to the test.

`nox -s contract` runs them under pytest, one test each; `nox -s mutants` runs the same list in its own process, once
for every mutation of the contract.
"""

from __future__ import annotations

import os
from functools import cache, partial
from typing import TYPE_CHECKING

from attrs import frozen

from contract.document import written_out
from contract.model import Contract
from contract_diff import Severity, diff
from contract_tests.contract.context import Subject, Trial
from contract_tests.contract.coverage import elements
from contract_tests.contract.findings import Broken, Findings
from contract_tests.contract.harness import CALLS, JSON, Call, Stage
from contract_tests.contract.test_errors import examine_failures
from contract_tests.contract.test_requests import examine_requests, examine_walks
from contract_tests.contract.test_responses import examine_successes
from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "60"))
"""Random values per property, beside the corners; more of them for a long run by hand."""


@cache
def committed() -> Contract:
    """Return the contract the client was generated from."""
    return Contract(load_document(CONTRACT))


@frozen
class Probe:
    """One part of the promise."""

    name: str
    path: str
    """The path it is about; empty if it is about several."""
    run: Callable[[Trial], None]


def probes() -> Iterator[Probe]:
    """Yield every probe."""
    for call in CALLS:
        yield Probe(f"successes-{call.name}", call.path, partial(_on_subject, examine_successes, call))
        yield Probe(f"requests-{call.name}", call.path, partial(_on_requests, call))
        if call.media_type == JSON:
            yield Probe(f"failures-{call.name}", call.path, partial(_on_subject, examine_failures, call))
    yield Probe("requests-of-walks", "", examine_walks)


def unexplained(contract: Contract, findings: Findings) -> Iterator[Broken]:
    """Yield what the contract diff calls breaking and no probe has run into: the last net.

    Some changes break consumers without this client ever feeling them, like a pattern that happens to admit
    all it sends.
    """
    for change in diff(committed().document, contract.document):
        if change.severity is Severity.BREAKING and not findings.mentions(change.operation, change.location):
            yield Broken(change.operation, change.location, f"serves the old contract: {change.kind}")


def unexercised(contract: Contract, findings: Findings) -> list[str]:
    """Return the elements that no probe has exercised, of those the client was made for: additions are no promise."""
    promised = set(elements(committed()))
    missing = {element for element in elements(contract) if element in promised} - findings.exercised
    return [" ".join(element) for element in sorted(missing)]


def examine(contract: Contract, examples: int) -> tuple[list[Broken], list[Broken]]:
    """Return the promises that probes found broken, and those that only the diff names.

    What the contract says as the committed one does needs no examination: `nox -s contract` has seen to it.
    """
    findings = Findings()
    with Stage() as stage:
        trial = Trial(contract, committed(), stage, findings, examples)
        for probe in probes():
            if _reads_differently(contract, probe.path):
                probe.run(trial)
    return sorted(findings.broken.values()), sorted(unexplained(contract, findings))


def _reads_differently(contract: Contract, path: str) -> bool:
    before, after = (_spelt_out(each, path) for each in (committed(), contract))
    return before != after


def _spelt_out(contract: Contract, path: str) -> str:
    """Return all that the document says about a path, references followed; about all paths if it is empty."""
    document = contract.document
    paths = [each for each in document["paths"] if path in {"", each}]
    shared = {key: value for key, value in document.items() if key not in {"paths", "components", "info"}}
    schemes = document.get("components", {}).get("securitySchemes")
    return str([shared, schemes, *((each, written_out(document, document["paths"][each])) for each in paths)])


def _on_subject(examine_subject: Callable[[Subject], None], call: Call, trial: Trial) -> None:
    subject = trial.subject(call)
    if subject is not None:
        examine_subject(subject)


def _on_requests(call: Call, trial: Trial) -> None:
    examine_requests(trial, call)
