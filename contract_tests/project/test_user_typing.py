"""Type checkers on code that uses the package: correct code passes, and a misspelt name is an error."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from pathlib import Path

RIGHT = """\
from decimal import Decimal

import venice_billing
from venice_billing import DecodeError, UsageEntry, VeniceBilling, VeniceError, errors
from venice_billing.compat import venice_ai_v1
from venice_billing.compat.venice_ai import APITimeoutError, NotFoundError, VeniceClient


def spent() -> Decimal:
    with VeniceBilling() as client:
        return sum((entry.amount for entry in client.iter_usage()), Decimal(0))


def again(entry: UsageEntry) -> venice_billing.AsyncVeniceBilling | None:
    try:
        return None
    except (VeniceError, errors.RateLimitError):
        return venice_billing.AsyncVeniceBilling()


async def old(text: str) -> UsageEntry | None:
    try:
        async with VeniceClient() as client, venice_ai_v1.AsyncVeniceClient() as other:
            print([entry.amount async for entry in client.billing.iter_usage()], other)
        return UsageEntry.from_json(text)
    except (APITimeoutError, NotFoundError, venice_ai_v1.InternalServerError) as error:
        print(error.status_code)
    except DecodeError as error:
        print(error.location, error.problem)
    return None
"""
WRONG = {
    "from venice_billing import VeniceBiling\n": "VeniceBiling",
    "from venice_billing.errors import VeniceEror\n": "VeniceEror",
    "import venice_billing\n\nclient = venice_billing.VeniceBiling()\n": "VeniceBiling",
    "from venice_billing import VeniceBilling\n\nVeniceBilling().get_balanse()\n": "get_balanse",
}
CHECKERS = {
    "mypy": ["mypy", "--strict", "--no-error-summary", "--cache-dir", "CACHE"],
    "pyright": ["pyright", "--pythonpath", sys.executable],
}


@pytest.mark.parametrize("checker", CHECKERS)
def test_checkers_accept_correct_code_and_report_misspelt_names(checker: str, tmp_path: Path) -> None:
    if importlib.util.find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed on this Python")
    files = {f"wrong_{number}.py": text for number, text in enumerate(WRONG)}
    for name, text in {"right.py": RIGHT, **files}.items():
        (tmp_path / name).write_text(text)
    command = [str(tmp_path / "cache") if word == "CACHE" else word for word in CHECKERS[checker]]
    done = subprocess.run(
        [sys.executable, "-m", *command, "."],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(ROOT.home()), "MYPYPATH": f"{ROOT}:{ROOT / 'generated'}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    errors = [line for line in done.stdout.splitlines() if ": error" in line or " - error" in line]
    assert done.returncode == 1, done.stderr
    assert not [line for line in errors if "right.py" in line]
    for name, text in files.items():
        assert any(name in line and WRONG[text] in line for line in errors), done.stdout
