"""The account as a ledger, and as a file of each version of FOCUS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from contract_tests.ledger.focus.account import account
from contract_tests.ledger.focus.files import RATE, VERSIONS, Row, exported
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    with account().client() as client, Ledger(tmp_path_factory.mktemp("focus") / "acme.duckdb") as ledger:
        ledger.sync(client)
        yield ledger


@pytest.fixture(scope="module")
def rows(synced: Ledger, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Row]]:
    """The account as each version of FOCUS has it."""
    folder = tmp_path_factory.mktemp("files")
    return {name: exported(synced, folder / f"{name}.csv", focus_version=name, diem_usd=RATE) for name in VERSIONS}
