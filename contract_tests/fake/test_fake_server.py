"""FakeVenice on real sockets: the same responses as its transport, and faults that take real time."""

from __future__ import annotations

import http.client
import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import BALANCE, HISTORY
from venice_billing.testing import FakeServer, FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(1000, now=NOW)


@pytest.fixture
def server(fake: FakeVenice) -> Iterator[FakeServer]:
    with fake.serve() as server:
        yield server


@pytest.fixture
def client(fake: FakeVenice, server: FakeServer) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {fake.admin_key}"}
    with httpx.Client(base_url=server.base_url, headers=headers, timeout=0.3, trust_env=False) as client:
        yield client


def test_server_responds_as_the_transport_does(fake: FakeVenice, client: httpx.Client) -> None:
    headers = {"authorization": f"Bearer {fake.admin_key}"}
    direct = httpx.Client(base_url="http://fake.test/api/v1", headers=headers, transport=fake.transport())
    for path, accept in [
        (HISTORY, "application/json"),
        (f"{HISTORY}?pageSize=1", "*/*"),
        ("/billing/usage", "*/*"),
        (f"{HISTORY}?currency=USD&startTimestamp=2026-10-01T00%3A00%3A00Z", "text/csv"),
        ("/billing/usage-analytics?lookback=30d", "*/*"),
        ("/nowhere", "*/*"),
    ]:
        served = client.get(path, headers={"accept": accept}, timeout=5)
        same = direct.get(path, headers={"accept": accept})
        assert served.status_code == same.status_code
        assert served.headers["content-type"] == same.headers["content-type"]
        assert len(served.content) == len(same.content) > 0


def test_one_connection_serves_many_requests(fake: FakeVenice, server: FakeServer) -> None:
    target = urlsplit(server.base_url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=5)
    connection.connect()
    ours = connection.sock
    for method, body in [("GET", None), ("POST", b"thrown away"), ("HEAD", None), ("GET", None)]:
        connection.request(method, "/api/v1/billing/balance", body, {"authorization": f"Bearer {fake.admin_key}"})
        response = connection.getresponse()
        content = response.read()
        assert response.status == (200 if method == "GET" else 405)
        assert (content == b"") == (method == "HEAD")
        assert connection.sock is ours
    connection.close()


def test_many_connections_are_served_at_once(fake: FakeVenice, client: httpx.Client) -> None:
    fake.quirks.latency = 1.0
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda _: client.get(BALANCE, timeout=30).status_code, range(8)))
    assert statuses == [200] * 8
    assert time.monotonic() - began < 7.5  # one after another would take 8
    assert [request.number for request in fake.requests] == list(range(1, 9))


def test_clock_runs_while_the_server_runs(fake: FakeVenice, client: httpx.Client) -> None:
    time.sleep(0.05)
    client.get(BALANCE)
    assert 0.05 <= fake.requests[0].time - NOW.timestamp() < 60


@pytest.mark.parametrize("fault", [faults.hang(), faults.connect_hang(), faults.body_hang()], ids=str)
def test_hang_times_out_and_the_next_request_succeeds(
    fake: FakeVenice, client: httpx.Client, fault: faults.Fault
) -> None:
    fake.quirks.faults = [fault]
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout):
        client.get(BALANCE)
    assert 0.3 <= time.monotonic() - began < 30
    assert client.get(BALANCE).status_code == 200


@pytest.mark.parametrize("fault", [faults.trickle_headers(200), faults.trickle_body(200)], ids=str)
def test_a_trickle_outlasts_the_timeouts_of_httpx(fake: FakeVenice, client: httpx.Client, fault: faults.Fault) -> None:
    fake.quirks.faults = [fault]
    began = time.monotonic()
    assert client.get(BALANCE).json()["canConsume"] is True
    assert time.monotonic() - began > 0.4


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (faults.reset(), httpx.ReadError),
        (faults.reset(20), httpx.ReadError),
        (faults.truncated(), httpx.RemoteProtocolError),
    ],
    ids=str,
)
def test_broken_connection_and_the_next_request(
    fake: FakeVenice, client: httpx.Client, fault: faults.Fault, error: type[httpx.HTTPError]
) -> None:
    fake.quirks.faults = [fault]
    with pytest.raises(error):
        client.get(BALANCE)
    assert client.get(BALANCE).status_code == 200


def test_closing_does_not_wait_for_a_hang(fake: FakeVenice) -> None:
    fake.quirks.faults = [faults.hang(), faults.trickle_body(0.01)]
    with fake.serve() as server, ThreadPoolExecutor(3) as pool:
        idle = socket.create_connection((urlsplit(server.base_url).hostname or "", urlsplit(server.base_url).port or 0))
        for _ in range(2):
            pool.submit(httpx.get, server.base_url + BALANCE, timeout=30, trust_env=False)
        while len(fake.requests) < 2:
            time.sleep(0.01)
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < 25  # the hang would take 30
        assert idle.recv(1) == b""
        idle.close()


def test_response_to_head_has_no_body(server: FakeServer) -> None:
    target = urlsplit(server.base_url)
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=5) as connection:
        connection.sendall(b"HEAD /api/v1/billing/balance HTTP/1.1\r\nconnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 405 ")
    assert answer.endswith(b"\r\n\r\n")


def test_invalid_request_closes_the_connection(server: FakeServer) -> None:
    target = urlsplit(server.base_url)
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=5) as connection:
        connection.sendall(b"HELO\r\n\r\n")
        assert connection.recv(100) == b""


def test_the_fixtures_of_the_plugin(fake_venice: FakeVenice, fake_venice_url: str) -> None:
    headers = {"authorization": f"Bearer {fake_venice.admin_key}"}
    response = httpx.get(fake_venice_url + HISTORY, headers=headers, timeout=5, trust_env=False)
    assert len(json.loads(response.content)["data"]) == len(fake_venice.ledger) == 1000
    assert urlsplit(fake_venice_url).hostname == "127.0.0.1"
