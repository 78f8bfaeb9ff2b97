"""Fixtures and settings that all tests share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from contract_tests.support.flavours import FLAVOURS, NOW, Face, Flavour
from venice_billing.testing import FakeVenice

# The speed of the machine must not fail a test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=FLAVOURS, ids=str)
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Return one flavour of the client; tests that use it run for sync and async."""
    flavour: Flavour = request.param
    return flavour


@pytest.fixture
def fake() -> FakeVenice:
    """Return a fake with 600 charges; tests that need another one override it."""
    return FakeVenice(600, now=NOW)


@pytest.fixture
def face(fake: FakeVenice, flavour: Flavour) -> Face:
    """Return a client of the fake in one flavour; tests that use it run for sync and async."""
    return flavour.connect(fake)
