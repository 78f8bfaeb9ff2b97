"""What the tests of statements share: syncs, entries of a month, and what is recorded."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW
from venice_billing import LedgerError, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing.ledger import Ledger
    from venice_billing.testing import FakeVenice


HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)


class MachineClock:
    """What the clock of the machine says: the time of the latest sync, and `NOW` at the beginning."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


MACHINE = MachineClock()


def sync(ledger: Ledger, fake: FakeVenice, **options: Any) -> None:
    MACHINE.time = max(MACHINE.time, datetime.fromtimestamp(fake.clock.time(), UTC))
    with fake.client() as client:
        ledger.sync(client, **options)


def in_month(entries: Iterable[UsageEntry], start: datetime, end: datetime) -> list[UsageEntry]:
    return [entry for entry in entries if start <= entry.timestamp < end]


def recomputed(lines: Iterable[str]) -> str:
    """The digest as the docs describe it, of the lines of an export: this knows nothing of the library."""
    rows = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    texts = sorted(json.dumps([row["timestamp"], row], sort_keys=True, separators=(",", ":")) for row in rows)
    return hashlib.sha256("".join(text + "\n" for text in texts).encode()).hexdigest()


def refused(ledger: Ledger, month: str, match: str, **options: Any) -> None:
    with pytest.raises(LedgerError, match=match) as caught:
        ledger.close(month, **options)
    assert (str(ledger.path) in str(caught.value), "\n" in str(caught.value)) == (True, False)
    assert recorded(ledger) == []


def recorded(ledger: Ledger) -> list[Any]:
    return ledger._database.cursor().execute("SELECT month, revision, digest FROM closings ORDER BY ALL").fetchall()
