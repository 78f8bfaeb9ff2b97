"""httpx2 is optional: never imported here; its clients are accepted as those of httpx are."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import httpx
import pytest

from contract_tests.support.flavours import NAMES, WITHOUT_HTTPX2, Flavour, as_wire, receive
from contract_tests.support.paths import ROOT
from contract_tests.support.scripted_server import BALANCE_ANSWER, ScriptedServer, say, then_close
from venice_billing import APIConnectionError, ClientClosedError, InvalidParameterError, RateLimitError, __version__
from venice_billing._runtime.http_libraries import core_of, http_of
from venice_billing.testing import FakeVenice, Quirks, faults

pytestmark = pytest.mark.anyio

WITHOUT = """
import sys
sys.modules["httpx2"] = sys.modules["httpcore2"] = None  # importing it fails
import httpx
from venice_billing import VeniceBilling
from venice_billing.testing import FakeVenice

fake = FakeVenice(20)
assert fake.client().get_balance().can_consume
with fake.serve() as server:
    with VeniceBilling(fake.admin_key, base_url=server.base_url) as client:
        assert len(list(client.iter_usage_history())) == 20
    with httpx.Client() as http:
        assert VeniceBilling(fake.admin_key, base_url=server.base_url, http_client=http).get_balance().can_consume
print("fine")
"""
UNUSED = """
import sys
import venice_billing.client
from venice_billing import AsyncVeniceBilling, VeniceBilling

VeniceBilling("a-key").close()
AsyncVeniceBilling("a-key")
print("fine" if not {"httpx2", "httpcore2"} & sys.modules.keys() else "imported")
"""
IN_PLACE = """
import httpx2

httpx2.alias_httpx()
from venice_billing import VeniceBilling
from venice_billing.testing import FakeVenice, faults

fake = FakeVenice(20)
fake.quirks.faults = [faults.status(503), faults.reset()]
with fake.serve() as server, VeniceBilling(fake.admin_key, base_url=server.base_url) as client:
    assert client.get_balance().can_consume
assert fake.requests[-1].headers["user-agent"].endswith(f" python-httpx2/{httpx2.__version__}")
print("fine")
"""


@pytest.mark.parametrize(
    "program",
    [WITHOUT, pytest.param(UNUSED, marks=WITHOUT_HTTPX2), pytest.param(IN_PLACE, marks=WITHOUT_HTTPX2)],
    ids=["not installed", "not used", "in place of httpx"],
)
def test_httpx2_may_be_missing_unused_or_in_place_of_httpx(program: str) -> None:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout.strip(), done.stderr) == ("fine", "")


@pytest.fixture(params=[pytest.param(Flavour(name, "httpx2"), marks=WITHOUT_HTTPX2) for name in NAMES], ids=str)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


def test_objects_of_either_library_are_told_apart(flavour: Flavour) -> None:
    httpx2 = flavour.package
    ours = type("Ours", (httpx2.Client,), {})
    for value in (httpx2.Client(), ours(), httpx2.ReadTimeout("late"), httpx2.Response(200), httpx2.HTTPTransport()):
        assert http_of(value) is httpx2
    for other in (httpx.Client(), httpx.ReadTimeout("late"), httpx.HTTPTransport(), "text", None):
        assert http_of(other) is httpx
    assert core_of(httpx2.HTTPTransport()._pool).__name__ == "httpcore2"
    assert core_of(httpx.HTTPTransport()._pool).__name__ == "httpcore"


def test_a_client_of_the_other_flavour_is_refused(flavour: Flavour) -> None:
    other = Flavour("async" if flavour.name == "sync" else "sync", "httpx2")
    kind = "Client" if flavour.name == "sync" else "AsyncClient"
    with pytest.raises(InvalidParameterError, match=f"must be an httpx.{kind} or an httpx2.{kind}; got .*httpx2"):
        flavour.open("a-key", http_client=other.http())


async def test_requests_name_httpx2_and_the_client_stays_open(flavour: Flavour) -> None:
    fake = FakeVenice(20)
    with fake.serve() as server:
        http = flavour.http(headers={"X-Mine": "kept"})
        face = flavour.open(fake.admin_key, base_url=server.base_url, http_client=http)
        assert (await face.call("get_balance")).can_consume
        await face.close()
        assert not http.is_closed
        with pytest.raises(ClientClosedError):
            await face.call("get_balance")
        await _close(http)
    agent = f"venice-billing/{__version__} python-httpx2/{flavour.package.__version__}"
    assert (fake.requests[0].headers["user-agent"], fake.requests[0].headers["x-mine"]) == (agent, "kept")


async def test_retries_and_errors_over_sockets_are_those_of_httpx(flavour: Flavour) -> None:
    fake = FakeVenice(20, quirks=Quirks(faults=[faults.status(503), faults.reset(), None]))
    with fake.serve() as server:
        face = flavour.open(fake.admin_key, base_url=server.base_url, max_wait=0)
        assert (await face.call("get_balance")).can_consume
        fake.quirks.faults = lambda _: faults.status(429, headers=(("retry-after", "7"),))
        with pytest.raises(RateLimitError) as caught:
            await face.call("get_balance")
        assert caught.value.retry_after == 7
        fake.quirks.faults = lambda _: faults.reset()
        with pytest.raises(APIConnectionError, match="ReadError"):
            await face.call("get_balance")
        await face.close()
    assert len(fake.requests) == 3 + 1 + 3


async def test_a_connection_that_the_server_closes_meanwhile_costs_no_retry(flavour: Flavour) -> None:
    with ScriptedServer(then_close(BALANCE_ANSWER)) as server:
        face = flavour.open("a-key", base_url=server.url, max_retries=0)
        for _ in range(3):
            assert (await face.call("get_balance")).can_consume
        await face.close()
    assert server.connections == 3


async def test_walks_with_several_requests_at_once_are_exact(flavour: Flavour) -> None:
    fake = FakeVenice(300)
    with fake.serve() as server:
        face = flavour.open(fake.admin_key, base_url=server.base_url)
        walk = face.client.iter_usage_history(page_size=20, concurrency=4)
        assert as_wire(await receive(walk)) == fake.ledger
        await face.close()


async def test_no_bytes_after_an_answer_are_taken_for_the_next(flavour: Flavour) -> None:
    """The parser of httpcore2 holds them as that of httpcore does: the connection is not used again."""
    wrong = BALANCE_ANSWER.replace(b'"usd":1}', b'"usd":7}')
    with ScriptedServer(say(BALANCE_ANSWER + wrong), say(BALANCE_ANSWER)) as server:
        face = flavour.open("a-key", base_url=server.url)
        for _ in range(2):
            assert (await face.call("get_balance")).balances.usd == 1
        await face.close()
    assert server.connections == 2


async def test_a_closed_client_of_the_user_is_reported(flavour: Flavour) -> None:
    http = flavour.http()
    face = flavour.open("a-key", http_client=http)
    await _close(http)
    with pytest.raises(ClientClosedError):
        await face.call("get_balance")


async def _close(http: Any) -> None:
    closing = http.close() if hasattr(http, "close") else http.aclose()
    if closing is not None:
        await closing
