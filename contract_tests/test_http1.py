"""What the transports read is what httpx's own read, byte for byte, and what they refuse those refuse."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import httpx
import pytest
from flavours import Face, Flavour
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from venice_billing_api.deadline import deadline

sys.path.append(str(Path(__file__).resolve().parent / "stock"))

from sockets import ScriptedServer, say, then_close

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.anyio

_READ = {
    "a length": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\nTrailer: t\r\n\r\n",
    "neither": b"HTTP/1.1 200 OK\r\n\r\nabc",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "no phrase": b"HTTP/1.1 200\r\nContent-Length: 3\r\n\r\nabc",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
    "hints first": b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "more than announced": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcde",
    "headers of every kind": b"HTTP/1.1 200 OK\r\nA:\r\nb:  x \r\nC: 1\r\nc: \xe9\r\nContent-Length: 3\r\n\r\nabc",
}
_REFUSED = {
    "nothing": b"",
    "no HTTP": b"hello\r\n\r\n",
    "half a head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "a head without end": b"HTTP/1.1 200 OK\r\nA: " + b"a" * 200_000,
    "no name": b"HTTP/1.1 200 OK\r\nnothing here\r\nContent-Length: 3\r\n\r\nabc",
    "less than announced": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "no number": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "half a chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc",
    "no last chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "no chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nabc\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc",
    "a frame of HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03",
}


async def _heard(flavour: Flavour, url: str, *, theirs: bool = False) -> object:
    """Return what a client says of an answer: all of it, or the error."""
    client = Face(flavour.http(url, theirs=theirs))
    try:
        with deadline(5):
            answer = await client.call("get", url)
    except httpx.HTTPError as error:
        return type(error)
    finally:
        await client.close()
    return answer.status_code, answer.headers.raw, answer.content


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize("name", _READ)
async def test_every_framing_is_read_as_httpx_reads_it(flavour: Flavour, name: str, pieces: int) -> None:
    with ScriptedServer(then_close(_READ[name], pieces)) as server:
        heard = await _heard(flavour, server.url)
        assert heard == await _heard(flavour, server.url, theirs=True)
    assert isinstance(heard, tuple)
    assert (heard[0], heard[2]) == (200, b"abc")


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", _REFUSED)
async def test_what_is_no_whole_answer_is_refused_as_httpx_refuses_it(
    flavour: Flavour, name: str, anyio_backend: str
) -> None:
    with ScriptedServer(then_close(_REFUSED[name])) as server:
        heard = await _heard(flavour, server.url)
        assert heard is await _heard(flavour, server.url, theirs=True) is httpx.RemoteProtocolError


@given(
    head=st.lists(
        st.sampled_from(
            [b"Content-Length: 3", b"Content-Length: 0", b"Transfer-Encoding: chunked", b"Connection: close", b"X: y"]
        ),
        max_size=3,
    ),
    body=st.lists(st.sampled_from([b"abc", b"3\r\nabc\r\n", b"0\r\n\r\n", b"0\r\n", b"\r\n", b"xyz"]), max_size=3),
    status=st.sampled_from([b"200 OK", b"204 No", b"304 No", b"404 No", b"100 C", b"999 ?", b"20 x"]),
    pieces=st.integers(1, 5),
)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_answer_is_read_or_refused_as_httpx_does(
    head: list[bytes], body: list[bytes], status: bytes, pieces: int, scripted: ScriptedServer
) -> None:
    answer = b"HTTP/1.1 %s\r\n%s\r\n%s" % (status, b"".join(line + b"\r\n" for line in head), b"".join(body))
    scripted.then(then_close(answer, pieces))
    sync = Flavour("sync")
    assert anyio.run(_heard, sync, scripted.url) == anyio.run(lambda: _heard(sync, scripted.url, theirs=True))


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    with ScriptedServer(say(b"")) as server:
        yield server
