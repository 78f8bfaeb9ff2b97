"""The promises of all tests together: for runs without pytest, and for what only all of them can tell."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

# Their tests register themselves as promises.
import contract_tests.contract.test_errors
import contract_tests.contract.test_requests
import contract_tests.contract.test_responses  # noqa: F401
import venice_billing_api
from contract.diff import diff
from contract.diff_rows import Severity
from contract.document import written_out
from contract.model import Contract
from contract_tests.contract.context import Context
from contract_tests.contract.coverage import elements
from contract_tests.contract.findings import BrokenPromise, Findings
from contract_tests.contract.harness import Harness
from contract_tests.contract.promises import PROMISES
from contract_tests.support.paths import CONTRACT, ROOT
from pipeline.documents import load_document
from pipeline.offer import load_offer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract_tests.contract.promises import Check

EXAMPLES = int(os.environ.get("CONTRACT_EXAMPLES", "60"))
"""Random values per property, beside the corners; more of them for a long run by hand."""


@cache
def committed() -> Contract:
    """Return the contract the client was generated from: the one beside the generated package that is imported."""
    beside = Path(venice_billing_api.__file__).parents[2] / CONTRACT.relative_to(ROOT)
    return Contract(load_document(beside if beside.is_file() else CONTRACT))


def checks(contract: Contract) -> Iterator[Check]:
    """Yield every promise with every choice of its parameters but the HTTP library, on which no promise depends.

    That there is no difference, `nox -s contract` shows with the contract in question.
    """
    for promise in PROMISES:
        for check in promise.checks(contract):
            if not any(str(choice).endswith("-httpx2") for choice in check.choices.values()):
                yield check


def unexplained(contract: Contract, findings: Findings) -> Iterator[BrokenPromise]:
    """Yield what the contract diff calls breaking and no test has run into: the last net.

    Some changes break consumers without this client ever feeling them, like a pattern that happens to admit
    all it sends.
    """
    for change in diff(committed().document, contract.document):
        if change.severity is Severity.BREAKING and not findings.mentions(change.operation, change.location):
            yield BrokenPromise(change.operation, change.location, f"serves the old contract: {change.kind}")


def unexercised(contract: Contract, findings: Findings) -> list[str]:
    """Return the elements that no test has exercised, of those the client was made for: additions are no promise.

    The package was made for what its contract names, the facade for what it lists in `openapi/facade.yaml`.
    """
    offer = load_offer(ROOT / "openapi" / "facade.yaml")
    promised = {element for element in elements(committed()) if offer.has(*element)}
    missing = {element for element in elements(contract) if element in promised} - findings.exercised
    return [" ".join(element) for element in sorted(missing)]


def examine(contract: Contract, examples: int) -> tuple[list[BrokenPromise], list[BrokenPromise]]:
    """Return the promises that tests found broken, and those that only the diff names.

    Paths that read as in the committed contract are left out: `nox -s contract` examines that contract itself.
    """
    findings = Findings()
    with Harness() as harness:
        context = Context(contract, committed(), harness, findings, examples)
        affected = {path for path in {"", *_paths(committed())} if _reads_differently(contract, path)}
        for check in checks(contract):
            if check.path in affected:
                _run(check, context)
    if not findings.broken:
        for element in unexercised(contract, findings):
            if element.split()[1] in affected:
                findings.breaks(" ".join(element.split()[:2]), element, "is exercised by no test")
    return sorted(findings.broken.values()), sorted(unexplained(contract, findings))


def _run(check: Check, context: Context) -> None:
    """Run a test; one that crashes is a finding, as it is a failure under pytest."""
    try:
        check.run(context)
    except Exception as error:  # noqa: BLE001 - whatever escapes makes the suite red
        context.findings.breaks(check.name, "test", f"crashes: {type(error).__name__}: {error}")


def _paths(contract: Contract) -> set[str]:
    return {operation.path for operation in contract.operations}


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
