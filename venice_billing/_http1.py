"""HTTP/1.1 without I/O, on h11: a request -> bytes to send, bytes received -> an answer. Shared by both transports."""

from __future__ import annotations

import h11
import httpx

_LONGEST_HEAD = 100 * 1024


class Conversation:
    """What is said on one connection: requests and answers, in turn.

    Its methods raise `httpx.RemoteProtocolError` for what is no HTTP, or ends early.
    """

    def __init__(self) -> None:
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)

    def ask(self, request: httpx.Request, content: bytes) -> bytes:
        """Return the bytes of a request."""
        send = self._machine.send
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            parts = [send(head), send(h11.Data(data=content)) if content else b"", send(h11.EndOfMessage())]
        except h11.LocalProtocolError as error:
            raise httpx.LocalProtocolError(str(error)) from None
        return b"".join(part for part in parts if part)

    def hear(self, data: bytes) -> None:
        """Take what was received; nothing means that the server has closed the connection."""
        self._machine.receive_data(data)

    def head(self) -> h11.Response | None:
        """Return the head of the answer, or None while more of it must be received."""
        while True:
            event = self._next_event()
            if isinstance(event, h11.Response):
                return event
            if event is h11.NEED_DATA:
                return None
            if not isinstance(event, h11.InformationalResponse):
                raise httpx.RemoteProtocolError("the server closed the connection without an answer")

    def body(self) -> bytes | None:
        """Return the next bytes of the body, none at its end, or None while more must be received."""
        event = self._next_event()
        if isinstance(event, h11.Data):
            return bytes(event.data)
        return None if event is h11.NEED_DATA else b""

    def can_go_on(self) -> bool:
        """Tell whether another request may follow, and prepare for it."""
        machine = self._machine
        if machine.our_state is not h11.DONE or machine.their_state is not h11.DONE or machine.trailing_data[0]:
            return False
        machine.start_next_cycle()
        return True

    def _next_event(self) -> object:
        try:
            return self._machine.next_event()
        except h11.ProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from None
