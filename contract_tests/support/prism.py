"""Prism as a proxy on loopback: it lets everything pass, and says in a header what breaks the contract."""

from __future__ import annotations

import re
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pipeline.node_tools import ToolUnavailableError, command, environment, is_required

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OBJECTIONS = "sl-violations"  # the header of a response, in JSON
_START_SECONDS = 180  # of a machine that has much else to do
_POLL = 0.05


def prism_command() -> list[str]:
    """Return the command line that starts Prism; skip the test where there is none."""
    try:
        return command("prism")
    except ToolUnavailableError as error:
        if is_required():
            raise
        pytest.skip(str(error))


@contextmanager
def prism_before(upstream: str, contract: Path, folder: Path) -> Iterator[str]:
    """Yield the base URL of a proxy that validates requests to and responses of a server, and forwards all of them."""
    log = folder / "prism.log"
    line = [*prism_command(), "proxy", str(contract), upstream, "--port", "0", "--host", "127.0.0.1"]
    with log.open("wb") as output:
        process = subprocess.Popen(line, stdout=output, stderr=subprocess.STDOUT, env=environment())
        try:
            yield _url_when_ready(process, log)
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10)


def _url_when_ready(process: subprocess.Popen[bytes], log: Path) -> str:
    last = time.monotonic() + _START_SECONDS
    while time.monotonic() < last and process.poll() is None:
        if found := re.search(r"listening on (http://127\.0\.0\.1:\d+)", log.read_text(encoding="utf-8")):
            return found[1]
        time.sleep(_POLL)
    raise AssertionError(f"Prism did not start: {log.read_text(encoding='utf-8')}")
