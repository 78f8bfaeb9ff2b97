"""Refuse a package that lacks a part of the contract, or that Python cannot read: the generator warns, if at all."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from openapi_python_client import strings

from contract.document import operations
from pipeline.internals import GenerationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from openapi_python_client.parser import GeneratorData
    from openapi_python_client.parser.openapi import Endpoint
    from openapi_python_client.parser.properties import ModelProperty

    from contract.document import Document

_JSON = "application/json"
# msgspec refuses them in the names of the fields that `wire.py` reads.
_UNUSABLE = re.compile(r'["\\\x00-\x1f]')


def refuse_incomplete(contract: Document, data: GeneratorData, warnings: Sequence[str]) -> None:
    """Check that the generator has not left out what a client cannot do without.

    Raises:
        GenerationError: An operation, the JSON of a success or a property has no place in the package.
    """
    collections = data.endpoint_collections_by_tag.values()
    made = {str(endpoint.name): endpoint for collection in collections for endpoint in collection.endpoints}
    wanted = {strings.snake_case(operation["operationId"]): operation for _, _, operation in operations(contract)}
    missing = sorted(wanted.keys() - made.keys())
    for name in sorted(wanted.keys() & made.keys()):
        missing += _missing_parts(name, wanted[name], made[name])
    if missing:
        details = "".join(f"; {warning}" for warning in warnings)
        raise GenerationError(f"the generator cannot express {', '.join(missing)}{details}")
    for model in data.models:
        _refuse_unusable_names(model)


def refuse_invalid_python(package: Path) -> None:
    """Check that every module of a package can be compiled.

    Raises:
        GenerationError: One cannot; the message names it.
    """
    for path in sorted(package.rglob("*.py")):
        try:
            compile(path.read_bytes(), path.name, "exec", dont_inherit=True)
        except (SyntaxError, ValueError) as error:
            module = path.relative_to(package)
            raise GenerationError(f"the generator made invalid Python of the contract: {module}: {error}") from error


def _missing_parts(name: str, operation: Document, endpoint: Endpoint) -> Iterator[str]:
    """Yield the parts of an operation that its module lacks, or cannot send."""
    statuses = {response.status_code.pattern for response in endpoint.responses}
    for status, response in operation["responses"].items():
        if str(status).startswith("2") and _JSON in response.get("content", {}) and str(status) not in statuses:
            yield f"the {status} of {name}"
    bodies = operation.get("requestBody", {}).get("content", {})
    if bodies and _JSON not in bodies:  # the templates write JSON
        yield f"the request body of {name}, {' or '.join(bodies)}"


def _refuse_unusable_names(model: ModelProperty) -> None:
    properties: list[Any] = [*(model.required_properties or ()), *(model.optional_properties or ())]
    names: defaultdict[str, list[str]] = defaultdict(list)
    for each in properties:
        names[str(each.python_name)].append(each.name.get_untrusted_value())
    refusal = f"the generator cannot express {model.class_info.name}"
    for python_name, alike in names.items():
        if len(alike) > 1:
            listed = " and ".join(map(repr, alike))
            raise GenerationError(f"{refusal}: the properties {listed} would all be called {python_name}")
        if _UNUSABLE.search(alike[0]):
            raise GenerationError(f"{refusal}: it cannot read a property called {alike[0]!r}")
