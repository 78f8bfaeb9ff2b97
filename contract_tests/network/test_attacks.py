"""Regression tests for flaws found by attacking the client with knowledge of its README alone."""

from __future__ import annotations

import enum
import os
import subprocess
import sys
import threading
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Context, Decimal, localcontext
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import NOW, Face, Flavour, as_wire, receive, row
from contract_tests.support.scripted_server import GOOD, ScriptedServer, say
from venice_billing import (
    APIError,
    ExportError,
    InvalidParameterError,
    ResponseValidationError,
    ServerError,
    VeniceError,
)
from venice_billing._csv import joined, take_apart
from venice_billing._secret import Secret
from venice_billing.csv_export import CsvFile
from venice_billing.testing import FakeVenice, faults
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

_BALANCE = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":%d},"diemEpochAllocation":0}'


def _balance(number: int) -> bytes:
    body = _BALANCE % number
    return GOOD % (len(body), body)


# ---------------------------------------------------------------- servers


@pytest.mark.parametrize("surplus", [b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\n{}", GOOD % (2, b"{}")])
async def test_a_surplus_response_does_not_shift_later_responses(flavour: Flavour, surplus: bytes) -> None:
    """The surplus arrives too late to be detected, but its connection is not reused, so later responses are right."""
    asked = 0

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        nonlocal asked
        asked += 1
        if asked == 1:
            connection.sendall(surplus)  # instead of the response, which follows
            wait(0.05)
        connection.sendall(_balance(asked))

    with ScriptedServer(script) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0, timeout=30)
        with pytest.raises((ServerError, ResponseValidationError)):
            await face.call("get_balance")
        for number in (2, 3, 4):
            assert (await face.call("get_balance")).balances.usd == number
        await face.close()
        assert server.connections == 2


@pytest.mark.parametrize("location", ["http://xn--/", "http://xn--a/", "https://xn--zz--zz/billing"])
async def test_a_redirect_to_an_invalid_host_is_a_venice_error(flavour: Flavour, location: str) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()
    with ScriptedServer(say(answer)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(VeniceError) as caught:
            await face.call("get_balance")
        await face.close()
    assert "a-key-of-length" not in str(caught.value)


_BAD_LOCATIONS = ["mailto:x", "http://h:b/", "http://[not a url", "http://xn--a/", "//", "\\x00", "?again"]


@pytest.mark.parametrize("location", _BAD_LOCATIONS)
@pytest.mark.parametrize("served", [True, False])
async def test_a_redirect_to_any_location_is_an_error_with_its_status(
    fake: FakeVenice, flavour: Flavour, location: str, *, served: bool
) -> None:
    """The request is sent once, and the error keeps the headers; a client of the fake behaves alike."""
    fake.quirks.faults = lambda _: faults.redirect(location)
    with fake.serve() as server:
        options: dict[str, Any] = {"max_retries": 2, "timeout": 30}
        face = (
            flavour.open(fake.admin_key, base_url=server.base_url, **options)
            if served
            else flavour.connect(fake, **options)
        )
        with pytest.raises(APIError, match="redirects are not followed") as caught:
            await face.call("get_balance")
        await face.close()
    assert caught.value.status_code == 302
    assert caught.value.headers["location"] == location
    assert len(fake.requests) == 1


async def test_a_redirect_with_a_cookie_is_a_venice_error(fake: FakeVenice, flavour: Flavour) -> None:
    """The httpx client is the user's own, and stores the cookie."""
    fake.quirks.faults = [faults.ALL["cookie, not ascii"](), faults.redirect("?again")]
    http = flavour.http(transport=fake.transport())
    face = flavour.open(fake.admin_key, http_client=http, max_retries=0)
    await face.call("get_balance")
    with pytest.raises(VeniceError):
        await face.call("get_balance")
    assert (await face.call("get_balance")).can_consume


@pytest.mark.parametrize("port", [0, 65536, 99999])
@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "ALL_PROXY"])
async def test_a_proxy_with_an_invalid_port_is_refused_at_once(
    flavour: Flavour, variable: str, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
    with pytest.raises(InvalidParameterError, match=variable):
        flavour.open("a-key-of-length", base_url="https://venice.test")


# ---------------------------------------------------------------- processes


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_the_first_response_imports_nothing() -> None:
    """An import that another thread has started at a fork never ends in the child."""
    script = """
import sys
from venice_billing.testing import FakeVenice
client = FakeVenice(3).client()
before = set(sys.modules)
client.get_balance(), client.get_usage_history(), list(client.iter_usage())
print(sorted(name for name in set(sys.modules) - before if name.startswith(("venice", "msgspec"))))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout == "[]\n"


def test_a_virtual_clock_stands_still_while_calls_wait_in_turn() -> None:
    """Many threads of one client need more concurrent requests than its failure budget allows."""
    fake = FakeVenice(400, now=NOW)
    totals: list[int] = []
    with fake.client() as client:
        walks = [client.iter_usage_history(page_size=50, concurrency=4) for _ in range(8)]
        threads = [threading.Thread(target=lambda walk=walk: totals.append(len(list(walk)))) for walk in walks]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
    assert totals == [400] * 8
    assert fake.clock.time() == NOW.timestamp()


# ---------------------------------------------------------------- the key


@pytest.mark.parametrize("spelled", ['abcdefghij""klmn&lt;o', "abcdefghij&quot;klmn%26lt;o"])
def test_a_key_escaped_for_csv_or_html_is_masked(spelled: str) -> None:
    assert "klmn" not in Secret('abcdefghij"klmn<o').masked(f"no such key: {spelled}")


def test_a_key_with_an_apostrophe_escaped_for_html_is_masked() -> None:
    assert "klmn" not in Secret("abcdefghij'klmn").masked("no such key: abcdefghij&apos;klmn")


def test_a_key_escaped_in_a_csv_page_is_masked() -> None:
    assert b"klmn" not in Secret('abcdefghij"klmn').masked_bytes(
        b'timestamp,notes\n2026-10-01T00:00:00Z,"abcdefghij""klmn"\n', is_csv=True
    )


# ---------------------------------------------------------------- data


@pytest.mark.parametrize("text", ["Service unavailable\n", "OK", "error,message\n", '"error"', "busy, try later\n"])
async def test_plain_text_does_not_pass_for_an_empty_csv(flavour: Flavour, text: str, tmp_path: Path) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text.encode())
    (tmp_path / "usage.csv").write_text("of last month\n")
    with ScriptedServer(say(answer)) as server:
        face = flavour.open("a-key-of-length", base_url=server.url, max_retries=0)
        with pytest.raises(ResponseValidationError, match="header row"):
            await face.call("export_usage_csv", tmp_path / "usage.csv")
        with pytest.raises(ResponseValidationError, match="header row"):
            await face.call("get_usage_history", format="csv")
        await face.close()
    assert (tmp_path / "usage.csv").read_text() == "of last month\n"


def test_a_page_that_ends_between_cr_and_lf_is_joined() -> None:
    document = take_apart(b"timestamp,a\r\n2026-10-01T00:00:00Z,1\r\n2026-10-01T00:00:01Z,2\r")
    assert joined(document.records, document.newline).endswith(b",1\r\n2026-10-01T00:00:01Z,2\r\n")


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000Z", "0001-01-03T00:00:00.000Z", "9999-12-31T23:59:59.000Z"])
@pytest.mark.parametrize("sort_order", ["asc", "desc"])
@pytest.mark.parametrize("concurrency", [1, 3])
async def test_timestamps_at_the_ends_of_the_calendar_are_refused(
    flavour: Flavour, moment: str, sort_order: str, concurrency: int
) -> None:
    """Year 1 is the zero value of times in some languages; such rows must not be dropped in silence."""
    fake = FakeVenice([row(moment), row("2026-10-01T00:00:00.000Z")], now=NOW)
    walk = flavour.connect(fake).client.iter_usage_history(sort_order=sort_order, concurrency=concurrency)
    with pytest.raises(ResponseValidationError, match="end of the calendar"):
        await receive(walk)


# ---------------------------------------------------------------- arguments


class Size(int, enum.Enum):
    """An enum whose members are numbers but print as names."""

    SMALL = 20


class Lookback(str, enum.Enum):  # noqa: UP042 - a StrEnum prints as its value
    """An enum whose members are texts but print as names."""

    WEEK = "7d"


async def test_members_of_enums_are_sent_as_their_values(fake: FakeVenice, face: Face) -> None:
    assert len((await face.call("get_usage_history", page_size=Size.SMALL)).data) == 20
    assert (await face.call("get_usage_analytics", lookback=Lookback.WEEK)).lookback == "7d"
    assert [dict(seen.params) for seen in fake.requests] == [{"pageSize": "20"}, {"lookback": "7d"}]


class Grim:
    """Raises from each of its special methods."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __eq__(self, other: object) -> bool:
        raise ZeroDivisionError

    def __fspath__(self) -> str:
        raise ZeroDivisionError

    __hash__ = None  # type: ignore[assignment]


class GrimZone(tzinfo):
    """A time zone whose methods all raise."""

    def utcoffset(self, _: datetime | None) -> timedelta:
        raise ZeroDivisionError

    dst = tzname = utcoffset  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("method", "parameter"),
    [
        ("get_usage_history", "page_size"),
        ("get_usage_history", "cursor"),
        ("get_usage_history", "start_timestamp"),
        ("iter_usage_history", "sort_order"),
        ("iter_usage", "sort_order"),
        ("get_usage_analytics", "lookback"),
    ],
)
async def test_a_value_whose_repr_raises_is_refused(face: Face, method: str, parameter: str) -> None:
    with pytest.raises(InvalidParameterError, match="unprintable Grim"):
        await face.call(method, **{parameter: Grim()})


async def test_a_path_whose_fspath_raises_is_refused(face: Face) -> None:
    with pytest.raises(InvalidParameterError, match="path"):
        await face.call("export_usage_csv", Grim())


@pytest.mark.parametrize("zone", [GrimZone(), timezone(timedelta(hours=23, minutes=59))])
async def test_a_time_zone_whose_utcoffset_raises_is_refused(face: Face, zone: tzinfo) -> None:
    moment = datetime(2026, 10, 1, tzinfo=zone)
    if isinstance(zone, GrimZone):
        with pytest.raises(InvalidParameterError, match="start_timestamp"):
            await face.call("get_usage_history", start_timestamp=moment)
    else:
        assert await face.call("get_usage_history", start_timestamp=moment)


# ---------------------------------------------------------------- files and the fake


async def test_a_file_truncated_by_another_program_is_an_error(
    fake: FakeVenice, face: Face, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = CsvFile.finish

    def cut_first(file: CsvFile) -> Any:
        os.truncate(file._partial, 100)
        return finish(file)

    with monkeypatch.context() as patch:
        patch.setattr(CsvFile, "finish", cut_first)
        with pytest.raises(ExportError, match="another program"):
            await face.call("export_usage_csv", tmp_path / "usage.csv")
    assert not (tmp_path / "usage.csv").exists()
    assert (await face.call("export_usage_csv", tmp_path / "usage.csv")).rows == len(fake.ledger)


def test_the_balance_of_the_fake_ignores_the_decimal_context() -> None:
    fake = FakeVenice(200, now=NOW)
    expected = sum((entry["amount"] for entry in fake.ledger if entry["currency"] == "USD"), Decimal(0))
    with localcontext(Context(prec=5)):
        assert fake.client().get_balance().balances.usd == expected


async def test_no_row_repeats_when_a_server_goes_back_and_ignores_the_start(
    flavour: Flavour,
) -> None:
    """An error is acceptable; a repeated row is not."""
    rows = [{"timestamp": f"2026-10-01T00:00:{second:02}.000Z", "sku": "a", "amount": -second} for second in range(20)]
    ledger = FakeVenice(rows, now=NOW)
    full = [entry.to_dict() for entry in ledger.client().iter_usage_history()]
    pages = {"": (0, 10, "next"), "next": (5, 20, None)}

    def handle(request: httpx.Request) -> httpx.Response:
        start, end, following = pages[request.url.params.get("cursor", "")]
        text = to_json({"data": full[start:end], "nextCursor": following})
        return httpx.Response(200, text=text, headers={"content-type": "application/json"})

    http = flavour.http(transport=httpx.MockTransport(handle))
    face = flavour.open("a-key-of-length", http_client=http, max_retries=0)
    received: list[Any] = []
    with suppress(VeniceError):
        await receive(face.client.iter_usage_history(), into=received)
    counts = Counter(entry.amount for entry in received)
    assert not counts or max(counts.values()) == 1
    assert as_wire(received) == full[: len(received)]
