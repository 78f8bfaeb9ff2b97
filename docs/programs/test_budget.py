"""The tests of `budget.py`, in four ways: a FakeVenice, the fixtures of the plugin, respx, pytest-httpx."""

import re
from datetime import date
from decimal import Decimal

import httpx
import pytest
import respx
from budget import check_day
from pytest_httpx import HTTPXMock

from venice_billing import BillingTimeoutError, VeniceBilling
from venice_billing.testing import FakeVenice, Quirks, faults

DAY = date(2026, 10, 31)
URL = "https://api.venice.ai/api/v1/billing/usage-history"
CHARGE = {"timestamp": "2026-10-31T08:00:00Z", "amount": "-0.30", "currency": "USD"}


def test_every_charge_counts() -> None:
    fake = FakeVenice([CHARGE, CHARGE])  # equal rows are two charges; fields that are left out are made up
    warnings: list[str] = []
    assert check_day(fake.client(), DAY, Decimal("0.5"), warnings.append) == Decimal("0.60")
    assert warnings == ["2026-10-31: 0.60 USD, more than 0.5"]


def test_top_up_is_no_spend() -> None:
    purchase = {**CHARGE, "amount": "50", "sku": "account-credit", "notes": "Credit purchase, card"}
    fake = FakeVenice([CHARGE, purchase])
    assert check_day(fake.client(), DAY, Decimal(1), pytest.fail) == Decimal("0.30")


def test_a_failure_is_retried_and_takes_no_time(fake_venice: FakeVenice) -> None:
    fake_venice.book(CHARGE)
    fake_venice.quirks.faults = [faults.status(503), faults.reset()]
    assert check_day(fake_venice.client(), DAY, Decimal(1), pytest.fail) >= Decimal("0.30")
    assert [request.status for request in fake_venice.requests] == [503, 200, 200]


def test_hang_is_an_error() -> None:
    fake = FakeVenice([], quirks=Quirks(empty_result_hangs=True))
    with pytest.raises(BillingTimeoutError):
        check_day(fake.client(), DAY, Decimal(1), pytest.fail)


def test_program_that_makes_its_own_client(fake_venice_url: str, fake_venice: FakeVenice) -> None:
    with VeniceBilling(fake_venice.admin_key, base_url=fake_venice_url) as client:  # over real sockets
        assert client.get_balance().can_consume


PAGE = (
    '{"data": [{"timestamp": "2026-10-31T08:00:00Z", "sku": "flux-dev-image-unit", "pricePerUnitUsd": 0.1, "units": 1,'
    ' "amount": -0.10, "currency": "USD", "notes": "API Inference", "inferenceDetails": null}], "nextCursor": null}'
)  # text: a Python float would round the money


@respx.mock
def test_with_respx() -> None:
    route = respx.get(URL).mock(httpx.Response(200, text=PAGE, headers={"content-type": "application/json"}))
    with VeniceBilling("some-key") as client:
        assert check_day(client, DAY, Decimal(1), pytest.fail) == Decimal("0.10")
    assert route.calls.last.request.url.params["currency"] == "USD"


def test_with_pytest_httpx(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(
        url=re.compile(re.escape(URL)),
        text=PAGE,
        headers={"content-type": "application/json"},
    )
    with VeniceBilling("some-key") as client:
        assert check_day(client, DAY, Decimal(1), pytest.fail) == Decimal("0.10")


def test_with_a_transport() -> None:
    answer = httpx.Response(200, text=PAGE, headers={"content-type": "application/json"})
    with (
        httpx.Client(transport=httpx.MockTransport(lambda _: answer)) as http,
        VeniceBilling("some-key", http_client=http) as client,
    ):
        assert check_day(client, DAY, Decimal(1), pytest.fail) == Decimal("0.10")
