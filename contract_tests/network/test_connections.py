"""The connections of a client: reuse, closing, isolation, cookies and interruptions."""

from __future__ import annotations

import contextlib
import gc
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import anyio
import httpx
import pytest

from contract_tests.support.certificates import server_context
from contract_tests.support.flavours import ON_EACH_LIBRARY, Face, Flavour
from contract_tests.support.front_server import Front
from contract_tests.support.scripted_server import (
    BALANCE_ANSWER,
    ScriptedServer,
    never_accepting,
    say,
    stall_after,
    then_close,
)
from venice_billing import (
    APIConnectionError,
    AsyncVeniceBilling,
    BillingTimeoutError,
    ClientClosedError,
    ResponseValidationError,
    VeniceBilling,
    VeniceError,
)
from venice_billing._runtime.connections import bound_sync
from venice_billing._runtime.deadline import Deadline
from venice_billing._runtime.network import BoundBackend, _BoundStream
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    import trustme

pytestmark = pytest.mark.anyio


async def test_consecutive_calls_share_one_connection(flavour: Flavour, scripted: ScriptedServer) -> None:
    face = flavour.at(scripted.url)
    for _ in range(3):
        assert (await face.call("get_balance")).can_consume
    assert scripted.connections == 1
    await face.close()
    assert scripted.closed_by_peer.wait(2)


@ON_EACH_LIBRARY
@pytest.mark.parametrize(
    "first",
    [
        then_close(BALANCE_ANSWER),
        say(BALANCE_ANSWER.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)),
        say(BALANCE_ANSWER.replace(b"1.1", b"1.0", 1)),
        say(BALANCE_ANSWER + b"left over"),
        say(BALANCE_ANSWER + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        say(b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 99999\r\n\r\n"),
    ],
    ids=["closed by the server", "Connection: close", "HTTP/1.0", "extra bytes", "extra response", "partly read"],
)
async def test_an_unusable_connection_is_not_reused(flavour: Flavour, first: Any) -> None:
    """The next call succeeds without retries."""
    with ScriptedServer(first, say(BALANCE_ANSWER)) as server:
        face = flavour.at(server.url, timeout=0.5)
        with contextlib.suppress(BillingTimeoutError, APIConnectionError, ResponseValidationError):
            await face.call("get_balance")
        await anyio.sleep(0.05)
        assert (await face.call("get_balance")).can_consume
        await face.close()
        assert server.connections == 2


async def test_a_connection_idle_for_too_long_is_not_reused(
    flavour: Flavour, scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    face = flavour.at(scripted.url)
    await face.call("get_balance")
    now = time.monotonic
    module = "sync" if flavour.name == "sync" else "async"
    monkeypatch.setattr(
        f"httpcore._{module}.http11.time", type("Later", (), {"monotonic": staticmethod(lambda: now() + 5.1)})
    )
    assert (await face.call("get_balance")).can_consume
    assert scripted.connections == 2
    await face.close()


def test_threads_have_own_connections_and_return_them_to_the_pool() -> None:
    fake = FakeVenice(50)
    with fake.serve() as server, VeniceBilling(fake.admin_key, base_url=server.base_url) as client:
        with ThreadPoolExecutor(8) as pool:
            pages = list(pool.map(lambda size: client.get_usage_history(page_size=size), list(range(10, 50)) * 3))
        assert [len(page.data) for page in pages] == list(range(10, 50)) * 3
        kept = [http for http, _ in client._driver.connections._idle]
        assert 1 <= len(kept) == len(set(kept)) <= 8
        for http in kept:
            assert isinstance(http._transport, httpx.HTTPTransport)
            assert len(http._transport._pool.connections) == 1


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_tasks_have_own_connections(anyio_backend: str) -> None:
    fake = FakeVenice(50)
    sizes: dict[int, int] = {}
    with fake.serve() as server:
        async with AsyncVeniceBilling(fake.admin_key, base_url=server.base_url) as client:

            async def ask(size: int) -> None:
                sizes[size] = len((await client.get_usage_history(page_size=size)).data)

            async with anyio.create_task_group() as tasks:
                for size in range(10, 50):
                    tasks.start_soon(ask, size)
    assert sizes == {size: size for size in range(10, 50)}


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # the event loop that could close the connection is gone
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_an_asynchronous_client_outlives_its_event_loop(backend: str) -> None:
    """As in a script that calls `asyncio.run` more than once."""
    fake = FakeVenice(20)
    with fake.serve() as server:
        client = AsyncVeniceBilling(fake.admin_key, base_url=server.base_url, max_retries=0)
        for _ in range(3):
            assert anyio.run(client.get_balance, backend=backend).can_consume
        anyio.run(client.aclose, backend=backend)
        gc.collect()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_closing_a_client_ends_its_running_call_with_an_error(flavour: Flavour, anyio_backend: str) -> None:
    """Later calls raise the same error, and none of them counts as a failure of the API."""
    with ScriptedServer(stall_after(BALANCE_ANSWER[:-5])) as server:
        face = flavour.at(server.url, timeout=60, max_retries=2)
        started = time.monotonic()
        said: list[VeniceError] = []

        async def call() -> None:
            try:
                if flavour.name == "sync":
                    await anyio.to_thread.run_sync(face.client.get_balance)
                else:
                    await face.client.get_balance()
            except ClientClosedError as error:
                said.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(call)
            while len(server.requests) < 3:  # noqa: ASYNC110 - the server is a thread
                await anyio.sleep(0.01)
            await face.close()
        assert len(said) == 3
        assert face.client._policy.budget._failed == []
        assert server.closed_by_peer.wait(10)
        with pytest.raises(ClientClosedError):
            await face.call("get_balance")
        assert time.monotonic() - started < 30
        assert len(server.requests) == 3


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_another_thread_ends_a_request(scheme: str) -> None:
    """The request waits for a response, or for the end of a TLS handshake."""
    with ScriptedServer(stall_after(b""), reads_requests=False) as server:
        url = server.url.replace("http:", f"{scheme}:")
        with httpx.Client() as client:
            bound_sync(client)
            started = time.monotonic()
            bound = Deadline(60)
            threading.Timer(0.1, bound.cancel).start()
            with pytest.raises(httpx.TransportError):
                client.get(url, extensions=bound.extensions())
            assert time.monotonic() - started < 30


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_cancelled_call_closes_its_connection(scripted: ScriptedServer, anyio_backend: str) -> None:
    scripted.then(stall_after(BALANCE_ANSWER[:50]))
    async with AsyncVeniceBilling("a-key", base_url=scripted.url) as client:
        with anyio.move_on_after(0.2):
            await client.get_balance()
        assert scripted.closed_by_peer.wait(2)
        scripted.then(say(BALANCE_ANSWER))
        assert (await client.get_balance()).can_consume


@ON_EACH_LIBRARY
@pytest.mark.parametrize("fault", [None, faults.hang()], ids=["well", "hanging"])
async def test_leaving_a_walk_leaves_no_connection(flavour: Flavour, fault: faults.Fault | None) -> None:
    """It leaves no thread and no task either, and closing the client closes every connection."""
    fake = FakeVenice(2000)
    fake.quirks.faults = lambda seen: fault if seen.number > 3 else None
    before = threading.active_count()
    with fake.serve() as server:
        face = flavour.open(fake.admin_key, base_url=server.base_url)
        walk = face.client.iter_usage_history(page_size=50, concurrency=4)
        if flavour.name == "sync":
            for _ in walk:
                await anyio.sleep(0.3)  # meanwhile the workers are busy
                started = time.monotonic()
                break
        else:
            async with contextlib.aclosing(aiter(walk)) as entries:
                async for _ in entries:
                    await anyio.sleep(0.3)
                    started = time.monotonic()
                    break
        gc.collect()
        assert time.monotonic() - started < 30
        await face.close()
    assert threading.active_count() <= before + 1
    gc.collect()  # a socket left open raises a ResourceWarning here, which is an error


def test_an_unanswered_address_leaves_time_for_the_next_one(
    scripted: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 0)) for address in ("127.0.0.2", "127.0.0.1")]
    url = f"http://many.test:{scripted.port}/"
    resolve: Any = socket.getaddrinfo

    def resolved(host: str, *rest: Any, **more: Any) -> Any:
        return found if host == "many.test" else resolve(host, *rest, **more)

    with never_accepting("127.0.0.2", scripted.port), httpx.Client() as client:
        monkeypatch.setattr(socket, "getaddrinfo", resolved)
        bound_sync(client)
        assert client.get(url, extensions=Deadline(2).extensions()).status_code == 200


# ---------------------------------------------------------------- connections that were kept


@ON_EACH_LIBRARY
async def test_a_kept_connection_closed_meanwhile_costs_no_attempt(flavour: Flavour) -> None:
    """Servers close idle connections without notice; a request that no server received is sent again."""

    def answer_once(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        connection.sendall(BALANCE_ANSWER)
        connection.recv(65536)  # the next request arrives and gets no response
        connection.close()

    with ScriptedServer(answer_once, say(BALANCE_ANSWER)) as server:
        face = flavour.at(server.url)
        for _ in range(2):
            assert (await face.call("get_balance")).can_consume
        assert face.client._policy.budget.admit is not None
        await face.close()
        assert server.connections == 2


@ON_EACH_LIBRARY
async def test_a_new_connection_closed_without_a_response_is_a_failure(flavour: Flavour) -> None:
    """It is unknown whether the server processed the request."""
    with ScriptedServer(then_close(b"")) as server:
        face = flavour.at(server.url)
        with pytest.raises(APIConnectionError):
            await face.call("get_balance")
        await face.close()
        assert len(server.requests) == 1


@ON_EACH_LIBRARY
async def test_a_kept_connection_closed_within_a_response_is_a_failure(flavour: Flavour) -> None:
    with ScriptedServer(say(BALANCE_ANSWER), then_close(BALANCE_ANSWER[:40])) as server:
        face = flavour.at(server.url)
        await face.call("get_balance")
        with pytest.raises(APIConnectionError):
            await face.call("get_balance")
        await face.close()
        assert len(server.requests) == 2


@ON_EACH_LIBRARY
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_unsolicited_bytes_answer_no_request(
    flavour: Flavour, authority: trustme.CA, anyio_backend: str, *, tls: bool
) -> None:
    false = BALANCE_ANSWER.replace(b'"canConsume":true', b'"canConsume":null')
    received, sent = threading.Event(), threading.Event()

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        connection.sendall(BALANCE_ANSWER)
        received.wait(60)
        connection.sendall(false)
        sent.set()

    with ScriptedServer(script, tls=server_context(authority, "127.0.0.1") if tls else None) as server:
        face = flavour.at(server.url, timeout=60)
        for _ in range(3):
            assert (await face.call("get_balance")).can_consume is True
            received.set()
            while not sent.is_set():  # noqa: ASYNC110 - the server is a thread
                await anyio.sleep(0.01)
            await anyio.sleep(0.05)  # so that the event loop reads the bytes that have arrived
            received.clear()
            sent.clear()
        await face.close()
        assert server.connections == 3


@ON_EACH_LIBRARY
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_unsolicited_bytes_in_the_record_of_an_answer_make_it_an_error(
    flavour: Flavour, authority: trustme.CA, anyio_backend: str, *, tls: bool
) -> None:
    """They show that its length is wrong. The next request gets its own answer, on a connection of its own."""
    false = BALANCE_ANSWER.replace(b'"canConsume":true', b'"canConsume":null')
    answers = [BALANCE_ANSWER + false, BALANCE_ANSWER] * 2

    def script(connection: socket.socket, _: Callable[[float], bool]) -> None:
        connection.sendall(answers.pop(0))

    with ScriptedServer(script, tls=server_context(authority, "127.0.0.1") if tls else None) as server:
        face = flavour.at(server.url, timeout=60)
        for _ in range(2):
            with pytest.raises(ResponseValidationError, match="bytes came after"):
                await face.call("get_balance")
            assert (await face.call("get_balance")).can_consume is True
        await face.close()
        assert server.connections == 3


@ON_EACH_LIBRARY
@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_a_tls_record_behind_a_response_answers_no_request(
    flavour: Flavour, authority: trustme.CA, anyio_backend: str
) -> None:
    """The record arrives together with the response, so it waits in the TLS object and no longer in the socket."""
    false = BALANCE_ANSWER.replace(b'"canConsume":true', b'"canConsume":null')

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        connection.sendall(BALANCE_ANSWER)
        connection.sendall(false)

    with (
        ScriptedServer(script, tls=server_context(authority, "127.0.0.1")) as server,
        Front(server.port, gather=0.05) as front,
    ):
        face = flavour.at(f"https://127.0.0.1:{front.port}", timeout=60)
        for _ in range(3):
            assert (await face.call("get_balance")).can_consume is True
        await face.close()
        assert server.connections == 3


# ---------------------------------------------------------------- cookies


@pytest.mark.parametrize("cookie", ["a=b; Path=/", "schl\u00fcssel=\u00fc\u4e2d"])
async def test_no_cookie_is_stored(flavour: Flavour, scripted: ScriptedServer, cookie: str) -> None:
    set_cookie = f"\r\nSet-Cookie: {cookie}\r\n".encode()
    scripted.then(say(BALANCE_ANSWER.replace(b"\r\n", set_cookie, 1)))
    theirs = flavour.http()
    for face in (flavour.at(scripted.url), flavour.at(scripted.url, http_client=theirs)):
        for _ in range(2):
            assert (await face.call("get_balance")).can_consume
        await face.close()
    await Face(theirs).close()
    assert len(scripted.requests) == 4
    assert not any(b"cookie" in asked.lower() for asked in scripted.requests)


# ---------------------------------------------------------------- interruptions


@pytest.mark.parametrize("operation", ["read", "write", "connect_tcp"])
def test_a_client_works_after_an_interrupted_call(
    scripted: ScriptedServer, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = VeniceBilling("a-key", base_url=scripted.url)
    client.get_balance()

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BoundBackend if operation == "connect_tcp" else _BoundStream, operation, interrupt)
        if operation == "connect_tcp":
            client._driver.connections._idle.clear()
        with pytest.raises(KeyboardInterrupt):
            client.get_balance()
    assert client.get_balance().can_consume
    client.close()
