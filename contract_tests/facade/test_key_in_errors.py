"""No error shows the key: not in its text, attributes, pickle, or the local variables of its traceback."""

from __future__ import annotations

import io
import json
import pickle
import socket
import traceback
from base64 import b64encode
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rich.console import Console
from rich.traceback import Traceback

from contract_tests.support.flavours import NOW, Face, Flavour, receive
from venice_billing import ResponseValidationError, VeniceError
from venice_billing._runtime.network import _BoundStream, _TidyStream
from venice_billing.testing import FakeVenice, faults

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


@pytest.mark.parametrize("field", ["timestamp", "amount", "currency"])
@pytest.mark.parametrize("spelling", [lambda key: b64encode(key).decode(), bytes.hex], ids=["base64", "hexadecimal"])
@pytest.mark.parametrize("how", ["export", "page", "walk"])
async def test_key_encoded_in_the_data_is_masked_in_the_words_of_an_error(
    flavour: Flavour, tmp_path: Path, how: str, spelling: Callable[[bytes], str], field: str
) -> None:
    """Of data that are refused, too: they are quoted after the answer was read."""
    told = spelling(KEY.encode())
    values: dict[str, Any] = {"timestamp": "2026-10-01T00:00:00Z", "sku": "s", "amount": -1, "currency": "USD"}
    values |= {"notes": "n", field: told}
    csv = f"{','.join(values)}\n{','.join(map(str, values.values()))}\n"
    entry = {**values, "pricePerUnitUsd": 1, "units": 1, "inferenceDetails": None}
    page = json.dumps({"data": [entry], "nextCursor": None})

    def handle(request: httpx.Request) -> httpx.Response:
        is_csv = "text/csv" in request.headers["accept"]
        kind = "text/csv" if is_csv else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, content=csv if is_csv else page)

    async def ask(face: Face) -> object:
        if how == "walk":
            return await receive(face.client.iter_usage_history(currency="USD"))
        if how == "page":
            return await face.call("get_usage_history", currency="USD")
        return await face.call("export_usage_csv", tmp_path / "usage.csv", currency="USD")

    with pytest.raises(ResponseValidationError) as caught:
        await ask(flavour.mocked(handle, KEY))
    error = caught.value
    assert "[key]" in str(error)
    for shown in (str(error), repr(error), repr(vars(error)), repr(error.__context__), repr(error.__cause__)):
        assert told not in shown


@pytest.mark.parametrize("text", ["\x1b]0;title\x07\x1b[2J", "\u202e", "\x00", "\x9b1m", "\ud800"])
async def test_error_has_nothing_that_a_terminal_obeys(flavour: Flavour, text: str) -> None:
    face = flavour.mocked(lambda _: httpx.Response(400, content=json.dumps({"error": f"wrong {text} word"})), KEY)
    with pytest.raises(VeniceError) as caught:
        await face.call("get_balance")
    assert str(caught.value).isprintable()
    assert f"wrong {ascii(text)[1:-1]} word" in str(caught.value)


async def test_an_error_in_the_users_own_loop_shows_no_key(fake: FakeVenice) -> None:
    """The traceback contains the frames of a walk, which hold the client, the driver and the plan."""
    client = fake.client()
    with pytest.raises(ZeroDivisionError) as caught:
        sum(entry.amount / 0 for entry in client.iter_usage())
    assert KEY not in rendered(caught.value)


async def test_a_bug_in_a_transport_shows_no_key(flavour: Flavour) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        raise ZeroDivisionError

    face = flavour.mocked(handle, KEY)
    with pytest.raises(ZeroDivisionError) as caught:
        await face.call("get_balance")
    assert KEY not in rendered(caught.value)


async def test_refused_connection_shows_no_key(flavour: Flavour) -> None:
    """On real sockets, where h11 handles the header."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    face = flavour.open(KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0)
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
