"""A loopback server in front of another one: it forwards and records the bytes, with or without TLS."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import ssl

_POLL = 0.05


class Front:
    """Forwards each connection to a port on loopback; a context manager.

    Args:
        port: The port of the other server.
        tls: The TLS context to decrypt with; None to forward bytes unchanged.
        gather: Seconds for which to collect bytes of the other server before forwarding them in one piece.

    Attributes:
        heard: The bytes that clients have sent, as received from the network; decrypted if `tls` is given.
        connections: The number of connections accepted.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None, *, gather: float = 0) -> None:
        self._target = port
        self._gather = gather
        self._tls = tls
        self._stopping = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.heard = bytearray()
        self.connections = 0

    def __enter__(self) -> Self:
        self._listener.settimeout(_POLL)
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(10)
        self._listener.close()

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(TimeoutError):
                connection, _ = self._listener.accept()
                self.connections += 1
                self._start(self._talk, connection)

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(30)
            near = self._tls.wrap_socket(connection, server_side=True) if self._tls else connection
            with near, socket.create_connection(("127.0.0.1", self._target), 30) as far:
                self._pass_on(near, far)

    def _pass_on(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(near, selectors.EVENT_READ)
            selector.register(far, selectors.EVENT_READ)
            while not self._stopping.is_set():
                for key, _ in selector.select(_POLL):
                    if key.fileobj is far:
                        time.sleep(self._gather)
                    data = key.fileobj.recv(262_144)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is near:
                        self.heard += data
                    (far if key.fileobj is near else near).sendall(data)
