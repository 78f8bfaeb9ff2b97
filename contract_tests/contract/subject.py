"""One call of the client under one contract: how it is made, and where what is found goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from contract_tests.contract.coverage import attributes, operation_key
from contract_tests.contract.exactness import differences, exact_json
from contract_tests.contract.served import page_number
from contract_tests.contract.stage import ORIGINAL, generated_modules

if TYPE_CHECKING:
    from _contract import Contract, Operation

    from contract_tests.contract.findings import Findings
    from contract_tests.contract.stage import Answer, Call, Flavour, Stage

_MODULES = generated_modules()


@frozen
class Trial:
    """A contract, the one the client was made for, the client's wire, and what was found so far."""

    contract: Contract
    promised: Contract
    stage: Stage
    findings: Findings
    examples: int
    """Random values per property, beside the corners."""

    def subject(self, call: Call) -> Subject | None:
        """Return a call under the contract, or None, and that noted, where there is no such operation."""
        operation = self.contract.operation("get", call.url)
        if operation is not None:
            self.findings.exercises(operation_key(operation))
            return Subject(self, call, operation)
        known = self.promised.operation("get", call.url)
        name = known.name if known else call.method
        self.findings.breaks(name, "path", f"{call.method} asks GET {call.url}, which is no operation")
        return None


@frozen
class Subject:
    """A call and the operation that answers it."""

    trial: Trial
    call: Call
    operation: Operation

    def breaks(self, place: str, instead: str) -> None:
        """Note a broken promise."""
        self.trial.findings.breaks(self.operation.name, place, instead)

    def exercises(self, *places: str) -> None:
        """Note what was put to the test."""
        for place in places:
            self.trial.findings.exercises(operation_key(self.operation), place)

    def generated(self, answer: Answer) -> Any:
        """Return what the generated layer makes of an answer."""
        parse = _MODULES["get", self.call.path].parse_response
        return parse(status_code=answer.status, headers=answer.lower_headers, content=answer.content)

    def facade(self, flavour: Flavour, answer: Answer) -> Any:
        """Return what the facade makes of an answer, or let its error pass.

        The original ledger is asked for the page that the answer says it is: another one is refused.
        """
        arguments: dict[str, Any] = {**self.call.arguments}
        if self.call.path == ORIGINAL and (number := page_number(answer)) is not None:
            arguments["page"] = number
        return self.trial.stage.call(flavour, self.call.method, arguments, answer)

    def compare(self, place: str, sent: bytes, value: Any) -> None:
        """Compare a parsed body with what was sent, digit for digit, and note which fields have attributes."""
        body = exact_json(sent)
        for location, instead in differences(body, value.to_dict()):
            self.breaks(f"{place}.{location}", instead)
        self.exercises(*(f"{place}.{location}" for location in attributes(value, body)))
