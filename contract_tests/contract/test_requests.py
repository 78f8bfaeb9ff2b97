"""Whatever the facade is asked to do, what it sends has its place in the contract."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import httpx
from hypothesis import given, settings

from contract_tests.contract.arguments import combinations, doubtful, edges
from contract_tests.contract.coverage import operation_key
from contract_tests.contract.harness import CALLS, CSV, FLAVOURS, JSON, MockResponse
from contract_tests.contract.promises import promise
from contract_tests.contract.values import QUIET, Values
from contract_tests.support.flavours import NOW
from venice_billing import InvalidParameterError, VeniceBilling, VeniceError
from venice_billing._config import BASE_URL, Setup
from venice_billing.testing import FakeVenice
from venice_billing.testing._text import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from contract.model import Contract
    from contract_tests.contract.context import Case, Context
    from contract_tests.contract.harness import Call, Flavour

Walk = Callable[[VeniceBilling, Path], None]

_PAGINATION = ("limit", "total", "total-pages")


def _parameters(_contract: Contract, call: Call) -> Sequence[str]:
    return list(edges(call.method))


@promise(calls=CALLS, parameter=_parameters, client=FLAVOURS)
def test_edge_values_are_sent_as_documented(case: Case, parameter: str, client: Flavour) -> None:
    """Each value at the edge of what the facade accepts, by itself: it is accepted, and sent as the contract says."""
    for arguments in edges(case.call.method)[parameter]:
        _send(case, client, arguments)


@promise(calls=CALLS)
def test_doubtful_values_are_refused_or_documented(case: Case) -> None:
    """What the facade had better refuse is refused, or else the contract knows it."""
    for arguments in doubtful(case.call.method):
        with suppress(InvalidParameterError):
            _send(case, "sync", arguments)


@promise(calls=CALLS)
def test_combinations_are_sent_as_documented(case: Case) -> None:
    """Arguments that the facade accepts together have their place in one request."""

    @settings(QUIET, max_examples=max(1, case.context.examples))
    @given(combinations(case.call.method))
    def combine(arguments: dict[str, Any]) -> None:
        _send(case, "sync", arguments)

    if case.context.examples:
        combine()


def _send(case: Case, client: Flavour, arguments: Mapping[str, Any]) -> None:
    harness = case.context.harness
    page = arguments.get("page")
    success = _empty_success(case, page if isinstance(page, int) else 1)
    harness.call(client, case.call.method, {**case.call.arguments, **arguments}, success)
    _validate(case.context, case.call.method, harness.taken())


def _validate(context: Context, sender: str, requests: Iterable[httpx.Request]) -> None:
    """Note what is wrong with requests, and which parameters they have."""
    for request in requests:
        for problem in context.validator.problems(request):
            context.findings.breaks(problem.operation, problem.location, f"{sender} {problem.what}")
        operation = context.contract.operation(request.method, str(request.url.copy_with(query=None)))
        if operation is not None:
            for name in request.url.params:
                context.findings.exercises(operation_key(operation), f"parameters.query.{name}")


def _empty_success(case: Case, page: int) -> MockResponse:
    """Return a response the client is content with: the page asked for, as the contract it was made for allows it.

    It holds no entries, since those would have to lie in the range and in the currency asked for.
    """
    promised = case.context.promised
    operation = promised.operation("get", case.call.url)
    response = operation.response(200) if operation else None
    if case.call.media_type == CSV or response is None:
        rest = ((f"x-pagination-{name}", "1") for name in _PAGINATION)
        headers = [("content-type", CSV), ("x-pagination-page", str(page)), *rest]
        return MockResponse(200, headers, b"timestamp,amount,currency\n")
    body = Values(promised.reader).corners(response.bodies[JSON].schema)[0]
    if isinstance(body, dict) and "data" in body:
        body = {**body, "data": []}
        if isinstance(body.get("pagination"), dict):
            body = {**body, "pagination": {**body["pagination"], "page": page}}
    return MockResponse(200, [("content-type", JSON)], to_json(body).encode())


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


def _iter_usage_original(client: VeniceBilling, folder: Path) -> None:
    """Walk through an original ledger: the account has no history."""
    _iter_usage(client, folder)


@promise(walk=(_iter_usage, _iter_usage_original, _iter_usage_history, _export_usage_csv))
def test_walk_sends_documented_requests_only(context: Context, walk: Walk) -> None:
    """A walk or an export to its end: each of its requests has its place in the contract."""
    requests: list[httpx.Request] = []
    name = walk.__name__.removeprefix("_").removesuffix("_original")
    try:
        _recorded(walk, requests, original=walk is _iter_usage_original)
    except VeniceError as error:
        context.findings.breaks(name, "walk", f"ends in {type(error).__name__}: {error}")
    _validate(context, name, requests)


def _recorded(walk: Walk, requests: list[httpx.Request], *, original: bool) -> None:
    """Record the requests of a walk over a fake account: its history, or an original ledger without one."""
    fake = FakeVenice(40, now=NOW, original="alive" if original else "retired", history=not original)
    inner = fake.transport()

    def record(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return inner.handle_request(request)

    http_client = httpx.Client(transport=httpx.MockTransport(record))
    setup = Setup(clock=fake.clock)
    client = VeniceBilling(fake.admin_key, base_url=BASE_URL, http_client=http_client, _setup=setup)
    with http_client, TemporaryDirectory() as folder:
        walk(client, Path(folder))
