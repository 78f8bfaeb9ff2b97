"""The clients that generated operations are called with, with or without a token.

The generator's own clients show the token in their repr, and pass `timeout` to httpx, where it bounds each phase of a
request, not the whole.
"""

import ssl
from typing import Any, Self

import attrs
import httpx

from venice_billing._runtime.connections import bound_async, bound_sync


@attrs.define
class Client:
    """The settings that all requests share: server, headers, cookies, and the total time one request may take.

    Attributes:
        base_url: The server; request paths are appended to it.
        cookies: Sent with every request.
        headers: Sent with every request.
        timeout: Seconds one whole request may take, from connect to last byte; None for no bound. Operations
            raise `httpx.TimeoutException` beyond it.
        verify_ssl: How httpx verifies the server's certificate.
        follow_redirects: Whether to follow redirects.
        httpx_args: More arguments for `httpx.Client` and `httpx.AsyncClient`.
        raise_on_unexpected_status: Whether an undocumented status raises `errors.UnexpectedStatus`.
    """

    base_url: str
    cookies: dict[str, str] = attrs.field(factory=dict, kw_only=True, repr=False)
    headers: dict[str, str] = attrs.field(factory=dict, kw_only=True, repr=False)
    timeout: float | None = attrs.field(default=10.0, kw_only=True)
    verify_ssl: str | bool | ssl.SSLContext = attrs.field(default=True, kw_only=True)
    follow_redirects: bool = attrs.field(default=False, kw_only=True)
    httpx_args: dict[str, Any] = attrs.field(factory=dict, kw_only=True, repr=False)
    raise_on_unexpected_status: bool = attrs.field(default=False, kw_only=True)
    _client: httpx.Client | None = attrs.field(default=None, init=False, repr=False, eq=False)
    _async_client: httpx.AsyncClient | None = attrs.field(default=None, init=False, repr=False, eq=False)

    def with_headers(self, headers: dict[str, str]) -> Self:
        """Return a client like this one with more headers and connections of its own."""
        return attrs.evolve(self, headers={**self.headers, **headers})

    def with_cookies(self, cookies: dict[str, str]) -> Self:
        """Return a client like this one with more cookies and connections of its own."""
        return attrs.evolve(self, cookies={**self.cookies, **cookies})

    def with_timeout(self, timeout: float | None) -> Self:
        """Return a client like this one with another total timeout and connections of its own."""
        return attrs.evolve(self, timeout=timeout)

    def set_httpx_client(self, client: httpx.Client) -> Self:
        """Use your own httpx client, with its server, headers and authentication."""
        self._client = client
        return self

    def get_httpx_client(self) -> httpx.Client:
        """Return the httpx client underneath, made on first use; it heeds the deadline of each request."""
        if self._client is None:
            self._client = httpx.Client(**self._arguments())
        bound_sync(self._client)
        return self._client

    def set_async_httpx_client(self, async_client: httpx.AsyncClient) -> Self:
        """Use your own httpx client, with its server, headers and authentication."""
        self._async_client = async_client
        return self

    def get_async_httpx_client(self) -> httpx.AsyncClient:
        """Return the httpx client underneath, made on first use."""
        if self._async_client is None:
            self._async_client = httpx.AsyncClient(**self._arguments())
        bound_async(self._async_client)
        return self._async_client

    def __enter__(self) -> Self:
        self.get_httpx_client().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:  # noqa: PYI036 - passed on to httpx, which names each
        self.get_httpx_client().__exit__(*exception)

    async def __aenter__(self) -> Self:
        await self.get_async_httpx_client().__aenter__()
        return self

    async def __aexit__(self, *exception: Any) -> None:  # noqa: PYI036 - passed on to httpx, which names each
        await self.get_async_httpx_client().__aexit__(*exception)

    def _all_headers(self) -> dict[str, str]:
        return self.headers

    def _arguments(self) -> dict[str, Any]:
        return {
            "base_url": self.base_url,
            "cookies": self.cookies,
            "headers": self._all_headers(),
            "timeout": self.timeout,
            "verify": self.verify_ssl,
            "follow_redirects": self.follow_redirects,
            **self.httpx_args,
        }


@attrs.define
class AuthenticatedClient(Client):
    """A client that sends a token; no repr shows it.

    Attributes:
        token: The API key.
        prefix: The text before the token in the header; may be empty.
        auth_header_name: The name of the header that carries the token.
    """

    token: str = attrs.field(kw_only=True, repr=False)
    prefix: str = attrs.field(default="Bearer", kw_only=True)
    auth_header_name: str = attrs.field(default="Authorization", kw_only=True)

    def _all_headers(self) -> dict[str, str]:
        return {**self.headers, self.auth_header_name: f"{self.prefix} {self.token}".strip()}


__all__ = ["AuthenticatedClient", "Client"]
