"""Perform the steps of a call or a walk, on `httpx.Client` or on `httpx.AsyncClient`."""

from __future__ import annotations

from contextlib import aclosing, closing, nullcontext
from typing import TYPE_CHECKING, TypeVar

from venice_billing._call import Closed, Expired, Outcome, Send, Steps, Wait
from venice_billing._clock import Pace, SystemClock
from venice_billing._event_loops import under_asyncio
from venice_billing._exchange import Exchange
from venice_billing._http_client import ClosedError
from venice_billing._runtime.connections import stop_reuse_unless_clean
from venice_billing._runtime.deadline import Deadline, parts
from venice_billing._runtime.http_libraries import faults_of, http_of, is_async_stream, is_sync_stream
from venice_billing._walk.types import Batch, RunConcurrently, Walk, WindowPlan
from venice_billing._walk.windows import work_alone
from venice_billing._walk.workers import work_in_tasks, work_in_threads
from venice_billing.errors import ResponseValidationError, VeniceError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator

    import httpx

    from venice_billing._clock import Interruption
    from venice_billing._config import Configuration
    from venice_billing._http_client import AsyncConnections, Connections
    from venice_billing._secret import Secret

T = TypeVar("T")
Row = TypeVar("Row")


_SYSTEM = SystemClock()


class Driver:
    """Runs steps on an `httpx.Client`."""

    def __init__(self, connections: Connections, configuration: Configuration, clock: Pace) -> None:
        self.connections = connections
        self.clock = clock
        self._exchange = Exchange(configuration.base_url, configuration.key)
        self._key = configuration.key

    def run(self, steps: Steps[T]) -> T:
        """Run a call and return its value."""
        outcome: Outcome | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return] # typeshed: the value of a generator is Any here
                except ResponseValidationError as error:
                    self.connections.stop_reuse()
                    _mask(error, self._key)
                    raise
                outcome = self.perform(step)

    def walk(self, steps: Walk[Row]) -> Generator[Batch[Row], None, None]:
        """Run a walk and yield its batches."""
        outcome: Outcome | None = None
        failure: VeniceError | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                except ResponseValidationError as error:
                    self.connections.stop_reuse()
                    _mask(error, self._key)
                    raise
                outcome = failure = None
                if isinstance(step, Batch):
                    yield step
                elif isinstance(step, RunConcurrently):
                    try:
                        yield from self._run_concurrently(step.windows)
                    except VeniceError as error:
                        failure = error
                else:
                    outcome = self.perform(step)

    def perform(self, step: Send | Wait, interrupt: Interruption | None = None) -> Outcome | None:
        """Perform one step of a call."""
        if self.connections.is_closed:
            return Closed()
        return self._wait(step, interrupt) if isinstance(step, Wait) else self._send(step, interrupt)

    def _run_concurrently(self, windows: WindowPlan[Row]) -> Generator[Batch[Row], None, None]:
        if windows.concurrency == 1 or self.connections.is_nested:  # the threads would wait for this one
            return self.walk(work_alone(windows))
        return work_in_threads(windows, self.perform)

    def _wait(self, wait: Wait, interrupt: Interruption | None) -> Outcome | None:
        clock = _clock_of(wait, self.clock)
        for part in parts(wait.seconds):
            clock.sleep(part, interrupt)
            if self.connections.is_closed:
                return Closed()
            if interrupt is not None and interrupt.is_set():
                break
        return None

    def _send(self, send: Send, interrupt: Interruption | None) -> Outcome:
        bound = Deadline(send.timeout)
        try:
            client = self.connections.take(bound)
        except ClosedError:
            return Closed()
        try:
            with interrupt.ends(bound) if interrupt else nullcontext():
                outcome = self._attempt(client, send, bound)
        except Exception:
            self.connections.drop(client)
            if self.connections.is_closed:  # closed in the middle of any step, so any exception may be the result
                return Closed()
            raise
        except BaseException as stopped:  # noqa: BLE001 - raised again, without the frames that hold the request
            self.connections.drop(client)
            raise stopped.with_traceback(None) from None
        self.connections.give_back(client)
        return outcome

    def _attempt(self, client: httpx.Client, send: Send, bound: Deadline) -> Outcome:
        """Send a request, and send it again for each kept connection that turns out to have ended meanwhile."""
        until = self.clock.monotonic() + send.timeout
        while True:
            bound.begin()
            try:
                return self._send_once(client, send, bound, until)
            except faults_of(client) as fault:
                if (outcome := _outcome_of(fault, bound, self._exchange, self.connections)) is not None:
                    return outcome

    def _send_once(self, client: httpx.Client, send: Send, bound: Deadline, until: float) -> Outcome:
        request = self._exchange.request(client, send, bound)
        response = client.send(request, stream=True, auth=None, follow_redirects=False)
        with closing(response):
            incoming = self._exchange.incoming(response)
            # Not `iter_raw`, which gives the connection to the next request before it is checked here.
            if not incoming.is_read and is_sync_stream(response.stream):
                for chunk in response.stream:
                    if not incoming.take(chunk) or self.clock.monotonic() > until:
                        break
                if stop_reuse_unless_clean(response):
                    incoming.note_bytes_after()
        return Expired() if self.clock.monotonic() > until else incoming.outcome()


class AsyncDriver:
    """Runs steps on an `httpx.AsyncClient`, under asyncio or trio."""

    def __init__(self, connections: AsyncConnections, configuration: Configuration, clock: Pace) -> None:
        self.connections = connections
        self.clock = clock
        self._exchange = Exchange(configuration.base_url, configuration.key)
        self._key = configuration.key

    async def run(self, steps: Steps[T]) -> T:
        """Run a call and return its value."""
        outcome: Outcome | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome)
                except StopIteration as stop:
                    return stop.value  # type: ignore[no-any-return] # as in Driver.run
                except ResponseValidationError as error:
                    self.connections.stop_reuse()
                    _mask(error, self._key)
                    raise
                outcome = await self.perform(step)

    async def walk(self, steps: Walk[Row]) -> AsyncGenerator[Batch[Row], None]:
        """Run a walk and yield its batches."""
        outcome: Outcome | None = None
        failure: VeniceError | None = None
        with closing(steps):
            while True:
                try:
                    step = steps.send(outcome) if failure is None else steps.throw(failure)
                except StopIteration:
                    return
                except ResponseValidationError as error:
                    self.connections.stop_reuse()
                    _mask(error, self._key)
                    raise
                outcome = failure = None
                if isinstance(step, Batch):
                    yield step
                elif isinstance(step, RunConcurrently):
                    try:
                        async with aclosing(self._run_concurrently(step.windows)) as batches:
                            async for batch in batches:
                                yield batch
                    except VeniceError as error:
                        failure = error
                else:
                    outcome = await self.perform(step)

    def _run_concurrently(self, windows: WindowPlan[Row]) -> AsyncGenerator[Batch[Row], None]:
        if windows.concurrency == 1 or not under_asyncio():
            return self.walk(work_alone(windows))
        return work_in_tasks(windows, self.perform)

    async def perform(self, step: Send | Wait) -> Outcome | None:
        """Perform one step of a call."""
        if self.connections.is_closed:
            return Closed()
        return await (self._wait(step) if isinstance(step, Wait) else self._send(step))

    async def _wait(self, wait: Wait) -> Outcome | None:
        clock = _clock_of(wait, self.clock)
        for part in parts(wait.seconds):
            await clock.async_sleep(part)
            if self.connections.is_closed:
                return Closed()
        return None

    async def _send(self, send: Send) -> Outcome:
        import anyio  # noqa: PLC0415 - as in SystemClock

        try:
            client = self.connections.client()
        except ClosedError:
            return Closed()
        bound = Deadline(send.timeout)
        until = self.clock.monotonic() + send.timeout
        try:
            with anyio.fail_after(send.timeout):
                return await self._attempt(client, send, bound, until)
        except TimeoutError:
            return Closed() if self.connections.is_closed else Expired()
        except OSError as error:  # anyio imports its event loop backend at the first call
            return self._exchange.fault(error)
        except Exception:
            if self.connections.is_closed:  # as in Driver._send
                return Closed()
            raise
        except BaseException as stopped:  # noqa: BLE001 - raised again, without the frames that hold the request
            raise stopped.with_traceback(None) from None

    async def _attempt(self, client: httpx.AsyncClient, send: Send, bound: Deadline, until: float) -> Outcome:
        """Send a request, and send it again for each kept connection that turns out to have ended meanwhile."""
        while True:
            bound.begin()
            try:
                return await self._send_once(client, send, bound, until)
            except faults_of(client) as fault:
                if (outcome := _outcome_of(fault, bound, self._exchange, self.connections)) is not None:
                    return outcome

    async def _send_once(self, client: httpx.AsyncClient, send: Send, bound: Deadline, until: float) -> Outcome:
        request = self._exchange.request(client, send, bound)
        response = await client.send(request, stream=True, auth=None, follow_redirects=False)
        async with aclosing(response):
            incoming = self._exchange.incoming(response)
            if not incoming.is_read and is_async_stream(response.stream):
                async for chunk in response.stream:
                    if not incoming.take(chunk) or self.clock.monotonic() > until:
                        break
                if stop_reuse_unless_clean(response):
                    incoming.note_bytes_after()
        return Expired() if self.clock.monotonic() > until else incoming.outcome()


def _clock_of(wait: Wait, clock: Pace) -> Pace:
    """Return the clock of a wait: other requests of this client take real time, even if the clock is virtual."""
    return _SYSTEM if wait.queued else clock


def _outcome_of(
    fault: Exception, bound: Deadline, exchange: Exchange, connections: Connections | AsyncConnections
) -> Outcome | None:
    """Return the outcome of a failed request; None if no server has seen the request, so it is to be sent again."""
    if connections.is_closed:
        return Closed()
    http = http_of(fault)
    if isinstance(fault, RuntimeError) and not isinstance(fault, http.StreamError):
        raise fault  # so httpx reports a closed client; everything else is a bug
    is_expired = isinstance(fault, http.TimeoutException)
    if bound.is_stale and isinstance(fault, http.TransportError) and not is_expired:
        return None
    return exchange.fault(fault)


def _mask(error: ResponseValidationError, key: Secret) -> None:
    """Mask the key in the words of an error that a walk has found: data keep spellings that words must not show."""
    ResponseValidationError.__init__(error, key.masked(error.problem), field=key.masked(error.field))
    error.__context__ = None  # its words quote the same data
