"""The examples of the pages are run as they stand: each page is one program, on a FakeVenice served on loopback.

Sybil finds the Python blocks of a page, runs them in order in one namespace, and compares what follows `>>>`.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, chdir
from datetime import UTC, datetime
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from sybil import Sybil
from sybil.parsers.myst import PythonCodeBlockParser

from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator

    from venice_billing.testing import FakeServer

collect_ignore = ["_build"]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def account() -> FakeVenice:
    """Return the account of all examples: 2,500 bookings of August to October 2026."""
    return FakeVenice(2500, now=NOW)


def set_up(namespace: dict[str, Any]) -> None:
    """Give a page its account, as `VeniceBilling()` finds it, and an empty folder."""
    stack = namespace["_stack"] = ExitStack()
    fake = account()
    server: FakeServer = stack.enter_context(fake.serve())
    stack.enter_context(chdir(stack.enter_context(TemporaryDirectory())))
    stack.enter_context(patch.dict(os.environ, VENICE_API_KEY=fake.admin_key, VENICE_BASE_URL=server.base_url))


def tear_down(namespace: dict[str, Any]) -> None:
    """Take away what `set_up` gave."""
    namespace["_stack"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["*.md", "llms.txt"],
    excludes=["reference/*.md"],  # docstrings, whose examples contract_tests/facade/test_public_api.py runs
    setup=set_up,
    teardown=tear_down,
).pytest()


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVenice]:
    """Serve the account of the examples to programs that are started by a test."""
    fake = account()
    with fake.serve() as server:
        monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
        yield fake
