"""Hostile responses to every kind of call: each is a `VeniceError`, bounded in text, time and memory."""

from __future__ import annotations

import decimal
import json
import pickle
import threading
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Face, Flavour, receive
from venice_billing import (
    APIConnectionError,
    AsyncVeniceBilling,
    ResponseValidationError,
    ServerError,
    VeniceBilling,
    VeniceError,
)
from venice_billing.errors import error_for
from venice_billing.testing import FakeVenice, faults
from venice_billing.testing._responses import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

DIGITS = "1" + "0" * 400
JSON, CSV, HTML = "application/json", "text/csv", "text/html"
HOSTILE: dict[str, faults.Fault] = {
    **{name: make() for name, make in faults.ALL.items() if name not in faults.HARMLESS},
    "a gzip bomb in an error": faults.Fault(
        "bomb", lambda response: faults.gzip_bomb().apply(faults.status(500).apply(response))
    ),
    "10^400 digit by digit": faults.amount(DIGITS),
    "10^400 with a fraction": faults.amount(DIGITS + ".5"),
    "an integer beyond Python's limit": faults.amount("9" * 5_000),
    "an exponent beyond decimal's": faults.amount("1e999999999999999999999"),
    "minus infinity": faults.amount("-Infinity"),
    "nesting in an error": faults.Fault(
        "nested error",
        lambda response: faults.body(b'{"error":' + b"[" * 90_000).apply(faults.status(500).apply(response)),
    ),
    "white space": faults.body(b" \n" * 1_000),
    "null": faults.body(b"null", content_type=JSON),
    "a number": faults.body(b"1", content_type=JSON),
    "a list": faults.body(b"[]", content_type=JSON),
    "an empty object": faults.body(b"{}", content_type=JSON),
    "utf-16": faults.body('{"data": []}'.encode("utf-16"), content_type=JSON),
    "html that calls itself CSV": faults.body(faults.HTML_ERROR, content_type=CSV),
    "no content type": faults.wrong_content_type(""),
    "a captive portal": faults.body(faults.HTML_ERROR, content_type=HTML),
    "a location that is no URL": faults.redirect("http://[not a url"),
    "a location of another scheme": faults.redirect("file:///etc/passwd"),
    "status 204": faults.Fault("204", lambda response: faults.body(b"").apply(faults.status(204).apply(response))),
    "status 304": faults.status(304),
    "status 999": faults.status(999),
}
Way = Callable[[Face, Path], Awaitable[Any]]
WAYS: dict[str, Way] = {
    "balance": lambda face, _: face.call("get_balance"),
    "json page": lambda face, _: face.call("get_usage_history", page_size=10),
    "csv page": lambda face, _: face.call("get_usage_history", format="csv", page_size=10),
    "walk": lambda face, _: receive(face.client.iter_usage_history(page_size=10, concurrency=2)),
    "newest first": lambda face, _: receive(face.client.iter_usage(page_size=10), pages=True),
    "analytics": lambda face, _: face.call("get_usage_analytics"),
    "export": lambda face, folder: face.call("export_usage_csv", folder / "usage.csv", page_size=10),
}
HARMLESS = {  # these responses hold no such number, or no JSON
    *(
        (name, way)
        for name in HOSTILE
        for way in ("csv page", "export")
        if name in {"nan", "huge number", "minus infinity"} or name.startswith("echoed key as value")
    ),
    *(
        (name, way)
        for name in HOSTILE
        for way in ("csv page", "export", "analytics")
        if "10^400" in name or "beyond" in name
    ),
    *((name, "analytics") for name in ("nan", "huge number", "minus infinity")),
    *(("invalid json", way) for way in ("csv page", "export")),  # a CSV page without its last line break
}


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(40, now=NOW)


async def go(way: str, flavour: Flavour, fake: FakeVenice, folder: Path) -> Any:
    return await WAYS[way](flavour.connect(fake, max_retries=1, timeout=10), folder)


@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name in HOSTILE for way in WAYS if (name, way) not in HARMLESS]
)
async def test_a_hostile_response_is_a_venice_error(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, name: str, way: str
) -> None:
    """Its text is bounded, it can be pickled, and the same call works after the fault."""
    fake.quirks.faults = lambda _: HOSTILE[name]
    started = fake.clock.time()
    with pytest.raises(VeniceError) as caught:
        await go(way, flavour, fake, tmp_path)
    assert len(str(caught.value)) <= 700
    assert len(repr(caught.value)) <= 900
    assert "\n" not in str(caught.value)
    assert fake.clock.time() - started < 60
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    fake.quirks.faults = ()
    assert await go(way, flavour, fake, tmp_path)


@pytest.mark.parametrize("way", ["json page", "csv page", "balance"])
async def test_a_gzip_bomb_is_not_inflated_beyond_the_body_limit(
    flavour: Flavour, fake: FakeVenice, tmp_path: Path, way: str
) -> None:
    """1 GiB is compressed to a few kilobytes; the inflated part stays below the limit of a body."""
    bomb = faults.gzip_bomb(1 << 30)
    bomb.apply(Response(200))  # created before memory is measured
    fake.quirks.faults = lambda _: bomb
    tracemalloc.start()
    try:
        with pytest.raises(ResponseValidationError, match="larger than"):
            await go(way, flavour, fake, tmp_path)
        assert tracemalloc.get_traced_memory()[1] < 100 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("headers", [True, False], ids=["status 502", "status 522"])
async def test_the_error_for_a_502_of_28_kilobytes_is_one_line(
    flavour: Flavour, fake: FakeVenice, *, headers: bool
) -> None:
    fake.quirks.faults = lambda _: faults.status(502, html=True) if headers else faults.status(522, html=True)
    with pytest.raises(ServerError) as caught:
        await flavour.connect(fake, max_retries=0).call("get_balance")
    assert len(str(caught.value)) < 120
    assert "Bad gateway" in str(caught.value)
    assert caught.value.body == faults.HTML_ERROR


async def test_a_lone_surrogate_in_a_note_is_accepted(flavour: Flavour, fake: FakeVenice) -> None:
    r"""JSON may hold `\ud83d` alone, which is a Python string but no UTF-8; a checkpoint must count such a row, too."""
    half = faults.edit(lambda document: [row.update(notes="!HALF!") for row in document["data"]])
    spelled = faults.Fault(
        "half a character",
        lambda response: faults.body(half.apply(response).body.replace(b"!HALF!", rb"\ud83d")).apply(response),
    )
    fake.quirks.faults = lambda _: spelled
    client = flavour.connect(fake).client
    walk = client.iter_usage_history(page_size=10)
    received = await receive(walk, 15)
    received += await receive(client.iter_usage_history(page_size=10, checkpoint=walk.checkpoint))
    assert [entry.notes for entry in received] == ["\ud83d"] * 40


async def test_the_decimal_context_of_the_program_has_no_effect(flavour: Flavour, fake: FakeVenice) -> None:
    """A checkpoint made under one precision is valid under another, and no trap of the context is triggered."""
    client = flavour.connect(fake).client
    walk = client.iter_usage_history(page_size=10)
    with decimal.localcontext() as context:
        context.prec = 2
        for signal in (decimal.Inexact, decimal.Rounded, decimal.Overflow, decimal.FloatOperation):
            context.traps[signal] = True
        received = await receive(walk, 15)
        checkpoint = walk.checkpoint
    received += await receive(client.iter_usage_history(page_size=10, checkpoint=checkpoint))
    assert [entry.amount for entry in received] == [row["amount"] for row in fake.ledger]


class _Elsewhere(BaseHTTPRequestHandler):
    seen: list[str]

    def do_GET(self) -> None:
        self.seen.append(str(self.headers))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Log nothing."""


@pytest.fixture
def elsewhere() -> Iterator[HTTPServer]:
    """Serve another port of this host, in place of another host."""
    _Elsewhere.seen = []
    with HTTPServer(("127.0.0.1", 0), _Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("eager", [False, True], ids=["default http client", "http client that follows redirects"])
async def test_no_redirect_gets_the_key(name: str, fake: FakeVenice, elsewhere: HTTPServer, *, eager: bool) -> None:
    """The other host gets no request, even with an http client that would follow."""
    fake.quirks.faults = lambda _: faults.redirect(f"http://127.0.0.1:{elsewhere.server_port}/")
    with fake.serve() as server:
        options: dict[str, Any] = {"base_url": server.base_url, "max_retries": 0}
        if name == "sync":
            with httpx.Client(follow_redirects=True) as http:
                client = VeniceBilling("secret-key", http_client=http if eager else None, **options)
                with client, pytest.raises(VeniceError, match="not followed"):
                    client.get_balance()
        else:
            async with (
                httpx.AsyncClient(follow_redirects=True) as async_http,
                AsyncVeniceBilling("secret-key", http_client=async_http if eager else None, **options) as async_client,
            ):
                with pytest.raises(VeniceError, match="not followed"):
                    await async_client.get_balance()
    assert _Elsewhere.seen == []


@pytest.fixture(params=["sync", "async"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["error", "message", "data", "details", "nextCursor"]), inner)
    ),
    max_leaves=12,
)


@given(document=json_values)
@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_json_is_a_value_or_a_venice_error(document: Any) -> None:
    """With status 200 and with error statuses, for JSON of any shape."""
    fake = FakeVenice(0, now=NOW)
    content = json.dumps(document).encode()
    with fake.client(max_retries=0) as client:
        for call in (client.get_balance, client.get_usage_history, client.get_usage_analytics):
            for status in (200, 429):
                fake.quirks.faults = [_saying(status, content)]
                with suppress(VeniceError):  # nothing else
                    call()


def _saying(status: int, content: bytes) -> faults.Fault:
    body = faults.body(content, content_type=JSON)
    return body if status == 200 else faults.Fault("error", lambda a: body.apply(faults.status(status).apply(a)))


@given(
    status=st.integers(100, 999),
    headers=st.dictionaries(
        st.sampled_from(
            ["Retry-After", "Sunset", "Link", "Location", "x-ratelimit-resets", "x-ratelimit-reset-requests"]
        ),
        st.text(max_size=40)
        | st.from_regex(r"\A[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d [+-]?\d{0,4}\Z"),
    ),
    body=st.binary(max_size=60) | st.just(b'{"error": {"message": ' + b"[" * 900 + b"]" * 900 + b"}}"),
)
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_error_response_is_turned_into_an_error_safely(status: int, headers: dict[str, str], body: bytes) -> None:
    error = error_for(status, headers, body, now=0.0)
    assert len(str(error)) <= 600
    for name in ("successor", "sunset", "retry_after", "request_id"):
        getattr(error, name, None)


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -1200", "Mon, 01 Jan 2001 00:00:00 +9999", "soon", ""])
def test_a_date_out_of_range_is_ignored(date: str) -> None:
    """The parser of dates is lenient, and a UTC offset can move a date beyond the calendar."""
    error: Any = error_for(410, {"Sunset": date}, b"")
    assert error.sunset is None
    error = error_for(429, {"Retry-After": date}, b"")
    assert error.retry_after is None


async def test_a_truncated_body_does_not_pass_for_an_empty_ledger(flavour: Flavour, fake: FakeVenice) -> None:
    """A body shorter than its announced length is never accepted."""
    fake.quirks.faults = lambda _: faults.truncated(0)
    with pytest.raises(APIConnectionError):
        await receive(flavour.connect(fake, max_retries=0).client.iter_usage_history())
