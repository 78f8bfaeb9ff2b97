"""The case that a seed describes (a ledger, a way to read it and the arguments) and the result of running it."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, get_args

from attrs import define, field, frozen

from contract_tests.chaos import ledgers
from contract_tests.chaos.fault_schedule import FaultSchedule
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterable

NOW = datetime(2026, 11, 3, 7, 21, 40, 123_456, tzinfo=UTC)

Method = Literal["iter_usage", "iter_usage_history", "original", "fail-over", "export_usage_csv"]
METHODS: tuple[Method, ...] = get_args(Method)
Reading = Literal["entries", "pages", "portions", "stops", "leaves", "interrupts"]
READINGS: tuple[Reading, ...] = get_args(Reading)
Flavour = Literal["sync", "async"]
Order = Literal["asc", "desc"]


@frozen
class Case:
    """Everything that a seed determines, except for the faults."""

    seed: int
    ledger: str
    method: Method
    flavour: Flavour
    reading: Reading | Literal["forks", "without progress", "out of order"]
    order: Order
    options: dict[str, Any]
    timeout: float
    max_retries: int

    def __str__(self) -> str:
        ways = f"{self.method} {self.order} by {self.reading}, {self.flavour}"
        policy = f"timeout {self.timeout:g}, {self.max_retries} retries"
        return f"seed {self.seed}: {ways}, over {self.ledger!r}, {self.options}, {policy}"

    def rows(self, fake: FakeVenice) -> list[ledgers.Row]:
        """Return the current rows of the ledger, in the order in which this scenario should deliver them."""
        bounds = [self.options.get(f"{side}_{kind}") for side in ("start", "end") for kind in ("date", "timestamp")]
        rows = fake.rows(
            currency=self.options.get("currency"), start=bounds[0] or bounds[1], end=bounds[2] or bounds[3]
        )
        return rows[::-1] if self.order == "desc" else rows


@define
class Result:
    """The result of a scenario."""

    case: Case
    injected: Counter[str] = field(factory=Counter)
    rows: int = 0
    errors: Counter[str] = field(factory=Counter)
    lost: int = 0
    repeated: int = 0
    strange: int = 0
    """Delivered rows that the ledger does not have."""
    problems: list[str] = field(factory=list)
    foreign: list[BaseException] = field(factory=list)
    hours: float = 0.0
    """Duration on the virtual clock, in hours."""
    overshoot: float = 0.0
    """The most seconds that a request took beyond its deadline; over real sockets only."""

    @property
    def passed(self) -> bool:
        """Whether every row came once and in order, and no error other than a `VeniceError` was raised."""
        return not (self.problems or self.foreign or self.lost or self.repeated or self.strange)

    def __str__(self) -> str:
        counts = f"{self.lost} lost, {self.repeated} repeated, {self.strange} strange"
        notes = [*self.problems, *(f"foreign {error!r}" for error in self.foreign)]
        verdict = "passed" if self.passed else f"FAILED, {counts}"
        return "\n  ".join([f"{self.case}: {self.rows} rows, {verdict}", *notes])


def draw(seed: int, *, over_sockets: bool = False) -> tuple[Case, FakeVenice, FaultSchedule]:
    """Return the case, account and faults of a seed; over sockets with short deadlines, since hangs take real time."""
    rng = random.Random(seed)
    kind = rng.choice(sorted(ledgers.KINDS))
    rows = ledgers.make(kind, rng, NOW)
    method = rng.choice(METHODS)
    order: Order = "asc" if method == "export_usage_csv" else rng.choice(("asc", "desc"))
    options = _options(rng, method, rows)
    if "currency" in options and rng.random() < 0.2:  # the account has never used it
        rows = [row for row in rows if row["currency"] != options["currency"]]
    case = Case(
        seed=seed,
        ledger=kind,
        method=method,
        flavour=rng.choice(("sync", "async")),
        reading=rng.choice(READINGS),
        order=order,
        options=options,
        timeout=rng.choice((0.3, 0.4) if over_sockets else (2.0, 10.0, 10.0, 40.0)),
        max_retries=rng.choice((0, 1, 2, 2, 5)),
    )
    schedule = FaultSchedule(
        rng, csv=method == "export_usage_csv", retries=case.max_retries, rows=rows, over_sockets=over_sockets
    )
    schedule.history_dies = method == "fail-over"
    fake = FakeVenice(
        rows,
        seed=seed,
        now=NOW,
        original="alive" if method in ("original", "fail-over") else "retired",
        history=method != "original",
        quirks=schedule.quirks,
    )
    return case, fake, schedule


def _options(rng: random.Random, method: Method, rows: list[ledgers.Row]) -> dict[str, Any]:
    options: dict[str, Any] = {
        "page_size": rng.choice((10, 10, 13, 50, None)),
        "currency": rng.choice((None, None, None, "USD", "DIEM")),
        "concurrency": rng.choice((1, 1, 2, 8)),
    }
    bounds = _bounds(rng, rows)
    share = rng.choice((0.3, 0.3, 1.0))
    given = {name: bound for name, bound in zip(bounds_of(method), bounds, strict=True) if rng.random() < share}
    if bounds[0] < bounds[1]:
        options |= given
    return {name: value for name, value in options.items() if value is not None}


def bounds_of(method: Method) -> tuple[str, str]:
    """Return the names of a method's start and end parameters."""
    if method in ("iter_usage", "original", "fail-over"):
        return "start_date", "end_date"
    return "start_timestamp", "end_timestamp"


def _bounds(rng: random.Random, rows: list[ledgers.Row]) -> list[datetime]:
    """Return a start and an end: at random moments, at charges, or with no charge between them."""
    moments = sorted({_moment(row) for row in rows})
    if len(moments) > 1 and rng.random() < 0.25:
        place = rng.randrange(len(moments) - 1)
        between = [moments[place] + timedelta(milliseconds=1), moments[place + 1]]
        before = [moments[0] - timedelta(days=rng.choice((1, 40))), moments[0]]
        return sorted(rng.choice((between, before)))
    return sorted(
        NOW - timedelta(seconds=rng.uniform(0, 86_400 * 45))
        if not rows or rng.random() < 0.5
        else _moment(rng.choice(rows))
        for _ in range(2)
    )


def _moment(row: ledgers.Row) -> datetime:
    return datetime.fromisoformat(row["timestamp"])


def report(results: Iterable[Result], seconds: float) -> str:
    """Return a summary of the results."""
    results = list(results)
    injected: Counter[str] = sum((result.injected for result in results), Counter())
    errors: Counter[str] = sum((result.errors for result in results), Counter())
    worst = max((result.overshoot for result in results), default=0.0)  # none on a virtual clock
    hours = sum(result.hours for result in results)
    lines = [
        f"{len(results)} scenarios in {seconds:.0f} s, {hours:.0f} h by the virtual clock",
        f"rows delivered: {sum(result.rows for result in results)}",
        f"faults injected: {injected.total()}",
        *(f"  {count:6} {name}" for name, count in injected.most_common()),
        f"errors raised and recovered from: {errors.total()}",
        *(f"  {count:6} {name}" for name, count in errors.most_common()),
        f"rows lost: {sum(result.lost for result in results)}",
        f"rows repeated: {sum(result.repeated for result in results)}",
        f"rows unknown to the ledger: {sum(result.strange for result in results)}",
        f"foreign exceptions: {sum(len(result.foreign) for result in results)}",
        *([f"worst deadline overshoot: {worst:.3f} s"] if worst else []),
        f"scenarios failed: {sum(not result.passed for result in results)}",
    ]
    return "\n".join(lines)
