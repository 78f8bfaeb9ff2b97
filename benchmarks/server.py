"""A loopback API that costs almost nothing, so that what is measured is the client.

    python benchmarks/server.py ENTRIES SHAPE

prints its port. It answers the balance and the history, keeps the rule that a continuation sends the cursor alone,
counts what it is asked, and waits as long as it is told before each answer: `/control?delay=0.05` sets that, and
returns and clears the counts.
"""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qsl

from ledger import CSV_HEADER, Ledger, Shape

if TYPE_CHECKING:
    from collections.abc import Mapping

_BALANCE = (
    b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":90.50,"usd":25.125},"diemEpochAllocation":100}'
)
_NARROW = timedelta(minutes=15)


class Service:
    """What the server knows, and what it counts."""

    def __init__(self, ledger: Ledger) -> None:
        self.delay = 0.0
        self._ledger = ledger
        self._counts = {"requests": 0, "narrow": 0}

    def answer(self, path: str, query: Mapping[str, str], *, csv: bool) -> tuple[str, bytes, bytes]:
        """Return status, headers and body."""
        if path == "/control":
            self.delay = float(query["delay"])
            counts, self._counts = self._counts, dict.fromkeys(self._counts, 0)
            return "200 OK", b"content-type: application/json\r\n", json.dumps(counts).encode()
        self._counts["requests"] += 1
        if path.endswith("/billing/balance"):
            return "200 OK", b"content-type: application/json\r\n", _BALANCE
        if not path.endswith("/billing/usage-history"):
            return "404 Not Found", b"", b""
        if "cursor" in query and len(query) > 1:
            return "400 Bad Request", b"", b""
        return self._page(query, csv=csv)

    def _page(self, query: Mapping[str, str], *, csv: bool) -> tuple[str, bytes, bytes]:
        if "cursor" in query:
            low, stop, size = map(int, query["cursor"].split("_"))
        else:
            start, end = query.get("startTimestamp"), query.get("endTimestamp")
            self._counts["narrow"] += _is_narrow(start, end)
            low, stop = self._ledger.between(start, end)
            size = int(query.get("pageSize", "1000"))
        high = min(low + size, stop)
        cursor = f"{high}_{stop}_{size}".encode() if high < stop else b""
        if csv:
            following = b"x-next-cursor: " + cursor + b"\r\n" if cursor else b""
            rows = CSV_HEADER + self._ledger.rows(low, high, "csv")
            return "200 OK", b"content-type: text/csv\r\n" + following, rows
        rows = self._ledger.rows(low, high, "json")
        body = b'{"data":[' + rows + b'],"nextCursor":' + (b'"' + cursor + b'"' if cursor else b"null") + b"}"
        return "200 OK", b"content-type: application/json\r\n", body


class Connection(asyncio.Protocol):
    """One kept-alive connection; requests are small, so each comes in as few pieces as it was sent in."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is complete."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head, self._received = self._received[:end].decode("latin-1"), self._received[end + 4 :]
            target = head.split(" ", 2)[1]
            path, _, query = target.partition("?")
            wants_csv = "\r\naccept: text/csv" in head.lower()
            delay = self._service.delay if path != "/control" else 0.0
            answer = self._service.answer(path, dict(parse_qsl(query)), csv=wants_csv)
            if delay:
                asyncio.get_running_loop().call_later(delay, self._send, *answer)
            else:
                self._send(*answer)

    def _send(self, status: str, headers: bytes, body: bytes) -> None:
        if not self._transport.is_closing():
            start = f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n".encode()
            self._transport.write(start + headers + b"\r\n")
            self._transport.write(body)


def _is_narrow(start: str | None, end: str | None) -> bool:
    if start is None or end is None:
        return False
    return datetime.fromisoformat(end) - datetime.fromisoformat(start) < _NARROW


async def _serve(entries: int, shape: Shape) -> None:
    service = Service(Ledger(entries, shape))
    server = await asyncio.get_running_loop().create_server(lambda: Connection(service), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), cast("Shape", sys.argv[2])))
