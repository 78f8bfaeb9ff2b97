"""Measure this client beside its peers and the floors; print the tables, and write them where `--output` says.

    python benchmarks/run.py [--entries 200000] [--many 1000000] [--rounds 5] [--delay 0.05] [--output results.md]

`--quick` takes a tiny ledger and one round: it only shows that all of it works. Jobs take turns within each round, so
that a slow moment of the machine meets all of them; figures are medians, and what counts are the ratios.
"""

from __future__ import annotations

import argparse
import platform
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen
from measure import Run, Server, compiled, import_seconds, is_installed, median, serving
from report import Row, Target, table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Runs = dict[str, list[Run]]
_PEERS = {"venice_py": "venice_ai", "venice_py_default": "venice_ai"}
_WALKS = (
    *("untyped", "typed", "typed_http_client", "venice_py"),
    *("ours", "ours_over_httpx", "ours_async", "ours_newest_first"),
)
_WINDOWS = ("ours_8", "ours_async_8")


@frozen
class Settings:
    """How much is measured."""

    entries: int
    many: int
    rounds: int
    delay: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Run everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=200_000)
    parser.add_argument("--many", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.05, help="seconds per page where the wall clock is read")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--output", type=Path)
    options = parser.parse_args(arguments)
    settings = Settings(options.entries, options.many, options.rounds, options.delay)
    if options.quick:
        settings = Settings(entries=6_000, many=12_000, rounds=1, delay=0.005)
    parts = []
    with compiled():
        for part in _parts(settings):
            print(part, end="\n\n", flush=True)
            parts.append(part)
    if options.output:
        options.output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _parts(settings: Settings) -> Iterable[str]:
    yield _heading(settings)
    with serving(settings.entries, "even") as server:
        walks = _rounds(server, [*_WALKS, *_WINDOWS], settings.rounds)
        yield _cpu(walks)
        yield _wall(_waiting(server, settings), settings)
        yield _export(_rounds(server, ["raw_export", "our_export", "our_export_8"], settings.rounds))
        yield _balance(_rounds(server, ["balance", "balance_async"], settings.rounds))
    with serving(settings.entries, "uneven") as server:
        yield _requests(walks, _rounds(server, ["ours", *_WINDOWS], 1))
    with serving(settings.many, "even") as server:
        yield _memory(walks, _rounds(server, ["ours", "ours_8"], 1), settings)
    yield _imports(max(settings.rounds, 7) if settings.rounds > 1 else 1)


def _rounds(server: Server, jobs: Sequence[str], rounds: int, delay: float = 0.0) -> Runs:
    """Run jobs in turn; where there are several rounds, one more comes first, which compiles what they import."""
    jobs = [job for job in jobs if job not in _PEERS or is_installed(_PEERS[job])]
    results: Runs = {job: [] for job in jobs}
    for _ in range(rounds + (rounds > 1)):
        for job in jobs:
            results[job].append(server.run(job, delay))
    return {job: runs[-rounds:] for job, runs in results.items()}


def _waiting(server: Server, settings: Settings) -> Runs:
    """Walk where each page takes a while; what takes minutes is walked once."""
    runs = _rounds(server, ["typed_8", *_WINDOWS], settings.rounds, settings.delay)
    return {**runs, **_rounds(server, ["typed", "ours", "venice_py", "venice_py_default"], 1, settings.delay)}


def _heading(settings: Settings) -> str:
    return (
        f"# Benchmarks\n\n`nox -s bench`: {platform.python_implementation()} {platform.python_version()}, "
        f"{platform.system()}, {settings.entries:,} entries of about 320 bytes in pages of 1,000, "
        f"the server on loopback in another process. "
        f"Medians of {settings.rounds} rounds; the ratios count, the seconds are the machine's. Where httpx is used "
        "as it comes, it prepares for TLS (some 20 ms) although the server speaks plain http."
    )


def _cpu(runs: Runs) -> str:
    cpu = {job: median(results, "cpu") for job, results in runs.items()}
    targets = {"ours": [Target("venice_py", 0.40), Target("typed", 1.5)]}
    rows = [Row(job, [cpu[job]], targets.get(job, [Target("venice_py"), Target("typed")])) for job in cpu]
    return table("CPU of the whole process, one walk", ["CPU s"], rows, cpu)


def _wall(runs: Runs, settings: Settings) -> str:
    wall = {job: median(results, "seconds") for job, results in runs.items()}
    targets = {job: [Target("venice_py", 0.15), Target("typed_8", 1.2)] for job in _WINDOWS}
    rows = [Row(job, [wall[job]], targets.get(job, [Target("venice_py")])) for job in wall]
    return table(f"Wall time of a walk at {settings.delay * 1000:g} ms a page", ["seconds"], rows, wall)


def _export(runs: Runs) -> str:
    sizes = {run.report["size"] for results in runs.values() for run in results}
    if len(sizes) > 1:
        raise RuntimeError(f"the exports differ in size: {sizes}")
    cpu = {job: median(results, "cpu") for job, results in runs.items()}
    rows = [Row(job, [cpu[job]], [Target("raw_export", 1.3)] if job == "our_export" else []) for job in cpu]
    return table("CPU of the whole process, one CSV export", ["CPU s"], rows, cpu)


def _balance(runs: Runs) -> str:
    figures = {}
    for job, results in runs.items():
        figures[job] = median(results, "ours") * 1e6
        figures[f"{job}_bare"] = median(results, "bare") * 1e6
    rows = [Row(job, [figures[job]], [Target(f"{job}_bare", 1.15)]) for job in runs]
    return table("`get_balance`, median of 500 calls, in turn with bare httpx", ["microseconds"], rows, figures)


def _requests(even: Runs, uneven: Runs) -> str:
    figures, rows = {}, []
    for shape, runs, limit in (("even", even, 1.15), ("uneven", uneven, 2.0)):
        for job in ("ours", *_WINDOWS):
            name = f"{job}, {shape}"
            figures[name] = median(runs[job], "requests")
            targets = [] if job == "ours" else [Target(f"ours, {shape}", limit)]
            rows.append(Row(name, [figures[name], median(runs[job], "narrow")], targets))
    return table("Requests of one walk", ["requests", "windows under 15 min"], rows, figures)


def _memory(few: Runs, many: Runs, settings: Settings) -> str:
    rows, figures = [], {}
    for entries, runs in ((settings.entries, few), (settings.many, many)):
        for job, limit in (("ours", 25), ("ours_8", 50)):
            name = f"{job}, {entries:,} entries"
            figures[name] = median(runs[job], "megabytes")
            rows.append(Row(name, [figures[name]], [Target(f"{limit} MB", 1.0)]))
            figures[f"{limit} MB"] = float(limit)
    return table("Peak memory over the bare import", ["MB"], rows, figures)


def _imports(rounds: int) -> str:
    statements = {
        "import httpx": [],
        "import venice_billing": [Target("import httpx", 1.3), Target("import venice_ai", 0.2)],
        "from venice_billing import VeniceBilling": [Target("import httpx"), Target("import venice_ai")],
        **({"import venice_ai": []} if is_installed("venice_ai") else {}),
    }
    seconds: dict[str, list[float]] = {statement: [] for statement in statements}
    for _ in range(rounds + 1):
        for statement, times in seconds.items():
            times.append(import_seconds(statement) * 1000)
    figures = {statement: statistics.median(times[1:]) for statement, times in seconds.items()}
    rows = [Row(statement, [figures[statement]], targets) for statement, targets in statements.items()]
    return table("Import", ["ms"], rows, figures)


if __name__ == "__main__":
    main()
