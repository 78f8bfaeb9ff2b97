"""`venice-billing doctor`: what is wrong, and what to do."""

from __future__ import annotations

import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
import trustme

from contract_tests.support.certificates import server_context
from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice, Fault, Quirks, faults
from venice_billing_api import CONTRACT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]


def found(done: Done) -> dict[str, str]:
    return {row["check"]: f"{row['status']}: {row['found']}" for row in done.json["rows"]}


def test_all_is_well(account: FakeVenice, command: Command) -> None:
    done = command("doctor", "--format", "json")
    assert done.code == 0
    checks = found(done)
    assert checks["key"] == "ok: an ADMIN key: balance and ledger can be read"
    assert checks["connection"].startswith("ok: http://127.0.0.1:")
    assert checks["name"] == "ok: 127.0.0.1 resolves"
    assert "WRONG" not in command("doctor").out


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("fake-inference-key", "wrong: an inference key: it can read the analytics alone"),
        ("some-other-key-that-was-revoked", "wrong: it is refused"),
    ],
)
def test_inference_key_and_wrong_key_are_told_apart(
    account: FakeVenice, command: Command, monkeypatch: pytest.MonkeyPatch, key: str, expected: str
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", key)
    done = command("doctor", "--format", "json")
    assert (done.code, found(done)["key"]) == (1, expected)
    assert key not in done.out + done.err


def test_no_key(account: FakeVenice, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    done = command("doctor")
    assert done.code == 1
    assert "-> make an ADMIN key at Venice.ai" in done.out


def test_nobody_answers(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("VENICE_BASE_URL", "http://127.0.0.1:9/api/v1")
    done = command("doctor", "--format", "json")
    assert done.code == 1
    assert found(done)["connection"].startswith("wrong: http://127.0.0.1:9/api/v1: APIConnectionError")


def advised(done: Done) -> dict[str, str]:
    return {row["check"]: row["advice"] for row in done.json["rows"]}


def test_no_key_names_the_variable(account: FakeVenice, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    done = command("doctor", "--format", "json")
    assert found(done)["key"] == "wrong: there is none: VENICE_API_KEY is not set"


def test_name_that_does_not_resolve(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("VENICE_BASE_URL", "https://no-such-host.invalid/api/v1")
    done = command("doctor", "--format", "json")
    assert done.code == 1
    assert found(done)["name"].startswith("wrong: no-such-host.invalid does not resolve")
    assert found(done)["key"] == "note: not tried: the API cannot be reached"


def test_certificate_that_is_not_trusted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        server.socket = server_context(trustme.CA(), "localhost").wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
        monkeypatch.setenv("VENICE_BASE_URL", f"https://localhost:{server.server_port}/api/v1")
        done = command("doctor", "--format", "json")
        server.shutdown()
    assert done.code == 1
    assert "CERTIFICATE_VERIFY_FAILED" in found(done)["connection"]
    assert "SSL_CERT_FILE" in advised(done)["connection"]


def test_proxy_that_is_not_there(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    done = command("doctor", "--format", "json")
    assert done.code == 1
    assert found(done)["proxy"] == "note: HTTPS_PROXY is set: requests may go through it"
    assert "the proxy there that HTTPS_PROXY names" in advised(done)["connection"]


def test_contract_is_that_of_the_client(command: Command) -> None:
    done = command("--demo", "doctor", "--format", "json")
    assert CONTRACT_VERSION in found(done)["contract"]
    assert re.fullmatch(r"\d{8}\.\d+", CONTRACT_VERSION)


class Refusing(BaseHTTPRequestHandler):
    """Refuses every request, with a `Date` header that is off by some seconds."""

    skew = 0

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(int(time.time()) - self.skew)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("skew", "status", "where"),
    [
        (7200, "wrong", "ahead of the server's"),
        (-7200, "wrong", "behind the server's"),
        (20, "ok", "from the server's"),
    ],
)
def test_clock_is_compared_with_the_servers(
    command: Command, monkeypatch: pytest.MonkeyPatch, skew: int, status: str, where: str
) -> None:
    monkeypatch.setattr(Refusing, "skew", skew)
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
        monkeypatch.setenv("VENICE_BASE_URL", f"http://127.0.0.1:{server.server_port}/api/v1")
        clock = found(command("doctor", "--format", "json"))["clock"]
        server.shutdown()
    assert clock.startswith(f"{status}: ")
    assert clock.endswith(where)


def test_ledger_that_is_old_is_named(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    ledger = str(tmp_path / "a.duckdb")
    assert "none at" in found(command("doctor", "--ledger", ledger, "--format", "json"))["ledger"]
    command("sync", "--ledger", ledger)
    assert "covers all until" in found(command("doctor", "--ledger", ledger, "--format", "json"))["ledger"]


def test_ledger_of_another_account_is_named(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "other.duckdb"
    with Ledger(path) as ledger, FakeVenice(300, days=20, seed=8).client() as other:
        ledger.sync(other)
    done = command("doctor", "--ledger", str(path), "--format", "json")
    assert done.code == 1
    assert found(done)["ledger"].startswith(f"wrong: {path}: its first charge is none of this account")


@pytest.mark.parametrize("name", ["doctor", "balance"])
def test_text_of_a_server_does_not_command_the_terminal(account: FakeVenice, command: Command, name: str) -> None:
    text = "\x1b[31mred\x1b]0;title\x07\u202e"
    body = faults.body(json.dumps({"error": text}).encode())
    refusal = Fault("refusal", lambda response: body.apply(faults.status(400).apply(response)))
    account.quirks = Quirks(faults=lambda _seen: refusal)
    done = command(name)
    said = done.out + done.err
    assert "red" in said
    assert all(char.isprintable() for char in said.replace("\n", ""))


def test_file_that_is_no_ledger(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    file.write_bytes(b"\x89PNG" + bytes(5000))
    done = command("doctor", "--ledger", str(file), "--format", "json")
    assert done.code == 1
    assert "no DuckDB file" in found(done)["ledger"]


def test_broken_configuration(home: Path, account: FakeVenice, command: Command) -> None:
    (home / "config.toml").write_text("nonsense")
    done = command("doctor", "--format", "json")
    assert done.code == 1
    assert "is no TOML" in found(done)["configuration"]
