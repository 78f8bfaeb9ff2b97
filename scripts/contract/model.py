"""A contract as its billing operations: what may be asked, with which parameters, and what may be answered."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin

from attrs import field, frozen

from contract.document import UnreadableDocumentError, is_billing_path, mapping, operations, path_item, resolve
from contract.schemas import Reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from contract.document import Document

T = TypeVar("T")

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
    """A parameter of an operation, or a header of a response."""

    name: str
    place: str
    raw: Document = field(repr=False)

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells parameters apart: the place and the name, in which the case of a header says nothing."""
        return self.place, self.name.lower() if self.place == "header" else self.name

    @property
    def required(self) -> bool:
        """Whether it is always sent."""
        return self.raw.get("required") is True

    @property
    def schema(self) -> Any:
        """Return its schema as written."""
        content = mapping(self.raw.get("content") or {"": self.raw}, "content")
        return mapping(next(iter(content.values())), self.name).get("schema", {})

    @property
    def location(self) -> str:
        """Say where it stands, in the words of `contract_diff`."""
        return ".".join(("parameters", *self.key))


@frozen
class Body:
    """A body of one media type."""

    media_type: str
    raw: Document = field(repr=False)

    @property
    def schema(self) -> Any:
        """Return its schema as written."""
        return self.raw.get("schema", {})


@frozen
class Response:
    """What may be answered under one status: bodies by media type, headers by lower-case name."""

    status: str
    bodies: Mapping[str, Body]
    headers: Mapping[str, Parameter]
    raw: Document = field(repr=False)

    @property
    def is_success(self) -> bool:
        """Whether it is a 2xx."""
        return self.status.startswith("2")


@frozen
class RequestBody:
    """What may be sent, by media type."""

    bodies: Mapping[str, Body]
    raw: Document = field(repr=False)

    @property
    def required(self) -> bool:
        """Whether a request without a body is refused."""
        return self.raw.get("required") is True


@frozen
class Credential:
    """A security scheme that a request has to satisfy."""

    scheme: Document
    scopes: Any


@frozen
class Operation:
    """One billing operation.

    Attributes:
        raw: The operation as written.
        shared: What the document says of all operations at the path.
        ways: The ways to authenticate, each a combination of security schemes; an empty one asks for nothing.
    """

    method: str
    path: str
    raw: Document = field(repr=False)
    shared: Document = field(repr=False)
    parameters: tuple[Parameter, ...]
    request_body: RequestBody | None
    responses: tuple[Response, ...]
    ways: tuple[tuple[Credential, ...], ...] = field(repr=False)
    servers: tuple[Document, ...] = field(repr=False)

    @property
    def name(self) -> str:
        """Return the operationId, or method and path where there is none."""
        return str(self.raw.get("operationId") or f"{self.method.upper()} {self.path}")

    @property
    def key(self) -> tuple[str, str]:
        """Name the operation by what a consumer calls, whichever of server and path holds the version."""
        return self.method, re.sub(r"^/api/v\d+", "", self.path).rstrip("/")

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """Return where a request may go, without its query."""
        return tuple(_base(server) + self.path for server in self.servers or ({"url": "/api/v1"},))

    @property
    def rules(self) -> tuple[Document, ...] | None:
        """Return the rules between parameters (`x-rules`); None where the document is silent about them."""
        rules = self.raw.get("x-rules")
        return None if rules is None else tuple(rules)

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
    """The billing operations of an OpenAPI document, full or cut.

    Raises:
        UnreadableDocumentError: The document is malformed at one of them.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.reader = Reader(document)
        self.operations = tuple(
            _operation(document, path, method, raw) for path, method, raw in operations(document, is_billing_path)
        )
        self.validator = cached_by_identity(self.reader.validator)

    def operation(self, method: str, url: str) -> Operation | None:
        """Return the operation that a request without its query would reach."""
        return next((each for each in self.operations if each.method == method.lower() and url in each.urls), None)


def cached_by_identity(function: Callable[[Any], T]) -> Callable[[Any], T]:
    """Cache a function of one schema by the identity of that schema, which the document keeps alive."""
    known: dict[int, tuple[Any, T]] = {}

    def cached(schema: Any) -> T:
        if id(schema) not in known:
            known[id(schema)] = schema, function(schema)
        return known[id(schema)][1]

    return cached


def _operation(document: Document, path: str, method: str, raw: Document) -> Operation:
    shared = path_item(document, path)
    body = resolve(document, raw.get("requestBody"))
    return Operation(
        method=method,
        path=path,
        raw=raw,
        shared=shared,
        parameters=tuple(_parameters(document, shared, raw)),
        request_body=None if body is None else RequestBody(_bodies(mapping(body, "requestBody")), body),
        responses=tuple(_responses(document, raw)),
        ways=tuple(_ways(document, raw)),
        servers=_servers(raw, shared, document),
    )


def _parameters(document: Document, shared: Document, raw: Document) -> Iterator[Parameter]:
    """Yield the parameters, those of the path first unless the operation has its own of the same name."""
    found: dict[tuple[str, str], Parameter] = {}
    for reference in (*_list(shared, "parameters"), *_list(raw, "parameters")):
        node = mapping(resolve(document, reference), "parameter")
        parameter = Parameter(str(node.get("name")), str(node.get("in")), node)
        found[parameter.key] = parameter
    return iter(found.values())


def _responses(document: Document, raw: Document) -> Iterator[Response]:
    for status, reference in mapping(raw.get("responses") or {}, "responses").items():
        if str(status).startswith("x-"):
            continue
        node = mapping(resolve(document, reference), f"responses.{status}")
        headers = {
            name.lower(): Parameter(name, "header", mapping(resolve(document, header), name))
            for name, header in mapping(node.get("headers") or {}, "headers").items()
        }
        yield Response(str(status).upper(), _bodies(node), headers, node)


def _bodies(node: Document) -> dict[str, Body]:
    """Return the bodies by media type, the parameters of that (a charset, say) aside."""
    bodies = {}
    for name, body in mapping(node.get("content") or {}, "content").items():
        media_type = name.partition(";")[0].strip().lower()
        bodies[media_type] = Body(media_type, mapping(body, name))
    return bodies


def _ways(document: Document, raw: Document) -> Iterator[tuple[Credential, ...]]:
    components = mapping(document.get("components") or {}, "components")
    schemes = mapping(components.get("securitySchemes") or {}, "components.securitySchemes")
    for way in security(raw, document) or [{}]:
        yield tuple(
            Credential(mapping(resolve(document, schemes.get(name, {"name": name})), "security scheme"), scopes)
            for name, scopes in sorted(mapping(way, "security").items())
        )


def security(*nodes: Document) -> list[Any]:
    """Return the security requirements of the first node that has some of its own."""
    required = next((node["security"] for node in nodes if "security" in node), None)
    return required if isinstance(required, list) else []


def _servers(*nodes: Document) -> tuple[Document, ...]:
    servers: Any = next((node["servers"] for node in nodes if node.get("servers")), [])
    return tuple(mapping(server, "server") for server in (servers if isinstance(servers, list) else [servers]))


def _base(server: Document) -> str:
    url = str(server.get("url", ""))
    for name, variable in mapping(server.get("variables") or {}, "variables").items():
        url = url.replace(f"{{{name}}}", str(mapping(variable, name).get("default", "")))
    return urljoin(_HOME, url).rstrip("/")


def _list(node: Document, key: str) -> list[Any]:
    value = node.get(key, [])
    if not isinstance(value, list):
        raise UnreadableDocumentError(f"{key} is no list: {value!r}")
    return value
