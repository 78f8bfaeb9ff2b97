"""Lint the contract and its overlays with redocly and spectral: no error, no warning."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.node_tools import ToolUnavailableError, command, environment, is_required

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).resolve().parent.parent
_OPENAPI = _ROOT / "openapi"
_CONTRACT = _OPENAPI / "venice-billing.yaml"
_OVERLAYS = [_OPENAPI / "corrections.yaml", _OPENAPI / "descriptions.yaml"]
_SECONDS = 300


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status: 0 (also if the tools cannot run here) or 1 (a complaint)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contract", nargs="?", type=Path, default=_CONTRACT, help="the contract, if another one")
    contract = parser.parse_args(arguments).contract
    redocly = _lint("redocly", "lint", "--config", _ROOT / "redocly.yaml", contract, *_OVERLAYS)
    spectral = _lint("spectral", "lint", "--fail-severity", "hint", "--ruleset", _ROOT / ".spectral.yaml", contract)
    return max(redocly, spectral)


def _lint(tool: str, *arguments: str | Path) -> int:
    """Print what a tool says if it complains; return 1 if it does."""
    try:
        line = [*command(tool), *map(str, arguments)]
    except ToolUnavailableError as error:
        print(f"skipped: {error}")
        return 1 if is_required() else 0
    done = subprocess.run(line, env=environment(), capture_output=True, text=True, timeout=_SECONDS, check=False)
    print(f"{tool}: {'complaints' if done.returncode else 'no errors, no warnings'}")
    if done.returncode:
        print(done.stdout + done.stderr)
    return 1 if done.returncode else 0


if __name__ == "__main__":
    sys.exit(main())
