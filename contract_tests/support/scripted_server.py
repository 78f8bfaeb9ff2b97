"""A loopback server that sends exactly the bytes a test scripts, and counts its connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

# A script serves one connection; its second argument waits some seconds, and returns True when the script must stop.
Script = Callable[[socket.socket, Callable[[float], bool]], None]

_POLL = 0.01  # seconds between two checks for the end of the test

GOOD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
BALANCE = b'{"canConsume":true,"consumptionCurrency":"USD","balances":{"diem":null,"usd":1},"diemEpochAllocation":0}'
BALANCE_ANSWER = GOOD % (len(BALANCE), BALANCE)


def say(answer: bytes, *, slowly_from: int | None = None, pause: float = 0.05) -> Script:
    """Return a script that sends a response; from the offset `slowly_from` on, one byte per `pause` seconds."""

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        start = len(answer) if slowly_from is None else slowly_from
        connection.sendall(answer[:start])
        for offset in range(start, len(answer)):
            connection.sendall(answer[offset : offset + 1])
            if wait(pause):
                return

    return script


def stall_after(part: bytes) -> Script:
    """Return a script that sends a part of a response and then nothing, until the peer disconnects."""

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        connection.sendall(part)
        connection.settimeout(_POLL)
        while not wait(0):
            with contextlib.suppress(TimeoutError):
                if not connection.recv(1):
                    return

    return script


def then_close(answer: bytes, pieces: int = 1) -> Script:
    """Return a script that sends a response in `pieces` pieces, and closes the connection."""

    def script(connection: socket.socket, wait: Callable[[float], bool]) -> None:
        size = max(1, -(-len(answer) // pieces))
        for start in range(0, len(answer), size):
            connection.sendall(answer[start : start + size])
            wait(0.002 if pieces > 1 else 0)
        connection.close()

    return script


@contextlib.contextmanager
def never_accepting(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port whose backlog is full, so that connecting to it never completes."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


class ScriptedServer:
    """Answers the nth request with the nth script, and later ones with the last script; a context manager."""

    def __init__(self, *scripts: Script, reads_requests: bool = True, tls: ssl.SSLContext | None = None) -> None:
        self._scripts = list(scripts)
        self._reads_requests = reads_requests
        self._tls = tls
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.port}"
        self.connections = 0
        self.requests: list[bytes] = []
        self.closed_by_peer = threading.Event()

    def __enter__(self) -> Self:
        self._listener.settimeout(_POLL)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._listener.close()

    def then(self, script: Script) -> None:
        """Answer all further requests with this script."""
        self._scripts = [script]

    def _accept(self) -> None:
        talks = []
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                talks.append(threading.Thread(target=self._talk, args=(connection,), daemon=True))
                talks[-1].start()
        for talk in talks:
            talk.join()

    def _talk(self, connection: socket.socket) -> None:
        if self._tls is not None:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client does not trust this server's certificate
                connection.close()
                return
        with connection, contextlib.suppress(OSError):
            if not self._reads_requests:
                self._scripts[0](connection, self._stopping.wait)
            while (
                self._reads_requests
                and not self._stopping.is_set()
                and (asked := _read_request(connection, self._stopping.wait))
            ):
                self.requests.append(asked)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
                script(connection, self._stopping.wait)
        self.closed_by_peer.set()


def _read_request(connection: socket.socket, wait: Callable[[float], bool]) -> bytes:
    """Read a request without a body; return nothing if the peer has disconnected."""
    received = b""
    connection.settimeout(_POLL)
    while not received.endswith(b"\r\n\r\n"):
        try:
            part = connection.recv(4096)
        except TimeoutError:
            if wait(0):
                return b""
            continue
        if not part:
            return b""
        received += part
    connection.settimeout(None)
    return received
