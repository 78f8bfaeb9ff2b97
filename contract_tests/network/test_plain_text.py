"""Over TLS the key is never readable on the network, whenever another thread ends a request."""

from __future__ import annotations

import ssl
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trustme

from contract_tests.support.front_server import Front
from venice_billing import ClientClosedError, VeniceBilling
from venice_billing._runtime.deadline import Deadline
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_KEY = "a-key-that-is-read-on-the-wire"


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(1000, admin_key=_KEY)


@pytest.fixture
def tapped(fake: FakeVenice, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Yield the recording server in front of the TLS server."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with (
        fake.serve() as server,
        Front(urlsplit(server.base_url).port or 0, context) as behind,
        Front(behind.port) as tap,
    ):
        yield tap


class Gate:
    """Blocks the first request that a client is about to send over TLS until the gate is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()
        self.armed = False
        self.closed_beneath = False
        send: Any = ssl.SSLSocket.send
        close: Any = ssl.SSLSocket._real_close  # type: ignore[attr-defined] # the method that removes the encryption

        def held(connection: ssl.SSLSocket, data: Any, flags: int = 0) -> int:
            if self.armed and not connection.server_side and b"Bearer" in bytes(data):
                self.armed = False
                self.reached.set()
                self.opened.wait(60)
            return int(send(connection, data, flags))

        def noted(connection: ssl.SSLSocket) -> None:
            is_held = self.reached.is_set() and not self.opened.is_set()
            self.closed_beneath = self.closed_beneath or (is_held and not connection.server_side)
            close(connection)

        monkeypatch.setattr(ssl.SSLSocket, "send", held)
        monkeypatch.setattr(ssl.SSLSocket, "_real_close", noted)


@pytest.mark.parametrize("end", ["cancel", "close"])
def test_a_request_ended_while_it_is_sent_stays_encrypted(
    tapped: Front, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    client = VeniceBilling(_KEY, base_url=f"https://127.0.0.1:{tapped.port}/api/v1", max_retries=0)
    client.get_balance()
    bounds: list[Deadline] = []

    def bound(seconds: float) -> Deadline:
        bounds.append(Deadline(seconds))
        return bounds[-1]

    monkeypatch.setattr("venice_billing._drivers.Deadline", bound)
    problems: list[BaseException] = []

    def call() -> None:
        try:
            client.get_balance()
        except BaseException as problem:  # noqa: BLE001 - checked below
            problems.append(problem)

    gate.armed = True
    thread = threading.Thread(target=call)
    thread.start()
    assert gate.reached.wait(60)
    if end == "cancel":
        bounds[0].cancel()
    else:
        client.close()
    gate.opened.set()
    thread.join(60)
    client.close()
    assert len(problems) == 1
    assert isinstance(problems[0], ClientClosedError) or end == "cancel"
    assert not gate.closed_beneath
    assert _KEY.encode() not in tapped.heard
    assert b"Bearer" not in tapped.heard


def test_walks_left_early_send_no_plain_text(fake: FakeVenice, tapped: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    """They never call `shutdown` or `unwrap` of a TLS socket, which drop the encryption before they ask the system."""
    asked: list[bool] = []
    for name in ("shutdown", "unwrap"):
        method: Any = getattr(ssl.SSLSocket, name)

        def noted(connection: ssl.SSLSocket, *rest: Any, _method: Any = method) -> Any:
            asked.append(connection.server_side)
            return _method(connection, *rest)

        monkeypatch.setattr(ssl.SSLSocket, name, noted)
    fake.quirks.faults = lambda seen: faults.hang(0.02) if seen.number % 3 else None
    with VeniceBilling(_KEY, base_url=f"https://127.0.0.1:{tapped.port}/api/v1") as client:
        for _ in range(8):
            for count, _ in enumerate(client.iter_usage_history(page_size=20, concurrency=8)):
                if count > 30:
                    break
    assert not any(side is False for side in asked)
    assert _KEY.encode() not in tapped.heard
    assert b"billing" not in tapped.heard
