"""Refuse a document that cannot be read as a contract, before anything is concluded from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jsonschema_rs

from contract.document import UnreadableDocumentError
from contract.model import Contract, check_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract.document import Document
    from contract.model import Operation
    from contract.schemas import Reader


def readable(document: Document, source: str) -> Contract:
    """Return the contract in a document whose billing operations can be read to the last reference.

    Raises:
        UnreadableDocumentError: They cannot; the message begins with `source` and is one line.
    """
    try:
        check_version(document)
        contract = Contract(document)
        for operation in contract.operations:
            _check(contract, operation)
    except UnreadableDocumentError as error:
        raise UnreadableDocumentError(_one_line(f"{source}: {error}")) from error
    except RecursionError as error:
        raise UnreadableDocumentError(f"{source}: it contains itself") from error
    return contract


def _check(contract: Contract, operation: Operation) -> None:
    _ = operation.rules, operation.urls  # raise where they are malformed
    for place, reader, schema in _schemas(contract, operation):
        try:
            reader.validator(schema)
        except UnreadableDocumentError as error:
            raise UnreadableDocumentError(f"{operation.name} {place}: {error}") from error
        except (ValueError, TypeError, jsonschema_rs.ValidationError) as error:
            raise UnreadableDocumentError(f"{operation.name} {place}: malformed schema: {error}") from error


def _schemas(contract: Contract, operation: Operation) -> Iterator[tuple[str, Reader, Any]]:
    for parameter in operation.parameters:
        yield parameter.location, contract.request_reader, parameter.schema
    for media_type, body in (operation.request_body.bodies if operation.request_body else {}).items():
        yield f"requestBody.{media_type}", contract.request_reader, body.schema
    for response in operation.responses:
        for name, header in response.headers.items():
            yield f"responses.{response.status}.headers.{name}", contract.reader, header.schema
        for media_type, body in response.bodies.items():
            yield f"responses.{response.status}.{media_type}", contract.reader, body.schema


def _one_line(text: str, limit: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
