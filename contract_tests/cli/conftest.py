"""Fixtures of the tests of the command: no configuration of this machine, an account on loopback."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen

from venice_billing.cli.main import main
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@frozen
class Done:
    """What a command has done."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = "Callable[..., Done]"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a home of its own, without a key."""
    for name in ("VENICE_API_KEY", "VENICE_BASE_URL", "VENICE_LOG", "NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, folder in {"XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache"}.items():
        monkeypatch.setenv(name, str(tmp_path / folder))
    monkeypatch.setenv("HOME", str(tmp_path))
    settings = tmp_path / "config.toml"
    settings.touch(mode=0o600)
    monkeypatch.setenv("VENICE_BILLING_CONFIG", str(settings))
    return tmp_path


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return a function that runs a command line in this process."""

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        code = main(arguments)
        out, err = capsys.readouterr()
        assert len(err.splitlines()) <= 1 or code == 0, err
        assert "Traceback" not in err
        return Done(code, out, err)

    return run


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(3000, days=70, seed=5)


@pytest.fixture
def account(fake: FakeVenice, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeVenice]:
    """Serve an account on loopback, whose key and address are in the environment."""
    with fake.serve() as server:
        monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
        monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
        yield fake
