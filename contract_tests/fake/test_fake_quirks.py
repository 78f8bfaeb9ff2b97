"""FakeVenice's quirks: each does what the live service is known to do; time passes only on the virtual clock."""

from __future__ import annotations

import gzip
import json
import time
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import ANALYTICS, BALANCE, HISTORY, USAGE, connect
from venice_billing.testing import CsvLayout, FakeVenice, Quirks, SeenRequest, VirtualClock, faults

if TYPE_CHECKING:
    from collections.abc import Iterator


def cursors(client: httpx.Client, page_size: int = 10) -> Iterator[str]:
    """Follow a walk and yield its cursors."""
    cursor = client.get(HISTORY, params={"pageSize": page_size}).json()["nextCursor"]
    while cursor is not None:
        yield cursor
        cursor = client.get(HISTORY, params={"cursor": cursor}).json()["nextCursor"]


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(100, now=NOW)


def test_clock_moves_only_when_told() -> None:
    clock = VirtualClock(NOW)
    clock.sleep(30)
    clock.advance(0.5)
    assert (clock.monotonic(), clock.time()) == (30.5, NOW.timestamp() + 30.5)
    with pytest.raises(ValueError, match="back"):
        clock.advance(-1)


@pytest.mark.anyio
async def test_async_sleep_advances_the_clock() -> None:
    clock = VirtualClock(NOW)
    await clock.async_sleep(3600)
    assert clock.monotonic() == 3600


@pytest.mark.parametrize(
    ("window", "hangs"),
    [
        ({"startTimestamp": "2026-10-31T00:00:00Z", "endTimestamp": "2026-10-31T00:14:59.999Z"}, True),
        ({"startTimestamp": "2026-10-31T00:00:00Z", "endTimestamp": "2026-10-31T00:15:00Z"}, False),
        ({"startTimestamp": "2026-11-01T11:50:00Z"}, True),
        ({"endTimestamp": "2026-11-01T11:50:00Z"}, False),
        ({}, False),
    ],
)
def test_narrow_windows_hang(fake: FakeVenice, window: dict[str, str], *, hangs: bool) -> None:
    fake.quirks.narrow_window_hangs = True
    if hangs:
        with pytest.raises(httpx.ReadTimeout):
            connect(fake).get(HISTORY, params=window)
        assert fake.clock.monotonic() == 10
        assert fake.requests[0].status is None
    else:
        assert connect(fake).get(HISTORY, params=window).status_code == 200


def test_empty_results_hang(fake: FakeVenice) -> None:
    fake.quirks = Quirks(empty_result_hangs=True)
    with pytest.raises(httpx.ReadTimeout):
        connect(fake).get(HISTORY, params={"endTimestamp": "2020-01-01T00:00:00Z"})
    assert connect(fake).get(HISTORY).status_code == 200


def test_dead_cursor_stays_dead(fake: FakeVenice) -> None:
    fake.quirks.dead_cursor_every = 3
    client = connect(fake)
    walk = cursors(client)
    dead = [next(walk) for _ in range(3)][-1]
    with pytest.raises(httpx.ReadTimeout):
        client.get(HISTORY, params={"cursor": dead})
    assert fake.clock.monotonic() == 10
    fake.clock.advance(86_400)
    assert client.get(HISTORY, params={"cursor": dead}, timeout=60).status_code == 500
    assert fake.clock.monotonic() == 10 + 86_400 + 30


def test_dead_cursors_can_be_chosen_by_their_timestamp(fake: FakeVenice) -> None:
    """Reopening at the last timestamp moves the page boundary away from the dead position."""
    position = fake.ledger[19]["timestamp"]
    fake.quirks = Quirks(dead_cursors=lambda cursor: cursor.timestamp == position, dead_cursor_hang=0)
    client = connect(fake)
    walk = cursors(client)
    next(walk)
    assert client.get(HISTORY, params={"cursor": next(walk)}).status_code == 500
    assert client.get(HISTORY, params={"startTimestamp": position, "pageSize": 10}).json()["nextCursor"] is not None


def test_a_cursor_can_name_itself(fake: FakeVenice) -> None:
    fake.quirks.repeat_cursor_every = 3
    walk = cursors(connect(fake))
    first, second, third, fourth = (next(walk) for _ in range(4))
    assert first != second
    assert second == third == fourth


def test_cursors_expire_by_age_and_by_use(fake: FakeVenice) -> None:
    client = connect(fake)
    cursor = next(cursors(client))
    fake.quirks = Quirks(cursor_lives_seconds=60)
    fake.clock.advance(60)
    assert client.get(HISTORY, params={"cursor": cursor}).status_code == 200
    fake.clock.advance(0.1)
    assert client.get(HISTORY, params={"cursor": cursor}).status_code == 400
    fake.quirks = Quirks(cursor_lives_requests=2)
    assert client.get(HISTORY, params={"cursor": cursor}).status_code == 400
    assert client.get(HISTORY, params={"cursor": next(cursors(client))}).status_code == 200


def test_the_rate_limit_says_when_it_ends(fake: FakeVenice) -> None:
    fake.quirks = Quirks(
        rate_limit_every=2,
        rate_limit_seconds=4.5,
        rate_limit_headers=["retry-after", "x-ratelimit-reset-requests", "x-ratelimit-resets"],
    )
    client = connect(fake)
    assert [client.get(BALANCE).status_code for _ in range(4)] == [200, 429, 200, 429]
    headers = client.get(BALANCE).headers
    assert "retry-after" not in headers
    headers = client.get(BALANCE).headers
    assert headers["retry-after"] == "5"
    assert headers["x-ratelimit-reset-requests"] == str(int(NOW.timestamp()) + 5)
    assert headers["x-ratelimit-resets"] == str(int(NOW.timestamp()) * 1000 + 4500)


def test_the_original_ledger_is_throttled_by_the_minute() -> None:
    fake = FakeVenice(10, now=NOW, original="alive", quirks=Quirks(original_per_minute=2))
    client = connect(fake)
    assert [client.get(USAGE).status_code for _ in range(3)] == [200, 200, 429]
    assert client.get(BALANCE).status_code == 200
    fake.clock.advance(60)
    assert client.get(USAGE).status_code == 200


def test_too_many_failures_block_everything_for_half_a_minute(fake: FakeVenice) -> None:
    fake.quirks.abuse_block = True
    client = connect(fake)
    assert [client.get("/nowhere").status_code for _ in range(20)] == [404] * 20
    assert client.get(BALANCE).status_code == 200
    fake.clock.advance(1)
    assert client.get("/nowhere").status_code == 404
    assert client.get(BALANCE).status_code == 429
    fake.clock.advance(29.9)
    assert client.get(BALANCE).status_code == 429
    fake.clock.advance(0.1)
    assert client.get(BALANCE).status_code == 200


def test_failures_spread_over_time_do_not_block(fake: FakeVenice) -> None:
    fake.quirks.abuse_block = True
    client = connect(fake)
    for _ in range(60):
        fake.clock.advance(1.6)
        client.get("/nowhere")
    assert client.get(BALANCE).status_code == 200


def test_latency_is_drawn_from_the_seed() -> None:
    def waits(seed: int) -> list[float]:
        fake = FakeVenice(10, now=NOW, seed=seed, quirks=Quirks(latency=(0.1, 0.5)))
        client = connect(fake)
        for _ in range(5):
            client.get(BALANCE)
        return [request.time for request in fake.requests]

    assert waits(1) == waits(1) != waits(2)
    assert all(0.1 <= after - before <= 0.5 for before, after in zip(waits(1), waits(1)[1:], strict=False))


def test_gzip_is_sent_only_if_accepted(fake: FakeVenice) -> None:
    fake.quirks.gzip = True
    plain = connect(fake, **{"accept-encoding": "identity"}).get(HISTORY)
    packed = connect(fake, **{"accept-encoding": "gzip"}).get(HISTORY)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == plain.content


def test_analytics_can_be_stale_for_ten_minutes(fake: FakeVenice) -> None:
    fake.quirks.analytics_cached = True
    client = connect(fake)
    before = client.get(ANALYTICS).json()
    fake.book({"amount": "-5"})
    fake.clock.advance(599)
    assert client.get(ANALYTICS).json() == before
    fake.clock.advance(1)
    assert client.get(ANALYTICS).json() != before


def test_csv_layouts_take_turns(fake: FakeVenice) -> None:
    layouts = [CsvLayout(), CsvLayout("\r\n", bom=True, final_line_break=False), CsvLayout(header="a,b")]
    fake.quirks.csv_layouts = layouts
    client = connect(fake, accept="text/csv")
    first, second, third = (client.get(HISTORY, params={"pageSize": 10}).content for _ in range(3))
    assert second == b"\xef\xbb\xbf" + b"\r\n".join(first.split(b"\n")[:-1])
    assert third.startswith(b"a,b\n")


def test_rows_can_arrive_while_requests_are_answered(fake: FakeVenice) -> None:
    def one_row(request: SeenRequest) -> list[dict[str, Any]]:
        return [{"amount": "-1"}] if request.number == 2 else []

    fake.quirks.arrivals = one_row
    client = connect(fake)
    sizes = [len(client.get(HISTORY).json()["data"]) for _ in range(3)]
    assert sizes == [100, 101, 101]


def test_faults_apply_in_order_or_by_rule(fake: FakeVenice) -> None:
    client = connect(fake)
    client.get(BALANCE)
    fake.quirks.faults = [faults.status(503), None, faults.status(500)]
    assert [client.get(BALANCE).status_code for _ in range(4)] == [503, 200, 500, 200]
    fake.quirks.faults = lambda request: faults.status(502) if request.param("lookback") else None
    assert client.get(ANALYTICS, params={"lookback": "7d"}).status_code == 502
    assert client.get(ANALYTICS).status_code == 200


HANGS = [
    (faults.connect_hang(), httpx.ConnectTimeout, 10),
    (faults.hang(), httpx.ReadTimeout, 10),
    (faults.hang(9), None, 9),
    (faults.body_hang(), httpx.ReadTimeout, 10),
    (faults.body_hang(5, 4), None, 4),
    (faults.trickle_headers(5), httpx.ReadTimeout, 10),
    (faults.reset(), httpx.ReadError, 0),
    (faults.reset(20), httpx.ReadError, 0),
    (faults.truncated(), httpx.RemoteProtocolError, 0),
]


@pytest.mark.parametrize(("fault", "error", "seconds"), HANGS, ids=str)
def test_network_faults_reach_a_sync_client(
    fake: FakeVenice, fault: faults.Fault, error: type[httpx.HTTPError] | None, seconds: float
) -> None:
    """A hang costs only virtual seconds, up to the client's timeout."""
    began = time.monotonic()
    fake.quirks.faults = [fault]
    if error is None:
        assert connect(fake).get(BALANCE).json()["canConsume"] is True
    else:
        with pytest.raises(error):
            connect(fake).get(BALANCE)
    assert fake.clock.monotonic() == seconds
    assert time.monotonic() - began < 60


@pytest.mark.anyio
@pytest.mark.parametrize(("fault", "error", "seconds"), HANGS, ids=str)
async def test_network_faults_reach_an_async_client(
    fake: FakeVenice, fault: faults.Fault, error: type[httpx.HTTPError] | None, seconds: float
) -> None:
    fake.quirks.faults = [fault]
    headers = {"authorization": f"Bearer {fake.admin_key}"}
    url = "https://fake.test/api/v1/billing/balance"
    async with httpx.AsyncClient(transport=fake.transport(), headers=headers, timeout=10) as client:
        if error is None:
            assert (await client.get(url)).json()["canConsume"] is True
        else:
            with pytest.raises(error):
                await client.get(url)
    assert fake.clock.monotonic() == seconds


def test_a_body_can_trickle_by_the_byte(fake: FakeVenice) -> None:
    """No single read exceeds httpx's timeout: a limit on the whole response has to check the clock."""
    fake.quirks.faults = [faults.trickle_body(5)]
    with connect(fake).stream("GET", BALANCE) as response:
        arrived = [(len(chunk), fake.clock.monotonic()) for chunk in response.iter_raw()]
    assert [size for size, _ in arrived[:51]] == [1] * 51
    assert arrived[50][1] == pytest.approx(10.2)


def broken(fault: faults.Fault, path: str = HISTORY) -> httpx.Response:
    fake = FakeVenice(20, now=NOW, quirks=Quirks(faults=[fault]))
    return connect(fake).get(path)


def test_faults_of_proxies() -> None:
    response = broken(faults.status(522, html=True))
    assert response.status_code == 522
    assert response.headers["content-type"].startswith("text/html")
    assert 27_000 < len(response.content) < 29_000
    assert broken(faults.status(503, headers=(("retry-after", "7"),))).headers["retry-after"] == "7"
    assert broken(faults.redirect("?again")).headers["location"] == "?again"
    assert broken(faults.wrong_content_type()).headers["content-type"] == "text/html; charset=utf-8"
    assert broken(faults.empty()).content == b""


def test_faults_that_damage_a_document() -> None:
    with pytest.raises(UnicodeDecodeError):
        broken(faults.invalid_utf8()).content.decode()
    with pytest.raises(json.JSONDecodeError):
        broken(faults.invalid_json()).json()
    with pytest.raises(RecursionError):
        broken(faults.deep_nesting()).json()
    assert str(broken(faults.amount("NaN")).json()["data"][0]["amount"]) == "nan"
    assert b'"diem":1e400,' in broken(faults.amount("1e400"), BALANCE).content


def test_a_truncated_gzip_lacks_its_end() -> None:
    fake = FakeVenice(20, now=NOW, quirks=Quirks(faults=[faults.truncated_gzip()]))
    with connect(fake).stream("GET", HISTORY) as response:
        packed = b"".join(response.iter_raw())
    with pytest.raises(EOFError):
        gzip.decompress(packed)


def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    fake = FakeVenice(20, now=NOW, quirks=Quirks(faults=[faults.gzip_bomb(1 << 24)]))
    with connect(fake).stream("GET", HISTORY) as response:
        packed = b"".join(response.iter_raw())
    assert len(packed) < 100_000
    assert len(gzip.decompress(packed)) == (1 << 24) + 2


def test_drift_leaves_known_fields_unchanged(fake: FakeVenice) -> None:
    client = connect(fake)
    fake.quirks.faults = [faults.unknown_fields(), faults.unknown_currency("POINTS")]
    document = json.loads(client.get(HISTORY).content, parse_float=Decimal)
    assert document.pop("newField") == {"since": "tomorrow"}
    assert [row.pop("newField") for row in document["data"]] == [[1, Decimal("2.50"), None]] * 100
    assert document["data"] == fake.ledger
    assert {row["currency"] for row in client.get(HISTORY).json()["data"]} == {"POINTS"}


@pytest.mark.parametrize("name", faults.ALL)
def test_every_listed_fault_has_an_effect(name: str) -> None:
    """Each changes or delays the response of the history endpoint; some have an effect only on the server."""
    window = {"currency": "USD", "endTimestamp": "2026-11-01T00:00:00Z"}
    sound = connect(fake := FakeVenice(60, now=NOW)).get(HISTORY, params=window)
    fake.quirks.faults = [faults.gzip_bomb(1 << 22) if name == "gzip bomb" else faults.ALL[name]()]
    began = fake.clock.monotonic()
    try:
        response = connect(fake).get(HISTORY, params=window)
    except httpx.TransportError:
        return
    same = [(answer.status_code, answer.headers.multi_items(), answer.content) for answer in (response, sound)]
    shows = same[0] != same[1] or fake.clock.monotonic() - began > 10
    assert shows == (name not in faults.SERVED_ONLY)


def test_late_booking_is_dated_back_by_its_delay(fake: FakeVenice) -> None:
    row = fake.book({"amount": "-1", "notes": "late"}, late=timedelta(hours=5))
    assert row["timestamp"] == "2026-11-01T07:00:00.000Z"
    assert row in fake.ledger
