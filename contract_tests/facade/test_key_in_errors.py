"""The key is sent in one header of each request to the API, and appears nowhere else."""

from __future__ import annotations

import copy
import html
import io
import logging
import pickle
import re
import socket
import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import httpx
import pytest
from rich.console import Console
from rich.traceback import Traceback

from contract_tests.support.flavours import NOW, Face, Flavour, receive
from venice_billing import (
    AsyncVeniceBilling,
    InvalidRequestError,
    ResponseValidationError,
    UsageHistoryPage,
    VeniceBilling,
    VeniceError,
    _drift,
)
from venice_billing._runtime.codec import decode_json
from venice_billing._runtime.network import _BoundStream, _TidyStream
from venice_billing._secret import Secret
from venice_billing.testing import FakeVenice, Quirks, faults

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

KEY = "vn-Sesame0penUp4711"
"""Never a local variable of a test, because `rendered` shows local variables."""


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(30, now=NOW, admin_key=KEY)


def rendered(error: BaseException) -> str:
    """Return an error as verbose tools show it: traceback with local variables, attributes and chained errors."""
    plain = traceback.TracebackException.from_exception(error, capture_locals=True)
    console = Console(file=io.StringIO(), width=200)
    console.print(
        Traceback.from_exception(
            type(error),
            error,
            error.__traceback__,
            show_locals=True,
            locals_max_length=10,
            locals_max_string=10_000,
            locals_hide_dunder=False,
            locals_hide_sunder=False,
        )
    )
    assert isinstance(console.file, io.StringIO)
    told = [str(error), repr(error), repr(vars(error)), "".join(plain.format()), console.file.getvalue()]
    told += [rendered(other) for other in (error.__cause__, error.__context__) if other is not None]
    return "\n".join(told)


def echo(answer: Any) -> Any:
    """Repeat the key in headers and body, as servers often do with a value they refuse."""
    body = b'{"error": "not a valid key: %s", "details": {"key": "%s"}}' % (KEY.encode(), KEY.encode())
    return faults.body(body).apply(faults.status(401).apply(answer)).with_header("x-request-id", f"for {KEY}")


FAILURES: dict[str, faults.Fault] = {
    **{
        name: faults.ALL[name]()
        for name in ("status 500", "connect hang", "body hang", "reset", "truncated gzip", "invalid json", "nan")
    },
    "echo": faults.Fault("echo", echo),
    "redirect with key": faults.redirect(f"https://elsewhere.invalid/?key={KEY}"),
}


@pytest.mark.parametrize("name", FAILURES)
async def test_no_error_shows_the_key(fake: FakeVenice, face: Face, name: str) -> None:
    """The key is in no text, attribute, local variable or pickle of the error."""
    fake.quirks.faults = lambda _: FAILURES[name]
    with pytest.raises(VeniceError) as caught:
        await face.call("get_usage_history", start_timestamp=NOW - timedelta(days=60))
    assert KEY not in rendered(caught.value)
    assert KEY.encode() not in pickle.dumps(caught.value)


def shown(error: BaseException) -> list[object]:
    """Return the texts, attributes and pickle of an error, and its traceback with local variables."""
    trace = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
    return [str(error), repr(error), vars(error), pickle.dumps(error), trace]


def spelled(spelling: str) -> str:
    """Return the key in one encoding."""
    return {
        "plain": KEY,
        "json": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
        "percent": "".join(f"%{ord(letter):02X}" for letter in KEY),
        "html": "".join(f"&#{ord(letter)};" for letter in KEY),
    }[spelling]


ROW = (
    '{"timestamp": "2026-09-01T00:00:00.000Z", "sku": "x", "pricePerUnitUsd": 1, "units": 1, "amount": -1,'
    ' "currency": "USD", "notes": "", "inferenceDetails": null}'
)
PAGE = f'{{"data": [{ROW}], "nextCursor": null}}'
JSON, CSV, HTML = "application/json", "text/csv", "text/html"
ECHOES: dict[str, tuple[int, str, str]] = {
    "field name": (200, JSON, PAGE.replace('"sku"', '"KEY": 1, "sku"')),
    "field of the page": (200, JSON, PAGE.replace('"nextCursor"', '"KEY": {}, "nextCursor"')),
    "value": (200, JSON, PAGE.replace('"notes": ""', '"notes": "for KEY"')),
    "value of an unknown field": (200, JSON, PAGE.replace('"sku"', '"who": {"KEY": ["KEY"]}, "sku"')),
    "unknown currency": (200, JSON, PAGE.replace("USD", "KEY")),
    "cursor": (200, JSON, PAGE.replace("null}", '"KEY"}')),
    "mistyped number": (200, JSON, PAGE.replace("-1", '"KEY"')),
    "mistyped time": (200, JSON, PAGE.replace("2026-09-01T00:00:00.000Z", "KEY")),
    "mistyped list": (200, JSON, '{"data": "KEY", "nextCursor": null}'),
    "no json": (200, JSON, "KEY"),
    "media type": (200, "text/KEY", "KEY"),
    "csv header": (200, CSV, "timestamp,KEY\n2026-09-01T00:00:00.000Z,1\n"),
    "csv time": (200, CSV, "timestamp,a\nKEY,1\n"),
    "csv record": (200, CSV, "timestamp,a\n2026-09-01T00:00:00.000Z,KEY,2\n"),
    "message": (400, JSON, '{"error": "no such key: KEY"}'),
    "details": (400, JSON, '{"error": "no", "details": {"KEY": {"_errors": ["KEY"]}}, "issues": [{"path": ["KEY"]}]}'),
    "envelope": (401, JSON, '{"error": {"message": "KEY", "param": "KEY"}}'),
    "title": (502, HTML, "<html><title>for KEY</title></html>"),
    "gateway timeout": (504, JSON, '{"error": "KEY"}'),
    "odd status": (522, "text/plain", "KEY"),
    "redirect": (302, HTML, ""),
    "large failure": (500, "text/plain", "x" * (64 * 1024 - 10) + "KEY"),
}


@pytest.mark.parametrize("spelling", ["plain", "json", "percent", "html"])
@pytest.mark.parametrize("name", ECHOES)
async def test_response_that_repeats_the_key_does_not_expose_it(
    flavour: Flavour,
    name: str,
    spelling: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key is in no error, model, file or log, neither plain nor after decoding every escape."""
    monkeypatch.setattr(_drift, "_noted", set())
    status, media_type, body = ECHOES[name]

    def handle(request: httpx.Request) -> httpx.Response:
        headers = {
            "content-type": media_type.replace("KEY", spelled(spelling)),
            "content-disposition": f"attachment; filename={spelled(spelling)}.csv",
            "location": f"https://elsewhere.invalid/?key={spelled(spelling)}",
            "x-request-id": spelled(spelling),
            f"x-{KEY}": "1",
        }
        return httpx.Response(status, headers=headers, content=body.replace("KEY", spelled(spelling)).encode())

    transport = httpx.MockTransport(handle)
    http: Any = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    face = Face(kind(KEY, http_client=http, max_retries=0))
    told: list[object] = []

    async def run(method: str, *args: Any, **kwargs: Any) -> None:
        try:
            value = await face.call(method, *args, **kwargs)
            told.extend([value, vars(value) if hasattr(value, "__dict__") else None])
        except VeniceError as error:
            told.extend(shown(error))

    with caplog.at_level(logging.DEBUG, "venice_billing"):
        await run("get_balance")
        await run("get_usage_history")
        await run("get_usage_history", format="csv")
        await run("export_usage_csv", tmp_path / "usage.csv")
        try:
            told.extend(await receive(face.client.iter_usage(), 5))
        except VeniceError as error:
            told.extend(shown(error))
    told += [path.read_bytes() for path in tmp_path.iterdir() if path.is_file()]
    told += [f"{record.getMessage()} {vars(record)}" for record in caplog.records if record.name == "venice_billing"]
    text = "\n".join(f"{thing!r} {thing!s}" for thing in told)
    read_again = html.unescape(unquote(re.sub(r"\\+u00([0-9a-fA-F]{2})", r"%\1", text)))
    assert KEY.lower() not in f"{text} {read_again}".lower()


@pytest.mark.parametrize("short", ["data", "sku", "USD", "json", "200", "1"])
async def test_short_key_changes_no_response(flavour: Flavour, short: str) -> None:
    """Even if the key equals a word of the data or of its media type, or a number."""

    def handle(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "application/json"}, content=PAGE.encode())

    transport = httpx.MockTransport(handle)
    http: Any = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    page = await Face(kind(short, http_client=http)).call("get_usage_history")
    assert page.to_dict() == UsageHistoryPage.from_dict(decode_json(PAGE.encode())).to_dict()


@pytest.mark.parametrize("short", ["abc", "key"])
async def test_short_key_is_masked_as_a_word_in_messages(
    flavour: Flavour, short: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_drift, "_noted", set())
    bodies = iter([PAGE.replace('"sku"', f'"{short}": 1, "sku"'), PAGE.replace("-1", f'"no {short}"')])

    def handle(request: httpx.Request) -> httpx.Response:
        if body := next(bodies, ""):
            return httpx.Response(200, headers={"content-type": "application/json"}, content=body.encode())
        body = f'{{"error": "refused:\\n{short} in {short}board", "details": {{"{short}": "{short}"}}}}'
        return httpx.Response(400, headers={"x-refused": short, "retry-after": "7"}, content=body.encode())

    transport = httpx.MockTransport(handle)
    http: Any = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    face = Face(kind(short, http_client=http, max_retries=0))
    with caplog.at_level(logging.DEBUG, "venice_billing"):
        await face.call("get_usage_history")
        with pytest.raises(ResponseValidationError) as mistyped:
            await face.call("get_usage_history")
        with pytest.raises(InvalidRequestError) as refused:
            await face.call("get_usage_history")
    mask = Secret(short).masked(short)
    assert f"got text 'no {mask}'" in str(mistyped.value)
    assert refused.value.message == f"refused: {mask} in {short}board"
    assert refused.value.details == {mask: mask}
    assert refused.value.headers["x-refused"] == mask
    told = [record for record in caplog.records if record.name == "venice_billing"]
    assert [record.getMessage() for record in told if record.levelno == logging.INFO] == [
        f"not in the contract, kept as data: field of UsageEntry '{mask}'"
    ]


async def test_no_error_of_a_walk_or_an_export_shows_the_key(fake: FakeVenice, face: Face, tmp_path: Path) -> None:
    fake.quirks.faults = lambda seen: faults.Fault("echo", echo) if seen.number % 2 == 0 else None
    with pytest.raises(VeniceError) as caught:
        await receive(face.client.iter_usage(page_size=10))
    assert KEY not in rendered(caught.value)
    assert KEY not in str(caught.value.checkpoint)
    with pytest.raises(VeniceError) as failed:
        await face.call("export_usage_csv", tmp_path / "usage.csv", page_size=10)
    assert KEY not in rendered(failed.value)
    assert all(KEY.encode() not in path.read_bytes() for path in tmp_path.iterdir())


async def test_an_error_in_the_users_own_loop_shows_no_key(fake: FakeVenice) -> None:
    """The traceback contains the frames of a walk, which hold the client, the driver and the plan."""
    client = fake.client()
    with pytest.raises(ZeroDivisionError) as caught:
        sum(entry.amount / 0 for entry in client.iter_usage())
    assert KEY not in rendered(caught.value)


async def test_a_bug_in_a_transport_shows_no_key(flavour: Flavour) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    transport = httpx.MockTransport(handle)
    http: Any = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=transport)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    face = Face(kind(KEY, http_client=http))
    with pytest.raises(ZeroDivisionError) as caught:
        await face.call("get_balance")
    assert KEY not in rendered(caught.value)


async def test_refused_connection_shows_no_key(flavour: Flavour) -> None:
    """On real sockets, where h11 handles the header."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    face = Face(kind(KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0))
    with pytest.raises(VeniceError) as caught:
        await face.call("get_balance")
    await face.close()
    assert KEY not in rendered(caught.value)


@pytest.mark.parametrize("operation", ["write", "read"])
async def test_interrupt_during_a_request_shows_no_key(
    fake: FakeVenice, flavour: Flavour, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like Ctrl-C on real sockets, below the frames of httpx and httpcore, which hold the sent request."""

    def strike(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    stream = _BoundStream if flavour.name == "sync" else _TidyStream
    with fake.serve() as server:
        face = flavour.open(KEY, base_url=server.base_url)
        monkeypatch.setattr(stream, operation, strike)
        with pytest.raises(KeyboardInterrupt) as caught:
            await face.call("get_balance")
        monkeypatch.undo()
        await face.close()
    assert "_drivers.py" in "".join(traceback.format_exception(caught.value))
    assert KEY not in rendered(caught.value)


@pytest.mark.parametrize("transport", ["ours", "theirs"])
async def test_no_log_shows_the_key(
    fake: FakeVenice, flavour: Flavour, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """All loggers at DEBUG, including those of httpx and httpcore, on real sockets, also for failed requests."""
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    fake.quirks.faults = lambda seen: {2: faults.status(401), 3: faults.unknown_fields()}.get(seen.number)
    with caplog.at_level(logging.DEBUG), fake.serve() as server:
        theirs: Any = None
        if transport == "theirs":
            theirs = httpx.Client() if flavour.name == "sync" else httpx.AsyncClient()
        face = Face(kind(KEY, base_url=server.base_url, http_client=theirs))
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

    options: Any = {"transport": httpx.MockTransport(handle), "follow_redirects": follow}
    http: Any = httpx.Client(**options) if flavour.name == "sync" else httpx.AsyncClient(**options)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    with pytest.raises(VeniceError, match="not followed"):
        await Face(kind(KEY, http_client=http)).call("get_balance")
    assert hosts == ["https://api.venice.ai/api/v1/billing/balance"]


async def test_the_key_is_in_no_url_and_in_one_header(fake: FakeVenice, flavour: Flavour) -> None:
    seen: list[httpx.Request] = []
    transport = fake.transport()

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return transport.handler(request)  # type: ignore[return-value]

    fake.quirks = Quirks(dead_cursor_every=2)
    mock = httpx.MockTransport(handle)
    http: Any = (httpx.Client if flavour.name == "sync" else httpx.AsyncClient)(transport=mock)
    kind: Any = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    await receive(kind(KEY, http_client=http).iter_usage_history(page_size=10))
    assert len(seen) >= 3
    for request in seen:
        assert KEY not in str(request.url)
        assert [name for name, value in request.headers.items() if KEY in value] == ["authorization"]
        assert request.headers["authorization"] == f"Bearer {KEY}"
