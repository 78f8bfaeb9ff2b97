"""Show the client at work: balance, last charges, spend, and one ledger walked three ways to the same totals.

Then it shows the spend as the command `venice-billing` does. It asks the live API when VENICE_API_KEY is set, else a
FakeVenice served on loopback.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TypedDict
from unittest.mock import patch

from attrs import frozen
from tqdm import tqdm

from venice_billing import AsyncVeniceBilling, VeniceBilling, VeniceError
from venice_billing.cli.main import main as venice_billing
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_DAYS = 90
_SERVICE = re.compile(r"(?P<model>.+)-(?:llm|image|tts|asr|video|embedding)(?:-.*)?")


class _Options(TypedDict, total=False):
    """What both clients are made with; nothing at all for the live API, whose key is in the environment."""

    api_key: str
    base_url: str


class _DemoError(Exception):
    """The demo cannot go on; the message says why."""


@frozen
class _Venice:
    """Whom the demo asks."""

    name: str
    options: _Options
    entries: int | None
    """How long the ledger is, where that is known."""


@frozen
class _Totals:
    """The sum of all amounts by currency (two currencies are never added), and how many entries made it."""

    entries: int
    amounts: dict[str, Decimal]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("venice-usage.csv"), help="the CSV file to save")
    parser.add_argument("--report", type=Path, default=Path("venice-report.html"), help="the report to write")
    parser.add_argument("--entries", type=int, default=25_000, help="how long a ledger to make up (default 25000)")
    options = parser.parse_args(arguments)
    try:
        with _venice(options.entries) as venice:
            return _show(venice, options.output, options.report)
    except (VeniceError, _DemoError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _venice(entries: int) -> Iterator[_Venice]:
    if os.environ.get("VENICE_API_KEY"):
        yield _Venice("the Venice API", {}, None)
        return
    fake = FakeVenice(entries, days=_DAYS)
    with fake.serve() as server:
        name = f"FakeVenice on loopback ({entries:,} made-up entries; set VENICE_API_KEY to ask the live API)"
        yield _Venice(name, {"api_key": fake.admin_key, "base_url": server.base_url}, entries)


def _show(venice: _Venice, output: Path, report: Path) -> int:
    # The ledger grows while it is walked: all three totals are of what was booked up to one moment.
    end = datetime.now(UTC)
    print(f"Asking {venice.name}")
    with VeniceBilling(**venice.options) as client:
        _show_balance(client)
        _show_last_charges(client, end)
        _show_spend(client, end)
        _title(f"The whole ledger up to {end:%Y-%m-%d %H:%M:%S} UTC, three times")
        by_sync = _walk(client, end, venice.entries)
        by_async = asyncio.run(_walk_async(venice, end, by_sync.entries))
        saved = _save(client, end, output)
    code = _compare({"sync walk": by_sync, "async walk": by_async, "CSV file": saved})
    return code or _show_command(venice, report)


def _show_command(venice: _Venice, report: Path) -> int:
    """Show the same account by the command, which finds here neither a configuration nor a ledger of the user."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "config.toml")
        settings.touch()
        places = {"VENICE_BILLING_CONFIG": str(settings), "XDG_DATA_HOME": folder}
        account = {f"VENICE_{name.upper()}": str(value) for name, value in venice.options.items()}
        with patch.dict(os.environ, places | account):
            spent = _run("spend", "--last", "30d", "--by", "service")
            return spent or _run("report", str(report), "--last", "30d")


def _run(*arguments: str) -> int:
    _title(f"$ venice-billing {' '.join(arguments)}")
    return venice_billing(arguments)


def _show_balance(client: VeniceBilling) -> None:
    balance = client.get_balance()
    _title("Balance")
    epoch = f"of {balance.diem_epoch_allocation:,f} in this epoch"
    currency = balance.consumption_currency
    state = f"next charges go to {currency}" if currency is not None else "no currency to consume"
    _table([["USD", _exact(balance.balances.usd), ""], ["DIEM", _exact(balance.balances.diem), epoch]], align="<.<")
    print(f"  {state if balance.can_consume else 'nothing left to consume'}")


def _exact(amount: Decimal | None) -> str:
    return "none" if amount is None else f"{amount:,f}"


def _show_last_charges(client: VeniceBilling, end: datetime) -> None:
    _title("Last 10 charges, newest first (UTC)")
    newest = client.iter_usage(end_date=end, sort_order="desc")
    charges = islice((entry for entry in newest if entry.amount < 0), 10)
    rows = [
        [f"{entry.timestamp:%Y-%m-%d %H:%M:%S}", f"{-entry.amount:,f}", str(entry.currency), entry.sku]
        for entry in charges
    ]
    _table(rows, align="<.<<")


def _show_spend(client: VeniceBilling, end: datetime) -> None:
    """Show what was spent, gross: a debit is negative on the wire; refunds, grants and purchases are not netted."""
    by_currency: Counter[str] = Counter()
    by_model: dict[tuple[str, str], Decimal] = {}
    spent: dict[str, Decimal] = {}
    for entry in client.iter_usage_history(start_timestamp=end - timedelta(days=30), end_timestamp=end):
        if entry.amount < 0:
            currency, model = str(entry.currency), _model(entry.sku)
            by_currency[currency] += 1
            spent[currency] = spent.get(currency, Decimal(0)) - entry.amount
            by_model[currency, model] = by_model.get((currency, model), Decimal(0)) - entry.amount
    _title("Spend of the last 30 days, per currency")
    _table(
        [[currency, f"{spent[currency]:,f}", f"{by_currency[currency]:,} charges"] for currency in sorted(spent)],
        align="<.>",
    )
    _title("Spend of the last 30 days, per model")
    ranked = sorted(by_model.items(), key=lambda item: (item[0][0], -item[1]))
    _table([[currency, f"{amount:,f}", model] for (currency, model), amount in ranked], align="<.<")


def _model(sku: str) -> str:
    """Return the model that a SKU names by habit: `<model>-<service>-...`."""
    match = _SERVICE.fullmatch(sku)
    return match["model"] if match else sku


def _walk(client: VeniceBilling, end: datetime, expected: int | None) -> _Totals:
    with _counted("sync walk", expected) as count:
        for page in client.iter_usage_history(end_timestamp=end).pages():
            count.add((str(entry.currency), entry.amount) for entry in page)
    return count.totals()


async def _walk_async(venice: _Venice, end: datetime, expected: int) -> _Totals:
    with _counted("async walk", expected) as count:
        async with AsyncVeniceBilling(**venice.options) as client:
            async for page in client.iter_usage_history(end_timestamp=end).pages():
                count.add((str(entry.currency), entry.amount) for entry in page)
    return count.totals()


def _save(client: VeniceBilling, end: datetime, output: Path) -> _Totals:
    """Export the ledger, and sum up what the file says: read back from the disk, by its own header."""
    began = time.monotonic()
    export = client.export_usage_csv(output, end_timestamp=end, resume=False)
    count = _Count()
    count.add(_charges(export.path))
    print(f"  CSV file     {export.rows:>9,} entries in {time.monotonic() - began:.1f} s, {export.size:,} bytes")
    print(f"               {export.path.resolve()}")
    return count.totals()


def _charges(path: Path) -> Iterator[tuple[str, Decimal]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        records = csv.reader(file)
        header = [name.lower() for name in next(records)]
        missing = {"currency", "amount"} - set(header)
        if missing:
            raise _DemoError(f"{path} has no column {' and no '.join(sorted(missing))}: {', '.join(header)}")
        currency, amount = header.index("currency"), header.index("amount")
        for record in records:
            yield record[currency], Decimal(record[amount])


class _Count:
    """Adds up amounts by currency."""

    def __init__(self, bar: tqdm[NoReturn] | None = None) -> None:
        self.entries = 0
        self._amounts: dict[str, Decimal] = {}
        self._bar = bar

    def add(self, charges: Iterable[tuple[str, Decimal]]) -> None:
        before = self.entries
        for currency, amount in charges:
            self.entries += 1
            self._amounts[currency] = self._amounts.get(currency, Decimal(0)) + amount
        if self._bar is not None:
            self._bar.update(self.entries - before)

    def totals(self) -> _Totals:
        return _Totals(self.entries, self._amounts)


@contextmanager
def _counted(name: str, expected: int | None) -> Iterator[_Count]:
    """Count behind a progress bar (in a terminal only), and say at the end how it went."""
    began = time.monotonic()
    with tqdm(total=expected, desc=f"  {name}", unit=" entries", leave=False, disable=None) as bar:
        count = _Count(bar)
        yield count
    print(f"  {name:<12} {count.entries:>9,} entries in {time.monotonic() - began:.1f} s", flush=True)


def _compare(totals: dict[str, _Totals]) -> int:
    """Say whether all totals are the same, per currency and to the last digit."""
    first, *others = totals.values()
    names = ", ".join(totals)
    if all(total == first for total in others):
        _title(f"Totals of {names} agree, per currency")
        amounts = sorted(first.amounts.items())
        _table([[currency, f"{amount:+,f}"] for currency, amount in amounts], align="<.")
        print(f"  {first.entries:,} entries in all; debits are negative")
        return 0
    print(f"demo: the totals of {names} differ (a charge booked late between them?):", file=sys.stderr)
    for name, total in totals.items():
        amounts_text = ", ".join(f"{amount:,f} {currency}" for currency, amount in sorted(total.amounts.items()))
        print(f"demo:   {name}: {total.entries:,} entries, {amounts_text}", file=sys.stderr)
    return 1


def _title(text: str) -> None:
    bold = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    print(f"\n\033[1m{text}\033[0m" if bold else f"\n{text}", flush=True)


def _table(rows: Sequence[Sequence[str]], *, align: str) -> None:
    """Print columns: `<` to the left, `>` to the right, `.` by the decimal point."""
    if not rows:
        print("  none")
        return
    columns = [_aligned(column, how) for column, how in zip(zip(*rows, strict=True), align, strict=True)]
    for cells in zip(*columns, strict=True):
        print("  " + "  ".join(cells).rstrip())


def _aligned(cells: Sequence[str], how: str) -> list[str]:
    if how == ".":
        decimals = max(len(cell.partition(".")[2]) for cell in cells)
        cells = [cell + " " * (decimals - len(cell.partition(".")[2]) + ("." not in cell)) for cell in cells]
        how = ">"
    width = max(map(len, cells))
    return [f"{cell:{how}{width}}" for cell in cells]


if __name__ == "__main__":
    sys.exit(main())
