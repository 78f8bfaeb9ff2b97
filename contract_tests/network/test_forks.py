"""A client used before a fork: parent and children have own connections, and so get their own responses."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trustme

from contract_tests.support.forked import ENVIRONMENT
from contract_tests.support.front_server import Front
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

_START = """
import asyncio, sys, threading
import httpx
from contract_tests.support.forked import child, result
from venice_billing import AsyncVeniceBilling, InvalidParameterError, VeniceBilling

flavour, url, key, theirs = sys.argv[1:]
kind, http = (VeniceBilling, httpx.Client) if flavour == "sync" else (AsyncVeniceBilling, httpx.AsyncClient)
client = kind(key, base_url=url, max_retries=0, timeout=60, http_client=http() if theirs == "theirs" else None)

def ask(*sizes):
    if flavour == "sync":
        return [len(client.get_usage_history(page_size=size).data) for size in sizes]
    async def answers():
        return [len((await client.get_usage_history(page_size=size)).data) for size in sizes]
    return asyncio.run(answers())

def outcome(sizes):
    try:
        return "right" if ask(*sizes) == list(sizes) else "the answer of somebody else"
    except BaseException as error:
        return repr(error)

def results(pipes):
    return [result(pipe) for pipe in pipes]
"""

_POOL = (
    _START
    + """
ask(10)
tasks = [range(20 + task, 420, 40) for task in range(8)]
pipes = [child(lambda task=task: outcome(task)) for task in tasks]
mine = outcome(range(15, 415, 40))
print(sorted({mine, *results(pipes)}))
"""
)

_HELD = (
    _START
    + """
# Threads make calls while the process forks repeatedly: any lock they hold at a fork has no owner in the child.
ask(10)
stop = threading.Event()
wrong = []
def call():
    while not stop.is_set():
        if (said := outcome(range(20, 60, 10))) != "right":
            wrong.append(said)
threads = [threading.Thread(target=call, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
said = set()
for number in range(12):
    said |= set(results([child(lambda: outcome(range(100 + number, 400, 100)))]))
stop.set()
for thread in threads:
    thread.join(60)
print(sorted(said), wrong)
"""
)

_THEIRS = (
    _START
    + """
ask(10)
def refused():
    try:
        ask(20)
    except InvalidParameterError as error:
        return f"{error.parameter}: {error}"
    return "not refused"
print(*results([child(refused)]), outcome([20]))
"""
)

_UNUSED = (
    _START
    + """
print(*results([child(lambda: outcome([20]))]))
"""
)

_WALK = (
    _START
    + """
# Parent and child both continue a started walk.
walk = iter(client.iter_usage_history(page_size=50))
first = [next(walk) for _ in range(75)]
def rest():
    rows = [*first, *walk]
    return f"{len(rows)} {len({(row.timestamp, row.sku, row.amount, row.units) for row in rows})}"
pipe = child(rest)
print(rest(), *results([pipe]))
"""
)


@pytest.fixture(scope="module")
def fake() -> FakeVenice:
    return FakeVenice(500)


@pytest.fixture(params=["plain", "tls"])
def url(request: pytest.FixtureRequest, fake: FakeVenice, tmp_path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the URL of the account, and the environment variables for its certificates."""
    with fake.serve() as server:
        port = urlsplit(server.base_url).port or 0
        if request.param == "plain":
            yield server.base_url, {}
            return
        authority = trustme.CA()
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        with Front(port, context) as front:
            yield f"https://127.0.0.1:{front.port}/api/v1", {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}


def _said(script: str, flavour: str, url: tuple[str, dict[str, str]], theirs: str = "ours") -> str:
    """Return what a process prints; warnings about forks in threaded processes are turned off."""
    command = [sys.executable, "-W", "ignore", "-c", script, flavour, url[0], "fake-admin-key", theirs]
    environment = {**os.environ, **ENVIRONMENT, **url[1]}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_children_of_a_pool_and_their_parent_get_own_responses(url: tuple[str, dict[str, str]], flavour: str) -> None:
    assert _said(_POOL, flavour, url) == "['right']"


def test_a_child_does_not_wait_for_threads_of_its_parent(fake: FakeVenice) -> None:
    """Without TLS: OpenSSL has process-wide locks, and does not document forks in threaded processes."""
    with fake.serve() as server:
        assert _said(_HELD, "sync", (server.base_url, {})) == "['right'] []"


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_used_http_client_of_the_user_is_refused_in_the_child(url: tuple[str, dict[str, str]], flavour: str) -> None:
    said = _said(_THEIRS, flavour, url, "theirs")
    assert said.startswith("http_client: http_client must be made in this process: make client and http_client after")
    assert said.endswith(" right") or (flavour == "async" and "used in one event loop" in said)


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_an_unused_http_client_of_the_user_works_in_the_child(url: tuple[str, dict[str, str]], flavour: str) -> None:
    assert _said(_UNUSED, flavour, url, "theirs") == "right"


def test_a_started_walk_continues_in_parent_and_child(url: tuple[str, dict[str, str]], fake: FakeVenice) -> None:
    distinct = len({(row["timestamp"], row["sku"], row["amount"], row["units"]) for row in fake.ledger})
    assert _said(_WALK, "sync", url) == f"500 {distinct} 500 {distinct}"
