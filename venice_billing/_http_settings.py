"""Settings of the httpx clients that this package makes: proxies and certificates from the environment, no cookies.

What is wrong in the environment is refused when a client is made, with an error that names the variable.
"""

from __future__ import annotations

import os
from functools import partial
from http.cookiejar import CookieJar
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import getproxies

import httpx
from httpx._utils import get_environment_proxies

from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from http.client import HTTPResponse
    from urllib.request import Request

Client = TypeVar("Client", httpx.Client, httpx.AsyncClient)

_LIMITS = httpx.Limits(max_connections=32, max_keepalive_connections=32)
"""More than a client ever has under way at once: its failure budget bounds that."""
_LARGEST_PORT = 65_535
_TRANSPORTS: dict[type, type] = {httpx.Client: httpx.HTTPTransport, httpx.AsyncClient: httpx.AsyncHTTPTransport}


class HttpSettings:
    """Settings of httpx clients; the environment is read once, at the start, so that a mistake there shows at once."""

    def __init__(self, base_url: str) -> None:
        self._is_plain = httpx.URL(base_url).scheme == "http"
        self._proxies = {} if self._is_plain else get_environment_proxies()  # plain http: a proxy could read the key
        self._tls: ssl.SSLContext | None = None
        self._inherited: list[object] = []
        if not self._is_plain:
            _check_proxies(verify=self._verify())
            _check_proxy_setting("no_proxy", lambda: self.make(httpx.Client))

    def make(self, kind: type[Client]) -> Client:
        """Return a client of one kind, not connected yet."""
        verify = self._verify()
        transport: Any = _TRANSPORTS[kind]
        mounts: Any = {
            hosts: None if proxy is None else transport(verify=verify, trust_env=False, limits=_LIMITS, proxy=proxy)
            for hosts, proxy in self._proxies.items()
        }
        return kind(verify=verify, trust_env=False, limits=_LIMITS, cookies=_NoCookies(), mounts=mounts)

    def reset_after_fork(self) -> None:
        """In a forked child, leave the parent's TLS context as it is, and make another for the next client."""
        self._inherited.append(self._tls)
        self._tls = None

    def _verify(self) -> ssl.SSLContext | bool:
        """Return the TLS context; False for plain http, which is for loopback only and has no certificates."""
        if self._is_plain:
            return False
        context = self._tls
        if context is None:
            context = self._tls = _tls_context()
        return context


class _NoCookies(CookieJar):
    """Stores and sends no cookies: a billing API has no use for them, and one that is not ASCII breaks httpx."""

    def extract_cookies(self, response: HTTPResponse, request: Request) -> None:
        """Store no cookie."""

    def add_cookie_header(self, request: Request) -> None:
        """Send no cookie."""


def _tls_context() -> ssl.SSLContext:
    """Return a TLS context with the certificates that the environment names, or those of certifi."""
    folders = os.environ.get("SSL_CERT_DIR")
    if folders and not os.environ.get("SSL_CERT_FILE") and not any(map(os.path.isdir, folders.split(os.pathsep))):
        # OpenSSL accepts any path, and trusts no server if there is nothing.
        raise _wrong_path("SSL_CERT_DIR", "left out, or the path of a folder with certificates")
    try:
        return httpx.create_ssl_context()
    except (ValueError, OSError) as error:
        problem = error.strerror or type(error).__name__ if isinstance(error, OSError) else type(error).__name__
    if not os.environ.get("SSLKEYLOGFILE") or not _has_certificates(os.environ.get("SSL_CERT_FILE")):
        raise _wrong_path("SSL_CERT_FILE", f"left out, or the path of a file with certificates ({problem})")
    raise _wrong_path("SSLKEYLOGFILE", f"left out, or the path of a file to write keys of TLS to ({problem})")


def _has_certificates(path: str | None) -> bool:
    import ssl  # noqa: PLC0415 - httpx loads it this late too

    try:
        if path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ValueError, OSError):
        return False
    return True


def _wrong_path(variable: str, allowed: str) -> InvalidParameterError:
    return InvalidParameterError(f"the environment variable {variable}", os.environ.get(variable), allowed)


def _check_proxies(*, verify: ssl.SSLContext | bool) -> None:
    """Refuse a proxy that httpx would refuse without naming the variable, or that has no host or no real port."""
    proxies = getproxies()
    if "*" in [host.strip() for host in proxies.get("no", "").split(",")]:
        return  # httpx then uses no proxy
    for scheme in ("http", "https", "all"):
        address = proxies.get(scheme)
        if address:
            _check_proxy_setting(f"{scheme}_proxy", partial(_made_transport, address, verify=verify))


def _made_transport(address: str, *, verify: ssl.SSLContext | bool) -> httpx.HTTPTransport:
    url = httpx.URL(address if "://" in address else f"http://{address}")
    if not url.host or "[" in url.host:
        raise ValueError("there is no host")
    if url.port is not None and not 0 < url.port <= _LARGEST_PORT:
        raise ValueError(f"there is no port {url.port}")  # the system may use another port instead
    return httpx.HTTPTransport(verify=verify, proxy=url)


def _check_proxy_setting(name: str, make: Callable[[], httpx.HTTPTransport | httpx.Client]) -> None:
    """Refuse a proxy setting with which `make` fails; the error names its variable."""
    try:
        made = make()
    except ImportError:
        allowed = "left out, or the address of an http:// or https:// proxy (SOCKS needs the package socksio)"
    except (ValueError, OSError, httpx.InvalidURL) as error:
        allowed = f"left out, or usable ({type(error).__name__})"
    else:
        made.close()
        return
    # Python reads either spelling, lower case first, and on some systems also the system's settings.
    spelled = [variable for variable in sorted(os.environ, reverse=True) if variable.lower() == name]
    where = f"the environment variable {spelled[0]}" if spelled else f"the setting {name} of this system"
    # The address of a proxy may hold a password, so it is not shown.
    raise InvalidParameterError(where, _Unshown(), allowed) from None


class _Unshown:
    def __repr__(self) -> str:
        return "a value that is not shown here"
