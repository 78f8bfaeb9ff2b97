"""Measure the local ledger beside DuckDB alone: a sync, an increment, totals, a dataset; CPU, requests, memory.

    python benchmarks/local_ledger.py [--sync 1000000] [--spend 10000000] [--rounds 3] [--folder FOLDER]

`--sync 0` leaves out the sync, `--spend 0` the totals and the dataset. Ten million rows take two minutes to make; those
that are in the folder already are used again.

Jobs run in processes of their own, in turns within each round; figures are medians, and what counts are the ratios. The
floor of a sync is a walk that drops its rows, and DuckDB's own load of the same rows, as columns, from a CSV file. That
of totals is the bare query; that of a dataset is DuckDB's own partitioned copy of the same columns, with all the memory
that it takes if nobody limits it.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measure import Run, Server, compiled, finished, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEY = "bench-key"
_BY = ("month", "model")
_SYNC_TARGET, _SPEND_TARGET, _DATASET_TARGET, _REQUESTS_TARGET, _MEMORY_TARGET = 1.6, 1.3, 1.3, 6, 300
_FILL = """
INSERT INTO usage_rows BY NAME
SELECT range AS seq, make_timestamptz(1735689600000000 + range * (34560000000000 // {rows})) AS timestamp,
    'bench-model-' || (range * 7919 % 20 + 1) || 'b-llm-' || ['input', 'output', 'cache-read'][range * 104729 % 3 + 1]
        || '-mtoken' AS sku,
    ['USD', 'DIEM'][range % 2 + 1] AS currency,
    CAST(-(range * 15485863 % 1000000000) / 1000000000 AS DECIMAL(38, 28)) AS amount,
    CAST(amount AS VARCHAR) AS amount_text,
    'debit' AS kind, CAST('0.15' AS DECIMAL(38, 28)) AS units, '0.15' AS units_text,
    CAST(1 AS DECIMAL(38, 28)) AS price_per_unit_usd, '1' AS price_per_unit_usd_text, 'API Inference' AS notes,
    true AS api_key_id_is_null, true AS has_inference_details, 'chatcmpl-' || md5(CAST(range AS VARCHAR)) AS request_id,
    range * 31 % 20000 AS prompt_tokens, range * 17 % 4000 AS completion_tokens,
    range * 13 % 60000 AS inference_execution_time, true AS is_exact
FROM range({rows})
"""
_BARE = """
SELECT date_trunc('month', make_timestamp(epoch_us(timestamp))) AS month, sku, currency, sum(amount), count(*)
FROM usage_rows GROUP BY ALL
"""
_BARE_COPY = """
COPY (SELECT * REPLACE (CAST(additional_properties AS VARCHAR) AS additional_properties),
    strftime(make_timestamp(epoch_us(timestamp)), '%Y-%m') AS month FROM entries)
TO '{folder}' (FORMAT parquet, PARTITION_BY (month, currency))
"""


def main() -> None:
    """Run everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sync", type=int, default=1_000_000, help="rows of the account")
    parser.add_argument("--spend", type=int, default=10_000_000, help="rows of the ledger that totals are made of")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work, and to keep the ledgers")
    options = parser.parse_args()
    with compiled(), tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        if options.sync:
            _print_sync(options.sync, options.rounds, folder)
        if options.spend:
            _fill(options.spend, folder)
            _print_spend(options.spend, options.rounds, folder)
            _print_dataset(options.spend, options.rounds, folder)


def _print_sync(rows: int, rounds: int, folder: Path) -> None:
    runs: dict[str, list[Run]] = {"walk": [], "load": [], "sync": [], "increment": []}
    with serving(rows, "even") as server:
        _run(server, "csv", folder)
        for _ in range(rounds):
            (folder / "venice.duckdb").unlink(missing_ok=True)
            for job, found in runs.items():
                found.append(_run(server, job, folder))
    cpu = {job: statistics.median(run.report["cpu"] for run in found) for job, found in runs.items()}
    ratio = cpu["sync"] / (cpu["walk"] + cpu["load"])
    peak = max(run.report["peak"] for run in runs["sync"])
    requests = max(run.requests for run in runs["increment"])
    print(f"sync of {rows:,} rows: CPU s: walk {cpu['walk']:.2f}, load {cpu['load']:.2f}, sync {cpu['sync']:.2f}")
    _say(f"sync / (walk + load): {ratio:.2f}", ratio, _SYNC_TARGET)
    _say(f"peak memory of a sync: {peak} MB", peak, _MEMORY_TARGET)
    _say(f"requests of an increment with nothing new: {requests}", requests, _REQUESTS_TARGET)
    print(f"CPU s of that increment: {cpu['increment']:.2f}")


def _fill(rows: int, folder: Path) -> None:
    from venice_billing.ledger import Ledger
    from venice_billing.ledger._swap import _store_skus

    with Ledger(folder / "filled.duckdb") as ledger:
        if len(ledger) == rows:
            return
        with ledger._database.transaction() as cursor:
            cursor.execute("DELETE FROM usage_rows")
            cursor.execute(_FILL.format(rows=rows))
            _store_skus(cursor)


def _print_spend(rows: int, rounds: int, folder: Path) -> None:
    from venice_billing.ledger import Ledger

    found: dict[str, list[float]] = {"bare": [], "spend": []}
    with Ledger(folder / "filled.duckdb") as ledger:
        for _ in range(rounds):
            with _watched(found["bare"]), ledger._database.reading() as cursor:
                cursor.execute(_BARE).fetchall()
            with _watched(found["spend"]):
                ledger.spend(_BY)
    bare, ours = (statistics.median(times) for times in found.values())
    print(f"spend(by={_BY}) over {rows:,} rows: CPU s: bare query {bare:.2f}, spend {ours:.2f}")
    _say(f"spend / bare: {ours / bare:.2f}", ours / bare, _SPEND_TARGET)


def _print_dataset(rows: int, rounds: int, folder: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {"bare_copy": [], "dataset": [], "unchanged": []}
    for _ in range(rounds):
        for job, reports in found.items():
            reports.append(json.loads(finished([sys.executable, __file__, job, "-", str(folder)])[0]))
    cpu = {job: statistics.median(report["cpu"] for report in reports) for job, reports in found.items()}
    peak = {job: max(report["peak"] for report in reports) for job, reports in found.items()}
    print(f"dataset of {rows:,} rows: CPU s and peak MB of each process:")
    for job in found:
        print(f"  {job}: {cpu[job]:.2f} s, {peak[job]} MB")
    ratio = cpu["dataset"] / cpu["bare_copy"]
    _say(f"dataset / bare copy: {ratio:.2f}", ratio, _DATASET_TARGET)


@contextmanager
def _watched(times: list[float]) -> Iterator[None]:
    start = time.process_time()
    yield
    times.append(time.process_time() - start)


def _say(text: str, value: float, target: float) -> None:
    print(f"{text}; target {target}: {'met' if value <= target else 'MISSED'}")


def _run(server: Server, job: str, folder: Path) -> Run:
    return server.run(job, 0, program=Path(__file__), folder=folder)


# ---------------------------------------------------------------- jobs


def walk(url: str, folder: Path) -> None:
    from venice_billing import VeniceBilling

    with VeniceBilling(_KEY, base_url=url) as client:
        for _ in client.iter_usage_history().pages():
            pass


def csv(url: str, folder: Path) -> None:
    """Write the file that `load` reads: the columns of the ledger."""
    from venice_billing import VeniceBilling
    from venice_billing.ledger import Ledger

    with VeniceBilling(_KEY, base_url=url) as client, Ledger(folder / "csv.duckdb") as ledger:
        ledger.sync(client)
        with ledger._database.reading() as cursor:
            cursor.execute(f"COPY usage_rows TO '{folder / 'rows.csv'}'")


def load(url: str, folder: Path) -> None:
    from venice_billing.ledger import Ledger

    target = folder / "loaded.duckdb"
    target.unlink(missing_ok=True)
    with Ledger(target) as ledger, ledger._database.transaction() as cursor:
        cursor.execute(f"COPY usage_rows FROM '{folder / 'rows.csv'}'")


def sync(url: str, folder: Path) -> None:
    from venice_billing import VeniceBilling
    from venice_billing.ledger import Ledger

    with VeniceBilling(_KEY, base_url=url) as client, Ledger(folder / "venice.duckdb") as ledger:
        ledger.sync(client)


increment = sync


def bare_copy(url: str, folder: Path) -> None:
    import duckdb

    shutil.rmtree(folder / "bare", ignore_errors=True)
    with duckdb.connect(str(folder / "filled.duckdb"), read_only=True, config={"threads": "2"}) as connection:
        connection.execute("SET preserve_insertion_order = false")
        connection.execute(_BARE_COPY.format(folder=folder / "bare"))


def dataset(url: str, folder: Path) -> None:
    shutil.rmtree(folder / "dataset", ignore_errors=True)
    unchanged(url, folder)


def unchanged(url: str, folder: Path) -> None:
    from venice_billing.ledger import Ledger

    with Ledger(folder / "filled.duckdb") as ledger:
        ledger.export(folder / "dataset", "dataset")


def _job(name: str, url: str, folder: Path) -> dict[str, Any]:
    globals()[name](url, folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return {"cpu": used.ru_utime + used.ru_stime, "peak": used.ru_maxrss // unit}


if __name__ == "__main__":
    if len(sys.argv) > 2 and not sys.argv[1].startswith("-"):  # noqa: PLR2004 - a job, its URL and folder
        print(json.dumps(_job(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
    else:
        main()
