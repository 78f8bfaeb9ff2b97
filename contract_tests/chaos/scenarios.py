"""Read a ledger under faults in many attempts, each from the last checkpoint, until every row was delivered.

Most attempts use a new client that knows only the checkpoint's text, as another process would.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import random
import tempfile
import warnings
from contextlib import AbstractContextManager, aclosing, closing, contextmanager, nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contract_tests.chaos import oracle, stops
from contract_tests.chaos.cases import NOW, Case, Result, draw
from venice_billing import VeniceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract_tests.chaos import ledgers
    from contract_tests.chaos.fault_schedule import FaultSchedule
    from venice_billing import AsyncVeniceBilling, CsvExport, VeniceBilling
    from venice_billing.testing import FakeVenice

_INTERRUPTS = 25
"""The most interrupts: a walk interrupted in every attempt might never get past an instant of many pages."""
_ON_ONE_CLIENT = ("leaves", "interrupts")
"""Readings after which the same client must continue: sync only, since each event loop needs its own client."""


def run(seed: int) -> Result:
    """Run the scenario of a seed to its end, and compare what it delivered with the ledger."""
    case, fake, schedule = draw(seed)
    return run_to_end(Scenario(case, fake, schedule))


def run_to_end(scenario: Scenario) -> Result:
    """Run a scenario to its end, and compare what it delivered with the ledger."""
    case, fake, result = scenario.case, scenario.fake, scenario.result
    before = case.rows(fake)
    said = _Said()
    logger = logging.getLogger("venice_billing")
    logger.addHandler(said)
    gc.freeze()  # the collection below searches what comes now, not all that other tests have left
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            # A file opened just before an interrupt, not yet assigned to a name, is closed when it is collected.
            warnings.simplefilter("ignore", ResourceWarning)
            if case.method == "export_usage_csv":
                scenario.export(Path(folder) / "usage.csv")
            else:
                scenario.walk()
            gc.collect()  # as long as its warning is ignored
    except Exception as error:  # noqa: BLE001 - the scenario proves that only VeniceError escapes
        result.foreign.append(error)
    finally:
        gc.unfreeze()
        scenario.close()
        logger.removeHandler(said)
    if any(fake.admin_key in text for text in said.texts):
        result.problems.append("the key is in the log")
    result.hours = (fake.clock.time() - NOW.timestamp()) / 3600
    received = scenario.received
    result.rows = len(received)
    if scenario.through or not scenario.hopeless(before):
        oracle.compare(result, received, before, case.rows(fake), changing=scenario.schedule.changes_the_ledger)
    return result


class _Said(logging.Handler):
    """Collects the log messages of the package."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self.texts.append(record.getMessage())


class Scenario:
    """The attempts to read one case completely."""

    patience = 200
    """Consecutive attempts without a new row after which a scenario counts as stuck."""

    def __init__(self, case: Case, fake: FakeVenice, schedule: FaultSchedule) -> None:
        self.case = case
        self.fake = fake
        self.schedule = schedule
        self.result = Result(case, schedule.injected)
        self.received: list[Any] = []
        self.through = False
        self._rng = random.Random(case.seed)
        self._fruitless = 0
        self._kept: VeniceBilling | None = None
        self._latest: Any = None
        self._folder: Path | None = None

    def close(self) -> None:
        """Close the client that is shared by all attempts, if there is one."""
        if self._kept is not None:
            self._kept.close()

    def client(self) -> VeniceBilling:
        """Return a new client, as another process would make one."""
        return self.fake.client(timeout=self.case.timeout, max_retries=self.case.max_retries)

    def async_client(self) -> AsyncVeniceBilling:
        """Return a new asynchronous client."""
        return self.fake.async_client(timeout=self.case.timeout, max_retries=self.case.max_retries)

    @contextmanager
    def _lent(self) -> Iterator[VeniceBilling]:
        """Yield a client for one attempt."""
        if self.case.reading not in _ON_ONE_CLIENT:
            with self.client() as client:
                yield client
            return
        self._kept = self._kept or self.client()
        yield self._kept

    def hopeless(self, rows: list[ledgers.Row]) -> bool:
        """Whether the account cannot answer: it hangs on empty results, and has no rows for wider queries either.

        An empty range of an account with charges is not hopeless, since wider queries show that the range is empty. But
        in a CSV without a currency column, charges of other currencies show nothing.
        """
        if rows or self.received or not self.fake.quirks.empty_result_hangs:
            return False
        currency = self.case.options.get("currency")
        nameless = self.case.method == "export_usage_csv" and self.fake.quirks.csv_layouts[0].header is not None
        return not self.fake.rows(currency=currency if nameless else None)

    def walk(self) -> None:
        """Walk until the end, in each attempt from the last checkpoint."""
        checkpoint: str | None = None
        while not self.through and self._patient():
            checkpoint = self._attempt(partial(self._walk_once, checkpoint))

    def export(self, path: Path) -> None:
        """Export until the end; sometimes the partial file is truncated between attempts, as in a crash."""
        self._folder = path.parent
        while not self.through and self._patient():
            self._attempt(partial(self._export_once, path))
            left = next(path.parent.glob("*.partial"), None)
            if left is not None and self._rng.random() < 0.3:
                content = left.read_bytes()
                left.write_bytes(content[: self._rng.randint(0, len(content))])
        if self.through:
            header, self.received = oracle.taken_apart(path.read_bytes())
            quirks, layout = self.fake.quirks, self.fake.quirks.csv_layouts[0]
            line_break = layout.line_break.encode()
            if quirks.empty_first_page and not layout.final_line_break:
                line_break = b"\n"  # a header without its line break does not reveal the line break
            if not header.startswith((layout.header or oracle.HEADER).encode()):
                self.result.problems.append(f"the header is {header!r}")
            if self.received and any(not record.endswith(line_break) for record in (header, *self.received)):
                self.result.problems.append("a record does not end as the ledger's do")
            if sorted(entry.name for entry in path.parent.iterdir()) != [path.name]:
                self.result.problems.append("something was left beside the file")

    def _attempt(self, once: Callable[[], Any]) -> str | None:
        first, had = len(self.fake.requests), len(self.received)
        try:
            checkpoint: str | None = once()
        except VeniceError as error:
            self.result.errors[type(error).__name__] += 1
            self._last = error
            copy = pickle.loads(pickle.dumps(error))
            if self.fake.admin_key in f"{error} {error!r} {error.checkpoint} {error.__dict__}":
                self.result.problems.append(f"the key is in a {type(error).__name__}")
            if not oracle.has_checkpoint(error, self._folder):
                self.result.problems.append(f"an error without its checkpoint: {error!r}")
            if copy.checkpoint != error.checkpoint or len(str(error)) > 800:
                self.result.problems.append(f"an error that changes when pickled, or without bound: {error!r}")
            checkpoint = error.checkpoint
        finally:
            self._fruitless = 0 if len(self.received) > had else self._fruitless + 1
            self._check_budget(first)
            self.fake.clock.advance(self._rng.choice((0.0, 1.0, 40.0, 400.0)))
        return checkpoint

    def _patient(self) -> bool:
        nothing = self.hopeless(self.case.rows(self.fake))
        if self._fruitless <= (5 if nothing else self.patience):
            return True
        if not nothing:
            self.result.problems.append(f"stuck after {len(self.received)} rows: {getattr(self, '_last', None)!r}")
        return False

    def _check_budget(self, first: int) -> None:
        failed = [seen.time for seen in self.fake.requests[first:] if seen.status is None or seen.status >= 300]
        for early, late in zip(failed, failed[15:], strict=False):
            if late - early < 30:
                self.result.problems.append(f"16 failed requests of one client in {late - early:.1f} s")
                return

    def _walk_once(self, checkpoint: str | None) -> str | None:
        stop = self._rng.randint(1, 60) if self.case.reading in ("stops", "portions", "leaves") else None
        try:
            if self.case.flavour == "async":
                asyncio.run(self._walk_async(checkpoint, stop))
            else:
                self._walk_sync(checkpoint, stop)
        except asyncio.CancelledError:  # as it was meant to be
            self.through = False
        return str(self._latest.checkpoint)

    def _interruption(self) -> AbstractContextManager[None]:
        """Return a context that interrupts this attempt at a random moment, if it is to be interrupted."""
        if self.case.reading != "interrupts" or self.schedule.injected["interrupts"] >= _INTERRUPTS:
            return nullcontext()
        self.schedule.injected["interrupts"] += 1
        if self.case.flavour == "sync":
            return stops.interrupted(self._rng.randint(1, self._rng.choice((100, 1_000, 10_000))))
        return stops.cancelled(self._rng.randint(1, self._rng.choice((3, 30))), self.schedule)

    def _walk_sync(self, checkpoint: str | None, stop: int | None) -> None:
        had = len(self.received)
        with self._lent() as client:
            walk = self._iterate(client, checkpoint, stop)
            try:
                if self.case.reading == "pages":
                    for page in walk.pages():
                        self.received += page
                    self.through = True
                    return
                with self._closing(walk) as entries, self._interruption():
                    for entry in islice(entries, stop):
                        self.received.append(entry)
                    self.through = stop is None or len(self.received) - had < stop
            except VeniceError as error:
                self._compare(error, walk.checkpoint)
                raise

    def _closing(self, walk: Any) -> AbstractContextManager[Any]:
        """Return the walk, or an iterator of it that is closed explicitly."""
        return closing(iter(walk)) if self.case.reading == "leaves" else nullcontext(walk)

    async def _walk_async(self, checkpoint: str | None, stop: int | None) -> None:
        had = len(self.received)
        async with self.async_client() as client:
            walk = self._iterate(client, checkpoint, stop)
            with self._interruption():
                try:
                    if self.case.reading == "pages":
                        async for page in walk.pages():
                            self.received += page
                    else:
                        async with aclosing(aiter(walk)) as entries:
                            async for entry in entries:
                                self.received.append(entry)
                                if len(self.received) - had == stop:
                                    break
                except VeniceError as error:
                    self._compare(error, walk.checkpoint)
                    raise
                self.through = stop is None or len(self.received) - had < stop

    def _iterate(self, client: Any, checkpoint: str | None, stop: int | None) -> Any:
        options = {**self.case.options, "checkpoint": checkpoint, "sort_order": self.case.order}
        if self.case.reading == "portions":
            options["max_items"] = stop
        method = client.iter_usage_history if self.case.method == "iter_usage_history" else client.iter_usage
        self._latest = method(**options)
        return self._latest

    def _compare(self, error: VeniceError, checkpoint: str) -> None:
        if error.checkpoint != checkpoint:
            self.result.problems.append("the error names another checkpoint than the walk")

    def _export_once(self, path: Path) -> None:
        try:
            export = asyncio.run(self._export_async(path)) if self.case.flavour == "async" else self._export_sync(path)
        except asyncio.CancelledError:  # as it was meant to be
            return
        if export is None:
            return
        self.through = True
        if export.size != path.stat().st_size or path.stat().st_mode & 0o777 != 0o600:
            self.result.problems.append(f"not the file it says it is: {export}")

    def _export_sync(self, path: Path) -> CsvExport | None:
        with self._lent() as client, self._interruption():
            return client.export_usage_csv(path, **self.case.options)
        return None  # interrupted

    async def _export_async(self, path: Path) -> CsvExport:
        async with self.async_client() as client:
            with self._interruption():
                return await client.export_usage_csv(path, **self.case.options)
