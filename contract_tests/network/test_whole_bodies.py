"""A body is accepted whole or refused, and costs a bounded amount of memory."""

from __future__ import annotations

import gzip
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import ON_EACH_LIBRARY, Flavour
from contract_tests.support.scripted_server import ScriptedServer, say, then_close
from venice_billing import APIConnectionError, ResponseValidationError, ServerError
from venice_billing._exchange import BODY_LIMIT
from venice_billing.errors import _BODY_LIMIT

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.anyio

_BALANCE = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":1},"diemEpochAllocation":0}'
_ROWS = [b"timestamp,sku,amount,currency\n", *(b"2026-10-01T00:00:%02dZ,a,-1,USD\n" % second for second in range(60))]
_CSV = b"".join(_ROWS)
_JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
_CSV_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"
_GZIP = b"Content-Encoding: gzip\r\n"


@ON_EACH_LIBRARY
@pytest.mark.parametrize("version", [b"1.1", b"1.0", b"2.0", b"2.7"])
async def test_csv_without_a_length_is_refused(flavour: Flavour, version: bytes) -> None:
    """If the connection closes at the end of a record, nothing else shows that records are missing.

    The version in the status line is text chosen by the server: it does not prove that the connection uses HTTP/2.
    """
    for body in (_CSV, b"".join(_ROWS[:41])):
        with ScriptedServer(then_close(_CSV_HEAD.replace(b"1.1", version) + b"\r\n" + body)) as server:
            face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
            with pytest.raises(ResponseValidationError, match="names no length"):
                await face.call("get_usage_history", format="csv")
            await face.close()


async def test_csv_over_http2_needs_no_length(flavour: Flavour) -> None:
    """HTTP/2 marks the end of each body with a flag; numbered streams, which httpcore reports, prove HTTP/2."""

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


@ON_EACH_LIBRARY
@pytest.mark.parametrize("version", [b"1.1", b"2.0"])
async def test_an_export_of_truncated_pages_fails(flavour: Flavour, tmp_path: Path, version: bytes) -> None:
    head = _CSV_HEAD.replace(b"1.1", version)
    with ScriptedServer(then_close(head + b"\r\n" + b"".join(_ROWS[:41]))) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(ResponseValidationError, match="names no length"):
            await face.call("export_usage_csv", tmp_path / "usage.csv")
        await face.close()
    assert not (tmp_path / "usage.csv").exists()


@ON_EACH_LIBRARY
async def test_gzip_without_a_length_is_accepted_only_if_complete(flavour: Flavour) -> None:
    packed = gzip.compress(_CSV)
    with ScriptedServer(then_close(_CSV_HEAD + _GZIP + b"\r\n" + packed)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        assert await face.call("get_usage_history", format="csv") == _CSV
        server.then(then_close(_CSV_HEAD + _GZIP + b"\r\n" + packed[:-9]))
        with pytest.raises(ResponseValidationError, match="ends early"):
            await face.call("get_usage_history", format="csv")
        await face.close()


@ON_EACH_LIBRARY
async def test_json_without_a_length_is_accepted_only_if_complete(flavour: Flavour) -> None:
    with ScriptedServer(then_close(_JSON_HEAD + b"\r\n" + _BALANCE)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        assert (await face.call("get_balance")).can_consume
        for end in (-1, -2, 40, 1):
            server.then(then_close(_JSON_HEAD + b"\r\n" + _BALANCE[:end]))
            with pytest.raises(ResponseValidationError, match="names no length"):
                await face.call("get_balance")
        await face.close()


@ON_EACH_LIBRARY
@pytest.mark.parametrize("framing", [b"Content-Length: 200\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n68\r\n"])
async def test_a_body_shorter_than_its_framing_is_a_broken_connection(flavour: Flavour, framing: bytes) -> None:
    with ScriptedServer(then_close(_JSON_HEAD + framing + _BALANCE)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(APIConnectionError):
            await face.call("get_balance")
        await face.close()


_NOTES = (
    b"timestamp,sku,amount,currency,notes\n"
    + "".join(f"2026-10-01T00:00:0{second}Z,a,-1,USD,{'é' * 9}\n" for second in range(6)).encode()
)
_SURPLUS = {  # each an answer in one segment, so that all of it is there once its beginning is
    "length in characters": _CSV_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_NOTES.decode()), _NOTES),
    "length of some records": _CSV_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(b"".join(_ROWS[:41])), _CSV),
    "length of the header row": _CSV_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_ROWS[0]), _CSV),
    "length without the last line break": _CSV_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_CSV) - 1, _CSV),
    "chunks": _CSV_HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n%s" % (len(_ROWS[0]), _ROWS[0], _CSV),
    "JSON": _JSON_HEAD + b'Content-Length: 29\r\n\r\n{"data":[],"nextCursor":null}{"data":[]}',
}


@ON_EACH_LIBRARY
@pytest.mark.parametrize("answer", _SURPLUS)
async def test_bytes_after_a_body_are_refused(flavour: Flavour, answer: str) -> None:
    """The length or the end of the body is wrong, so charges may be missing that were sent."""
    chosen = "json" if answer == "JSON" else "csv"
    for script in (say(_SURPLUS[answer]), then_close(_SURPLUS[answer])):
        with ScriptedServer(script) as server:
            face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
            with pytest.raises(ResponseValidationError, match="bytes came after"):
                await face.call("get_usage_history", format=chosen)
            await face.close()


async def test_an_answer_with_bytes_after_its_body_is_asked_for_again(flavour: Flavour, tmp_path: Path) -> None:
    whole = _CSV_HEAD + b"Content-Length: %d\r\n\r\n%s" % (len(_CSV), _CSV)
    answers = [_SURPLUS["length of some records"], whole]

    def script(connection: socket.socket, _: Callable[[float], bool]) -> None:
        connection.sendall(answers.pop(0))

    with ScriptedServer(script) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=1)
        await face.call("export_usage_csv", tmp_path / "usage.csv")
        await face.close()
        assert server.connections == 2
    assert (tmp_path / "usage.csv").read_bytes() == _CSV


@ON_EACH_LIBRARY
async def test_an_error_keeps_the_beginning_of_its_body(flavour: Flavour) -> None:
    body = b"x" * (3 * _BODY_LIMIT)
    head = b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    with ScriptedServer(then_close(head + body)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(ServerError) as caught:
            await face.call("get_balance")
        assert caught.value.body == body[:_BODY_LIMIT]
        await face.close()


# VmHWM is the peak of this program alone; `ru_maxrss` starts from the peak of its parent process.
_COST = """
import sys, zlib
from pathlib import Path
import anyio, httpx
from venice_billing import AsyncVeniceBilling, VeniceBilling, VeniceError
flavour, call, status, media, size, folder, *parts = sys.argv[1:]
head, unit, tail = map(bytes.fromhex, parts)
block = unit * (65536 // len(unit))
blocks, units = divmod((int(size) - len(head) - len(tail)) // len(unit), len(block) // len(unit))
packer = zlib.compressobj(1, wbits=31)
pieces = [head, *[block] * blocks, unit * units, tail]
bomb = b"".join([*map(packer.compress, pieces), packer.flush()])
headers = {"content-type": media, "content-encoding": "gzip", "content-length": str(len(bomb))}

class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __iter__(self):
        for start in range(0, len(bomb), 65536):
            yield bomb[start:start + 65536]
    async def __aiter__(self):
        for part in self:
            yield part

transport = httpx.MockTransport(lambda request: httpx.Response(int(status), headers=headers, stream=Body()))
if flavour == "sync":
    client = VeniceBilling("a-key-of-length", max_retries=0, timeout=200, http_client=httpx.Client(transport=transport))
else:
    http = httpx.AsyncClient(transport=transport)
    client = AsyncVeniceBilling("a-key-of-length", max_retries=0, timeout=200, http_client=http)

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) // 1024

async def ask():
    if call == "export":
        result = client.export_usage_csv(Path(folder) / "usage.csv")
    else:
        result = client.get_usage_history(format="csv" if media == "text/csv" else "json")
    if flavour == "async":
        await result

before, said = memory("VmRSS"), "accepted"
try:
    anyio.run(ask)
except VeniceError as error:
    said = type(error).__name__
print(said, memory("VmHWM") - before)
"""
_FEW = b'{"data":[],"nextCursor":null,'
# Four bytes per character, and a lone surrogate, which needs the slow decoder.
_WIDE = _FEW + rb'"y":"' + "\U0001f600".encode() + rb'","z":"\ud800",'
_HOSTILE_JSON = {
    "empty lists": (b"[", b"[],"),
    "empty objects": (b"[", b"{},"),
    "objects": (b"[", b'{"a":{}},'),
    "fractions": (b"[", b"1.5,"),
    "texts": (b"[", b'"",'),
    "lists in lists": (b"[", b"[[[[]]]],"),
    "rows that are empty lists": (b'{"nextCursor":null,"data":[', b"[],"),
    "rows that are empty": (b'{"nextCursor":null,"data":[', b"{},"),
    "an unknown field of nested lists": (_FEW + b'"x":[', b"[" * 900 + b"]" * 900 + b","),
    "an unknown field of nested lists, decoded slowly": (_WIDE + b'"x":[', b"[" * 900 + b"]" * 900 + b","),
    "an unknown field of nested objects": (_WIDE + b'"x":[', b'{"":' * 900 + b"0" + b"}" * 900 + b","),
    "an unknown field of short lists": (_WIDE + b'"x":[', b"[[]],"),
}
_HOSTILE_CSV = {
    "blank lines": ("page", b"", b"\n"),
    "commas": ("page", b"", b","),
    "quotes": ("page", b"", b'"'),
    "letters": ("page", b"", b"a\n"),
    "short records": ("page", b'"timestamp"\n', b"12\n"),
    "short records of an export": ("export", b'"timestamp"\n', b"12\n"),
    "empty records of an export": ("export", b'"timestamp"\n', b"\r\n"),
}
_of_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux reports the peak")


@_of_linux
@pytest.mark.parametrize("kind", _HOSTILE_JSON)
def test_a_hostile_page_costs_less_than_200_megabytes(tmp_path: Path, flavour: Flavour, kind: str) -> None:
    """The body is as large as allowed, and a small gzip stream on the network."""
    head, unit = _HOSTILE_JSON[kind]
    tail = b"0]}" if head.startswith(b"{") else b"{}]"
    said = _check_cost(tmp_path, flavour, "application/json", head, unit, tail)
    assert ("unknown field" in kind) == (said == "accepted"), "unknown fields are accepted, all else is no page"


@_of_linux
@pytest.mark.parametrize("kind", _HOSTILE_CSV)
def test_a_hostile_csv_page_costs_less_than_200_megabytes(tmp_path: Path, kind: str) -> None:
    call, head, unit = _HOSTILE_CSV[kind]
    _check_cost(tmp_path, Flavour("sync"), "text/csv", head, unit, call=call)


@_of_linux
@pytest.mark.parametrize("kind", ["empty lists", "lists in lists", "fractions"])
@pytest.mark.parametrize("status", [200, 400])
def test_a_body_beyond_the_limit_costs_less_than_200_megabytes(
    tmp_path: Path, flavour: Flavour, status: int, kind: str
) -> None:
    said = _check_cost(
        tmp_path, flavour, "application/json", *_HOSTILE_JSON[kind], b"{}]", status=status, size=8 * BODY_LIMIT
    )
    assert said == ("ResponseValidationError" if status == 200 else "InvalidRequestError")


def _check_cost(
    folder: Path,
    flavour: Flavour,
    media: str,
    *parts: bytes,
    call: str = "page",
    status: int = 200,
    size: int = BODY_LIMIT,
) -> str:
    """Check the memory cost of a body of `head`, as many `unit`s as fit, and `tail`; return the result of the call."""
    head, unit, tail = (*parts, b"")[:3]
    hexadecimal = [part.hex() for part in (head, unit, tail)]
    done = subprocess.run(
        [sys.executable, "-c", _COST, flavour.name, call, str(status), media, str(size), str(folder), *hexadecimal],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said, megabytes = done.stdout.split()
    assert int(megabytes) < 200
    return said
