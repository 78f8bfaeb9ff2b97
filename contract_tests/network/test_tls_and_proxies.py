"""TLS, certificates and proxies: the key goes to the server it is meant for, and mistakes are told at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from certifi import where

from contract_tests.support.certificates import server_context
from contract_tests.support.flavours import ON_EACH_LIBRARY, Face, Flavour
from contract_tests.support.scripted_server import BALANCE_ANSWER, ScriptedServer, say, then_close
from venice_billing import APIConnectionError, BillingTimeoutError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tls_connections_are_kept_alive(flavour: Flavour, authority: trustme.CA, anyio_backend: str) -> None:
    context = server_context(authority, "localhost", "127.0.0.1")
    chosen: list[str | None] = []

    def script(connection: Any, wait: Callable[[float], bool]) -> None:
        chosen.append(connection.selected_alpn_protocol())
        connection.sendall(BALANCE_ANSWER)

    context.set_alpn_protocols(["h2", "http/1.1"])
    with ScriptedServer(script, tls=context) as server:
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            face = flavour.at(url)
            for _ in range(3):
                assert (await face.call("get_balance")).can_consume
            await face.close()
        assert server.connections == 2
        assert set(chosen) == {"http/1.1"}


@ON_EACH_LIBRARY
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("reason", ["another name", "another authority", "plain http"])
async def test_a_server_with_an_invalid_certificate_gets_no_request(
    flavour: Flavour, reason: str, authority: trustme.CA, anyio_backend: str
) -> None:
    trusted = trustme.CA() if reason == "another authority" else authority
    context = (
        None
        if reason == "plain http"
        else server_context(trusted, "venice.test" if reason == "another name" else "127.0.0.1")
    )
    with ScriptedServer(say(BALANCE_ANSWER), tls=context) as server:
        face = flavour.at(server.url.replace("http:", "https:"), timeout=0.5)
        with pytest.raises((APIConnectionError, BillingTimeoutError)):
            await face.call("get_balance")
        await face.close()
        assert server.requests == []


@pytest.mark.parametrize("wrong", ["SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"])
async def test_unreadable_certificates_are_refused_at_once(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wrong: str
) -> None:
    """The error names only the variable that is wrong; plain http reads none of them."""
    monkeypatch.chdir(tmp_path)
    others = {"SSL_CERT_FILE": where(), "SSLKEYLOGFILE": "keys"}
    if wrong == "SSL_CERT_DIR":
        del others["SSL_CERT_FILE"]  # which takes precedence
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    for name, value in {**others, wrong: "missing/x"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InvalidParameterError) as caught:
        flavour.at("https://127.0.0.1:1")
    assert re.findall(r"SSL\w+", str(caught.value)) == [wrong]
    assert "'missing/x'" in str(caught.value)
    await flavour.at("http://127.0.0.1:1").close()


async def test_a_file_without_certificates_is_refused_at_once(
    flavour: Flavour, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", "empty.pem")
    with pytest.raises(InvalidParameterError, match=r"SSL_CERT_FILE .*a file with certificates .*empty\.pem"):
        flavour.at("https://127.0.0.1:1")


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "ALL_PROXY", "http_proxy"])
async def test_plain_http_uses_no_proxy(
    flavour: Flavour, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    """A proxy could read the key."""
    monkeypatch.setenv(variable, scripted.url)
    face = flavour.at("http://127.0.0.1:9/api")
    with pytest.raises(APIConnectionError):
        await face.call("get_balance")
    await face.close()
    assert scripted.connections == 0


@ON_EACH_LIBRARY
async def test_plain_http_through_a_proxy_of_the_users_client_is_refused(
    flavour: Flavour, scripted: ScriptedServer
) -> None:
    http = flavour.http(proxy=scripted.url)
    with pytest.raises(InvalidParameterError, match="proxy"):
        flavour.at("http://127.0.0.1:9/api", http_client=http)
    await Face(http).close()


async def test_https_tunnels_through_the_proxy_of_the_environment(
    flavour: Flavour, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted.then(then_close(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n"))
    monkeypatch.setenv("HTTPS_PROXY", scripted.url)
    face = flavour.at("https://venice.test/api")
    with pytest.raises(APIConnectionError):
        await face.call("get_balance")
    await face.close()
    (asked,) = scripted.requests
    assert asked.startswith(b"CONNECT venice.test:443 HTTP/1.1\r\n")
    assert b"a-key" not in asked


@pytest.mark.parametrize("wrong", ["ALL_PROXY", "all_proxy", "HTTPS_PROXY", "http_proxy", "NO_PROXY"])
@pytest.mark.parametrize(
    "proxy", ["socks5://user:hidden@127.0.0.1:1", "http://user:hidden@[::1", "ftp://hidden", "http://hidden:b/"]
)
async def test_an_unusable_proxy_is_refused_at_once(
    flavour: Flavour, wrong: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names only the variable that is wrong, and does not show the address."""
    for name in {"ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"} - {wrong.upper()}:
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv(wrong, "http://hidden:b/" if wrong == "NO_PROXY" else proxy)
    with pytest.raises(InvalidParameterError) as caught:
        flavour.at("https://venice.test/api")
    assert re.findall(r"(?i)\w+_proxy", str(caught.value)) == [wrong]
    assert "hidden" not in str(caught.value)
    monkeypatch.setenv("NO_PROXY", "*")
    await flavour.at("https://venice.test/api").close()


# ---------------------------------------------------------------- kept connections
