"""What importing the package loads: no more than its user has asked for."""

from __future__ import annotations

import subprocess
import sys


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_the_bare_import_loads_no_client() -> None:
    ours = modules_after("import venice_billing") - modules_after("pass")
    assert {name.partition(".")[0] for name in ours} - sys.stdlib_module_names == {"venice_billing"}
    assert "venice_billing.client" not in ours


def test_star_import_loads_no_optional_modules() -> None:
    """Apart from httpx and its own imports: no event loop, no test tools, no fake, no pretty printer."""
    ours = modules_after("from venice_billing import *") - modules_after("import httpx")
    roots = {name.partition(".")[0] for name in ours} - sys.stdlib_module_names
    assert roots <= {"attr", "attrs", "msgspec", "venice_billing", "venice_billing_api"}
    assert not any(name.startswith("venice_billing.testing") for name in ours)
    assert "asyncio" not in ours


def test_importing_an_error_class_does_not_load_httpx() -> None:
    assert "httpx" not in modules_after("from venice_billing import VeniceError")
