"""Read a dataset with PySpark, DuckDB and polars, and compare their sums with the ledger's: `nox -s engines`.

Each engine reads the folder by its own means, adds up the decimals of each month and currency, and gives the texts of
the numbers that fit no decimal. PySpark needs Java; where there is none, it is skipped, and the output says so.
"""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from venice_billing import _exact
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

Sums = dict[tuple[str, str], tuple[Decimal, int]]
_NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
_AMOUNTS = ("-1e-30", "-0.1234567890123456789012345678901234567890", "-3.0799999999999996e-05", "12345678901.5", "1E+5")
_CURRENCIES = ("USD", "DIEM", "a new/one = 50%, żółw", "usd")
_GROUPS = "month, currency"
_DECIMAL = "DECIMAL(38,28)"


def main() -> int:
    """Print what each engine found; 1 if one differs."""
    is_equal = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = _make(folder)
        print(f"{sum(count for _, count in expected.values())} rows, {len(expected)} months of a currency")  # noqa: T201
        for engine, read in _ENGINES.items():
            found = read(folder / "dataset", folder / "scratch")
            verdict = found if isinstance(found, str) else _verdict(found, expected)
            is_equal = is_equal and verdict in ("equal", _NO_JAVA)
            print(f"{engine}: {verdict}")  # noqa: T201 - its output
    return int(not is_equal)


def _make(folder: Path) -> Sums:
    """Make a dataset of every kind of charge, change and export it again, and return the sums of its ledger."""
    fake = FakeVenice(2000, now=_NOW)  # debits, refunds, purchases and credits, with keys and without
    with Ledger(folder / "venice.duckdb") as ledger, fake.client() as client:
        ledger.sync(client)
        ledger.export(folder / "dataset", "dataset")
        for number, amount in enumerate(_AMOUNTS):
            for currency in _CURRENCIES:
                fake.book(
                    {
                        "sku": "m-llm-input-mtoken",
                        "amount": Decimal(amount),
                        "currency": currency,
                        "apiKeyId": None,
                        "timestamp": _NOW - timedelta(days=20 * number, hours=1),
                    }
                )
        ledger.sync(client, full=True)
        ledger.export(folder / "dataset", "dataset")
        return {(row.month or "", row.currency): (row.net, row.count) for row in ledger.spend("month")}


def _verdict(found: Sums, expected: Sums) -> str:
    different = sorted(key for key in {*found, *expected} if found.get(key) != expected.get(key))
    if not different:
        return "equal"
    told = [f"{key}: {found.get(key)}, not {expected.get(key)}" for key in different]
    return "\n  ".join([f"DIFFERENT in {len(different)}", *told])


def _sums(groups: Iterable[tuple[str, str, Decimal | None, int]], texts: Iterable[tuple[str, str, str]]) -> Sums:
    """Add what fits no decimal to what the engine added up, which must be decimals."""
    sums: Sums = {}
    for month, currency, total, count in groups:
        if total is not None and not isinstance(total, Decimal):
            raise TypeError(f"a sum is no decimal but {total!r}")
        sums[month, currency] = (total or _exact.ZERO, count)
    for month, currency, text in texts:
        total, count = sums[month, currency]
        sums[month, currency] = (_exact.add(total, Decimal(text)), count)
    return sums


def _check_type(kind: str) -> None:
    if kind.replace(" ", "").upper() != _DECIMAL:
        raise TypeError(f"amount is {kind}, not {_DECIMAL}")


def _duckdb(dataset: Path, _: Path) -> Sums:
    with importlib.import_module("duckdb").connect() as other:
        other.execute(f"CREATE VIEW charges AS FROM read_parquet('{dataset}/**/*.parquet', hive_partitioning = true)")
        (kind,) = other.execute("SELECT DISTINCT typeof(amount) FROM charges").fetchall()
        _check_type(kind[0])
        groups = other.execute(f"SELECT {_GROUPS}, sum(amount), count(*) FROM charges GROUP BY ALL").fetchall()
        texts = other.execute(f"SELECT {_GROUPS}, amount_text FROM charges WHERE amount IS NULL").fetchall()
    return _sums(groups, texts)


def _polars(dataset: Path, _: Path) -> Sums:
    pl = importlib.import_module("polars")
    charges = pl.scan_parquet(dataset, hive_partitioning=True)
    kind = charges.collect_schema()["amount"]
    _check_type(f"decimal({kind.precision},{kind.scale})")
    keys = ["month", "currency"]
    groups = charges.group_by(keys).agg(pl.col("amount").sum(), pl.len()).collect()
    texts = charges.filter(pl.col("amount").is_null()).select(*keys, "amount_text").collect()
    return _sums(groups.rows(), texts.rows())


_NO_JAVA = "skipped: PySpark needs Java 17 or newer, which is not here"
_OPTIONS: Mapping[str, str] = {
    "spark.driver.bindAddress": "127.0.0.1",  # nothing of it is for other machines
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "1g",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}


def _pyspark(dataset: Path, scratch: Path) -> Sums | str:
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        return _NO_JAVA
    os.environ |= {"SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
    builder = importlib.import_module("pyspark.sql").SparkSession.builder.master("local[2]").appName("venice-billing")
    for name, value in {**_OPTIONS, "spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch)}.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        session.sparkContext.setLogLevel("ERROR")
        charges = session.read.parquet(str(dataset))
        _check_type(dict(charges.dtypes)["amount"])
        charges.createTempView("charges")
        groups = session.sql(f"SELECT {_GROUPS}, sum(amount), count(*) FROM charges GROUP BY {_GROUPS}").collect()
        texts = session.sql(f"SELECT {_GROUPS}, amount_text FROM charges WHERE amount IS NULL").collect()
        return _sums(map(tuple, groups), map(tuple, texts))
    finally:
        session.stop()


_ENGINES: Mapping[str, Callable[[Path, Path], Sums | str]] = {
    "DuckDB": _duckdb,
    "polars": _polars,
    "PySpark": _pyspark,
}


if __name__ == "__main__":
    sys.exit(main())
