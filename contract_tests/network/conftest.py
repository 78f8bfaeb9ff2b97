"""What the tests of the network share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme

from contract_tests.support.scripted_server import BALANCE_ANSWER, ScriptedServer, say

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """Return a certificate authority that this environment trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return authority


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the proxies of the environment."""
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)


@pytest.fixture
def scripted() -> Iterator[ScriptedServer]:
    """Serve a balance to each request."""
    with ScriptedServer(say(BALANCE_ANSWER)) as server:
        yield server
