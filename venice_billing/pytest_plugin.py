"""Pytest fixtures: `fake_venice`, and `fake_venice_url`, its URL while it is served on loopback."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing.testing import FakeVenice


@pytest.fixture
def fake_venice() -> FakeVenice:
    """Return a `FakeVenice` with a thousand rows over the last 90 days."""
    from venice_billing.testing import FakeVenice  # noqa: PLC0415 - imported only for tests that use the fixture

    return FakeVenice()


@pytest.fixture
def fake_venice_url(fake_venice: FakeVenice) -> Iterator[str]:
    """Serve `fake_venice` on loopback for the test, and return the base URL."""
    with fake_venice.serve() as server:
        yield server.base_url
