"""`venice-billing serve-fake`: a server that other programs use, and that stops when it is told to."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from venice_billing import VeniceBilling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]

SECONDS = 120
JAVASCRIPT = """
const response = await fetch(`${process.env.VENICE_BASE_URL}/billing/balance`,
  { headers: { Authorization: `Bearer ${process.env.VENICE_API_KEY}` } });
console.log(response.status, typeof (await response.json()).balances.usd);
"""


@contextmanager
def served(*arguments: str) -> Iterator[dict[str, str]]:
    """Start the server, yield what it prints, and end it as a service manager does."""
    command = [sys.executable, "-m", "venice_billing", "serve-fake", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline().strip().split("=", 1) for _ in range(2)]
        yield {name: value for name, value in lines}  # noqa: C416 - two items each
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SECONDS)
        assert process.returncode == 0, err
        assert "Traceback" not in err


def test_client_walks_through_it() -> None:
    with (
        served("--entries", "1234", "--seed", "3") as printed,
        VeniceBilling(printed["VENICE_API_KEY"], base_url=printed["VENICE_BASE_URL"]) as client,
    ):
        assert sum(1 for _ in client.iter_usage_history()) == 1234


def test_quirks_are_switched_on() -> None:
    with served("--entries", "10", "--quirk", "rate_limit_every=1", "--quirk", "gzip") as printed:
        answer = httpx.get(
            f"{printed['VENICE_BASE_URL']}/billing/balance",
            headers={"Authorization": f"Bearer {printed['VENICE_API_KEY']}"},
        )
        assert answer.status_code == 429


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_uses_it() -> None:
    with served("--entries", "10") as printed:
        authorization = f"Authorization: Bearer {printed['VENICE_API_KEY']}"
        url = f"{printed['VENICE_BASE_URL']}/billing/balance"
        done = subprocess.run(
            ["curl", "-sS", "-H", authorization, url], capture_output=True, text=True, timeout=SECONDS, check=True
        )
        assert '"balances"' in done.stdout


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_program_in_javascript_uses_it() -> None:
    with served("--entries", "10") as printed:
        done = subprocess.run(
            ["node", "--input-type=module", "-e", JAVASCRIPT],
            env=printed,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            executable=shutil.which("node"),
        )
        assert done.stdout == "200 number\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--port", "70000"], "--port 70000: a number from 0 to 65535"),
        (["--port", "http"], "argument --port: invalid int value: 'http'"),
        (["--entries", "-1"], "--entries -1: a number from 0 to"),
        (["--quirk", "narrow"], "--quirk 'narrow': one of abuse_block, "),
        (["--quirk", "gzip=1"], "gzip is a switch, without a value"),
        (["--quirk", "rate_limit_every"], "rate_limit_every=N, a number"),
        (["--quirk", "rate_limit_every=-1"], "rate_limit_every=N, a number"),
        (["--quirk", "latency=nan"], "latency=N, a number"),
        (["--quirk", "faults=1"], "--quirk 'faults=1': one of"),
    ],
)
def test_bad_input(command: Command, arguments: list[str], message: str) -> None:
    done = command("serve-fake", *arguments)
    assert done.code == 2
    assert message in done.err


def test_port_that_is_taken(command: Command) -> None:
    with served("--entries", "1") as printed:
        port = printed["VENICE_BASE_URL"].rsplit(":", 1)[1].partition("/")[0]
        done = command("serve-fake", "--port", port)
        assert done.code == 3
        assert "in use" in done.err
