"""Calls and `close()` in the middle of a request of the same thread: in a signal handler, or in a `__del__`."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import h11
import httpcore
import httpx
import pytest

from contract_tests.support.scripted_server import BALANCE_ANSWER, ScriptedServer, say, stall_after
from venice_billing import ClientClosedError, VeniceBilling, VeniceError
from venice_billing._runtime.network import BoundBackend, _BoundStream
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE = 60


def outcome(call: Callable[[], object]) -> list[Any]:
    """Return what a call returns or raises; nothing if it hangs."""
    seen: list[Any] = []

    def run() -> None:
        try:
            seen.append(call())
        except Exception as error:  # noqa: BLE001 - examined by the test
            seen.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return seen


def once(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, act: Callable[[], object]) -> list[object]:
    """Run `act` at the first call of a function, as a signal handler does, and return a list of its result."""
    original = getattr(owner, name)
    results: list[object] = []
    armed = [True]

    def patched(*args: Any, **kwargs: Any) -> Any:
        if armed:
            armed.clear()
            results.append(act())
        return original(*args, **kwargs)

    monkeypatch.setattr(owner, name, patched)
    return results


# There httpcore holds the lock of a connection, the lock of its connect, and the lock of the pool.
POINTS = [(h11.Connection, "start_next_cycle"), (BoundBackend, "connect_tcp"), (httpcore.HTTPConnection, "is_idle")]


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point[1])
@pytest.mark.parametrize("concurrency", [0, 1, 4])
def test_a_call_within_a_request_of_the_same_thread_ends(
    monkeypatch: pytest.MonkeyPatch, point: tuple[Any, str], concurrency: int
) -> None:
    fake = FakeVenice(100)
    with fake.serve() as server, VeniceBilling(fake.admin_key, base_url=server.base_url, timeout=20) as client:

        def nested() -> object:
            if not concurrency:
                return client.get_balance().can_consume
            return len(list(client.iter_usage_history(page_size=10, concurrency=concurrency)))

        results = once(monkeypatch, *point, nested)
        (page,) = outcome(lambda: [client.get_usage_history(page_size=10) for _ in range(2)][-1])
        assert len(page.data) == 10
        assert results == [100 if concurrency else True]


@pytest.mark.parametrize("concurrency", [0, 1, 4])
def test_a_call_within_a_request_of_a_given_client_is_refused(
    monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    """Its pool is shared, so the call would wait for its own thread."""
    fake = FakeVenice(100)
    with fake.serve() as server, httpx.Client() as theirs:
        client = VeniceBilling(fake.admin_key, base_url=server.base_url, timeout=20, http_client=theirs)

        def nested() -> object:
            with pytest.raises(VeniceError, match="in the middle of a request"):
                list(client.iter_usage_history(concurrency=concurrency)) if concurrency else client.get_balance()
            return "refused"

        results = once(monkeypatch, h11.Connection, "start_next_cycle", nested)
        (balance,) = outcome(client.get_balance)
        assert balance.can_consume
        assert results == ["refused"]
        assert client.get_balance().can_consume


@pytest.mark.parametrize(
    "point",
    [
        (httpcore.HTTPConnection, "is_closed"),
        (httpcore.HTTPConnection, "has_expired"),
        (_BoundStream, "write"),
        (_BoundStream, "read"),
        (_BoundStream, "_begin"),
        (_BoundStream, "_end"),
    ],
    ids=lambda point: point[1],
)
def test_closing_within_a_request_of_the_same_thread_ends_it(
    monkeypatch: pytest.MonkeyPatch, point: tuple[Any, str]
) -> None:
    with ScriptedServer(say(BALANCE_ANSWER)) as server:
        client = VeniceBilling("a-key", base_url=server.url, timeout=20)
        client.get_balance()
        once(monkeypatch, *point, client.close)
        (error,) = outcome(client.get_balance)
        assert isinstance(error, ClientClosedError)
        (after,) = outcome(client.get_balance)
        assert isinstance(after, ClientClosedError)
        assert server.closed_by_peer.wait(10)


def test_an_exception_that_closing_causes_in_httpcore_is_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer(say(BALANCE_ANSWER)) as server:
        client = VeniceBilling("a-key", base_url=server.url)

        def fail(*_: object, **__: object) -> None:
            client.close()
            raise ValueError("list.remove(x): x not in list")

        monkeypatch.setattr(_BoundStream, "read", fail)
        with pytest.raises(ClientClosedError):
            client.get_balance()


@pytest.mark.parametrize("method", ["shut_down", "close"])
def test_a_connection_can_be_ended_by_the_thread_that_holds_its_lock(method: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = _BoundStream(_Stream(ours), BoundBackend(httpcore.SyncBackend(), httpcore))

        def end_within() -> str:
            with stream._lock:
                getattr(stream, method)()
            return "ended"

        assert outcome(end_within) == ["ended"]


class _Stream(httpcore.NetworkStream):
    def __init__(self, beneath: socket.socket) -> None:
        self._socket = beneath

    def close(self) -> None:
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        return self._socket if info == "socket" else None


_SCRIPT = """
import os, signal, sys, threading, time
from venice_billing import ClientClosedError, VeniceBilling

call, url = sys.argv[1:]
client = VeniceBilling("fake-admin-key", base_url=url, timeout=300, max_wait=300)
sent = []

def terminate(*_):
    sent.append(time.monotonic())
    client.close()

signal.signal(signal.SIGTERM, terminate)
try:
    if call in ("balance", "wait"):
        client.get_balance()
    else:
        list(client.iter_usage_history(concurrency=int(call)))
except ClientClosedError:
    print("closed within", time.monotonic() - sent[0] < 5)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no signal ends a wait there")
@pytest.mark.parametrize("call", ["balance", "1", "4", "wait"])
def test_a_signal_handler_that_closes_the_client_ends_the_call_under_way(call: str) -> None:
    """The call waits for an answer, or between two attempts; its timeout, and that wait, are 300 seconds."""
    refused = b"HTTP/1.1 503 Unavailable\r\nRetry-After: 299\r\nContent-Length: 0\r\n\r\n"
    script = say(refused) if call == "wait" else stall_after(b"")
    with ScriptedServer(script) as server:
        command = [sys.executable, "-c", _SCRIPT, call, server.url]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            for _ in range(1000):
                if server.requests:
                    break
                threading.Event().wait(0.05)
            assert server.requests
            if call == "wait":
                threading.Event().wait(1)
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=_PATIENCE)
        finally:
            process.kill()
            process.wait()
    assert said.splitlines()[-1] == "closed within True"
