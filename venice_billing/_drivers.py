"""Do what the steps of a call or a walk say, on `httpx.Client` or on `httpx.AsyncClient`, which the transports serve.

What happens on the wire comes back as an outcome, never as an exception: so no traceback of a public error has a
frame that holds the key.
"""

from __future__ import annotations

import time
from contextlib import aclosing, closing, nullcontext
from typing import TYPE_CHECKING, Protocol, TypeVar

import httpx

from venice_billing._body import BodyError, BodyReader
from venice_billing._call import Broken, Clock, Expired, Outcome, Reply, Send, Steps, Unreadable, Wait
from venice_billing._crews import Interruption, async_crew, crew, under_asyncio
from venice_billing._version import __version__
from venice_billing._walk import Deliver, Together, Walk
from venice_billing._windows import Windows, in_turn
from venice_billing.errors import VeniceError
from venice_billing_api.deadline import bound_sync, close_cancelled, deadline

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

    from venice_billing._secret import Secret

T = TypeVar("T")
Row = TypeVar("Row")
_USER_AGENT = f"venice-billing/{__version__} python-httpx/{httpx.__version__}"


class Pace(Clock, Protocol):
    """A clock that can also let time pass."""

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Let time pass for this thread, or until it is interrupted."""
        ...

    async def async_sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        ...


class SystemClock:
    """The time of this machine, and real waits."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def time(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def sleep(self, seconds: float, interrupt: Interruption | None = None) -> None:
        """Let time pass for this thread, or until it is interrupted."""
        if interrupt is None:
            time.sleep(seconds)
        else:
            interrupt.wait(seconds)

    async def async_sleep(self, seconds: float) -> None:
        """Let time pass for this task."""
        import anyio  # noqa: PLC0415 - an eighth of the import time of httpx, for who never awaits

        await anyio.sleep(seconds)


class Driver:
    """Runs steps on an `httpx.Client`."""

    def __init__(self, client: httpx.Client, base_url: str, key: Secret, clock: Pace) -> None:
        bound_sync(client)
        self.client = client
        self.clock = clock
        self._wire = _Wire(base_url, key)

    def run(self, steps: Steps[T]) -> T:
        """Run a call to its value."""
        outcome: Outcome | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return] # typeshed: the value of a generator is Any here
                outcome = self.perform(step)

    def walk(self, steps: Walk[Row]) -> Iterator[Deliver[Row]]:
        """Run a walk, passing on what it delivers."""
        outcome: Outcome | None = None
        failure: VeniceError | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                outcome = failure = None
                if isinstance(step, Deliver):
                    yield step
                elif isinstance(step, Together):
                    try:
                        yield from self._together(step.windows)
                    except VeniceError as error:
                        failure = error
                else:
                    outcome = self.perform(step)

    def perform(self, step: Send | Wait, interrupt: Interruption | None = None) -> Outcome | None:
        """Do one step of a call."""
        if isinstance(step, Wait):
            self.clock.sleep(step.seconds, interrupt)
            return None
        return self._send(step, interrupt)

    def _together(self, windows: Windows[Row]) -> Iterator[Deliver[Row]]:
        if windows.concurrency == 1:
            return self.walk(in_turn(windows))
        return crew(windows, self.perform)

    def _send(self, send: Send, interrupt: Interruption | None) -> Outcome:
        if self.client.is_closed:
            return Broken("the client is closed")
        until = self.clock.monotonic() + send.timeout
        try:
            with deadline(send.timeout) as bound, interrupt.ends(bound) if interrupt else nullcontext():
                request = self._wire.request(self.client, send)
                response = self.client.send(request, stream=True, auth=None, follow_redirects=False)
                with closing(response):
                    answer = self._wire.answer(response)
                    if not response.is_stream_consumed:  # it is when an event hook or a mock has read it
                        for chunk in response.iter_raw():
                            if not answer.take(chunk) or self.clock.monotonic() > until:
                                break
                return Expired() if self.clock.monotonic() > until else answer.outcome()
        except _FAULTS as fault:
            return self._wire.fault(fault)


class AsyncDriver:
    """Runs steps on an `httpx.AsyncClient`, under asyncio or trio."""

    def __init__(self, client: httpx.AsyncClient, base_url: str, key: Secret, clock: Pace) -> None:
        close_cancelled(client)
        self.client = client
        self.clock = clock
        self._wire = _Wire(base_url, key)

    async def run(self, steps: Steps[T]) -> T:
        """Run a call to its value."""
        outcome: Outcome | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return] # as in Driver.run
                outcome = await self.perform(step)

    async def walk(self, steps: Walk[Row]) -> AsyncGenerator[Deliver[Row], None]:
        """Run a walk, passing on what it delivers."""
        outcome: Outcome | None = None
        failure: VeniceError | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                outcome = failure = None
                if isinstance(step, Deliver):
                    yield step
                elif isinstance(step, Together):
                    try:
                        async with aclosing(self._together(step.windows)) as deliveries:
                            async for delivery in deliveries:
                                yield delivery
                    except VeniceError as error:
                        failure = error
                else:
                    outcome = await self.perform(step)

    def _together(self, windows: Windows[Row]) -> AsyncGenerator[Deliver[Row], None]:
        if windows.concurrency == 1 or not under_asyncio():
            return self.walk(in_turn(windows))
        return async_crew(windows, self.perform)

    async def perform(self, step: Send | Wait) -> Outcome | None:
        """Do one step of a call."""
        if isinstance(step, Wait):
            await self.clock.async_sleep(step.seconds)
            return None
        return await self._send(step)

    async def _send(self, send: Send) -> Outcome:
        import anyio  # noqa: PLC0415 - as in SystemClock

        if self.client.is_closed:
            return Broken("the client is closed")
        until = self.clock.monotonic() + send.timeout
        try:
            with anyio.fail_after(send.timeout):
                request = self._wire.request(self.client, send)
                response = await self.client.send(request, stream=True, auth=None, follow_redirects=False)
                async with aclosing(response):
                    answer = self._wire.answer(response)
                    if not response.is_stream_consumed:
                        async for chunk in response.aiter_raw():
                            if not answer.take(chunk) or self.clock.monotonic() > until:
                                break
                return Expired() if self.clock.monotonic() > until else answer.outcome()
        except _FAULTS as fault:
            return self._wire.fault(fault)


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Run a blocking function of the file system without blocking the event loop."""
    import anyio.to_thread  # noqa: PLC0415 - as in SystemClock

    return await anyio.to_thread.run_sync(function, *args)


# OSError and TimeoutError: a transport of the user's own may raise them bare, and so does `anyio.fail_after`.
_FAULTS = (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, OSError)


class _Wire:
    """How requests and answers look on the wire, in either flavour."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self._base_url = base_url
        self._key = key
        self._urls: dict[str, httpx.URL] = {}

    def request(self, client: httpx.Client | httpx.AsyncClient, send: Send) -> httpx.Request:
        request = client.build_request(
            send.request.method,
            self._url(send.request.path),
            params=dict(send.request.params) or None,  # no parameters given, and httpx parses nothing again
            headers={**send.request.headers, "Accept-Encoding": "gzip", "User-Agent": _USER_AGENT},
            timeout=send.timeout,
        )
        request.headers["Authorization"] = self._key.bearer()
        return request

    def _url(self, path: str) -> httpx.URL:
        """Return an address; there are four in all, and httpx would parse them for each request."""
        if path not in self._urls:
            self._urls[path] = httpx.URL(self._base_url + path)
        return self._urls[path]

    def answer(self, response: httpx.Response) -> _Answer:
        return _Answer(response, self._key)

    def fault(self, fault: Exception) -> Outcome:
        if isinstance(fault, httpx.TimeoutException | TimeoutError):
            return Expired()
        return Broken(self._key.masked(f"{type(fault).__name__}: {fault}"))


class _Answer:
    """An answer while it is read; whatever is wrong with its body becomes part of the outcome."""

    def __init__(self, response: httpx.Response, key: Secret) -> None:
        self._response = response
        self._key = key
        self._problem = ""
        try:
            consumed = response.is_stream_consumed
            self._reader = BodyReader("" if consumed else key.masked(response.headers.get("content-encoding", "")))
            if consumed:
                self._reader.feed(response.content)
        except BodyError as error:
            self._problem = str(error)

    def take(self, chunk: bytes) -> bool:
        """Take the next bytes, and tell whether to go on."""
        try:
            if not self._problem:
                self._reader.feed(chunk)
        except BodyError as error:
            self._problem = str(error)
        return not self._problem

    def outcome(self) -> Outcome:
        """Return the answer, whole; of an error whose body is unreadable, status and headers are enough."""
        body = b""
        try:
            if not self._problem:
                body = self._reader.finish()
        except BodyError as error:
            self._problem = str(error)
        status = self._response.status_code
        if self._problem and httpx.codes.is_success(status):
            return Unreadable(self._problem)
        return Reply(status, self._key.masked_headers(self._response.headers), self._key.masked_bytes(body))
