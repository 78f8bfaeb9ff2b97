"""Requests: whatever the facade is asked to do, what it sends has its place in the contract."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import given, settings

from contract_tests.contract.arguments import combinations, doubtful, edges
from contract_tests.contract.coverage import operation_key
from contract_tests.contract.stage import CSV, FLAVOURS, JSON, Answer, Call, Flavour
from contract_tests.contract.values import QUIET, Values
from contract_tests.contract.wire import Judge
from venice_billing import InvalidParameterError, VeniceBilling, VeniceError
from venice_billing._config import BASE_URL, Setup
from venice_billing.testing import FakeVenice
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from contract_tests.contract.subject import Trial


_PAGINATION = ("limit", "total", "total-pages")
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


def examine_requests(trial: Trial, call: Call) -> None:
    """Call a method with every edge of its arguments, with doubtful ones, and with many combinations."""
    judge = Judge(trial.contract, trial.promised)

    def send(flavour: Flavour, arguments: Mapping[str, Any]) -> None:
        page = arguments.get("page")
        answer = _welcome(trial, call, page if isinstance(page, int) else 1)
        trial.stage.call(flavour, call.method, {**call.arguments, **arguments}, answer)
        _judge(trial, judge, call.method, trial.stage.taken())

    for flavour in FLAVOURS:
        for arguments in edges(call.method):
            send(flavour, arguments)

    for arguments in doubtful(call.method):
        with suppress(InvalidParameterError):
            send("sync", arguments)

    @settings(QUIET, max_examples=max(1, trial.examples))
    @given(combinations(call.method))
    def combine(arguments: dict[str, Any]) -> None:
        send("sync", arguments)

    if trial.examples:
        combine()


def examine_walks(trial: Trial) -> None:
    """Walk and export over a fake account, through the history and through an original ledger."""
    judge = Judge(trial.contract, trial.promised)
    walks = [(walk, False) for walk in (_iter_usage, _iter_usage_history, _export_usage_csv)]
    for walk, original in [*walks, (_iter_usage, True)]:
        requests: list[httpx.Request] = []
        name = walk.__name__[1:]
        try:
            with TemporaryDirectory() as folder:
                _record(walk, Path(folder), requests, original=original)
        except VeniceError as error:
            trial.findings.breaks(name, "walk", f"ends in {type(error).__name__}: {error}")
        _judge(trial, judge, name, requests)


def _judge(trial: Trial, judge: Judge, sender: str, requests: Iterable[httpx.Request]) -> None:
    """Note what is wrong with requests, and which parameters they have."""
    for request in requests:
        for problem in judge.problems(request):
            trial.findings.breaks(problem.operation, problem.location, f"{sender} {problem.what}")
        operation = trial.contract.operation(request.method, str(request.url.copy_with(query=None)))
        if operation is not None:
            for name in request.url.params:
                trial.findings.exercises(operation_key(operation), f"parameters.query.{name}")


def _welcome(trial: Trial, call: Call, page: int) -> Answer:
    """Return an answer the client is content with: the page asked for, as the contract it was made for allows it.

    It holds no entries, since those would have to lie in the range and in the currency asked for.
    """
    operation = trial.promised.operation("get", call.url)
    response = operation.response(200) if operation else None
    if call.media_type == CSV or response is None:
        rest = ((f"x-pagination-{name}", "1") for name in _PAGINATION)
        headers = [("content-type", CSV), ("x-pagination-page", str(page)), *rest]
        return Answer(200, headers, b"timestamp,amount\n")
    body = Values(trial.promised.reader).corners(response.bodies[JSON])[0]
    if isinstance(body, dict) and "data" in body:
        body = {**body, "data": []}
        if isinstance(body.get("pagination"), dict):
            body = {**body, "pagination": {**body["pagination"], "page": page}}
    return Answer(200, [("content-type", JSON)], to_json(body).encode())


def _iter_usage(client: VeniceBilling, _folder: Path) -> None:
    """Walk newest first, through whichever ledger is alive."""
    list(client.iter_usage(page_size=10, currency="USD"))
    list(client.iter_usage(page_size=100, max_items=5, start_date="2026-09-01", sort_order="asc"))


def _iter_usage_history(client: VeniceBilling, _folder: Path) -> None:
    """Walk the history both ways, and on from a checkpoint."""
    list(client.iter_usage_history(page_size=10))
    list(client.iter_usage_history(page_size=10, concurrency=4))
    list(client.iter_usage_history(page_size=1000, sort_order="desc", end_timestamp=NOW))
    walk = client.iter_usage_history(page_size=10, max_items=15)
    list(walk)
    list(client.iter_usage_history(page_size=10, checkpoint=walk.checkpoint))


def _export_usage_csv(client: VeniceBilling, folder: Path) -> None:
    """Export the whole history."""
    client.export_usage_csv(folder / "usage.csv", page_size=10, start_timestamp="2026-08-15")


def _record(
    walk: Callable[[VeniceBilling, Path], None], folder: Path, requests: list[httpx.Request], *, original: bool
) -> None:
    """Record the requests of a walk over a fake account: its history, or an original ledger without one."""
    fake = FakeVenice(40, now=NOW, original="alive" if original else "retired", history=not original)
    inner = fake.transport()

    def record(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return inner.handle_request(request)

    http_client = httpx.Client(transport=httpx.MockTransport(record))
    client = VeniceBilling(fake.admin_key, base_url=BASE_URL, http_client=http_client, _setup=Setup(clock=fake.clock))
    with http_client:
        walk(client, folder)
