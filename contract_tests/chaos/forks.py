"""Forks during a walk: parent and child both continue their copy of the walk, and both receive every row once.

The forking process is a separate one without a server: `python -m contract_tests.chaos.forks TASK`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import traceback
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from attrs import asdict, frozen

from contract_tests.chaos import ledgers, oracle
from contract_tests.chaos.cases import NOW, Case, Flavour, Result
from contract_tests.support.paths import ROOT
from venice_billing import VeniceBilling
from venice_billing.testing import FakeVenice, Quirks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_PATIENCE = 60
"""Seconds allowed for a walk that takes half a second."""
_CALLS = 8


@frozen
class ForkTask:
    """The task of the forking process.

    Attributes:
        kind: Fork during a `walk`, or between `calls`, each for another period.
        at: The number of rows of the walk received before the fork.
        children: The number of processes to fork.
        stretches: The start and the end of each call's period.
    """

    base_url: str
    key: str
    folder: str
    kind: Literal["walk", "calls"]
    options: dict[str, Any]
    at: int
    children: int
    stretches: list[tuple[str, str]]


def run(seed: int) -> Result:
    """Run a process that forks, and compare the rows that it and each of its children received."""
    rng = random.Random(seed)
    rows = [row for kind in ("crowds", "spread") for row in ledgers.make(kind, rng, NOW)]
    fake = FakeVenice(rows, seed=seed, now=NOW, quirks=Quirks(latency=(0.0, 0.01)))
    kind: Literal["walk", "calls"] = rng.choice(("walk", "walk", "calls"))
    order: Literal["asc", "desc"] = rng.choice(("asc", "desc"))
    options = {"page_size": 10, "concurrency": rng.choice((1, 3)), "sort_order": order}
    children = rng.randint(1, 3)
    flavour: Flavour = "sync"
    case = Case(seed, kind, "iter_usage_history", flavour, "forks", order, options, 10.0, 2)
    result = Result(case)
    result.injected["forks"] += children
    moments = [NOW.isoformat(), *(row["timestamp"] for row in rng.sample(rows, min(12, len(rows))))]
    moments = sorted(moment.replace("+00:00", "Z") for moment in moments)
    stretches = list(pairwise(moments))
    stretches = [stretch for stretch in stretches if stretch[0] < stretch[1]]
    with fake.serve() as server, tempfile.TemporaryDirectory() as folder:
        task = ForkTask(
            base_url=server.base_url,
            key=fake.admin_key,
            folder=folder,
            kind=kind,
            options=options,
            at=rng.randint(0, len(rows) - 1),
            children=children,
            stretches=stretches,
        )
        _compare(result, task, fake)
    return result


def _compare(result: Result, task: ForkTask, fake: FakeVenice) -> None:
    """Run the process, and compare the rows that each process received with those that it requested."""
    command = [sys.executable, "-m", "contract_tests.chaos.forks", json.dumps(asdict(task))]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_PROXY": "*"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3 * _PATIENCE, check=False)
    if done.returncode:
        result.problems.append(f"the process ended with {done.returncode}: {done.stderr[-600:]}")
    for name in _names(task):
        path = Path(task.folder, name)
        received = path.read_text().splitlines() if path.exists() else []
        if task.kind == "walk":
            expected = [oracle.text_of_row(row) for row in result.case.rows(fake)]
        else:
            expected = [
                oracle.text_of_row(row) for start, end in _share(task, name) for row in fake.rows(start=start, end=end)
            ]
        result.rows += len(received)
        if oracle.count(result, received, expected, expected) and received != expected:
            result.problems.append(f"the order of {name} is not the ledger's")


def _names(task: ForkTask) -> list[str]:
    return ["parent", *(f"child {number}" for number in range(task.children))]


def _share(task: ForkTask, name: str) -> list[tuple[str, str]]:
    """Return the periods that one process requests; each process starts with another period, so that they differ."""
    place = _names(task).index(name)
    return [task.stretches[(place + 3 * number) % len(task.stretches)] for number in range(_CALLS)]


def main() -> None:
    """Run the task in this process and in those that it forks."""
    raw = json.loads(sys.argv[1])
    task = ForkTask(**{**raw, "stretches": [tuple(stretch) for stretch in raw["stretches"]]})
    signal.alarm(_PATIENCE)
    client = VeniceBilling(task.key, base_url=task.base_url)
    go_on = _walk(task, client) if task.kind == "walk" else _calls(task, client)
    children = [_forked(task, number, go_on) for number in range(task.children)]
    go_on("parent")
    statuses = [os.waitpid(child, 0)[1] for child in children]
    client.close()
    sys.exit(any(statuses))


def _walk(task: ForkTask, client: VeniceBilling) -> Callable[[str], None]:
    entries: Iterator[Any] = iter(client.iter_usage_history(**task.options))
    texts = [oracle.text_of_row(entry.to_dict()) for entry in islice(entries, task.at)]

    def go_on(name: str) -> None:
        rest = [oracle.text_of_row(entry.to_dict()) for entry in entries]
        Path(task.folder, name).write_text("\n".join([*texts, *rest]))

    return go_on


def _calls(task: ForkTask, client: VeniceBilling) -> Callable[[str], None]:
    client.get_balance()

    def go_on(name: str) -> None:
        texts: list[str] = []
        for start, end in _share(task, name):
            page = client.get_usage_history(start_timestamp=start, end_timestamp=end)
            texts += [oracle.text_of_row(entry.to_dict()) for entry in page.data]
        Path(task.folder, name).write_text("\n".join(texts))

    return go_on


def _forked(task: ForkTask, number: int, go_on: Callable[[str], None]) -> int:
    child = os.fork()
    if child:
        return child
    signal.alarm(_PATIENCE)  # a child inherits no alarm
    status = 1
    try:
        go_on(_names(task)[1 + number])
        status = 0
    except BaseException:  # noqa: BLE001 - the exception must not reach the parent's frames
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
