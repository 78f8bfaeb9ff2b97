"""Third-party tools for OpenAPI that run on Node.js: pinned, and installed when first used."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

# The command -> the package and its version. All three run on Node.js 20.19 and newer.
_PACKAGES = {
    "redocly": ("@redocly/cli", "2.77.0"),
    "spectral": ("@stoplight/spectral-cli", "6.16.3"),
    "prism": ("@stoplight/prism-cli", "5.14.2"),  # the last version for anything older than Node.js 24.14
}
_QUIET = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true", "NO_UPDATE_NOTIFIER": "1"}
_INSTALL_SECONDS = 300


class ToolUnavailableError(RuntimeError):
    """The tool cannot run here; the message says why."""

    def __init__(self, tool: str, reason: str) -> None:
        super().__init__(f"{tool} did not run: {reason}")


def command(tool: str) -> list[str]:
    """Return the command line that starts a tool, after installing it into the environment of this Python.

    Raises:
        ToolUnavailableError: There is no Node.js here, or the package cannot be installed.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise ToolUnavailableError(tool, "there is no node with npm on the PATH")
    package, version = _PACKAGES[tool]
    folder = Path(sys.prefix, "node-tools", f"{tool}-{version}")
    if not folder.exists():
        _install(npm, tool, f"{package}@{version}", folder)
    home = folder / "node_modules" / package
    return [node, str(home / json.loads((home / "package.json").read_bytes())["bin"][tool])]


def environment() -> dict[str, str]:
    """Return the environment for a tool: this one, without reports to its makers and notices of updates."""
    return {**os.environ, **_QUIET}


def is_required() -> bool:
    """Whether a tool that is unavailable is a failure: on a CI machine that has Node.js."""
    return bool(os.environ.get("CI")) and shutil.which("node") is not None


def _install(npm: str, tool: str, package: str, folder: Path) -> None:
    """Install a package beside its place, then move it there: a second installation at the same time does no harm."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        beside = Path(scratch, "new")
        beside.mkdir()
        install = [npm, "install", "--prefix", str(beside), "--ignore-scripts", "--no-audit", "--no-fund", package]
        try:
            subprocess.run(install, check=True, capture_output=True, text=True, timeout=_INSTALL_SECONDS)
        except subprocess.CalledProcessError as error:
            first_line = (error.stderr.strip() or "npm says nothing").splitlines()[0]
            raise ToolUnavailableError(tool, f"npm cannot install {package}: {first_line}") from error
        except subprocess.TimeoutExpired as error:
            reason = f"npm did not install {package} within {_INSTALL_SECONDS} seconds"
            raise ToolUnavailableError(tool, reason) from error
        try:
            beside.rename(folder)
        except OSError:
            if not folder.exists():
                raise
