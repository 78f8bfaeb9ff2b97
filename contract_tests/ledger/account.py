"""What the tests of the ledger share: a sync of either flavour, and the entries of an account."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from contract_tests.support.flavours import NOW
from venice_billing.ledger import _entries
from venice_billing.ledger._extent import extent
from venice_billing.ledger._staging import Stretch
from venice_billing.ledger._swap import swap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    import pytest

    from contract_tests.support.flavours import Face
    from venice_billing import UsageEntry
    from venice_billing.ledger import Ledger, SyncReport
    from venice_billing.testing import FakeVenice


async def synced(ledger: Ledger, face: Face, **options: Any) -> SyncReport:
    """Sync with a client of either flavour."""
    result: Any = ledger.sync(face.client, **options)
    report: SyncReport = await result if inspect.isawaitable(result) else result
    return report


def load(ledger: Ledger, entries: Sequence[UsageEntry], sync: int = 1, until: datetime = NOW) -> list[UsageEntry]:
    """Give a ledger all its entries, as a full sync at that time does, and return them in their order there."""
    entries = sorted(entries, key=lambda entry: entry.timestamp)
    settled = extent(ledger._database, until).settled_until
    documents = ["[" + _entries.page(entries, 0).decode() + "]"] if entries else []
    with ledger._database.transaction() as cursor:
        stretch = Stretch(None, until, is_full=True, owner="", sync=sync)
        swap(cursor, stretch, documents, rows=len(entries), settled_until=settled)
    return entries


def walked(fake: FakeVenice) -> list[UsageEntry]:
    """Return the entries of a walk through the whole account, on which no fault falls."""
    kept, fake.quirks.faults = fake.quirks.faults, ()
    try:
        with fake.client() as client:
            return list(client.iter_usage_history())
    finally:
        fake.quirks.faults = kept


def texts(entries: Any) -> list[str]:
    """Return entries as JSON, in which 1.50 and 1.5 differ, and null and nothing."""
    return [entry.to_json() for entry in entries]


def with_small_pages(face: Face, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make walks of a client ask for ten rows a page."""
    walk = face.client.iter_usage_history
    monkeypatch.setattr(
        face.client, "iter_usage_history", lambda **options: walk(page_size=10, **options), raising=True
    )
