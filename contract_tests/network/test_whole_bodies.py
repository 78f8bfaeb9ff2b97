"""A body is taken whole or not at all, and costs a bounded amount of memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.scripted_server import ScriptedServer, then_close
from venice_billing import APIConnectionError, ResponseValidationError, ServerError, VeniceError
from venice_billing.errors import _BODY_LIMIT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from contract_tests.support.flavours import Flavour

pytestmark = pytest.mark.anyio

_BALANCE = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":1},"diemEpochAllocation":0}'
_ROWS = [b"timestamp,sku,amount,currency\n", *(b"2026-10-01T00:00:%02dZ,a,-1,USD\n" % second for second in range(60))]
_CSV = b"".join(_ROWS)
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CSV_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"
_GZIP = b"Content-Encoding: gzip\r\n"


@pytest.mark.parametrize("version", [b"1.1", b"1.0", b"2.0", b"2.7"])
async def test_csv_without_a_length_is_refused_wherever_it_ends(flavour: Flavour, version: bytes) -> None:
    """Where the connection ends at the end of a record, nothing else tells that records are missing.

    The version in a status line is text that a server writes: it does not make the connection one of HTTP/2.
    """
    for body in (_CSV, b"".join(_ROWS[:41])):
        with ScriptedServer(then_close(_CSV_HEAD.replace(b"1.1", version) + b"\r\n" + body)) as server:
            face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
            with pytest.raises(ResponseValidationError, match="names no length"):
                await face.call("get_usage_history", format="csv")
            await face.close()


async def test_csv_over_http2_needs_no_length(flavour: Flavour) -> None:
    """HTTP/2 ends each body with a flag of its own; only a connection of httpcore's has numbered streams."""

    class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield _CSV

        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield _CSV

    extensions: dict[str, Any] = {"http_version": b"HTTP/2"}

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/csv"}, stream=Body(), extensions=dict(extensions))

    face = flavour.open(
        "a-key-of-length", http_client=flavour.http(transport=httpx.MockTransport(handle)), max_retries=0
    )
    with pytest.raises(ResponseValidationError, match="names no length"):
        await face.call("get_usage_history", format="csv")
    extensions["stream_id"] = 1
    assert await face.call("get_usage_history", format="csv") == _CSV


@pytest.mark.parametrize("version", [b"1.1", b"2.0"])
async def test_an_export_of_cut_pages_fails(flavour: Flavour, tmp_path: Path, version: bytes) -> None:
    head = _CSV_HEAD.replace(b"1.1", version)
    with ScriptedServer(then_close(head + b"\r\n" + b"".join(_ROWS[:41]))) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(ResponseValidationError, match="names no length"):
            await face.call("export_usage_csv", tmp_path / "usage.csv")
        await face.close()
    assert not (tmp_path / "usage.csv").exists()


async def test_a_gzip_stream_proves_its_own_end(flavour: Flavour) -> None:
    packed = gzip.compress(_CSV)
    with ScriptedServer(then_close(_CSV_HEAD + _GZIP + b"\r\n" + packed)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        assert await face.call("get_usage_history", format="csv") == _CSV
        server.then(then_close(_CSV_HEAD + _GZIP + b"\r\n" + packed[:-9]))
        with pytest.raises(ResponseValidationError, match="ends early"):
            await face.call("get_usage_history", format="csv")
        await face.close()


async def test_json_without_a_length_proves_itself(flavour: Flavour) -> None:
    with ScriptedServer(then_close(_JSON_HEAD + b"\r\n" + _BALANCE)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        assert (await face.call("get_balance")).can_consume
        for end in (-1, -2, 40, 1):
            server.then(then_close(_JSON_HEAD + b"\r\n" + _BALANCE[:end]))
            with pytest.raises(ResponseValidationError, match="names no length"):
                await face.call("get_balance")
        await face.close()


@pytest.mark.parametrize("framing", [b"Content-Length: 200\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n68\r\n"])
async def test_a_body_shorter_than_its_framing_is_a_broken_connection(flavour: Flavour, framing: bytes) -> None:
    with ScriptedServer(then_close(_JSON_HEAD + framing + _BALANCE)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(APIConnectionError):
            await face.call("get_balance")
        await face.close()


async def test_of_an_error_the_beginning_of_the_body_is_kept(flavour: Flavour) -> None:
    body = b"x" * (3 * _BODY_LIMIT)
    head = b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    with ScriptedServer(then_close(head + body)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(ServerError) as caught:
            await face.call("get_balance")
        assert caught.value.body == body[:_BODY_LIMIT]
        await face.close()


_COST = """
import gzip, resource, sys
import httpx
from venice_billing import VeniceBilling, VeniceError
status, piece, media = int(sys.argv[1]), sys.argv[2].encode(), sys.argv[3]
unit = b"[" + piece * 400_000 + b"{}]"
bomb = gzip.compress(b"[" + unit * 20 + b"0]", 1) if media == "json" else gzip.compress(piece * 20_000_000, 1)
headers = {"content-type": "application/json" if media == "json" else "text/csv", "content-encoding": "gzip"}

class Body(httpx.SyncByteStream):
    def __iter__(self):
        for start in range(0, len(bomb), 65536):
            yield bomb[start:start + 65536]

def handle(request):
    return httpx.Response(status, headers={**headers, "content-length": str(len(bomb))}, stream=Body())

http = httpx.Client(transport=httpx.MockTransport(handle))
client = VeniceBilling("a-key-of-length", max_retries=0, http_client=http)
def call():
    try:
        client.get_usage_history(format="csv" if media == "csv" else "json")
    except VeniceError as error:
        return type(error).__name__
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
said = call()
print(said, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="resident memory is not told there")
@pytest.mark.parametrize("piece", ["[],", "{},", '{"a":{}},', "1.5,", '"",', "[[[[]]]],"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_hostile_body_costs_a_bounded_amount_of_memory(status: int, piece: str) -> None:
    _check_cost(status, piece, "json")


@pytest.mark.skipif(sys.platform == "win32", reason="resident memory is not told there")
@pytest.mark.parametrize("piece", ["\n", ",", '"', "a\n"])
def test_a_hostile_csv_page_costs_a_bounded_amount_of_memory(piece: str) -> None:
    _check_cost(200, piece, "csv")


def _check_cost(status: int, piece: str, media: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _COST, str(status), piece, media],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, megabytes = done.stdout.split()
    assert said != "None", "a page of nothing but that is no page"
    assert issubclass(getattr(sys.modules["venice_billing"], said), VeniceError)
    assert int(megabytes) <= 200
