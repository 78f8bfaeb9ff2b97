"""What a test of the suite works with: the contract, the client's harness, one call, and where findings go."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from attrs import define, field, frozen

from contract.model import cached_by_identity
from contract_tests.contract.coverage import attributes, operation_key
from contract_tests.contract.exactness import differences, exact_json
from contract_tests.contract.harness import FLAVOURS, ORIGINAL, Flavour, generated_modules
from contract_tests.contract.request_validation import RequestValidator
from contract_tests.contract.samples import json_texts, page_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contract.model import Contract, Operation, Response
    from contract_tests.contract.findings import Findings
    from contract_tests.contract.harness import Call, Harness, MockResponse

Reader = Flavour | Literal["parse_response"]
READERS: tuple[Reader, ...] = ("parse_response", *FLAVOURS)
"""What makes a value of a response: the generated layer, and both flavours of the facade."""

_MODULES = generated_modules()


@define
class Context:
    """A contract, the one the client was made for, the client on a mocked transport, and what was found so far."""

    contract: Contract
    promised: Contract
    harness: Harness
    findings: Findings
    examples: int
    """Random values per property, beside the corners."""
    tested: set[str] = field(factory=set, repr=False)
    """The names of the tests that have run."""
    validator: RequestValidator = field(init=False, repr=False)
    bodies: Callable[[Any], list[str]] = field(init=False, repr=False)
    """Return JSON texts that a schema of the contract admits."""

    def __attrs_post_init__(self) -> None:
        """Make each body and each validator once, as many tests need them."""
        self.validator = RequestValidator(self.contract, self.promised)
        self.bodies = cached_by_identity(partial(json_texts, self.contract, examples=self.examples))

    def case(self, call: Call) -> Case | None:
        """Return a call under the contract, or None, and that noted, where there is no such operation."""
        operation = self.contract.operation("get", call.url)
        if operation is not None:
            self.findings.exercises(operation_key(operation))
            return Case(self, call, operation)
        known = self.promised.operation("get", call.url)
        name = known.name if known else call.method
        self.findings.breaks(name, "path", f"{call.method} asks GET {call.url}, which is no operation")
        return None


@frozen
class Case:
    """A call and the operation that answers it."""

    context: Context
    call: Call
    operation: Operation

    def breaks(self, place: str, instead: str) -> None:
        """Note a broken promise."""
        self.context.findings.breaks(self.operation.name, place, instead)

    def exercises(self, *places: str) -> None:
        """Note what was put to the test."""
        for place in places:
            self.context.findings.exercises(operation_key(self.operation), place)

    def successes(self) -> Sequence[tuple[Response, int]]:
        """Return the successes with a body of the media type asked for, and the status codes of each."""
        wanted = self.call.media_type
        answering = [each for each in self.operation.responses if each.is_success and wanted in each.bodies]
        # A further 2xx is an addition; it matters only where it has replaced the one we know.
        known = [response for response in answering if 200 in self.operation.codes(response)]
        return [(response, code) for response in known or answering for code in self.operation.codes(response)]

    def read(self, reader: Reader, response: MockResponse) -> Any:
        """Return what a reader makes of a response, or let its error pass.

        The original ledger is asked for the page that the response says it is: another one is refused.
        """
        if reader == "parse_response":
            return self.parse(response)
        arguments: dict[str, Any] = {**self.call.arguments}
        if self.call.path == ORIGINAL and (number := page_number(response)) is not None:
            arguments["page"] = number
        return self.context.harness.call(reader, self.call.method, arguments, response)

    def parse(self, response: MockResponse) -> Any:
        """Return what the generated layer makes of a response."""
        parse = _MODULES["get", self.call.path].parse_response
        return parse(status_code=response.status, headers=response.lower_headers, content=response.content)

    def compare(self, place: str, sent: bytes, value: Any) -> None:
        """Compare a parsed body with what was sent, digit for digit, and note which fields have attributes."""
        body = exact_json(sent)
        for location, instead in differences(body, value.to_dict()):
            self.breaks(f"{place}.{location}", instead)
        self.exercises(*(f"{place}.{location}" for location in attributes(value, body)))
