"""Requests: whatever the facade is asked to do, what it sends has its place in the contract."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
from attrs import frozen
from hypothesis import given, settings

from contract.arguments import combinations, edges
from contract.coverage import operation_key
from contract.stage import CSV, FLAVOURS, JSON, Answer, Call, Stage
from contract.values import QUIET, Values
from contract.wire import Judge
from venice_billing import InvalidParameterError, VeniceBilling
from venice_billing.testing import FakeVenice
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from _contract import Contract

    from contract.findings import Findings

_CSV_HEADERS = [
    ("content-type", CSV),
    *((f"x-pagination-{name}", "1") for name in ("limit", "page", "total", "total-pages")),
]
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@frozen
class Inspection:
    """Sends requests and has each of them judged."""

    contract: Contract
    promised: Contract
    stage: Stage
    findings: Findings
    examples: int

    def calls(self, call: Call) -> None:
        """Call a method with every edge of its arguments, and with many combinations."""
        judge = Judge(self.contract, self.promised)
        answer = self._welcome(call)
        for arguments in edges(call.method):
            for flavour in FLAVOURS:
                self._send(judge, call, flavour, answer, arguments)

        @given(combinations(call.method))
        @settings(QUIET, max_examples=max(1, self.examples))
        def combine(arguments: dict[str, Any]) -> None:
            self._send(judge, call, "sync", answer, arguments)

        if self.examples and call.method != "get_balance":
            combine()

    def _send(self, judge: Judge, call: Call, flavour: Any, answer: Answer, arguments: Mapping[str, Any]) -> None:
        try:
            self.stage.call(flavour, call.method, {**call.arguments, **arguments}, answer)
        except InvalidParameterError:
            return
        self.judge(judge, call.method, self.stage.taken())

    def judge(self, judge: Judge, sender: str, requests: Iterable[httpx.Request]) -> None:
        """Note what is wrong with requests, and which parameters they have."""
        for request in requests:
            for problem in judge.problems(request):
                self.findings.breaks(problem.operation, problem.location, f"{sender} {problem.what}")
            operation = self.contract.operation(request.method, str(request.url.copy_with(query=None)))
            if operation is not None:
                for name in request.url.params:
                    self.findings.exercises(operation_key(operation), f"parameters.query.{name}")

    def _welcome(self, call: Call) -> Answer:
        """Return an answer the client is content with: one the contract it was made for allows."""
        operation = self.promised.operation("get", call.url)
        if call.media_type == CSV or operation is None:
            return Answer(200, _CSV_HEADERS, b"timestamp,amount\n")
        response = operation.response(200)
        if response is None:
            raise LookupError(f"the contract the client was made for has no 200 for {call.path}")
        body = Values(self.promised.reader).corners(response.bodies[JSON])[0]
        return Answer(200, [("content-type", JSON)], to_json(body).encode())

    def walks(self, folder: Path) -> None:
        """Walk and export over a fake account, in either flavour and order, on either ledger."""
        judge = Judge(self.contract, self.promised)
        for walk in _WALKS:
            for original in (False, True):
                requests = _recorded(walk, folder, original=original)
                self.judge(judge, walk.__name__, requests)


def iter_usage(client: VeniceBilling, _folder: Path) -> None:
    """Walk newest first, through whichever ledger is alive."""
    list(client.iter_usage(page_size=10, currency="USD"))
    list(client.iter_usage(page_size=100, max_items=5, start_date="2026-09-01", sort_order="asc"))


def iter_usage_history(client: VeniceBilling, _folder: Path) -> None:
    """Walk the history both ways, and on from a checkpoint."""
    list(client.iter_usage_history(page_size=10))
    list(client.iter_usage_history(page_size=1000, sort_order="desc", end_timestamp=NOW))
    walk = client.iter_usage_history(page_size=10, max_items=15)
    list(walk)
    list(client.iter_usage_history(page_size=10, checkpoint=walk.checkpoint))


def export_usage_csv(client: VeniceBilling, folder: Path) -> None:
    """Export the whole history."""
    client.export_usage_csv(folder / "usage.csv", page_size=10, start_timestamp="2026-08-15")


_WALKS: tuple[Callable[[VeniceBilling, Path], None], ...] = (iter_usage, iter_usage_history, export_usage_csv)


def _recorded(walk: Callable[[VeniceBilling, Path], None], folder: Path, *, original: bool) -> list[httpx.Request]:
    """Return the requests of a walk over a fake account: its history, or an original ledger without one."""
    requests: list[httpx.Request] = []
    alive = original and walk is iter_usage
    fake = FakeVenice(40, now=NOW, original="alive" if alive else "retired", history=not alive)
    inner = fake.transport()

    def record(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return inner.handle_request(request)

    http_client = httpx.Client(transport=httpx.MockTransport(record))
    client = VeniceBilling(fake.admin_key, http_client=http_client)
    client._on_clock(fake.clock)
    with http_client:
        walk(client, folder)
    return requests
