"""The tests of `service.py`, on a FakeVenice instead of the API."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from fastapi.testclient import TestClient
from service import app, billing

from venice_billing.testing import FakeVenice, faults

ROWS = [
    {"timestamp": "2026-10-01T09:00:00Z", "sku": "flux-dev-image-unit", "amount": "-0.1234567890123456789"},
    {"timestamp": "2026-10-31T09:00:00Z", "sku": "flux-dev-image-unit", "amount": "-0.0000000000000000001"},
    {"timestamp": "2026-11-01T00:00:00Z", "sku": "flux-dev-image-unit", "amount": "-5"},
]


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(ROWS)


@pytest.fixture
def service(fake: FakeVenice) -> Iterator[TestClient]:
    client = fake.async_client()
    app.dependency_overrides[billing] = lambda: client
    yield TestClient(app)  # not entered: the app's own client, which needs a key, is not made
    app.dependency_overrides.clear()


def test_money_is_exact(service: TestClient) -> None:
    (row,) = service.get("/spend", params={"start": "2026-10-01", "end": "2026-11-01"}).json()["rows"]
    assert row["debits"] == "0.123456789012345679"
    assert (row["model"], row["currency"], row["count"]) == ("flux-dev", "USD", 2)


def test_balance_has_the_digits_of_the_api(fake: FakeVenice, service: TestClient) -> None:
    fake.balance = {**fake.balance, "balances": {"diem": None, "usd": Decimal("0.12345678901234567890")}}
    assert '"usd":0.12345678901234567890' in service.get("/balance").text


def test_rate_limit_is_passed_on(fake: FakeVenice, service: TestClient) -> None:
    fake.quirks.faults = [faults.status(429, headers=[("retry-after", "3600")])]
    answer = service.get("/balance")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3600")
