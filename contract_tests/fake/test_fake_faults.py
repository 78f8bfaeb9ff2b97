"""What an HTTP client sees of each fault: in a response, in a connection, in pages without progress.

Each is observed through the fake's transport and on its server, with httpx or a socket, never with our client.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from contract_tests.support.flavours import NOW
from contract_tests.support.plain_client import BALANCE, HISTORY
from venice_billing.testing import FakeServer, FakeVenice, Fault, faults
from venice_billing.testing._responses import Response

START, END = "2026-10-01T00:00:00.000Z", "2026-10-20T00:00:00.000Z"
WINDOW = {"startTimestamp": START, "endTimestamp": END}
CSV = {"accept": "text/csv"}
Connect = Callable[[FakeVenice], httpx.Client]


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(300, now=NOW)


@pytest.fixture(params=["transport", "served"])
def connect(request: pytest.FixtureRequest) -> Iterator[Connect]:
    """Yield a function that connects httpx to a fake: through its transport, or through its server."""
    opened: list[Any] = []

    def make(fake: FakeVenice) -> httpx.Client:
        options: dict[str, Any] = {"headers": {"authorization": f"Bearer {fake.admin_key}"}, "timeout": 30}
        if request.param == "served":
            opened.append(fake.serve().__enter__())
            client = httpx.Client(base_url=opened[-1].base_url, trust_env=False, **options)
        else:
            client = httpx.Client(base_url="https://fake.test/api/v1", transport=fake.transport(), **options)
        opened.append(client)
        return client

    yield make
    for resource in reversed(opened):
        resource.close()


@contextmanager
def line(fake: FakeVenice, server: FakeServer) -> Iterator[Callable[[], bytes]]:
    """Yield a function that requests the balance on one connection and returns all bytes until the server closes it."""
    target = urlsplit(server.base_url)
    with socket.create_connection((target.hostname or "", target.port or 0), timeout=30) as connection:
        asking = f"GET /api/v1{BALANCE} HTTP/1.1\r\nauthorization: Bearer {fake.admin_key}\r\n\r\n".encode()

        def ask() -> bytes:
            connection.sendall(asking)
            return b"".join(iter(lambda: connection.recv(65_536), b""))

        yield ask


def rows(response: httpx.Response) -> list[dict[str, Any]]:
    """Return the rows of a page, with numbers as text."""
    if response.headers["content-type"].startswith("text/csv"):
        return list(csv.DictReader(io.StringIO(response.text, newline="")))
    return list(json.loads(response.content, parse_float=str)["data"])


def walked(client: httpx.Client, pages: int, **params: Any) -> list[list[dict[str, Any]]]:
    """Return the rows of the first pages of a walk, and check that no cursor repeats."""
    received, cursors = [], []
    for _ in range(pages):
        response = client.get(HISTORY, params=params)
        received.append(rows(response))
        cursors.append(response.json()["nextCursor"])
        params = {"cursor": cursors[-1]}
    assert len(set(cursors)) == pages
    assert None not in cursors
    return received


def test_a_body_without_a_length_is_whole(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.faults = [None, faults.no_length()]
    client = connect(fake)
    sound, unbounded = (client.get(HISTORY, params={"pageSize": 10}, headers=CSV) for _ in range(2))
    assert "content-length" in sound.headers
    assert not {"content-length", "transfer-encoding"} & set(unbounded.headers)
    assert unbounded.content == sound.content


@pytest.mark.parametrize("packed", [False, True])
def test_a_body_cut_between_records_looks_whole(fake: FakeVenice, connect: Connect, *, packed: bool) -> None:
    """No library can detect the cut of a CSV page: the rest is a CSV page too. A cut JSON page is no JSON."""
    fake.quirks.gzip = packed
    fake.quirks.faults = [None, faults.cut_at_record(), faults.cut_at_record(), faults.cut_at_record(0)]
    client = connect(fake)
    sound = client.get(HISTORY, params={"pageSize": 60}, headers=CSV)
    cut = client.get(HISTORY, params={"pageSize": 60}, headers=CSV)
    assert "content-length" not in cut.headers
    assert cut.text.endswith("\n")
    assert sound.content.startswith(cut.content)
    assert 20 < len(rows(cut)) < 40 < len(rows(sound)) == 60
    document = client.get(HISTORY, params={"pageSize": 60})
    assert document.text.endswith("}")
    with pytest.raises(json.JSONDecodeError):
        document.json()
    assert rows(client.get(HISTORY, headers=CSV)) == []


def test_a_record_over_several_lines_is_not_cut() -> None:
    document = b'timestamp,notes\n1,"two\nlines"\n2,"and ""\n"" more"\n3,\n'
    for share in (0.3, 0.6, 0.9):
        answer = faults.cut_at_record(share).apply(Response(200, (("content-type", "text/csv"),), document))
        kept = document[: answer.transmission.cut_at]
        assert kept.count(b'"') % 2 == 0
        assert kept.endswith(b"\n")


def test_response_without_records_lacks_its_last_byte(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.faults = [None, faults.cut_at_record()]
    client = connect(fake)
    sound = client.get(BALANCE)
    assert client.get(BALANCE).content == sound.content[:-1]


@pytest.mark.parametrize("value", ["session=1", "name=žluťoučký", "name=é"])
def test_a_cookie_is_a_header(fake: FakeVenice, connect: Connect, value: str) -> None:
    fake.quirks.faults = [faults.cookie(value)]
    response = connect(fake).get(BALANCE)
    assert [text for name, text in response.headers.raw if name.lower() == b"set-cookie"] == [value.encode()]
    assert response.json()["canConsume"] is True


@pytest.mark.parametrize("content", [b"\r\n0\r\n\r\n", faults.EARLY_ANSWER])
def test_early_bytes_follow_the_answer(fake: FakeVenice, content: bytes) -> None:
    fake.quirks.faults = [Fault("both", lambda a: faults.closed_after().apply(faults.early(content).apply(a)))]
    with fake.serve() as server, line(fake, server) as ask:
        head, _, rest = ask().partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert json.loads(rest[:length])["canConsume"] is True
    assert rest[length:] == content


def test_early_answer_is_a_valid_response(fake: FakeVenice) -> None:
    head, _, document = faults.EARLY_ANSWER.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert f"content-length: {len(document)}".encode() in head
    assert json.loads(document) == {"data": [], "nextCursor": None}


def test_connection_is_closed_without_a_close_header(fake: FakeVenice) -> None:
    fake.quirks.faults = [faults.closed_after()]
    with fake.serve() as server, line(fake, server) as ask:
        answer = ask()  # returns because the server leaves
        assert b"connection:" not in answer.lower()
        assert answer.endswith(b"}")
    assert len(fake.requests) == 1


def test_connection_is_lost_at_the_next_request(fake: FakeVenice) -> None:
    """The server reads the next request and closes without a response; that request is not recorded."""
    fake.quirks.faults = [faults.closed_after(at_next_request=True)]
    with fake.serve() as server:
        target = urlsplit(server.base_url)
        request = f"GET /api/v1{BALANCE} HTTP/1.1\r\nauthorization: Bearer {fake.admin_key}\r\n\r\n".encode()
        with socket.create_connection((target.hostname or "", target.port or 0), timeout=30) as connection:
            connection.sendall(request)
            received = b""
            while not received.endswith(b"}"):
                received += connection.recv(65_536)
            connection.sendall(request)
            assert connection.recv(65_536) == b""
    assert [seen.status for seen in fake.requests] == [200]


@pytest.mark.parametrize("name", sorted(faults.SERVED_ONLY))
def test_connection_faults_do_not_affect_a_transport(fake: FakeVenice, name: str) -> None:
    fake.quirks.faults = [None, faults.ALL[name]()]
    url, headers = f"https://fake.test/api/v1{HISTORY}", {"authorization": f"Bearer {fake.admin_key}"}
    with httpx.Client(transport=fake.transport(), headers=headers) as client:
        sound, same = client.get(url), client.get(url)
    assert (same.status_code, same.headers, same.content) == (sound.status_code, sound.headers, sound.content)


@pytest.mark.parametrize("escaped", [False, True])
@pytest.mark.parametrize("where", ["name", "value", "error", "header"])
def test_echo_key_repeats_the_key_that_was_sent(
    fake: FakeVenice, connect: Connect, where: Any, *, escaped: bool
) -> None:
    fake.admin_key = "another-key-of-this-test"
    fake.quirks.faults = [faults.echo_key(where, escaped=escaped)]
    response = connect(fake).get(HISTORY, params={"pageSize": 10})
    assert response.status_code == (400 if where == "error" else 200)
    if where == "header":
        assert fake.admin_key in response.headers["x-request-id"]
        return
    assert (fake.admin_key.encode() in response.content) is not escaped
    document = response.json()
    if where == "name":
        assert all(fake.admin_key in holder for holder in (document, *document["data"]))
    elif where == "value":
        assert document["data"][0]["amount"] == f"Bearer {fake.admin_key}"
    else:
        assert fake.admin_key in document["error"]


def test_without_a_key_there_is_nothing_to_echo(fake: FakeVenice) -> None:
    fake.quirks.faults = [faults.echo_key("error")]
    with httpx.Client(transport=fake.transport()) as client:
        assert client.get(f"https://fake.test/api/v1{BALANCE}").status_code == 401


@pytest.mark.parametrize("count", [1, 2, 1 << 18, (1 << 18) + 1, 1_000_000])
def test_bomb_of_lists_unpacks_to_that_many_lists(fake: FakeVenice, connect: Connect, count: int) -> None:
    fake.quirks.faults = [faults.bomb_of_lists(count)]
    with connect(fake).stream("GET", BALANCE) as response:
        packed = b"".join(response.iter_raw())
    assert response.headers["content-encoding"] == "gzip"
    assert len(packed) < 10_000
    assert gzip.decompress(packed) == b"[" + b"[]," * (count - 1) + b"[]]"


@pytest.mark.parametrize("headers", [{}, CSV], ids=["json", "csv"])
@pytest.mark.parametrize("packed", [False, True])
def test_foreign_currency_adds_a_row(
    fake: FakeVenice, connect: Connect, headers: dict[str, str], *, packed: bool
) -> None:
    """The added row is not in the ledger, and comes only if the request filters by currency."""
    fake.quirks.gzip = packed
    fake.quirks.faults = [None, faults.foreign_currency(), faults.foreign_currency()]
    client = connect(fake)
    sound, foreign = (client.get(HISTORY, params={"currency": "USD"}, headers=headers) for _ in range(2))
    *same, added = rows(foreign)
    assert same == rows(sound)
    assert added == {**same[-1], "currency": "DIEM", "notes": "Not asked for"}
    assert "Not asked for" not in client.get(HISTORY, headers=headers).text


@pytest.mark.parametrize("headers", [{}, CSV], ids=["json", "csv"])
@pytest.mark.parametrize(
    ("params", "place", "time"),
    [
        (WINDOW, -1, END),
        ({"endTimestamp": END}, -1, END),
        ({"startTimestamp": START}, 0, "2026-09-30T23:59:59.999Z"),
        ({**WINDOW, "pageSize": "10"}, 0, "2026-09-30T23:59:59.999Z"),
    ],
    ids=["at the end", "at the only end", "before the start", "before the start, where there are more pages"],
)
def test_foreign_time_adds_a_row_outside_the_range(
    fake: FakeVenice, connect: Connect, params: dict[str, str], headers: dict[str, str], place: int, time: str
) -> None:
    """The added row is placed by its time, so the page stays in order."""
    fake.quirks.faults = [None, faults.foreign_time()]
    client = connect(fake)
    sound, foreign = (rows(client.get(HISTORY, params=params, headers=headers)) for _ in range(2))
    added = foreign.pop(place)
    assert foreign == sound
    assert (added["timestamp"], added["notes"]) == (time, "Not asked for")


@pytest.mark.parametrize(("order", "place"), [("asc", -1), ("desc", 0)])
def test_foreign_time_adds_a_row_to_an_original_page(connect: Connect, order: str, place: int) -> None:
    fake = FakeVenice(300, now=NOW, original="alive")
    fake.quirks.faults = [None, faults.foreign_time()]
    client = connect(fake)
    params = {"endDate": END, "sortOrder": order, "limit": "500"}
    sound, foreign = (rows(client.get("/billing/usage", params=params)) for _ in range(2))
    assert foreign.pop(place)["timestamp"] == END
    assert foreign == sound


def test_foreign_time_changes_nothing_in_an_open_range(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.faults = [None, faults.foreign_time()]
    client = connect(fake)
    assert client.get(HISTORY).content == client.get(HISTORY).content


def test_empty_pages_without_end(fake: FakeVenice, connect: Connect) -> None:
    """Each empty page has a new cursor; once the quirk is turned off, the last cursor leads to the ledger."""
    fake.quirks.no_progress = "empty pages"
    client = connect(fake)
    assert walked(client, 30, startTimestamp=START) == [[]] * 30
    cursor = client.get(HISTORY, params={"startTimestamp": START}).json()["nextCursor"]
    fake.quirks.no_progress = None
    assert len(rows(client.get(HISTORY, params={"cursor": cursor}))) == len(fake.rows(start=START)) > 0


def test_pages_of_one_instant_without_end(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.no_progress = "one instant"
    pages = walked(connect(fake), 30, pageSize=10, startTimestamp=START)
    assert {len(page) for page in pages} == {10}
    assert {row["timestamp"] for page in pages for row in page} == {fake.rows(start=START)[0]["timestamp"]}


def test_pages_before_the_range_without_end(fake: FakeVenice, connect: Connect) -> None:
    """The times advance from page to page, but are a year before the requested range."""
    fake.quirks.no_progress = "before range"
    pages = walked(connect(fake), 30, pageSize=10, **WINDOW)
    times = [row["timestamp"] for page in pages for row in page]
    assert len(times) == 300
    assert times == sorted(times)
    assert len(set(times)) == 30
    assert times[-1] < "2025-10-02"


def test_without_a_start_nothing_is_before_the_range(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.no_progress = "before range"
    response = connect(fake).get(HISTORY)
    assert (len(rows(response)), response.json()["nextCursor"]) == (300, None)


def test_progress_can_end_after_some_pages(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.no_progress, fake.quirks.no_progress_after = "one instant", 3
    pages = walked(connect(fake), 10, pageSize=10)
    sound, stuck = pages[:3], pages[3:]
    assert [row["timestamp"] for page in sound for row in page] == [row["timestamp"] for row in fake.ledger[:30]]
    assert {row["timestamp"] for page in stuck for row in page} == {fake.ledger[30]["timestamp"]}


@pytest.mark.parametrize(
    ("kind", "order", "expected"),
    [
        ("empty pages", "asc", set()),
        ("one instant", "asc", {"2026-10"}),
        ("before range", "asc", {"2025-10"}),
        ("before range", "desc", {"2027-10"}),
    ],
)
def test_original_pages_without_progress(connect: Connect, kind: Any, order: str, expected: set[str]) -> None:
    fake = FakeVenice(300, now=NOW, original="alive")
    fake.quirks.no_progress = kind
    client = connect(fake)
    for page in (1, 2, 50):
        params: dict[str, Any] = {"startDate": START, "endDate": END, "limit": 10, "page": page, "sortOrder": order}
        response = client.get("/billing/usage", params=params)
        assert {row["timestamp"][:7] for row in rows(response)} == expected
        assert response.json()["pagination"]["totalPages"] == page + 1


def test_first_page_can_be_empty_and_not_the_last(fake: FakeVenice, connect: Connect) -> None:
    fake.quirks.empty_first_page = True
    client = connect(fake)
    first = client.get(HISTORY, params={"startTimestamp": START})
    assert rows(first) == []
    second = client.get(HISTORY, params={"cursor": first.json()["nextCursor"]})
    assert [row["timestamp"] for row in rows(second)] == [row["timestamp"] for row in fake.rows(start=START)]
    assert second.json()["nextCursor"] is None
