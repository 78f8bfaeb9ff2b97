"""Servers whose pages are out of order or shift: what is delivered is the whole ledger, or an error says why not."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract_tests.chaos import ledgers, oracle
from contract_tests.chaos.cases import NOW, Case, Result
from contract_tests.support.page_orders import KINDS, OffsetPages, disordered
from venice_billing import ResponseValidationError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from contract_tests.support.page_orders import Kind

_LEDGERS = ("spread", "crowds", "gaps", "fine", "wall")


def run(seed: int) -> Result:
    """Walk or export once; only a server that is in disorder may be refused."""
    rng = random.Random(seed)
    ledger = rng.choice(_LEDGERS)
    fake = FakeVenice(ledgers.make(ledger, rng, NOW), now=NOW)
    kind: Kind | None = rng.choice((*KINDS, None))
    late = rng.choice((0, 1, 1, 2, 7)) if kind is None else 0
    method = rng.choice(("iter_usage_history", "export_usage_csv"))
    case = Case(
        seed=seed,
        ledger=ledger,
        method=method,  # type: ignore[arg-type] # one of them
        flavour=rng.choice(("sync", "async")),
        reading="out of order",
        order="asc" if method == "export_usage_csv" else rng.choice(("asc", "desc")),
        options={"page_size": rng.choice((10, 13, 50)), "concurrency": rng.choice((1, 1, 3, 8))},
        timeout=10.0,
        max_retries=2,
    )
    result = Result(case)
    result.injected[kind or f"{late} late bookings shift the pages"] += 1
    before = case.rows(fake)
    if not before:
        return result
    fake.quirks.faults = OffsetPages(fake, late=late).fault if kind is None else disordered(fake, kind)
    try:
        received = _read(case, fake)
    except ResponseValidationError as error:
        result.errors[type(error).__name__] += 1
        if kind is None or not isinstance(error.checkpoint, str):
            result.foreign.append(error)
        return result
    except Exception as error:  # noqa: BLE001 - the scenario proves that no other error escapes
        result.foreign.append(error)
        return result
    result.rows = len(received)
    oracle.compare(result, received, before, case.rows(fake), changing=bool(late) or kind is not None)
    return result


def _read(case: Case, fake: FakeVenice) -> list[Any]:
    if case.method == "export_usage_csv":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "usage.csv"
            if case.flavour == "async":
                asyncio.run(_export(case, fake, path))
            else:
                with fake.client() as client:
                    client.export_usage_csv(path, **case.options)
            return oracle.taken_apart(path.read_bytes())[1]
    if case.flavour == "async":
        return asyncio.run(_walk(case, fake))
    with fake.client() as client:
        return list(client.iter_usage_history(sort_order=case.order, **case.options))


async def _export(case: Case, fake: FakeVenice, path: Path) -> None:
    async with fake.async_client() as client:
        await client.export_usage_csv(path, **case.options)


async def _walk(case: Case, fake: FakeVenice) -> list[Any]:
    async with fake.async_client() as client:
        walk = client.iter_usage_history(sort_order=case.order, **case.options)
        return [entry async for entry in walk]
