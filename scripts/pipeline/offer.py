"""What the facade offers of a contract, and what it does not offer yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen

from contract.diff import diff
from contract.diff_rows import Severity
from contract.document import UnreadableDocumentError
from contract.model import Contract
from pipeline.documents import parse_yaml, read_source

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from contract.document import Document
    from contract.model import Operation

_KEYS = ("methods", "parameters", "media types", "headers")
_SUCCESS = "200"
_CLIENT = "venice_billing/client.py"
_OPERATIONS = "venice_billing/_operations.py"
_ERRORS = "venice_billing/errors.py"
# What comes with the regenerated package, by the kind of change; and what is left to do by hand.
_GIVEN = {
    "property added": "an attribute of the model; add words for it in openapi/descriptions.yaml",
    "enum value added": "a member of the enum; if it can be sent, add it in contract_tests/contract/arguments.py",
    "status added": f"raised as an APIError; add a class in {_ERRORS} if callers should tell it apart",
    "header added": f"in the headers of the error; add an attribute in {_ERRORS} if it matters",
    "media type added": f"in the body of the error; read it in {_ERRORS} if it explains anything",
}
_DESCRIBED_ELSEWHERE = frozenset({"accept", "authorization", "content-type"})  # OpenAPI says so


@frozen
class Offered:
    """What the facade offers of one operation."""

    methods: Sequence[str]
    parameters: frozenset[str]
    media_types: frozenset[str]
    headers: frozenset[str]


@frozen
class Addition:
    """What is new in a contract, and where it is to be added."""

    place: str
    where: str

    def __str__(self) -> str:
        return f"{self.place}: {self.where}"


@frozen
class Offer:
    """What the facade offers, by operation (`GET /path`)."""

    operations: Mapping[str, Offered]

    def has(self, operation: str, place: str = "") -> bool:
        """Tell whether the facade offers an operation, or a place in it, named as `contract_diff` does.

        All failures are offered: each becomes an error that holds its status, headers and body.
        """
        offered = self.operations.get(operation)
        if offered is None:
            return False
        kind, _, rest = place.partition(".")
        name, _, inside = rest.partition(".")
        if kind == "parameters":
            return name == "query" and inside in offered.parameters
        if kind != "responses" or not name.upper().startswith("2"):
            return True
        if name != _SUCCESS or not inside:
            return name == _SUCCESS
        if inside.startswith("headers."):
            return inside.removeprefix("headers.").lower() in offered.headers
        return any(f"{inside}.".startswith(f"{media_type}.") for media_type in offered.media_types)

    def missing(self, document: Document) -> list[Addition]:
        """Return what a contract has and the facade does not offer."""
        return [addition for operation in Contract(document).operations for addition in self._missing(operation)]

    def _missing(self, operation: Operation) -> Iterator[Addition]:
        key = f"{operation.method.upper()} {operation.path}"
        if key not in self.operations:
            where = f"a method for {operation.name} in {_CLIENT}, its request and its value in {_OPERATIONS}"
            yield Addition(key, where)
            return
        methods = ", ".join(self.operations[key].methods)
        for place, where in _places(operation, methods):
            if not self.has(key, place):
                yield Addition(f"{key} {place}", where)


def load_offer(path: Path) -> Offer:
    """Return the offer written at `path`.

    Raises:
        UnreadableDocumentError: It is not written as it should be; the message says what is wrong.
    """
    content = parse_yaml(read_source(path), path.name)
    if not isinstance(content, dict):
        raise UnreadableDocumentError(f"{path.name}: it is no object of operations")
    return Offer({str(key): _offered(f"{path.name}: {key}", value) for key, value in content.items()})


def given_by_models(old: Document, new: Document, offer: Offer) -> list[Addition]:
    """Return what is new in a contract and comes with the regenerated package: fields, values, failures."""
    names = {operation.name: f"{operation.method.upper()} {operation.path}" for operation in Contract(new).operations}
    found = {}
    for change in diff(old, new):
        key = names.get(change.operation, "")
        where = _GIVEN.get(change.kind.partition(":")[0])
        if where and change.severity is not Severity.BREAKING and offer.has(key, change.location):
            found[f"{key} {change.location}, {change.kind}"] = where
    return [Addition(place, where) for place, where in found.items()]


def _places(operation: Operation, methods: str) -> Iterator[tuple[str, str]]:
    """Yield every place that may be offered, and where to add what stands there."""
    for parameter in operation.parameters:
        if parameter.place == "header" and parameter.name.lower() in _DESCRIBED_ELSEWHERE:
            continue
        yield parameter.location, f"an argument of {methods} in {_CLIENT}, checked and sent by {_OPERATIONS}"
    for response in operation.responses:
        place = f"responses.{response.status}"
        yield place, f"what it means to {methods}, in {_OPERATIONS}"
        if response.status != _SUCCESS:
            continue
        for media_type in response.bodies:
            yield f"{place}.{media_type}", f"a format of {methods} in {_CLIENT} and {_OPERATIONS}"
        for name in response.headers:
            yield f"{place}.headers.{name}", f"what {methods} should show of it, in {_OPERATIONS}"


def _offered(place: str, value: Any) -> Offered:
    if (
        not isinstance(value, dict)
        or set(value) != set(_KEYS)
        or not all(isinstance(each, list) for each in value.values())
    ):
        raise UnreadableDocumentError(f"{place} must have the lists {', '.join(_KEYS)}, and nothing else")
    return Offered(
        tuple(value["methods"]),
        frozenset(value["parameters"]),
        frozenset(value["media types"]),
        frozenset(name.lower() for name in value["headers"]),
    )
