"""The deadline of the public clients on real sockets: every phase, sync and async; the next call works."""

from __future__ import annotations

import contextlib
import threading
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import FLAVOURS_ON_EACH_LIBRARY, Flavour
from contract_tests.support.scripted_server import ScriptedServer, never_accepting, say, stall_after
from venice_billing import AsyncVeniceBilling, BillingTimeoutError, VeniceBilling
from venice_billing.testing import FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
_TIMEOUT = 0.4
_PATIENT = 30.0
"""Seconds allowed for a response; a deadline has certainly cut a request by then, even on a loaded machine."""
_PHASES = {
    "no answer": faults.hang(),
    "headers that trickle": faults.trickle_headers(20),
    "a body that trickles": faults.trickle_body(20),
    "a body that stalls at once": faults.body_hang(0),
    "a body that stalls at byte 77": faults.body_hang(77),
    "a body that stalls before its last byte": faults.body_hang(10**9),
    "an answer a little too late": faults.hang(_TIMEOUT + 0.3),
    "an error whose body stalls": faults.Fault(
        "slow error", lambda answer: faults.body_hang(5).apply(faults.status(500).apply(answer))
    ),
}


@pytest.fixture(params=FLAVOURS_ON_EACH_LIBRARY, ids=str)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    flavour: Flavour = request.param
    return flavour


class Timed:
    """A sync or async client whose calls are timed."""

    def __init__(self, client: VeniceBilling | AsyncVeniceBilling) -> None:
        self.client: Any = client

    async def call(self, method: str = "get_usage_history", **arguments: Any) -> Any:
        """Call a method, and await the result of an async client."""
        result = getattr(self.client, method)(**arguments)
        return await result if isinstance(self.client, AsyncVeniceBilling) else result

    async def call_patiently(self, method: str = "get_usage_history") -> Any:
        """Call on the same connections, with a timeout long enough for a loaded machine."""
        return await Timed(self.client.with_options(timeout=_PATIENT)).call(method)

    async def is_cut(self, method: str = "get_usage_history", **arguments: Any) -> None:
        """Make a call that times out, and check how long it took."""
        started = time.monotonic()
        with pytest.raises(BillingTimeoutError):
            await self.call(method, **arguments)
        assert _TIMEOUT - 0.05 <= time.monotonic() - started <= _PATIENT


@contextlib.asynccontextmanager
async def connected(flavour: Flavour, base_url: str, **options: Any) -> AsyncIterator[Timed]:
    """Connect a client of that flavour over real sockets."""
    face = flavour.open("fake-admin-key", **{"base_url": base_url, "timeout": _TIMEOUT, **options})
    try:
        yield Timed(face.client)
    finally:
        await face.close()


@pytest.mark.parametrize("gzip", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize("phase", _PHASES)
async def test_the_deadline_cuts_a_hanging_phase_and_the_next_call_works(
    flavour: Flavour, phase: str, *, gzip: bool
) -> None:
    """There is one request without a retry, and bytes that the server sends later disturb no other call."""
    fake = FakeVenice(20, quirks=Quirks(gzip=gzip, faults=[None, _PHASES[phase]]))
    with fake.serve() as server:
        async with connected(flavour, server.base_url) as timed:
            page = await timed.call_patiently()
            await timed.is_cut()
            assert (await timed.call_patiently()).data == page.data
    assert len(fake.requests) == 3


async def test_a_connection_cut_by_the_deadline_is_closed(flavour: Flavour) -> None:
    with ScriptedServer(stall_after(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{")) as server:
        async with connected(flavour, server.url) as timed:
            await timed.is_cut("get_balance")
            assert server.closed_by_peer.wait(2)


async def test_the_deadline_cuts_headers_that_trickle_for_minutes(flavour: Flavour) -> None:
    """Each byte comes in time for a timeout of single reads, so only a bound of the whole can end the request."""
    endless = say(b"HTTP/1.1 200 OK\r\nX-Long: " + b"a" * 6000, slowly_from=0)
    with ScriptedServer(endless) as server:
        async with connected(flavour, server.url) as timed:
            await timed.is_cut("get_balance")


async def test_the_deadline_cuts_a_hanging_tls_handshake(flavour: Flavour) -> None:
    with ScriptedServer(stall_after(b""), reads_requests=False) as server:
        async with connected(flavour, server.url.replace("http:", "https:"), max_retries=0) as timed:
            await timed.is_cut("get_balance")


@pytest.fixture
def full_port() -> Iterator[int]:
    with never_accepting() as port:
        yield port


async def test_the_deadline_cuts_a_connect_without_response(flavour: Flavour, full_port: int) -> None:
    async with connected(flavour, f"http://127.0.0.1:{full_port}", max_retries=0) as timed:
        await timed.is_cut("get_balance")


async def test_a_hanging_narrow_window_is_widened_to_a_day(flavour: Flavour) -> None:
    """After one timeout the window is widened to a day, and rows outside the range are left out."""
    fake = FakeVenice(300, days=3, quirks=Quirks(narrow_window_hangs=True))
    start = datetime.fromisoformat(fake.ledger[150]["timestamp"])
    end = start + timedelta(minutes=5)
    expected = fake.rows(start=start, end=end)
    with fake.serve() as server:
        async with connected(flavour, server.base_url, timeout=3) as timed:
            page = await timed.call(start_timestamp=start, end_timestamp=end)
    assert [entry.to_dict() for entry in page.data] == expected
    assert [seen.status for seen in fake.requests] == [None, 200]


async def test_a_window_that_hangs_at_any_width_raises_advice(flavour: Flavour) -> None:
    fake = FakeVenice(0, quirks=Quirks(empty_result_hangs=True))
    with fake.serve() as server:
        async with connected(flavour, server.base_url) as timed:
            with pytest.raises(BillingTimeoutError, match="at least a day"):
                await timed.call(start_timestamp="2020-01-01T00:00:00Z", end_timestamp="2020-01-01T00:05:00Z")
    assert len(fake.requests) <= 1 + 4


def test_a_timeout_in_one_thread_does_not_affect_others() -> None:
    """Each request has its own deadline, even when threads share a client."""
    fake = FakeVenice(20, quirks=Quirks(faults=lambda seen: faults.hang() if seen.param("pageSize") == "11" else None))
    good: list[int] = []

    def call_well(patient: VeniceBilling) -> None:
        for _ in range(10):
            good.append(len(patient.get_usage_history(page_size=20).data))
            time.sleep(0.05)

    with fake.serve() as server, VeniceBilling(fake.admin_key, base_url=server.base_url, timeout=_TIMEOUT) as client:
        thread = threading.Thread(target=call_well, args=(client.with_options(timeout=_PATIENT),))
        thread.start()
        with pytest.raises(BillingTimeoutError):
            client.get_usage_history(page_size=11)
        thread.join()
    assert good == [20] * 10
