"""A ledger is of one account: the rows of another one are refused, and the ledger is as it was."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from contract_tests.ledger.account import synced, texts, walked
from contract_tests.support.flavours import HISTORY, NOW, Flavour
from venice_billing import LedgerError
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.anyio
DAY = timedelta(days=1)
GRANT = {"timestamp": NOW - DAY, "amount": 5, "currency": "DIEM", "sku": "airdrop", "inferenceDetails": None}


def used(name: str, days_ago: int, amount: int) -> dict[str, Any]:
    details = {"requestId": f"{name}-{days_ago}", "promptTokens": 1, "completionTokens": 1, "inferenceExecutionTime": 1}
    return {
        "timestamp": NOW - days_ago * DAY,
        "amount": amount,
        "currency": "USD",
        "sku": "x",
        "inferenceDetails": details,
    }


def one() -> FakeVenice:
    """An account whose last days have one grant and no request."""
    return FakeVenice([*(used("one", ago, -1) for ago in range(10, 30)), GRANT], now=NOW)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("latest", [2, 15], ids=["requests since", "older requests"])
async def test_grant_that_both_accounts_have_proves_nothing(
    flavour: Flavour, ledger: Ledger, latest: int, *, full: bool
) -> None:
    mine = one()
    other = FakeVenice(
        [*(used("other", ago, -7) for ago in range(latest, 31)), GRANT], now=NOW + DAY, admin_key="other"
    )
    await synced(ledger, flavour.connect(mine))
    with pytest.raises(LedgerError, match="another account's"):
        await synced(ledger, flavour.connect(other), full=full)
    assert texts(ledger.entries()) == texts(walked(mine))
    assert (ledger.adjustments(), len(ledger.coverage().stretches)) == ([], 1)


async def test_days_without_requests_are_read_again_up_to_the_last_request(flavour: Flavour, ledger: Ledger) -> None:
    mine = one()
    face = flavour.connect(mine)
    await synced(ledger, face)
    report = await synced(ledger, face)
    assert (report.covered_from, report.rows_added) == (NOW - 12 * DAY, 0)
    assert report.rows_read == 4  # three requests and the grant


async def test_account_without_any_request_is_synced(flavour: Flavour, ledger: Ledger) -> None:
    fake = FakeVenice([GRANT], now=NOW)
    face = flavour.connect(fake)
    await synced(ledger, face)
    fake.clock.advance(86400)
    fake.book({**GRANT, "timestamp": NOW})
    assert (await synced(ledger, face)).rows_added == 1
    requests = [request for request in fake.requests if request.path == HISTORY]
    assert len(requests) <= 4


async def test_account_whose_rows_were_all_removed_is_told_a_way_out(flavour: Flavour, ledger: Ledger) -> None:
    await synced(ledger, flavour.connect(FakeVenice([used("one", 3, -1)], now=NOW)))
    later = FakeVenice([used("renamed", 3, -1)], now=NOW)
    with pytest.raises(LedgerError, match=r"probably another account's.*keep this file, and sync into a new one"):
        await synced(ledger, flavour.connect(later))
    assert len(ledger) == 1
    with Ledger(ledger.path.with_name("new.duckdb")) as new:
        assert (await synced(new, flavour.connect(later))).rows_added == 1
