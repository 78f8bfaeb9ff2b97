"""Servers that make no progress: a walk ends soon in an error, whose checkpoint resumes it on a working server."""

from __future__ import annotations

import asyncio
import random
import tempfile
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract_tests.chaos import ledgers, oracle
from contract_tests.chaos.cases import METHODS, NOW, Case, Result, bounds_of
from venice_billing import ResponseValidationError, ServerError, VeniceError
from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing.testing._stuck import NoProgress

MOST = 3_000
"""Requests after which a walk counts as endless."""
_KINDS: tuple[NoProgress, ...] = ("empty pages", "one instant", "before range")


class EndlessError(BaseException):
    """Raised in an endless walk; a BaseException, so that the package does not catch it."""


def run(seed: int) -> Result:
    """Walk (or export) on a server that makes no progress, and then to the end on one that does."""
    case, fake = _draw(seed)
    result = Result(case)
    kind = str(fake.quirks.no_progress)
    result.injected[kind] += 1
    received: list[Any] = []
    attempt = _Attempts(case, fake, received)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "usage.csv"
            error = _first(attempt, path, result)
            fake.quirks.no_progress = None
            if error is not None and kind != "one instant":  # rows of one instant may be charges, and are delivered
                attempt.once(error.checkpoint, path)
            if attempt.through and case.method == "export_usage_csv":
                received += oracle.taken_apart(path.read_bytes())[1]
    except (Exception, EndlessError) as error:  # noqa: BLE001 - the scenario proves that no other error escapes
        result.foreign.append(error)
    result.rows = len(received)
    rows = case.rows(fake)
    if attempt.through and not result.foreign:
        oracle.compare(result, received, rows, rows, changing=False)
    return result


def _first(attempt: _Attempts, path: Path, result: Result) -> VeniceError | None:
    """Walk without progress, and return the error; None if the walk ends without one."""
    try:
        attempt.once(None, path)
    except VeniceError as error:
        result.errors[type(error).__name__] += 1
        # A page without a single requested row may be refused before the limit of pages is reached.
        folder = path.parent if result.case.method == "export_usage_csv" else None
        if not isinstance(error, ServerError | ResponseValidationError) or not oracle.has_checkpoint(error, folder):
            result.problems.append(f"not a ServerError with its checkpoint: {error!r}")
        return error
    return None


class _Attempts:
    """Walks from a checkpoint, each with a new client."""

    def __init__(self, case: Case, fake: FakeVenice, received: list[Any]) -> None:
        self.through = False
        self._case = case
        self._fake = fake
        self._received = received
        fake.quirks.faults = self._count

    def once(self, checkpoint: str | None, path: Path) -> None:
        """Walk to the end or to an error."""
        if self._case.flavour == "async":
            asyncio.run(self._async(checkpoint, path))
        else:
            with self._fake.client() as client:
                if self._case.method == "export_usage_csv":
                    client.export_usage_csv(path, **self._case.options)
                else:
                    for entry in self._method(client)(**self._options(checkpoint)):
                        self._received.append(entry)
        self.through = True

    async def _async(self, checkpoint: str | None, path: Path) -> None:
        async with self._fake.async_client() as client:
            if self._case.method == "export_usage_csv":
                await client.export_usage_csv(path, **self._case.options)
                return
            async with aclosing(aiter(self._method(client)(**self._options(checkpoint)))) as entries:
                async for entry in entries:
                    self._received.append(entry)

    def _method(self, client: Any) -> Callable[..., Any]:
        history = self._case.method == "iter_usage_history"
        return client.iter_usage_history if history else client.iter_usage  # type: ignore[no-any-return]

    def _options(self, checkpoint: str | None) -> dict[str, Any]:
        return {**self._case.options, "checkpoint": checkpoint, "sort_order": self._case.order}

    def _count(self, _: object) -> None:
        if len(self._fake.requests) > MOST:
            raise EndlessError(f"{MOST} requests")


def _draw(seed: int) -> tuple[Case, FakeVenice]:
    rng = random.Random(seed)
    ledger = rng.choice(("spread", "crowds", "gaps", "fine"))
    rows = ledgers.make(ledger, rng, NOW)
    method = rng.choice([method for method in METHODS if method != "fail-over"])
    quirks = Quirks(no_progress=rng.choice(_KINDS), no_progress_after=rng.choice((0, 0, 1, 3)))
    start, end = bounds_of(method)
    options: dict[str, Any] = {"page_size": rng.choice((10, 50)), "concurrency": rng.choice((1, 1, 3))}
    if quirks.no_progress == "before range" or rng.random() < 0.5:
        options[start] = NOW - timedelta(days=rng.choice((1, 20, 60)))
    if quirks.no_progress == "before range" or rng.random() < 0.3:
        options[end] = NOW
    if rng.random() < 0.3:
        options["currency"] = "USD"
    case = Case(
        seed=seed,
        ledger=ledger,
        method=method,
        flavour=rng.choice(("sync", "async")),
        reading="without progress",
        order="asc" if method == "export_usage_csv" else rng.choice(("asc", "desc")),
        options=options,
        timeout=10.0,
        max_retries=2,
    )
    original = method == "original"
    fake = FakeVenice(rows, now=NOW, original="alive" if original else "retired", history=not original, quirks=quirks)
    return case, fake
