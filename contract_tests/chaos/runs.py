"""One run: a ledger, a bad night, a way to read the ledger; over and over from the last checkpoint until it is through.

Each attempt is made by a new client that knows nothing but the checkpoint's text, as another process would be.
"""

from __future__ import annotations

import asyncio
import pickle
import random
import tempfile
from collections import Counter
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import define, field, frozen

from chaos import ledgers, truth
from chaos.weather import Weather
from venice_billing import VeniceError
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing import AsyncVeniceBilling, VeniceBilling

NOW = datetime(2026, 11, 3, 7, 21, 40, 123_456, tzinfo=UTC)

Method = Literal["iter_usage", "iter_usage_history", "original", "fail-over", "export_usage_csv"]
METHODS: tuple[Method, ...] = get_args(Method)
Reading = Literal["entries", "pages", "portions", "stops"]


@frozen
class Case:
    """Everything that a seed stands for, weather aside."""

    seed: int
    ledger: str
    method: Method
    flavour: Literal["sync", "async"]
    reading: Reading
    order: Literal["asc", "desc"]
    options: dict[str, Any]
    timeout: float
    max_retries: int

    def __str__(self) -> str:
        ways = f"{self.method} {self.order} by {self.reading}, {self.flavour}"
        policy = f"timeout {self.timeout:g}, {self.max_retries} retries"
        return f"seed {self.seed}: {ways}, over {self.ledger!r}, {self.options}, {policy}"


@define
class Result:
    """What came of a run."""

    case: Case
    injected: Counter[str]
    rows: int = 0
    errors: Counter[str] = field(factory=Counter)
    lost: int = 0
    repeated: int = 0
    problems: list[str] = field(factory=list)
    foreign: list[BaseException] = field(factory=list)
    hours: float = 0.0
    """On the virtual clock."""
    overshoot: float = 0.0
    """Seconds that a request took beyond its deadline, at most; over real sockets only."""

    @property
    def passed(self) -> bool:
        """Whether every row came once and in order, and nothing but a `VeniceError` in between."""
        return not (self.problems or self.foreign or self.lost or self.repeated)

    def __str__(self) -> str:
        verdict = "passed" if self.passed else f"FAILED, {self.lost} lost, {self.repeated} repeated"
        notes = [*self.problems, *(f"foreign {error!r}" for error in self.foreign)]
        return "\n  ".join([f"{self.case}: {self.rows} rows, {verdict}", *notes])


def draw(seed: int, *, over_sockets: bool = False) -> tuple[Case, FakeVenice, Weather]:
    """Return what a seed stands for, always the same; over sockets with short deadlines, as hangs take their time."""
    rng = random.Random(seed)
    kind = rng.choice(sorted(ledgers.KINDS))
    rows = ledgers.make(kind, rng, NOW)
    method = rng.choice(METHODS)
    order: Literal["asc", "desc"] = "asc" if method == "export_usage_csv" else rng.choice(("asc", "desc"))
    case = Case(
        seed=seed,
        ledger=kind,
        method=method,
        flavour=rng.choice(("sync", "async")),
        reading=rng.choice(("entries", "pages", "portions", "stops")),
        order=order,
        options=_options(rng, method, rows),
        timeout=rng.choice((0.3, 0.4) if over_sockets else (2.0, 10.0, 10.0, 40.0)),
        max_retries=rng.choice((0, 1, 2, 2, 5)),
    )
    weather = Weather(
        rng, csv=method == "export_usage_csv", retries=case.max_retries, rows=rows, over_sockets=over_sockets
    )
    weather.history_dies = method == "fail-over"
    fake = FakeVenice(
        rows,
        seed=seed,
        now=NOW,
        original="alive" if method in ("original", "fail-over") else "retired",
        history=method != "original",
        quirks=weather.quirks,
    )
    return case, fake, weather


def _options(rng: random.Random, method: Method, rows: list[ledgers.Row]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "page_size": rng.choice((10, 10, 13, 50, None)),
        "currency": rng.choice((None, None, None, "USD", "DIEM")),
        "concurrency": rng.choice((1, 1, 2, 8)),
    }
    bounds = sorted(
        NOW - timedelta(seconds=rng.uniform(0, 86_400 * 45)) if not rows or rng.random() < 0.5 else _moment(rng, rows)
        for _ in range(2)
    )
    names = (
        ("start_date", "end_date")
        if method in ("iter_usage", "original", "fail-over")
        else ("start_timestamp", "end_timestamp")
    )
    given = {name: bound for name, bound in zip(names, bounds, strict=True) if rng.random() < 0.3}
    if bounds[0] < bounds[1]:
        options |= given
    return {name: value for name, value in options.items() if value is not None}


def _moment(rng: random.Random, rows: list[ledgers.Row]) -> datetime:
    return datetime.fromisoformat(rng.choice(rows)["timestamp"])


def run(seed: int) -> Result:
    """Run the case of a seed to its end, and judge it."""
    case, fake, weather = draw(seed)
    return judged(Night(case, fake, Result(case, weather.injected)), weather)


def judged(night: Night, weather: Weather) -> Result:
    """Go through a night to its end, and judge it."""
    case, fake, result = night.case, night.fake, night.result
    before = night.rows()
    try:
        if case.method == "export_usage_csv":
            with tempfile.TemporaryDirectory() as folder:
                night.export(Path(folder) / "usage.csv")
        else:
            night.walk()
    except Exception as error:  # noqa: BLE001 - that nothing but VeniceError escapes is what is being proven
        result.foreign.append(error)
    result.hours = (fake.clock.time() - NOW.timestamp()) / 3600
    received = night.received
    result.rows = len(received)
    if night.through or not night.hopeless(before):
        truth.judge(result, received, before, night.rows(), changing=weather.changes_the_ledger)
    return result


class Night:
    """The attempts of a run."""

    patience = 200
    """Attempts in a row without a new row before a run counts as stuck."""

    def __init__(self, case: Case, fake: FakeVenice, result: Result) -> None:
        self.case = case
        self.fake = fake
        self.result = result
        self.received: list[Any] = []
        self.through = False
        self._rng = random.Random(case.seed)
        self._fruitless = 0

    def client(self) -> VeniceBilling:
        """Return a new client, as another process would make one."""
        return self.fake.client(timeout=self.case.timeout, max_retries=self.case.max_retries)

    def async_client(self) -> AsyncVeniceBilling:
        """Return a new client of the other flavour."""
        return self.fake.async_client(timeout=self.case.timeout, max_retries=self.case.max_retries)

    def rows(self) -> list[ledgers.Row]:
        """The rows that the ledger has now, as this run should deliver them."""
        bounds = [
            self.case.options.get(f"{side}_{kind}") for side in ("start", "end") for kind in ("date", "timestamp")
        ]
        rows = self.fake.rows(
            currency=self.case.options.get("currency"), start=bounds[0] or bounds[1], end=bounds[2] or bounds[3]
        )
        return rows[::-1] if self.case.order == "desc" else rows

    def hopeless(self, before: list[ledgers.Row]) -> bool:
        """Whether there is nothing to be had: on empty results the ledger hangs, however often it is asked."""
        return not before and not self.received and self.fake.quirks.empty_result_hangs

    def walk(self) -> None:
        """Walk until through, each time from the last checkpoint."""
        checkpoint: str | None = None
        while not self.through and self._patient():
            checkpoint = self._attempt(partial(self._walk_once, checkpoint))

    def export(self, path: Path) -> None:
        """Export until through; now and then the partial file loses its end, as in a crash."""
        while not self.through and self._patient():
            self._attempt(partial(self._export_once, path))
            left = next(path.parent.glob("*.partial"), None)
            if left is not None and self._rng.random() < 0.3:
                content = left.read_bytes()
                left.write_bytes(content[: self._rng.randint(0, len(content))])
        if self.through:
            header, self.received = truth.taken_apart(path.read_bytes())
            layout = self.fake.quirks.csv_layouts[0]
            if header != (layout.header or truth.HEADER).encode() + layout.line_break.encode() and self.received:
                self.result.problems.append(f"the header is {header!r}")
            if any(not record.endswith(layout.line_break.encode()) for record in self.received):
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
            if not isinstance(error.checkpoint, str) or copy.checkpoint != error.checkpoint or len(str(error)) > 800:
                self.result.problems.append(f"an error without its checkpoint, or without bound: {error!r}")
            checkpoint = error.checkpoint
        finally:
            self._fruitless = 0 if len(self.received) > had else self._fruitless + 1
            self._check_budget(first)
            self.fake.clock.advance(self._rng.choice((0.0, 1.0, 40.0, 400.0)))
        return checkpoint

    def _patient(self) -> bool:
        nothing = not (self.received or self.rows()) and self.fake.quirks.empty_result_hangs
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
        stop = self._rng.randint(1, 60) if self.case.reading in ("stops", "portions") else None
        if self.case.flavour == "async":
            return asyncio.run(self._walk_async(checkpoint, stop))
        return self._walk_sync(checkpoint, stop)

    def _walk_sync(self, checkpoint: str | None, stop: int | None) -> str | None:
        had = len(self.received)
        with self.client() as client:
            walk = self._iterate(client, checkpoint, stop)
            try:
                if self.case.reading == "pages":
                    for page in walk.pages():
                        self.received += page
                else:
                    for entry in islice(walk, stop):
                        self.received.append(entry)
            except VeniceError as error:
                self._compare(error, walk.checkpoint)
                raise
            self.through = stop is None or len(self.received) - had < stop
            return str(walk.checkpoint)

    async def _walk_async(self, checkpoint: str | None, stop: int | None) -> str | None:
        had = len(self.received)
        async with self.async_client() as client:
            walk = self._iterate(client, checkpoint, stop)
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
            return str(walk.checkpoint)

    def _iterate(self, client: Any, checkpoint: str | None, stop: int | None) -> Any:
        options = {**self.case.options, "checkpoint": checkpoint, "sort_order": self.case.order}
        if self.case.reading == "portions":
            options["max_items"] = stop
        if self.case.method == "iter_usage_history":
            return client.iter_usage_history(**options)
        return client.iter_usage(**options)

    def _compare(self, error: VeniceError, checkpoint: str) -> None:
        if error.checkpoint != checkpoint:
            self.result.problems.append("the error names another checkpoint than the walk")

    def _export_once(self, path: Path) -> None:
        if self.case.flavour == "async":
            export = asyncio.run(self._export_async(path))
        else:
            with self.client() as client:
                export = client.export_usage_csv(path, **self.case.options)
        self.through = True
        if export.size != path.stat().st_size or path.stat().st_mode & 0o777 != 0o600:
            self.result.problems.append(f"not the file it says it is: {export}")

    async def _export_async(self, path: Path) -> Any:
        async with self.async_client() as client:
            return await client.export_usage_csv(path, **self.case.options)
