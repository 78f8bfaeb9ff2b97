"""What FakeVenice answers is valid against the bundled contract, status by status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import schemathesis

from contract_tests.support.flavours import NOW
from contract_tests.support.paths import CONTRACT
from contract_tests.support.plain_client import ANALYTICS, BALANCE, HISTORY, USAGE, connect
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    import httpx
    from schemathesis.schemas import BaseSchema


@pytest.fixture(scope="module")
def contract() -> BaseSchema:
    return schemathesis.openapi.from_path(CONTRACT)


def ask(fake: FakeVenice, path: str, accept: str = "application/json", key: str | None = None) -> httpx.Response:
    with connect(fake, key, accept=accept) as client:
        return client.get(path)


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (BALANCE, 200),
        (f"{ANALYTICS}?lookback=90d", 200),
        (HISTORY, 200),
        (f"{HISTORY}?pageSize=10", 200),
        (f"{USAGE}?limit=500", 200),
        (f"{BALANCE}?unknown=1", 400),
        (f"{ANALYTICS}?lookback=0d", 400),
        (f"{HISTORY}?pageSize=10&cursor=abc", 400),
        (f"{USAGE}?limit=0", 400),
    ],
)
def test_answers_are_valid(contract: BaseSchema, path: str, status: int, accept: str) -> None:
    response = ask(FakeVenice(2000, now=NOW, original="alive"), path, accept)
    assert response.status_code == status
    contract[path.partition("?")[0]]["GET"].validate_response(response)


@pytest.mark.parametrize("path", [BALANCE, ANALYTICS, HISTORY, USAGE])
@pytest.mark.parametrize("status", [401, 402, 403, 404, 429, 500, 502, 503, 504])
def test_errors_are_valid(contract: BaseSchema, path: str, status: int) -> None:
    fake = FakeVenice(5, now=NOW, original="alive")
    if status == 401:
        fake.admin_key = "another key than the one that is sent"
    if status == 429:
        fake.quirks.rate_limit_every = 1
        fake.quirks.rate_limit_headers = ["retry-after", "x-ratelimit-reset-requests", "x-ratelimit-resets"]
    if status not in (401, 429):
        fake.quirks.faults = [faults.status(status)]
    response = ask(fake, path, key="fake-admin-key")
    assert response.status_code == status
    contract[path]["GET"].validate_response(response)


def test_410_of_the_original_ledger_is_valid(contract: BaseSchema) -> None:
    response = ask(FakeVenice(5, now=NOW), USAGE)
    assert response.status_code == 410
    contract[USAGE]["GET"].validate_response(response)


def test_a_body_that_is_not_valid_would_be_seen(contract: BaseSchema) -> None:
    fake = FakeVenice(5, now=NOW)
    fake.balance = {**fake.balance, "canConsume": "yes"}
    with pytest.raises(Exception, match="boolean"):
        contract[BALANCE]["GET"].validate_response(ask(fake, BALANCE))
