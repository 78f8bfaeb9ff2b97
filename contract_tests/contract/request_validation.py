"""Validate a request by the contract alone, the query as one closed object; nothing of the client takes part."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jsonschema_rs
from attrs import frozen

from contract.serialisation import single_item

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import httpx

    from contract.model import Contract, Operation, Parameter

# OpenAPI says so: these are described by `content` and `security`, not by parameters.
_DESCRIBED_ELSEWHERE = frozenset({"accept", "authorization", "content-type"})
_WIDTHS = {"int32": 2**31, "int64": 2**63}
_SPELLINGS = {"true": True, "false": False}


@frozen
class Problem:
    """Why the contract has no room for a request."""

    operation: str
    location: str
    what: str


class RequestValidator:
    """Tells what of a request one contract does not admit; `promised` is the contract the client was made for.

    What a query text means, a number or a text, is for its sender to say: it is read as `promised` types it.
    """

    def __init__(self, contract: Contract, promised: Contract) -> None:
        self._contract = contract
        self._promised = promised
        self._queries: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def problems(self, request: httpx.Request) -> Iterator[Problem]:
        """Yield everything wrong with a request."""
        url = str(request.url.copy_with(query=None))
        operation = self._contract.operation(request.method, url)
        known = self._promised.operation(request.method, url)
        if operation is None:
            name = known.name if known else request.url.path
            yield Problem(name, "path", f"sends {request.method} {url}, which is no operation")
            return
        for location, what in (
            *self._query_problems(operation, known, request),
            *_header_problems(operation, request),
            *_security_problems(operation, request),
        ):
            yield Problem(operation.name, location, what)

    def _query_problems(
        self, operation: Operation, known: Operation | None, request: httpx.Request
    ) -> Iterator[tuple[str, str]]:
        pairs = parse_qsl(request.url.query.decode(), keep_blank_values=True)
        names = [name for name, _ in pairs]
        for name in {name for name in names if names.count(name) > 1}:
            yield f"parameters.query.{name}", "sends it more than once"
        types = {each.name: self._types(each) for each in (known or operation).parameters}
        query = {name: _meant(text, types.get(name, set())) for name, text in pairs}
        declared = {each.name for each in operation.parameters if each.place == "query"}
        for name in query.keys() - declared:
            yield f"parameters.query.{name}", f"sends {query[name]!r}, which is no parameter"
        for error in self._query_validator(operation).iter_errors(query):
            name = str(error.instance_path[0]) if error.instance_path else ""
            if name or not query.keys() - declared:
                yield _query_location(operation, query, name), f"sends {dict(query)!r}: {error.message}"
        rules = operation.rules if operation.rules is not None else known.rules if known else None
        yield from _rule_problems(rules or (), query)

    def _query_validator(self, operation: Operation) -> jsonschema_rs.Draft202012Validator:
        if operation.name not in self._queries:
            parameters = [each for each in operation.parameters if each.place == "query"]
            closed = {
                "type": "object",
                "properties": {each.name: self._schema(each) for each in parameters},
                "required": [each.name for each in parameters if each.required],
                "additionalProperties": False,
            }
            self._queries[operation.name] = jsonschema_rs.Draft202012Validator(closed, validate_formats=True)
        return self._queries[operation.name]

    def _schema(self, parameter: Parameter) -> dict[str, Any]:
        reader = self._contract.request_reader
        item = single_item(reader, parameter)  # a list of one is written as its item
        schema = reader.translate(parameter.schema if item is None else {"anyOf": [parameter.schema, item]})
        width = _WIDTHS.get(schema.get("format", ""))
        if width is None:
            return schema
        return {"allOf": [schema, {"minimum": -width, "exclusiveMaximum": width}]}

    def _types(self, parameter: Parameter) -> set[str]:
        return set(self._promised.request_reader.level(parameter.schema).get("type", ()))


def _query_location(operation: Operation, query: Mapping[str, Any], name: str) -> str:
    """Say which parameter an error is about: the one at fault, or the first that is wanted and missing."""
    if name:
        return f"parameters.query.{name}"
    missing = (
        each for each in operation.parameters if each.place == "query" and each.required and each.name not in query
    )
    wanted = next(missing, None)
    return wanted.location if wanted else "parameters.query"


def _meant(text: str, types: set[str]) -> Any:
    if types & {"integer", "number"} and text.removeprefix("-").isdecimal():
        return int(text)
    return _SPELLINGS.get(text, text) if "boolean" in types else text


def _header_problems(operation: Operation, request: httpx.Request) -> Iterator[tuple[str, str]]:
    for parameter in operation.parameters:
        name = parameter.name.lower()
        if parameter.place == "header" and parameter.required and name not in _DESCRIBED_ELSEWHERE | {*request.headers}:
            yield parameter.location, "does not send it"
        if parameter.place == "cookie" and parameter.required:
            yield parameter.location, "does not send it"
    accepted = request.headers.get("accept", "")
    offered = {media_type for response in operation.responses if response.is_success for media_type in response.bodies}
    if accepted not in offered:
        yield f"responses.200.{accepted}", f"asks for {accepted}, which no success has"
    demanded = operation.request_body is not None and operation.request_body.required
    if demanded and not request.headers.get("content-length", "0").strip("0"):
        yield "requestBody", "sends no body"


def _security_problems(operation: Operation, request: httpx.Request) -> Iterator[tuple[str, str]]:
    """Yield a problem unless the bearer key that is sent is one of the ways to authenticate."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    bearer = scheme == "Bearer" and bool(token)
    ways = [
        [(part.scheme.get("type"), str(part.scheme.get("scheme", "")).lower()) for part in way]
        for way in operation.ways
    ]
    if not bearer or [("http", "bearer")] not in ways:
        yield "security", "authenticates by a bearer key, which is not asked for"


def _rule_problems(rules: Sequence[Mapping[str, Any]], query: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield a problem per broken rule between parameters, which OpenAPI itself has no words for."""
    for rule in rules:
        names = rule.get("parameters", [])
        given = [name for name in names if name in query]
        if rule.get("rule") == "alone" and given and len(query) > 1:
            yield f"parameters.query.{given[0]}", f"sends it beside others: {sorted(query)}"
        if rule.get("rule") == "together" and given and given != names:
            yield f"parameters.query.{given[0]}", "sends it without its counterpart"
        if rule.get("rule") == "ascending" and given == names and not _ascending([query[name] for name in names]):
            yield f"parameters.query.{names[0]}", f"sends it no earlier than {names[1]}"


def _ascending(texts: Sequence[str]) -> bool:
    moments = [datetime.fromisoformat(text) for text in texts]
    return all(one < other for one, other in pairwise(moments))
