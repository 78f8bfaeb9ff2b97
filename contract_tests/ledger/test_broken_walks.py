"""Pages that are not what the account has: the next sync reads them anew, and never goes on behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.account import synced, texts, walked, with_small_pages
from contract_tests.support.flavours import NOW, Face, Flavour
from contract_tests.support.page_orders import KINDS, disordered
from venice_billing import PermissionDeniedError, ResponseValidationError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from contract_tests.support.page_orders import Kind
    from venice_billing.ledger import Ledger

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("concurrency", [1, 4])
async def test_sync_after_pages_out_of_order_has_the_whole_account(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch, concurrency: int, kind: Kind
) -> None:
    """Charges before the checkpoint may be missing from the pages that came, so none of these is kept."""
    with_small_pages(face, monkeypatch)
    fake.quirks.faults = disordered(fake, kind)
    try:
        await synced(ledger, face, concurrency=concurrency)
    except ResponseValidationError:
        assert len(ledger) == 0
        fake.quirks.faults = ()
        await synced(ledger, face, concurrency=concurrency)
    assert texts(ledger.entries()) == texts(walked(fake))


async def test_error_of_pages_out_of_order_leaves_no_page(
    ledger: Ledger, face: Face, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_small_pages(face, monkeypatch)
    fake.quirks.faults = disordered(fake, "pages swapped")
    with pytest.raises(ResponseValidationError, match="out of order"):
        await synced(ledger, face)
    fake.quirks.faults = ()
    assert (await synced(ledger, face)).resumed_rows == 0


@pytest.mark.parametrize("full", [True, False])
async def test_sync_whose_last_rows_are_gone_begins_anew(
    flavour: Flavour, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, full: bool
) -> None:
    """The rows at the checkpoint of a sync that was cut short have vanished: going on would keep them."""
    fake = FakeVenice(200, now=NOW)
    face = flavour.connect(fake)
    with_small_pages(face, monkeypatch)
    fake.quirks.faults = [None] * 7 + [faults.status(403)]
    seen: list[str] = []
    with pytest.raises(PermissionDeniedError):
        await synced(
            ledger, face, full=full, progress=lambda told: seen.append(told.latest.isoformat(timespec="milliseconds"))
        )
    latest = seen[-1].replace("+00:00", "Z")
    after = FakeVenice([row for row in fake.ledger if row["timestamp"] != latest], now=NOW)
    assert len(after.ledger) < 200
    report = await synced(ledger, flavour.connect(after), full=full)
    assert (report.resumed_rows, report.is_full) == (0, True)
    assert texts(ledger.entries()) == texts(walked(after))
