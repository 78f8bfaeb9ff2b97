"""The drivers: every response or transport error becomes an outcome; connections stay with their owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import anyio
import httpx
import pytest

from contract_tests.support.flavours import FLAVOURS_ON_EACH_LIBRARY, NOW, Face, Flavour, as_wire, receive
from venice_billing import (
    APIConnectionError,
    APIError,
    AsyncVeniceBilling,
    BillingTimeoutError,
    ClientClosedError,
    InvalidParameterError,
    PermissionDeniedError,
    RateLimitError,
    ResponseValidationError,
    ServerError,
    VeniceBilling,
    VeniceError,
    __version__,
)
from venice_billing.testing import FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture(params=FLAVOURS_ON_EACH_LIBRARY, ids=str)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


MONTH = {"start": "2026-09-01T00:00:00Z", "end": "2026-10-01T00:00:00Z"}


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (method, name)
        for method in ("get_balance", "get_usage_history", "get_usage_analytics")
        for name in faults.ALL
        if name not in faults.HARMLESS
        and (method, name) not in {("get_usage_analytics", "nan"), ("get_usage_analytics", "huge number")}  # no amount
    ],
)
async def test_hostile_responses_are_venice_errors(fake: FakeVenice, flavour: Flavour, name: str, method: str) -> None:
    """The message and the time are bounded, and the next call works."""
    fault = faults.ALL[name]()
    fake.quirks.faults = lambda _: fault
    face = flavour.connect(fake, max_retries=0, timeout=10)
    started = fake.clock.time()
    with pytest.raises(VeniceError) as caught:
        await face.call(method)
    assert len(str(caught.value)) <= 700
    assert fake.clock.time() - started <= 10.5
    assert len(fake.requests) == 1
    fake.quirks.faults = ()
    await face.call(method)


async def test_a_retry_recovers_from_a_transient_error(fake: FakeVenice, face: Face) -> None:
    fake.quirks.faults = [faults.status(503), faults.reset(), None]
    assert (await face.call("get_balance")).can_consume
    assert [request.status for request in fake.requests] == [503, 200, 200]


async def test_a_block_caused_by_other_clients_is_waited_out_once(fake: FakeVenice, face: Face) -> None:
    """Other clients use the account too; the response to a blocked request has no retry-after."""
    fake.quirks.abuse_block = True
    for _ in range(21):
        fake.respond("GET", "api.venice.ai", "/api/v1/billing/balance", {})
    assert (await face.call("get_balance")).can_consume
    assert 30 <= fake.clock.time() - NOW.timestamp() < 35


async def test_all_threads_or_tasks_of_a_client_share_its_failure_budget(fake: FakeVenice, flavour: Flavour) -> None:
    fake.quirks.faults = lambda _: faults.status(500)
    face = flavour.connect(fake, max_retries=3, timeout=3600)  # the waits of the other threads pass on the same clock

    def fail() -> None:
        for _ in range(3):
            with pytest.raises(ServerError):
                face.client.get_balance()

    async def async_fail() -> None:
        for _ in range(3):
            with pytest.raises(ServerError):
                await face.client.get_balance()

    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            if flavour.name == "sync":
                tasks.start_soon(anyio.to_thread.run_sync, fail)
            else:
                tasks.start_soon(async_fail)
    times = [request.time for request in fake.requests]
    assert len(times) == 8 * 3 * 4
    assert max(sum(start <= time < start + 30 for time in times) for start in times) <= 15


async def test_a_copy_with_other_options_shares_connections_and_budget(fake: FakeVenice, flavour: Flavour) -> None:
    face = flavour.connect(fake)
    hasty = Face(face.client.with_options(timeout=2, max_retries=0))
    fake.quirks.faults = lambda _: faults.hang()
    started = fake.clock.time()
    with pytest.raises(BillingTimeoutError, match="within 2 s"):
        await hasty.call("get_balance")
    assert fake.clock.time() - started == 2
    with pytest.raises(BillingTimeoutError, match="within 10 s"):
        await face.call("get_balance")
    assert hasty.client._policy.budget is face.client._policy.budget
    assert hasty.client._driver.connections is face.client._driver.connections
    fake.quirks.faults = ()
    await hasty.close()
    await face.call("get_balance")  # closing the copy closed nothing


async def test_a_call_after_close_is_an_error_at_once(fake: FakeVenice, face: Face) -> None:
    """Also when the failure budget is used up: the call does not wait, and counts as no failure."""
    await face.close()
    started = fake.clock.time()
    for _ in range(20):
        with pytest.raises(ClientClosedError, match="closed"):
            await face.call("get_balance")
    budget = face.client._policy.budget
    assert budget._failed == []
    budget._failed += [fake.clock.monotonic()] * 15
    with pytest.raises(ClientClosedError):
        await face.call("get_balance")
    for concurrency in (1, 4):
        with pytest.raises(ClientClosedError) as caught:
            await receive(face.client.iter_usage_history(concurrency=concurrency))
        assert caught.value.checkpoint is not None
    assert fake.clock.time() == started
    assert fake.requests == []


@pytest.mark.parametrize("code", [429, 503])
async def test_a_wait_longer_than_max_wait_is_raised_at_once(fake: FakeVenice, flavour: Flavour, code: int) -> None:
    fake.quirks.faults = lambda _: faults.status(code, headers=(("retry-after", "20"),))
    face = flavour.connect(fake, max_wait=30)
    hasty = Face(face.client.with_options(max_wait=10))
    started = fake.clock.time()
    with pytest.raises(RateLimitError if code == 429 else ServerError):
        await hasty.call("get_balance")
    assert (len(fake.requests), fake.clock.time()) == (1, started)
    with pytest.raises(RateLimitError if code == 429 else ServerError):
        await face.call("get_balance")
    assert len(fake.requests) == 4
    assert fake.clock.time() >= started + 40
    with pytest.raises(InvalidParameterError, match="max_wait"):
        face.client.with_options(max_wait=-1)


async def test_context_managers_close_the_client(fake: FakeVenice) -> None:
    with fake.client() as client:
        client.get_balance()
    async with fake.async_client() as async_client:
        await async_client.get_balance()
    assert client._driver.connections.is_closed
    assert async_client._driver.connections.is_closed


async def test_an_http_client_of_the_user_is_left_unchanged(fake: FakeVenice, flavour: Flavour) -> None:
    """It is not closed, its settings do not change, and its own headers and credentials do no harm."""
    options: dict[str, Any] = {
        "transport": fake.transport(),
        "headers": {"Authorization": "Basic old", "X-Mine": "kept"},
        "auth": ("user", "pass"),
        "follow_redirects": True,
        "timeout": 1.0,
    }
    http = flavour.http(**options)
    face = flavour.open(fake.admin_key, http_client=http)
    assert (await face.call("get_balance")).can_consume
    await face.close()
    assert not http.is_closed
    assert http.headers["authorization"] == "Basic old"
    assert (http.timeout, http.follow_redirects) == (flavour.package.Timeout(1.0), True)
    assert fake.requests[0].key == "admin"
    assert fake.requests[0].headers["x-mine"] == "kept"


async def test_key_and_base_url_come_from_the_environment(
    fake: FakeVenice, flavour: Flavour, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = flavour.kind
    monkeypatch.setenv("VENICE_API_KEY", "key-from-the-environment")
    monkeypatch.delenv("VENICE_BASE_URL", raising=False)
    assert repr(kind()) == f"<{kind.__name__} of https://api.venice.ai/api/v1>"
    with fake.serve() as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url + "/")
        monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
        face = Face(kind())
        assert (await face.call("get_balance")).can_consume
        await face.close()


PHASES = {
    "connect": faults.connect_hang(),
    "headers": faults.hang(),
    "headers trickle": faults.trickle_headers(1),
    "body": faults.body_hang(),
    "body trickle": faults.trickle_body(4),
}


@pytest.mark.parametrize("phase", PHASES)
async def test_one_deadline_covers_all_phases(fake: FakeVenice, flavour: Flavour, phase: str) -> None:
    """It runs from connecting to the last byte; the next call works."""
    fake.quirks.faults = [PHASES[phase]]
    face = flavour.connect(fake, timeout=3)
    started = fake.clock.time()
    with pytest.raises(BillingTimeoutError, match="within 3 s"):
        await face.call("get_usage_history")
    assert fake.clock.time() - started <= 3.5
    assert (await face.call("get_balance")).can_consume


async def test_a_response_just_within_the_deadline_is_accepted(fake: FakeVenice, flavour: Flavour) -> None:
    fake.quirks.latency = 2.9
    assert (await flavour.connect(fake, timeout=3).call("get_balance")).can_consume


@pytest.mark.parametrize("location", ["https://elsewhere.invalid/api", "http://api.venice.ai/api", "?again", "//x"])
async def test_redirects_are_not_followed_and_get_no_key(fake: FakeVenice, flavour: Flavour, location: str) -> None:
    fake.quirks.faults = lambda _: faults.redirect(location)
    with pytest.raises(APIError, match="not followed") as caught:
        await flavour.connect(fake).call("get_balance")
    assert caught.value.status_code == 302
    assert len(fake.requests) == 1


async def test_requests_name_the_client_and_the_accepted_encoding(fake: FakeVenice, face: Face) -> None:
    await face.call("get_balance")
    headers = fake.requests[0].headers
    assert headers["user-agent"].startswith(f"venice-billing/{__version__} ")
    assert headers["accept-encoding"] == "gzip", "the only encoding that is inflated here, under a limit"


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "x" * 5000])
async def test_an_encoding_that_was_not_requested_is_refused(fake: FakeVenice, flavour: Flavour, coding: str) -> None:
    fake.quirks.faults = lambda _: faults.Fault("coding", lambda a: a.with_header("content-encoding", coding))
    with pytest.raises(ResponseValidationError, match="not asked for") as caught:
        await flavour.connect(fake, max_retries=0).call("get_balance")
    assert len(str(caught.value)) < 200


async def test_compressed_responses_are_read_exactly(fake: FakeVenice, face: Face) -> None:
    plain = await face.call("get_usage_history", format="csv")
    fake.quirks.gzip = True
    assert await face.call("get_usage_history", format="csv") == plain


async def test_an_unreadable_error_body_keeps_its_status(fake: FakeVenice, flavour: Flavour) -> None:
    broken = faults.status(403, headers=(("content-encoding", "gzip"),))
    fake.quirks.faults = lambda _: broken
    with pytest.raises(PermissionDeniedError) as caught:
        await flavour.connect(fake).call("get_balance")
    assert caught.value.message == "Forbidden"


async def test_event_hooks_may_read_the_response(fake: FakeVenice, flavour: Flavour) -> None:
    seen: list[int] = []

    def read(response: Any) -> None:
        response.read()
        seen.append(response.status_code)

    async def aread(response: Any) -> None:
        await response.aread()
        seen.append(response.status_code)

    fake.quirks.gzip = True
    hooks = {"response": [read if flavour.name == "sync" else aread]}
    http = flavour.http(transport=fake.transport(), event_hooks=hooks)
    assert (await flavour.open(fake.admin_key, http_client=http).call("get_balance")).can_consume
    assert seen == [200]


@pytest.mark.parametrize("fault", ["OSError", "UnsupportedProtocol", "InvalidURL", "StreamClosed"])
async def test_an_exception_of_a_transport_is_a_connection_error(flavour: Flavour, fault: str) -> None:
    def handle(request: Any) -> NoReturn:
        kind = getattr(flavour.package, fault, OSError)
        raise kind() if fault == "StreamClosed" else kind("odd")

    http = flavour.http(transport=flavour.package.MockTransport(handle))
    with pytest.raises(APIConnectionError) as caught:
        await flavour.open("a-key", http_client=http, max_retries=0).call("get_balance")
    assert caught.value.__cause__ is None


def test_a_bug_in_a_transport_is_not_hidden() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    client = VeniceBilling("a-key", http_client=httpx.Client(transport=httpx.MockTransport(handle)))
    with pytest.raises(ZeroDivisionError):
        client.get_balance()


async def test_a_cancelled_call_ends_at_once_and_the_client_stays_usable() -> None:
    entered = anyio.Event()

    async def handle(request: httpx.Request) -> httpx.Response:
        if not entered.is_set():
            entered.set()
            await anyio.sleep_forever()
        return httpx.Response(403)

    http = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    client = AsyncVeniceBilling("a-key", http_client=http, max_retries=0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.get_balance)
        await entered.wait()
        tasks.cancel_scope.cancel()
    assert len(client._policy.budget._under_way) == 0
    with pytest.raises(PermissionDeniedError):
        await client.get_balance()


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_the_asynchronous_client_runs_under_asyncio_and_trio(
    fake: FakeVenice, tmp_path: Path, concurrency: int, anyio_backend: str
) -> None:
    """Calls, waits, walks in both orders, exports from a worker thread, and walks left early."""
    fake.quirks = Quirks(rate_limit_every=5)
    async with fake.async_client() as client:
        assert (await client.get_balance()).can_consume
        forwards = client.iter_usage_history(page_size=50, concurrency=concurrency)
        assert as_wire(await receive(forwards)) == fake.ledger
        backwards = client.iter_usage(page_size=50, concurrency=concurrency)
        assert as_wire(await receive(backwards, 70)) == fake.ledger[::-1][:70]
        assert (await client.export_usage_csv(tmp_path / "usage.csv", concurrency=concurrency)).rows == 600
        fake.quirks = Quirks(faults=lambda _: faults.hang())
        with pytest.raises(BillingTimeoutError):
            await client.get_balance()
