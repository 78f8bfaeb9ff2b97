"""A DuckDB file that dlt loads an account into."""

from __future__ import annotations

import shutil
from contextlib import closing
from typing import TYPE_CHECKING, Any

import dlt
import duckdb

from contract_tests.support.flavours import HISTORY
from venice_billing.dlt_source import venice_billing

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.testing import FakeVenice


class Warehouse:
    """A DuckDB file, and a pipeline that loads into it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "warehouse.duckdb"
        self.pipelines = folder / "pipelines"
        self.pipeline: Any = None
        self.name = "test"

    def load(self, fake: FakeVenice, *resources: str, limit: int | None = None, **options: Any) -> None:
        """Load the resources, by default `usage`."""
        run = {name: options.pop(name) for name in ("write_disposition", "refresh") if name in options}
        with fake.client() as client:
            source = venice_billing(client=client, **options).with_resources(*resources or ["usage"])
            if limit is not None:
                source.add_limit(limit)
            self.run(source, **run)

    def run(self, source: Any, destination: Any = None, **options: Any) -> None:
        destination = destination or dlt.destinations.duckdb(str(self.path))
        self.pipeline = dlt.pipeline(
            self.name, destination=destination, dataset_name="venice", pipelines_dir=str(self.pipelines)
        )
        self.pipeline.run(source, **options)

    def forget(self) -> None:
        """Remove all that dlt keeps on this machine."""
        self.pipeline.deactivate()
        shutil.rmtree(self.pipelines)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(duckdb.connect(str(self.path), read_only=True)) as connection:
            found: list[tuple[Any, ...]] = connection.execute(sql).fetchall()
            return found


def starts(fake: FakeVenice) -> list[str]:
    """Return the days on which walks began, or "all". A walk that lost its cursor goes on within a day."""
    pages = [dict(request.params) for request in fake.requests if request.path == HISTORY]
    begun = [page.get("startTimestamp", "all") for page in pages if "cursor" not in page]
    return [moment.partition("T")[0] for moment in begun if moment == "all" or moment.endswith("T00:00:00.000Z")]


def start(fake: FakeVenice) -> str:
    """Return where the latest load began; before it, the source reads a day to recognise the account."""
    return starts(fake)[-1]
