"""Kill syncing processes at random moments, and let another one finish: the ledger must be that of an undisturbed sync.

`python -m contract_tests.ledger [KILLS] [SEED]` kills fifty, as `nox -s crash` does.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from contextlib import suppress
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from attrs import define

from contract_tests.support.flavours import NOW
from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.connection import Connection
    from pathlib import Path

    from venice_billing.ledger import SyncProgress

_ROWS = 3000
_PAGE_SIZE = 100
_PAGES = _ROWS // _PAGE_SIZE


@define
class Killed:
    """Counts of the killed syncs and of their results."""

    kills: int = 0
    with_pages: int = 0
    """Kills that left pages behind, so that they hit a sync under way."""
    resumed: int = 0
    """Finished syncs that went on with such pages."""
    finished: int = 0
    different: int = 0


def kill_and_finish(folder: Path, kills: int, *, seed: int) -> Killed:
    """Kill `kills` syncing processes; after every few let one finish, and compare its ledger."""
    rng = random.Random(seed)
    killed = Killed()
    fake = FakeVenice(_ROWS, seed=seed, now=NOW, quirks=Quirks(latency=0.02))
    with fake.serve() as server:
        while killed.kills < kills:
            path = folder / f"{killed.kills}.duckdb"
            with Ledger(path):  # a kill before the file is there proves nothing
                pass
            for _ in range(min(rng.randint(1, 5), kills - killed.kills)):
                _kill(rng, (server.base_url, fake.admin_key, path, rng.choice(("sync", "async"))), killed)
            killed.resumed += sync(server.base_url, fake.admin_key, path, "sync") > 0
            killed.finished += 1
            killed.different += _digest(path) != _truth(fake)
    return killed


def sync(
    base_url: str, key: str, path: Path, flavour: str, *, progress: Callable[[SyncProgress], object] | None = None
) -> int:
    """Sync in the current process, with small pages, and return how many rows were there already."""
    if flavour == "sync":
        with VeniceBilling(key, base_url=base_url) as client, Ledger(path) as ledger:
            return int(ledger.sync(_with_small_pages(client), progress=progress).resumed_rows)

    async def run() -> int:
        async with AsyncVeniceBilling(key, base_url=base_url) as client:
            with Ledger(path) as ledger:
                report = await ledger.sync(_with_small_pages(client), progress=progress)
                return int(report.resumed_rows)

    return asyncio.run(run())


def _with_small_pages(client: Any) -> Any:
    walk = client.iter_usage_history
    client.iter_usage_history = lambda **options: walk(page_size=_PAGE_SIZE, **options)
    return client


def _digest(path: Path) -> str:
    with Ledger(path) as ledger:
        return hashlib.sha256("\n".join(entry.to_json() for entry in ledger.entries()).encode()).hexdigest()


def _truth(fake: FakeVenice) -> str:
    kept, fake.quirks.latency = fake.quirks.latency, 0.0
    with fake.client() as client:
        entries = [entry.to_json() for entry in client.iter_usage_history()]
    fake.quirks.latency = kept
    return hashlib.sha256("\n".join(entries).encode()).hexdigest()


def _sync_when_ready(says: Connection, *arguments: Any) -> None:
    import duckdb  # noqa: F401, PLC0415 - so that the kill hits the sync, not the import

    says.send(0)
    sync(*arguments, progress=lambda progress: says.send(progress.rows))


def _kill(rng: random.Random, arguments: tuple[str, str, Path, str], killed: Killed) -> None:
    context = get_context("forkserver")  # not a fork of this process, which has threads
    context.set_forkserver_preload(["contract_tests.ledger.crash"])
    staged = arguments[2].with_name(f"{arguments[2].name}.sync")
    heard, says = context.Pipe(duplex=False)
    process = context.Process(target=_sync_when_ready, args=(says, *arguments), daemon=True)
    process.start()
    says.close()
    with suppress(EOFError):  # the sync came to its end first
        for _ in range(1 + rng.randint(0, _PAGES // 2)):  # counted in pages, so that no machine is too slow or too fast
            heard.recv()
    process.join(rng.uniform(0.0, 0.05))
    process.kill()
    process.join()
    process.close()
    killed.kills += 1
    killed.with_pages += staged.exists() and staged.stat().st_size > 0
