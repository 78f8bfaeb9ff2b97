"""What all tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from contract_tests.support.flavours import NOW, Face, Flavour
from venice_billing.testing import FakeVenice

# How fast a machine is at the moment is no finding.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Return one flavour of the client; tests that take it run for both."""
    return Flavour(request.param)


@pytest.fixture
def fake() -> FakeVenice:
    """Return an account; tests that need another one say so."""
    return FakeVenice(600, now=NOW)


@pytest.fixture
def face(fake: FakeVenice, flavour: Flavour) -> Face:
    """Return a client of that account in one flavour; tests that take it run for both."""
    return flavour.connect(fake)
