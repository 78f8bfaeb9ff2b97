"""Measure the memory of the dlt source beside the bare walk: of its rows alone, and of a load into DuckDB.

    python benchmarks/warehouse.py [--rows 200000 1000000] [--shape even|uneven]

It needs the extra `dlt`, and DuckDB. Jobs run in processes of their own, and report the most memory that they had:
`walk` drops the rows of the API, `rows` those of the source, and `load` has dlt load them, step by step: what dlt and
DuckDB take is in its later steps. `even` spreads the rows over 400 days; of `uneven`, nine tenths are in one hour.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from measure import Run, Server, compiled, serving

_KEY = "bench-key"
_JOBS = ("walk", "rows", "load")


def main() -> None:
    """Run everything, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[200_000, 1_000_000], help="rows of each account")
    parser.add_argument("--shape", choices=["even", "uneven"], default="even", help="how they lie in time")
    options = parser.parse_args()
    with compiled():
        for rows in options.rows:
            with serving(rows, options.shape) as server:
                _print(rows, options.shape, server)


def _print(rows: int, shape: str, server: Server) -> None:
    print(f"{rows:,} rows, {shape}: the most memory in MB, CPU s; both beside the walk", flush=True)
    walk: Run | None = None
    for job in _JOBS:
        run = server.run(job, 0, program=Path(__file__))
        walk = walk or run
        peaks = ", ".join(f"{step} {peak}" for step, peak in run.report["peaks"].items())
        ratios = f"{_most(run) / _most(walk):.2f} x, {run.cpu / walk.cpu:.2f} x"
        print(f"  {job}: {peaks} MB; {run.cpu:.1f} s; {ratios}", flush=True)


def _most(run: Run) -> int:
    return max(run.report["peaks"].values())


# ---------------------------------------------------------------- jobs


def walk(url: str, folder: Path) -> dict[str, int]:
    from venice_billing import VeniceBilling

    with VeniceBilling(_KEY, base_url=url) as client:
        for _ in client.iter_usage_history():
            pass
    return {"walk": _peak()}


def rows(url: str, folder: Path) -> dict[str, int]:
    for _ in _usage(url).resources["usage"]:
        pass
    return {"rows": _peak()}


def load(url: str, folder: Path) -> dict[str, int]:
    import dlt

    destination = dlt.destinations.duckdb(str(folder / "warehouse.duckdb"))
    pipeline = dlt.pipeline("bench", destination=destination, dataset_name="venice", pipelines_dir=str(folder))
    peaks = {"import": _peak()}
    pipeline.extract(_usage(url))
    peaks["extract"] = _peak()
    pipeline.normalize()
    peaks["normalize"] = _peak()
    pipeline.load()
    peaks["load"] = _peak()
    return peaks


def _usage(url: str) -> Any:
    from venice_billing.dlt_source import venice_billing

    return venice_billing(_KEY, base_url=url).with_resources("usage")


def _peak() -> int:
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit


def _job(name: str, url: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as settings:
        os.environ |= {"DLT_DATA_DIR": settings, "RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "CRITICAL"}
        print(json.dumps({"peaks": globals()[name](url, folder)}))


if __name__ == "__main__":
    if len(sys.argv) > 2 and sys.argv[1] in _JOBS:  # noqa: PLR2004 - a job, its URL and folder
        _job(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
    else:
        main()
