"""The key is in no log, repr, pickle, checkpoint or URL, and goes to no other host."""

from __future__ import annotations

import copy
import logging
import pickle
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, receive
from venice_billing import VeniceError
from venice_billing._secret import Secret
from venice_billing.testing import FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

KEY = "vn-Sesame0penUp4711"


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(30, now=NOW, admin_key=KEY)


@pytest.mark.parametrize("transport", ["ours", "theirs"])
async def test_no_log_shows_the_key(
    fake: FakeVenice, flavour: Flavour, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All loggers at DEBUG, including those of httpx and httpcore, on real sockets, also for failed requests."""
    fake.quirks.faults = lambda seen: {2: faults.status(401), 3: faults.unknown_fields()}.get(seen.number)
    with caplog.at_level(logging.DEBUG), fake.serve() as server:
        theirs: Any = None
        if transport == "theirs":
            theirs = flavour.http()
        face = flavour.open(KEY, base_url=server.base_url, http_client=theirs)
        await face.call("get_balance")
        with pytest.raises(VeniceError):
            await face.call("get_balance")
        await face.call("get_usage_history")
        await face.close()
        if theirs:
            await Face(theirs).close()
    assert {"httpx", "httpcore.http11"} <= {r.name for r in caplog.records}
    assert KEY not in "\n".join(f"{record.getMessage()} {vars(record)}" for record in caplog.records)


async def test_no_repr_shows_the_key(face: Face) -> None:
    client = face.client
    shown = [
        client,
        client._configuration,
        client._driver,
        client._driver.connections,
        client.iter_usage(),
        client.with_options(timeout=3),
        vars(client),
    ]
    assert KEY not in "\n".join(f"{thing!r} {thing!s}" for thing in shown)


@pytest.mark.parametrize("copied", [pickle.dumps, copy.copy, copy.deepcopy])
def test_secret_cannot_be_pickled_or_copied(copied: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        copied(Secret(KEY))


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_client_cannot_be_pickled(fake: FakeVenice, kind: str) -> None:
    client = Flavour(kind).connect(fake).client
    with pytest.raises(TypeError) as caught:
        pickle.dumps(client)
    assert KEY not in str(caught.value)


async def test_a_checkpoint_holds_no_key(face: Face) -> None:
    walk = face.client.iter_usage()
    await receive(walk, 5)
    assert KEY not in walk.checkpoint
    assert KEY.encode() not in pickle.dumps(walk.checkpoint)


@pytest.mark.parametrize("location", ["https://elsewhere.invalid/", "http://api.venice.ai/", "/api/v1/other"])
@pytest.mark.parametrize("follow", [False, True])
async def test_key_is_not_sent_to_a_redirect_target(flavour: Flavour, location: str, *, follow: bool) -> None:
    """Not even if the user's own httpx client follows redirects."""
    hosts: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        hosts.append(str(request.url))
        return httpx.Response(302, headers={"location": location})

    http = flavour.http(transport=httpx.MockTransport(handle), follow_redirects=follow)
    with pytest.raises(VeniceError, match="not followed"):
        await flavour.open(KEY, http_client=http).call("get_balance")
    assert hosts == ["https://api.venice.ai/api/v1/billing/balance"]


async def test_the_key_is_in_no_url_and_in_one_header(fake: FakeVenice, flavour: Flavour) -> None:
    seen: list[httpx.Request] = []
    transport = fake.transport()

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return transport.handler(request)  # type: ignore[return-value]

    fake.quirks = Quirks(dead_cursor_every=2)
    await receive(flavour.mocked(handle, KEY).client.iter_usage_history(page_size=10))
    assert len(seen) >= 3
    for request in seen:
        assert KEY not in str(request.url)
        assert [name for name, value in request.headers.items() if KEY in value] == ["authorization"]
        assert request.headers["authorization"] == f"Bearer {KEY}"
