"""A contract as its billing operations: what may be asked, with which parameters, and what may be answered."""

from __future__ import annotations

import re
from functools import cached_property
from itertools import islice, product
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urljoin, urlsplit, urlunsplit

from attrs import field, frozen

from contract.document import UnreadableDocumentError, is_billing_path, mapping, operations, path_item, resolve
from contract.schemas import Reader, Sender

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from contract.document import Document

T = TypeVar("T")

_HOME = "https://api.venice.ai"
_MOST_URLS = 1_000  # of one server with variables
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
        """Return the place and the name, which identify a parameter; names of headers in lower case."""
        return self.place, self.name.lower() if self.place == "header" else self.name

    @property
    def required(self) -> bool:
        """Whether it is always sent."""
        return self.raw.get("required") is True

    @property
    def schema(self) -> Any:
        """Return its schema as written."""
        content = self._content or {"": self.raw}
        return mapping(next(iter(content.values())), self.name).get("schema", {})

    @property
    def media_type(self) -> str | None:
        """Return the media type of a value that is written as a document of its own, None for any other."""
        return next((essence(str(name)) for name in self._content), None)

    @property
    def _content(self) -> Document:
        return mapping(self.raw.get("content") or {}, "content")

    @property
    def location(self) -> str:
        """Return where it stands, as `contract_diff` prints it."""
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
        """Return the method, and the path without the version, which may stand in the server instead."""
        return self.method, re.sub(r"^/api/v\d+", "", self.path).rstrip("/")

    @cached_property
    def urls(self) -> tuple[str, ...]:
        """Return where a request may go, without its query."""
        servers = self.servers or ({"url": "/api/v1"},)
        return tuple(dict.fromkeys(base + self.path for server in servers for base in _bases(server)))

    @property
    def rules(self) -> tuple[Document, ...] | None:
        """Return the rules between parameters (`x-rules`); None where the document is silent about them."""
        rules = self.raw.get("x-rules")
        return None if rules is None else tuple(mapping(rule, "x-rules") for rule in _list(self.raw, "x-rules"))

    def codes(self, response: Response) -> tuple[int, ...]:
        """Return the integers a response stands for; of a range like `4XX`, some that no other response claims."""
        if response.status.isdecimal():
            return (int(response.status),)
        return tuple(code for code in _RANGES.get(response.status, ()) if self.response(code) is response)

    def response(self, status: int) -> Response | None:
        """Return what the contract says about a status."""
        by_status = {response.status: response for response in self.responses}
        return by_status.get(str(status)) or by_status.get(f"{status // 100}XX") or by_status.get("DEFAULT")


def check_version(document: Document) -> None:
    """Refuse versions other than OpenAPI 3.

    Raises:
        UnreadableDocumentError: The document is of another version, or says none.
    """
    if not str(document.get("openapi", "")).startswith("3."):
        raise UnreadableDocumentError("not an OpenAPI 3 document")


class Contract:
    """The billing operations of an OpenAPI document, full or cut.

    Raises:
        UnreadableDocumentError: The document is malformed at one of them.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.reader = Reader(document, Sender.SERVER)
        self.request_reader = Reader(document, Sender.CONSUMER)
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
        media_type = essence(str(name))
        bodies[media_type] = Body(media_type, mapping(body, name))
    return bodies


def essence(media_type: str) -> str:
    """Return a media type without its parameters, in lower case."""
    return media_type.partition(";")[0].strip().lower()


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


def _bases(server: Document) -> Iterator[str]:
    """Yield the URLs a server may have, that of its variables' defaults first."""
    variables = mapping(server.get("variables") or {}, "variables")
    choices = [
        dict.fromkeys([str(mapping(variable, name).get("default", "")), *map(str, _list(variable, "enum"))])
        for name, variable in variables.items()
    ]
    for values in islice(product(*choices), _MOST_URLS):
        url = str(server.get("url", ""))
        for name, value in zip(variables, values, strict=True):
            url = url.replace(f"{{{name}}}", value)
        yield _normal(urljoin(_HOME, url))


def _normal(url: str) -> str:
    """Return a URL without trailing slash and default port, its host in lower case."""
    parts = urlsplit(url)
    host = re.sub({"https": r":443$", "http": r":80$"}.get(parts.scheme, r"$^"), "", parts.netloc.lower())
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _list(node: Document, key: str) -> list[Any]:
    value = node.get(key, [])
    if not isinstance(value, list):
        raise UnreadableDocumentError(f"{key} is no list: {value!r}")
    return value
