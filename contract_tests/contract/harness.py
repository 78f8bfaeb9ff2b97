"""Both flavours of the facade on mocked transports of both HTTP libraries, and the generated modules beside them."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Literal, Self

import httpx
import httpx2
import respx
from attrs import field, frozen

import venice_billing_api.api as generated_api
from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing._config import BASE_URL

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from types import ModuleType, TracebackType

Flavour = Literal["sync", "async", "sync-httpx2", "async-httpx2"]
FLAVOURS: tuple[Flavour, ...] = ("sync", "async", "sync-httpx2", "async-httpx2")
JSON, CSV = "application/json", "text/csv"
HISTORY, ORIGINAL = "/billing/usage-history", "/billing/usage"
KEY = "contract-suite-key"


@frozen
class Call:
    """A public method that makes one request, and what it asks for."""

    method: str
    path: str
    media_type: str = JSON

    @property
    def name(self) -> str:
        """Name the call in test ids."""
        return f"{self.method}-{'csv' if self.media_type == CSV else 'json'}"

    @property
    def arguments(self) -> dict[str, Any]:
        """Return what makes the method ask for the media type."""
        return {"format": "csv"} if self.media_type == CSV else {}

    @property
    def url(self) -> str:
        """Return where the request is expected to go."""
        return BASE_URL + self.path


CALLS = (
    Call("get_balance", "/billing/balance"),
    Call("get_usage", "/billing/usage"),
    Call("get_usage", "/billing/usage", CSV),
    Call("get_usage_history", "/billing/usage-history"),
    Call("get_usage_history", "/billing/usage-history", CSV),
    Call("get_usage_analytics", "/billing/usage-analytics"),
)


@frozen
class MockResponse:
    """What the mocked transport answers to every request."""

    status: int
    headers: Sequence[tuple[str, str]] = ()
    content: bytes = field(default=b"", repr=False)

    def response(self, http: Any = httpx) -> Any:
        """Return it as an HTTP library gives it out, its body not yet read."""
        headers = [*self.headers, ("content-length", str(len(self.content)))]
        return http.Response(self.status, headers=headers, stream=http.ByteStream(self.content))

    @property
    def lower_headers(self) -> Mapping[str, str]:
        """Return the headers as the generated parser takes them."""
        return {name.lower(): value for name, value in self.headers}


class Harness:
    """A context in which the facade is called and every request of it is seen."""

    def __init__(self) -> None:
        self.requests: list[Any] = []
        # Behind the clients' own transports: two harnesses must not see the requests of each other.
        self._router = respx.MockRouter(assert_all_called=False)
        self._runner = asyncio.Runner()
        self._clients: dict[Flavour, Any] = {}
        self._response = MockResponse(500)

    def __enter__(self) -> Self:
        self._router.route().mock(side_effect=self._respond)
        self._clients = {
            "sync": httpx.Client(transport=httpx.MockTransport(self._router.handler)),
            "async": httpx.AsyncClient(transport=httpx.MockTransport(self._router.async_handler)),
            "sync-httpx2": httpx2.Client(transport=httpx2.MockTransport(self._respond)),
            "async-httpx2": httpx2.AsyncClient(transport=httpx2.MockTransport(self._respond)),
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for flavour, client in self._clients.items():
            if _is_sync(flavour):
                client.close()
            else:
                self._runner.run(client.aclose())
        self._runner.close()

    def call(self, flavour: Flavour, method: str, arguments: Mapping[str, Any], response: MockResponse) -> Any:
        """Call a method of the facade, and give this response to its request."""
        self._response = response
        client = self._facade(flavour)
        if _is_sync(flavour):
            return getattr(client, method)(**arguments)
        return self._runner.run(getattr(client, method)(**arguments))

    def taken(self) -> list[Any]:
        """Return the requests since the last time, and forget them."""
        requests, self.requests = self.requests, []
        return requests

    def _respond(self, request: httpx.Request | httpx2.Request) -> Any:
        self.requests.append(request)
        return self._response.response(httpx if isinstance(request, httpx.Request) else httpx2)

    def _facade(self, flavour: Flavour) -> Any:
        """Return a new client on the mocked transport: a new one, so that its failure budget is whole."""
        kind = VeniceBilling if _is_sync(flavour) else AsyncVeniceBilling
        return kind(KEY, base_url=BASE_URL, max_retries=0, http_client=self._clients[flavour])


def _is_sync(flavour: Flavour) -> bool:
    return flavour.startswith("sync")


def generated_modules() -> dict[tuple[str, str], ModuleType]:
    """Return the generated modules by the method and path of their operation."""
    modules = {}
    for module in _leaves(generated_api):
        parameters = inspect.signature(module.build_request).parameters.values()
        required = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
        request = module.build_request(**dict.fromkeys(required, "value"))  # any: only the address matters
        modules[request["method"], request["url"]] = module
    return modules


def _leaves(package: ModuleType) -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        module = importlib.import_module(found.name)
        if hasattr(module, "build_request"):
            yield module
