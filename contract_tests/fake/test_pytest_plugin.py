"""The pytest plugin: its fixtures work in any project, and it loads no library in a project that uses none."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFTEST = """\
import sys

def pytest_unconfigure(config):
    loaded = sorted(name for name in ("httpx", "attr", "msgspec", "venice_billing.testing") if name in sys.modules)
    print("plugin" if "venice_billing.pytest_plugin" in sys.modules else "no plugin", *loaded)
"""
WITH_FIXTURES = """\
from urllib.request import Request, urlopen

def test_a_total(fake_venice):
    with fake_venice.client() as client:
        assert len(list(client.iter_usage())) == len(fake_venice.ledger) == 1000

def test_over_sockets(fake_venice, fake_venice_url):
    headers = {"Authorization": f"Bearer {fake_venice.admin_key}"}
    request = Request(fake_venice_url + "/billing/balance", headers=headers)
    assert urlopen(request).status == 200
"""


def _run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    # Third-party plugins are disabled, because some import httpx themselves.
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "venice_billing.pytest_plugin"]
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_without_a_fixture_nothing_is_imported(tmp_path: Path) -> None:
    done = _run(tmp_path, "def test_nothing():\n    pass\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "plugin"


def test_the_fixtures_work(tmp_path: Path) -> None:
    done = _run(tmp_path, WITH_FIXTURES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_installed_package_registers_the_plugin() -> None:
    program = "from importlib.metadata import entry_points\nprint(*(e.value for e in entry_points(group='pytest11')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert "venice_billing.pytest_plugin" in done.stdout.split()
