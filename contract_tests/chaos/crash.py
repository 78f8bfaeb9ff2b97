"""Kill exporting processes at random moments, and let another one finish: the file must have the same bytes."""

from __future__ import annotations

import asyncio
import random
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from attrs import define

from contract_tests.chaos import ledgers
from contract_tests.chaos.cases import NOW
from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing.testing import CsvLayout, FakeVenice, Quirks

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from pathlib import Path

_OLD = b"what the file held before\n"
_PAGE_SIZE = 20


@define
class Killed:
    """Counts of the killed exports and of their results."""

    kills: int = 0
    in_the_middle: int = 0
    """Kills after the first record and before the last."""
    finished: int = 0
    different: int = 0


def kill_and_finish(folder: Path, kills: int, *, seed: int) -> Killed:
    """Kill `kills` exporting processes; after every few let one finish, and compare its file."""
    rng = random.Random(seed)
    killed = Killed()
    layout = CsvLayout(line_break="\r\n", final_line_break=False)
    rows = [row for kind in ("crowds", "spread", "gaps") for row in ledgers.make(kind, rng, NOW)]
    fake = FakeVenice(rows, now=NOW, quirks=Quirks(csv_layouts=[layout], latency=0.01))
    with fake.serve() as server:
        undisturbed = folder / "undisturbed.csv"
        export(server.base_url, fake.admin_key, undisturbed, "sync")
        whole = undisturbed.read_bytes()
        while killed.kills < kills:
            target = folder / f"export-{killed.kills}.csv"
            target.write_bytes(_OLD)
            for _ in range(min(rng.randint(1, 6), kills - killed.kills)):
                flavour = rng.choice(("sync", "async"))
                _kill(rng, (server.base_url, fake.admin_key, target, flavour), whole, killed)
            export(server.base_url, fake.admin_key, target, "sync")
            killed.finished += 1
            killed.different += target.read_bytes() != whole
    return killed


def export(base_url: str, key: str, target: Path, flavour: str) -> None:
    """Export in the current process."""
    if flavour == "sync":
        with VeniceBilling(key, base_url=base_url) as client:
            client.export_usage_csv(target, page_size=_PAGE_SIZE)
        return

    async def run() -> None:
        async with AsyncVeniceBilling(key, base_url=base_url) as client:
            await client.export_usage_csv(target, page_size=_PAGE_SIZE)

    asyncio.run(run())


def _export_when_ready(says: Connection, *arguments: Any) -> None:
    says.send("here I go")
    export(*arguments)


def _kill(rng: random.Random, arguments: tuple[str, str, Path, str], whole: bytes, killed: Killed) -> None:
    before = arguments[2].read_bytes()
    context = get_context("forkserver")  # not a fork of this process, which has threads
    context.set_forkserver_preload(["contract_tests.chaos.crash"])
    target = arguments[2]
    heard, says = context.Pipe(duplex=False)
    process = context.Process(target=_export_when_ready, args=(says, *arguments), daemon=True)
    process.start()
    heard.recv()  # the imports are done, so the kill hits the export
    if rng.random() < 0.8:  # most kills come during the export, even on a slow machine
        while process.is_alive() and not _partial_size(target):
            process.join(0.002)
    process.join(rng.uniform(0.0, 0.25))
    process.kill()
    process.join()
    process.close()
    killed.kills += 1
    after = target.read_bytes()
    if after == before:
        killed.in_the_middle += _partial_size(target) > 0
        return
    # The export had finished before the kill: then the file must be complete, and the next export starts anew.
    killed.different += after != whole or _partial_size(target) > 0
    target.write_bytes(_OLD)


def _partial_size(target: Path) -> int:
    return sum(path.stat().st_size for path in target.parent.glob(f"{target.name}.*.partial"))
