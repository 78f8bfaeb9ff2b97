"""A contract as its operations: what may be asked, with which parameters, and what may be answered."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import jsonschema_rs
from attrs import field, frozen

from contract.schemas import Reader
from contract.structure import METHODS, Document, is_billing_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_HOME = "https://api.venice.ai"
_RANGES = {
    "1XX": (102,),
    "2XX": (200,),
    "3XX": (302,),
    "4XX": (400, 418, 422),
    "5XX": (500, 501, 522),
    "DEFAULT": (418, 522),
}


@frozen
class Parameter:
    """A parameter, its schema as written."""

    name: str
    place: str
    required: bool
    schema: Any

    @property
    def location(self) -> str:
        """Say where it stands, in the words of `contract_diff`."""
        return f"parameters.{self.place}.{self.name}"


@frozen
class Response:
    """What may be answered under one status: bodies by media type, headers by lower-case name."""

    status: str
    bodies: Mapping[str, Any]
    headers: Mapping[str, Any]

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return self.status.startswith("2")


@frozen
class Operation:
    """One billing operation."""

    name: str
    method: str
    path: str
    urls: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    responses: tuple[Response, ...]
    ways: tuple[tuple[Document, ...], ...] = field(repr=False)
    """The ways to authenticate, each a combination of security schemes; an empty one asks for nothing."""
    demands_body: bool = False
    rules: tuple[Document, ...] | None = None
    """The rules between parameters (`x-rules`); None where the document is silent about them."""

    def codes(self, response: Response) -> tuple[int, ...]:
        """Return the integers a response stands for; of a range like `4XX`, some that no other response claims."""
        if response.status.isdecimal():
            return (int(response.status),)
        return tuple(code for code in _RANGES.get(response.status, ()) if self.response(code) is response)

    def response(self, status: int) -> Response | None:
        """Return what the contract says about a status."""
        by_status = {response.status: response for response in self.responses}
        return by_status.get(str(status)) or by_status.get(f"{status // 100}XX") or by_status.get("DEFAULT")


class Contract:
    """The billing operations of an OpenAPI document, full or cut."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.reader = Reader(document)
        self.operations = tuple(self._operations())
        self.validator = cache_by_identity(self._validator)

    def operation(self, method: str, url: str) -> Operation | None:
        """Return the operation that a request without its query would reach."""
        return next((each for each in self.operations if each.method == method.lower() and url in each.urls), None)

    def _validator(self, schema: Any) -> jsonschema_rs.Draft202012Validator:
        return jsonschema_rs.Draft202012Validator(self.reader.translate(schema), validate_formats=True)

    def _operations(self) -> Iterator[Operation]:
        for path, raw in self.document["paths"].items():
            item = self.reader.resolve(raw)
            if is_billing_path(path):
                for method in (method for method in METHODS if method in item):
                    yield self._operation(path, method, item, item[method])

    def _operation(self, path: str, method: str, item: Document, raw: Document) -> Operation:
        body = self.reader.resolve(raw.get("requestBody")) or {}
        rules = raw.get("x-rules")
        return Operation(
            name=str(raw.get("operationId") or f"{method.upper()} {path}"),
            method=method,
            path=path,
            urls=tuple(base + path for base in _bases(raw, item, self.document)),
            parameters=tuple(self._parameters(item, raw)),
            responses=tuple(self._responses(raw)),
            ways=tuple(self._ways(raw)),
            demands_body=body.get("required") is True,
            rules=None if rules is None else tuple(rules),
        )

    def _parameters(self, item: Document, raw: Document) -> Iterator[Parameter]:
        found: dict[tuple[str, str], Parameter] = {}
        for reference in (*item.get("parameters", ()), *raw.get("parameters", ())):
            node = self.reader.resolve(reference)
            content = node.get("content") or {"": node}
            schema = next(iter(content.values())).get("schema", {})
            key = node["in"], node["name"]
            found[key] = Parameter(node["name"], node["in"], node.get("required") is True, schema)
        return iter(found.values())

    def _responses(self, raw: Document) -> Iterator[Response]:
        for status, reference in (raw.get("responses") or {}).items():
            if str(status).startswith("x-"):
                continue
            node = self.reader.resolve(reference)
            bodies = {_essence(name): body.get("schema", {}) for name, body in (node.get("content") or {}).items()}
            headers = {
                name.lower(): self.reader.resolve(header).get("schema", {})
                for name, header in (node.get("headers") or {}).items()
            }
            yield Response(str(status).upper(), bodies, headers)

    def _ways(self, raw: Document) -> Iterator[tuple[Document, ...]]:
        schemes = (self.document.get("components") or {}).get("securitySchemes") or {}
        for way in raw.get("security", self.document.get("security")) or [{}]:
            yield tuple(self.reader.resolve(schemes.get(name, {})) for name in way)


def cache_by_identity(function: Any) -> Any:
    """Cache a function of one schema by the identity of that schema, which the document keeps alive."""
    known: dict[int, tuple[Any, Any]] = {}

    def cached(schema: Any) -> Any:
        if id(schema) not in known:
            known[id(schema)] = schema, function(schema)
        return known[id(schema)][1]

    return cached


def _bases(*nodes: Document) -> Iterator[str]:
    servers: list[Document] = next((node["servers"] for node in nodes if node.get("servers")), [{"url": "/api/v1"}])
    for server in servers:
        url = server["url"]
        for name, variable in (server.get("variables") or {}).items():
            url = url.replace(f"{{{name}}}", str(variable["default"]))
        yield urljoin(_HOME, url).rstrip("/")


@cache
def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()
