"""What all tests share."""

from __future__ import annotations

import pytest
from flavours import Flavour


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    """Return one flavour of the client; tests that take it run for both."""
    return Flavour(request.param)
