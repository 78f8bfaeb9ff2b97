"""The work that is compared: each job runs in a process of its own and prints what it did as one line of JSON.

    python benchmarks/jobs.py JOB URL FOLDER

A job imports what it needs before the clock of the walk starts; the CPU is counted by the parent, for the process as
a whole.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger import END, START

if TYPE_CHECKING:
    import httpx
    import msgspec

Job = Callable[[str, Path], dict[str, Any]]
_KEY = "bench-key"
_CALLS = 500
_WINDOWS = 8
_PATH = "/billing/usage-history"


# ---------------------------------------------------------------- ours


def ours(url: str, folder: Path) -> dict[str, Any]:
    return _our_walk(url, concurrency=1)


def ours_8(url: str, folder: Path) -> dict[str, Any]:
    return _our_walk(url, concurrency=8, start_timestamp=START, end_timestamp=END)


def ours_async(url: str, folder: Path) -> dict[str, Any]:
    return _our_async_walk(url, concurrency=1)


def ours_async_8(url: str, folder: Path) -> dict[str, Any]:
    return _our_async_walk(url, concurrency=8, start_timestamp=START, end_timestamp=END)


def ours_newest_first(url: str, folder: Path) -> dict[str, Any]:
    return _our_walk(url, concurrency=1, sort_order="desc")


def ours_over_httpx(url: str, folder: Path) -> dict[str, Any]:
    """Do the same with an httpx client of the user's own."""
    import httpx

    with httpx.Client() as http:
        return _our_walk(url, http, concurrency=1)


def _our_walk(url: str, http_client: httpx.Client | None = None, **arguments: Any) -> dict[str, Any]:
    from venice_billing import VeniceBilling

    watch = Watch()
    with VeniceBilling(_KEY, base_url=url, http_client=http_client) as client:
        rows = 0
        for _ in client.iter_usage_history(page_size=1000, **arguments):
            rows += 1
    return watch.report(rows)


def _our_async_walk(url: str, **arguments: Any) -> dict[str, Any]:
    import anyio  # noqa: F401 - what an asynchronous program has imported anyway

    from venice_billing import AsyncVeniceBilling

    async def walk() -> int:
        async with AsyncVeniceBilling(_KEY, base_url=url) as client:
            rows = 0
            async for _ in client.iter_usage_history(page_size=1000, **arguments):
                rows += 1
            return rows

    watch = Watch()
    return watch.report(asyncio.run(walk()))


def our_export(url: str, folder: Path) -> dict[str, Any]:
    return _our_export(url, folder, concurrency=1)


def our_export_8(url: str, folder: Path) -> dict[str, Any]:
    return _our_export(url, folder, concurrency=8, start_timestamp=START, end_timestamp=END)


def _our_export(url: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    from venice_billing import VeniceBilling

    watch = Watch()
    with VeniceBilling(_KEY, base_url=url) as client:
        export = client.export_usage_csv(folder / "ours.csv", page_size=1000, resume=False, **arguments)
    return watch.report(export.rows, size=export.size)


# ---------------------------------------------------------------- floors: what must be paid in any case


def untyped(url: str, folder: Path) -> dict[str, Any]:
    import msgspec

    decode = msgspec.json.Decoder().decode
    watch = Watch()
    with _bare_client() as client:
        rows = sum(len(page["data"]) for page in _pages(client, url, decode, lambda page: page["nextCursor"]))
    return watch.report(rows)


def typed(url: str, folder: Path) -> dict[str, Any]:
    return _typed(url)


def _typed(url: str, **options: Any) -> dict[str, Any]:
    decoder = _typed_decoder()
    watch = Watch()
    with _bare_client(**options) as client:
        rows = 0
        for page in _pages(client, url, decoder.decode, lambda page: page.nextCursor):
            for _ in page.data:
                rows += 1
    return watch.report(rows)


def typed_8(url: str, folder: Path) -> dict[str, Any]:
    """Do the same in eight windows of the same width, in order: what a hand that knows the ledger does."""
    decoder = _typed_decoder()
    step = (END - START) / _WINDOWS
    cuts = [(START + step * n).isoformat(timespec="milliseconds").replace("+00:00", "Z") for n in range(_WINDOWS + 1)]
    watch = Watch()
    with _bare_client() as client, ThreadPoolExecutor(_WINDOWS) as pool:

        def window(start: str, end: str) -> list[Any]:
            bounds = {"startTimestamp": start, "endTimestamp": end}
            return list(_pages(client, url, decoder.decode, lambda page: page.nextCursor, **bounds))

        rows = 0
        for pages in pool.map(window, cuts, cuts[1:]):
            for page in pages:
                for _ in page.data:
                    rows += 1
    return watch.report(rows)


def typed_http_client(url: str, folder: Path) -> dict[str, Any]:
    """Do the same with Python's own HTTP client: what httpx costs."""
    from http.client import HTTPConnection
    from urllib.parse import urlsplit

    decoder = _typed_decoder()
    place = urlsplit(url)
    watch = Watch()
    connection = HTTPConnection(place.hostname or "", place.port)
    query, rows = "pageSize=1000", 0
    while query:
        connection.request("GET", f"{place.path}{_PATH}?{query}", headers={"Authorization": f"Bearer {_KEY}"})
        page = decoder.decode(connection.getresponse().read())
        for _ in page.data:
            rows += 1
        query = f"cursor={page.nextCursor}" if page.nextCursor else ""
    connection.close()
    return watch.report(rows)


def raw_export(url: str, folder: Path) -> dict[str, Any]:
    """Ask for the CSV pages one by one and write them below one header."""
    watch = Watch()
    path, params, rows = folder / "raw.csv", {"pageSize": "1000"}, 0
    with _bare_client() as client, path.open("wb") as file:
        while params:
            response = client.get(url + _PATH, params=params, headers={"Accept": "text/csv"})
            header, _, records = response.content.partition(b"\n")
            if not file.tell():
                file.write(header + b"\n")
            file.write(records)
            rows += records.count(b"\n")
            cursor = response.headers.get("x-next-cursor")
            params = {"cursor": cursor} if cursor else {}
    return watch.report(rows, size=path.stat().st_size)


def _bare_client(**options: Any) -> httpx.Client:
    import httpx

    return httpx.Client(headers={"Authorization": f"Bearer {_KEY}"}, timeout=10, **options)


def _pages(
    client: httpx.Client,
    url: str,
    decode: Callable[[bytes], Any],
    following: Callable[[Any], str | None],
    **bounds: str,
) -> Iterator[Any]:
    params = {"pageSize": "1000", **bounds}
    while params:
        page = decode(client.get(url + _PATH, params=params).content)
        yield page
        cursor = following(page)
        params = {"cursor": cursor} if cursor else {}


def _typed_decoder() -> msgspec.json.Decoder[Any]:
    import httpx  # noqa: F401 - before the clock starts
    import msgspec

    details = msgspec.defstruct(
        "Details",
        [
            ("requestId", str | None),
            ("promptTokens", int | None),
            ("completionTokens", int | None),
            ("inferenceExecutionTime", int | None),
        ],
        frozen=True,
    )
    entry = msgspec.defstruct(
        "Entry",
        [
            ("timestamp", datetime),
            ("sku", str),
            ("pricePerUnitUsd", Decimal),
            ("units", Decimal),
            ("amount", Decimal),
            ("currency", str),
            ("notes", str),
            ("inferenceDetails", details | None),
            ("apiKeyId", str | None, None),
        ],
        frozen=True,
    )
    page = msgspec.defstruct("Page", [("data", list[entry]), ("nextCursor", str | None)], frozen=True)  # type: ignore[valid-type]
    return msgspec.json.Decoder(page)


# ---------------------------------------------------------------- the peer


def venice_py(url: str, folder: Path) -> dict[str, Any]:
    return _venice_py(url, page_size=1000)


def venice_py_default(url: str, folder: Path) -> dict[str, Any]:
    return _venice_py(url)


def _venice_py(url: str, **arguments: int) -> dict[str, Any]:
    from venice_ai import VeniceClient  # type: ignore[import-not-found, unused-ignore]

    async def walk() -> int:
        async with VeniceClient(api_key=_KEY, base_url=url) as client:
            rows = 0
            async for _ in client.billing.iter_usage_history(**arguments):
                rows += 1
            return rows

    watch = Watch()
    return watch.report(asyncio.run(walk()))


# ---------------------------------------------------------------- small calls, ours and bare ones in turn


def balance(url: str, folder: Path) -> dict[str, Any]:
    from venice_billing import VeniceBilling

    ours, bare = [], []
    with VeniceBilling(_KEY, base_url=url) as client, _bare_client() as raw:
        for _ in range(_CALLS):
            start = time.perf_counter()
            client.get_balance()
            middle = time.perf_counter()
            raw.get(f"{url}/billing/balance").json()
            ours.append(middle - start)
            bare.append(time.perf_counter() - middle)
    return {"ours": statistics.median(ours), "bare": statistics.median(bare)}


def balance_async(url: str, folder: Path) -> dict[str, Any]:
    import httpx

    from venice_billing import AsyncVeniceBilling

    async def calls() -> dict[str, Any]:
        ours, bare = [], []
        headers = {"Authorization": f"Bearer {_KEY}"}
        async with AsyncVeniceBilling(_KEY, base_url=url) as client, httpx.AsyncClient(headers=headers) as raw:
            for _ in range(_CALLS):
                start = time.perf_counter()
                await client.get_balance()
                middle = time.perf_counter()
                (await raw.get(f"{url}/billing/balance")).json()
                ours.append(middle - start)
                bare.append(time.perf_counter() - middle)
        return {"ours": statistics.median(ours), "bare": statistics.median(bare)}

    return asyncio.run(calls())


# ---------------------------------------------------------------- measuring from within


class Watch:
    """Knows when the work began, and how large the process was then."""

    def __init__(self) -> None:
        self._memory = _memory("VmRSS")
        self._start = time.perf_counter()

    def report(self, rows: int, **more: int) -> dict[str, Any]:
        """Return rows, seconds, and the peak memory in megabytes over what the imports took."""
        seconds = time.perf_counter() - self._start
        return {"rows": rows, "seconds": seconds, "megabytes": (_memory("VmHWM") - self._memory) / 1024, **more}


def _memory(name: str) -> int:
    """Return a figure of this process in kB; 0 where there is no /proc (`ru_maxrss` would count the parent in)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(f"{name}:"))


JOBS: dict[str, Job] = {
    job.__name__: job
    for job in (
        *(ours, ours_8, ours_async, ours_async_8, ours_newest_first, ours_over_httpx, our_export, our_export_8),
        *(untyped, typed, typed_8, typed_http_client, raw_export),
        *(venice_py, venice_py_default),
        *(balance, balance_async),
    )
}

if __name__ == "__main__":
    print(json.dumps(JOBS[sys.argv[1]](sys.argv[2], Path(sys.argv[3]))))
