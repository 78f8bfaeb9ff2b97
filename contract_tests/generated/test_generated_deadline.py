"""The total deadline of one request by the generated client, on real sockets, in every phase, sync and async."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from contract_tests.support.scripted_server import GOOD, Script, ScriptedServer, never_accepting, say, stall_after
from venice_billing._runtime.connections import bound_sync
from venice_billing._runtime.deadline import Deadline
from venice_billing._runtime.network import BoundBackend
from venice_billing_api import Client
from venice_billing_api.api.billing import get_billing_balance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BODY = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":1},"diemEpochAllocation":0}'
_ANSWER = GOOD % (len(_BODY), _BODY)
_HEAD = _ANSWER.index(b"\r\n\r\n")
_TIMEOUT = 0.3
_LATEST = 30.0  # generous, since a loaded machine may be late; the chaos harness measures how late requests really are

_PHASES = {
    "headers that trickle": say(_ANSWER, slowly_from=5),
    "headers that stall": stall_after(_ANSWER[: _HEAD - 3]),
    "a body that trickles": say(_ANSWER, slowly_from=_HEAD + 4),
    "a body that stalls": stall_after(_ANSWER[:-1]),
    "no answer at all": stall_after(b""),
}


def _sync(client: Client) -> Any:
    return get_billing_balance.sync(client=client)


def _asynchronous(client: Client) -> Any:
    async def call() -> Any:
        async with client:
            return await get_billing_balance.asyncio(client=client)

    return anyio.run(call)


_each_flavour = pytest.mark.parametrize("call", [_sync, _asynchronous], ids=["sync", "async"])


@contextlib.contextmanager
def _cut_in_time() -> Iterator[None]:
    started = time.monotonic()
    with pytest.raises(httpx.TimeoutException):
        yield
    assert _TIMEOUT - 0.05 <= time.monotonic() - started <= _LATEST


@_each_flavour
@pytest.mark.parametrize("script", _PHASES.values(), ids=_PHASES)
def test_the_deadline_cuts_a_slow_phase_and_closes_its_connection(
    script: Script, call: Callable[[Client], Any]
) -> None:
    with ScriptedServer(script) as server:
        client = Client(server.url, timeout=_TIMEOUT)
        with _cut_in_time():
            call(client)
        assert server.closed_by_peer.wait(2)
        client.get_httpx_client().close()


@pytest.mark.parametrize("script", _PHASES.values(), ids=_PHASES)
def test_the_next_call_of_the_same_client_works(script: Script) -> None:
    with ScriptedServer(script, say(_ANSWER)) as server, Client(server.url, timeout=_TIMEOUT) as client:
        with _cut_in_time():
            _sync(client)
        assert _sync(client).can_consume is True


@_each_flavour
def test_the_deadline_cuts_a_hanging_tls_handshake(call: Callable[[Client], Any]) -> None:
    with ScriptedServer(stall_after(b""), reads_requests=False) as server:
        client = Client(server.url.replace("http:", "https:"), timeout=_TIMEOUT)
        with _cut_in_time():
            call(client)
        assert server.closed_by_peer.wait(2)
        client.get_httpx_client().close()


@pytest.fixture
def full_port() -> Iterator[int]:
    with never_accepting("0.0.0.0") as port:
        yield port


@_each_flavour
def test_the_deadline_cuts_a_connect_without_response(full_port: int, call: Callable[[Client], Any]) -> None:
    client = Client(f"http://127.0.0.1:{full_port}", timeout=_TIMEOUT)
    with _cut_in_time():
        call(client)
    client.get_httpx_client().close()


@pytest.fixture
def many_addresses(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that sets the addresses of the host `many.test`."""

    def set_addresses(port: int, *addresses: str) -> None:
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, port)) for address in addresses]
        resolve: Any = socket.getaddrinfo

        def resolved(host: str, *rest: Any, **more: Any) -> Any:
            return found if host == "many.test" else resolve(host, *rest, **more)

        monkeypatch.setattr(socket, "getaddrinfo", resolved)

    return set_addresses


def test_all_addresses_of_a_host_share_one_budget(full_port: int, many_addresses: Callable[..., None]) -> None:
    """`socket.create_connection` would give each address the whole timeout."""
    many_addresses(full_port, "127.0.0.1", "127.0.0.2", "127.0.0.3")
    with Client(f"http://many.test:{full_port}", timeout=_TIMEOUT) as client, _cut_in_time():
        _sync(client)


def test_the_deadline_cuts_a_hanging_name_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lookup has no timeout of its own."""
    released = threading.Event()

    def hang(*_arguments: Any, **_more: Any) -> Any:
        released.wait(10)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    with Client("http://slow.test", timeout=_TIMEOUT) as client, _cut_in_time():
        _sync(client)
    released.set()


def test_the_next_address_is_tried_when_one_refuses(many_addresses: Callable[..., None]) -> None:
    with ScriptedServer(say(_ANSWER)) as server, Client(f"http://many.test:{server.port}") as client:
        many_addresses(server.port, "127.0.0.2", "127.0.0.1")
        assert _sync(client).can_consume is True


def test_a_host_without_an_address_is_a_connection_error() -> None:
    with Client("http://nowhere.invalid") as client, pytest.raises(httpx.ConnectError):
        _sync(client)


def test_the_deadline_bounds_a_response_through_a_proxy() -> None:
    with ScriptedServer(_PHASES["a body that trickles"]) as proxy:
        arguments = {"proxy": proxy.url}
        with Client("http://venice.test", timeout=_TIMEOUT, httpx_args=arguments) as client, _cut_in_time():
            _sync(client)


def test_a_slow_response_without_a_deadline_arrives() -> None:
    slow = say(_ANSWER, slowly_from=len(_ANSWER) - 10, pause=0.02)
    with ScriptedServer(slow) as server, Client(server.url, timeout=None) as client:
        assert _sync(client).can_consume is True


def test_a_slow_response_within_the_deadline_arrives() -> None:
    slow = say(_ANSWER, slowly_from=len(_ANSWER) - 10, pause=0.02)
    with ScriptedServer(slow) as server, Client(server.url, timeout=5) as client:
        assert _sync(client).can_consume is True


def test_another_thread_ends_a_request() -> None:
    with ScriptedServer(_PHASES["no answer at all"]) as server, httpx.Client(timeout=60) as client:
        bound_sync(client)
        started = time.monotonic()
        bound = Deadline(60)
        threading.Timer(0.1, bound.cancel).start()
        with pytest.raises(httpx.TransportError):
            client.get(server.url, extensions=bound.extensions())
        assert time.monotonic() - started < 30


def test_binding_is_idempotent_and_skips_other_transports() -> None:
    mock = httpx.MockTransport(lambda _: httpx.Response(200))
    with httpx.Client(mounts={"http://mock.test": mock}) as client:
        bound_sync(client)
        bound_sync(client)
        assert isinstance(client._transport, httpx.HTTPTransport)
        backend = client._transport._pool._network_backend
        assert isinstance(backend, BoundBackend)
        assert not isinstance(backend._backend, BoundBackend)
        assert client.get("http://mock.test").status_code == 200
