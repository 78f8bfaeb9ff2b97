"""Prism, a validator that is not ours, between the client and FakeVenice: it reads the contract as we do."""

from __future__ import annotations

import json
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import frozen

from contract.document import operations
from contract.schemas import Reader
from contract_tests.support.paths import CONTRACT
from contract_tests.support.prism import OBJECTIONS, prism_before
from pipeline.documents import load_document
from venice_billing import VeniceBilling
from venice_billing.errors import VeniceError
from venice_billing.testing import FakeVenice, faults

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DOCUMENT = load_document(CONTRACT)
_OPERATIONS = {operation["operationId"]: operation for _, _, operation in operations(_DOCUMENT)}
_PATHS = {operation["operationId"]: path for path, _, operation in operations(_DOCUMENT)}
_ROWS = 24
_WRONG: dict[bool, Any] = {True: ["wrong"], False: {"wrong": True}}  # by whether the right value is an object
_SINCE, _UNTIL = "2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"

# One call of each operation that gives JSON, and one of each that gives CSV.
_JSON: dict[str, Callable[[VeniceBilling], Any]] = {
    "getBillingBalance": lambda client: client.get_balance(),
    "getBillingUsage": lambda client: client.get_usage(),
    "getBillingUsageAnalytics": lambda client: client.get_usage_analytics(),
    "getBillingUsageHistory": lambda client: client.get_usage_history(),
}
_CSV: dict[str, Callable[[VeniceBilling], Any]] = {
    "getBillingUsage": lambda client: client.get_usage(format="csv"),
    "getBillingUsageHistory": lambda client: client.get_usage_history(format="csv", page_size=10),
}
_MORE: list[Callable[[VeniceBilling], Any]] = [
    lambda client: list(client.iter_usage(page_size=10, sort_order="asc", start_date=_SINCE, end_date=_UNTIL)),
    lambda client: client.get_usage(currency="USD", limit=5, page=2, sort_order="desc"),
    lambda client: list(client.iter_usage_history(page_size=10)),
    lambda client: list(client.iter_usage_history(page_size=10, sort_order="desc", start_timestamp=_SINCE)),
    lambda client: client.get_usage_history(currency="DIEM", start_timestamp=_SINCE, end_timestamp=_UNTIL),
    lambda client: client.get_usage_analytics(lookback="30d"),
    lambda client: client.get_usage_analytics(start_date="2026-10-01", end_date="2026-10-31"),
]
_CALLS = [*_JSON.values(), *_CSV.values(), *_MORE]


@frozen
class Proxied:
    """FakeVenice, the URL of Prism before it, the connections to that, and all responses that came over them."""

    fake: FakeVenice
    url: str
    http: httpx.Client
    seen: list[httpx.Response]

    def ask(self, call: Callable[[VeniceBilling], Any], *answers: faults.Fault) -> list[str]:
        """Return what Prism objects to in the exchanges of one call, whatever the client makes of them."""
        before = len(self.seen)
        self.fake.quirks.faults = list(answers)
        with suppress(VeniceError):
            self.ask_strictly(call)
        exchanges = self.seen[before:]
        assert exchanges, "no exchange went through Prism"
        return [one.headers[OBJECTIONS] for one in exchanges if OBJECTIONS in one.headers]

    def ask_strictly(self, call: Callable[[VeniceBilling], Any]) -> None:
        """Make a call, and let its error through."""
        # A new client each time: errors made here on purpose would use up the failure budget of one.
        call(VeniceBilling(self.fake.admin_key, base_url=self.url, http_client=self.http, timeout=60, max_retries=0))


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    fake, seen = FakeVenice(_ROWS, original="alive"), list[httpx.Response]()
    with (
        fake.serve() as server,
        prism_before(server.base_url, CONTRACT, tmp_path_factory.mktemp("prism")) as url,
        httpx.Client(event_hooks={"response": [seen.append]}) as http,
    ):
        yield Proxied(fake, url, http, seen)


@pytest.mark.parametrize("call", _CALLS, ids=range(len(_CALLS)))
def test_no_exchange_of_ours_breaks_the_contract(proxied: Proxied, call: Callable[[VeniceBilling], Any]) -> None:
    proxied.fake.quirks.faults = ()
    before = len(proxied.seen)
    proxied.ask_strictly(call)
    exchanges = proxied.seen[before:]
    assert [one.status_code for one in exchanges] == [200] * len(exchanges) != []
    assert [one.headers.get(OBJECTIONS) for one in exchanges] == [None] * len(exchanges)


@pytest.mark.parametrize("name", _OPERATIONS)
def test_no_error_of_ours_breaks_the_contract(proxied: Proxied, name: str) -> None:
    statuses = [int(status) for status in _OPERATIONS[name]["responses"] if status not in {"200", "410"}]
    assert len(statuses) >= 10
    for status in statuses:
        assert proxied.ask(_JSON[name], faults.status(status)) == [], status
        assert proxied.seen[-1].status_code == status


def test_the_answer_of_the_retired_operation_keeps_the_contract(proxied: Proxied) -> None:
    answer = _answer(FakeVenice(0), "/billing/usage")
    assert answer.status == 410
    assert proxied.ask(_JSON["getBillingUsage"], faults.Fault("retired", lambda _: answer)) == []
    assert proxied.seen[-1].headers["sunset"]


@pytest.mark.parametrize("name", _OPERATIONS)
def test_prism_objects_to_exactly_the_wrong_answers(proxied: Proxied, name: str) -> None:
    """Each key left out, each value mistyped or null, one at a time; our own validator says which of them are wrong."""
    schema = _OPERATIONS[name]["responses"]["200"]["content"]["application/json"]["schema"]
    validator = Reader(_DOCUMENT).validator(schema)
    right = _right_answer(proxied, name)
    assert validator.is_valid(right)
    refused = 0
    for body in [right, *_altered(right)]:
        objections = proxied.ask(_JSON[name], faults.body(json.dumps(body).encode()))
        assert bool(objections) is not validator.is_valid(body), json.dumps(body)
        refused += bool(objections)
    assert refused >= 10


@pytest.mark.parametrize("name", _OPERATIONS)
def test_every_wrong_error_is_objected_to(proxied: Proxied, name: str) -> None:
    for status in _OPERATIONS[name]["responses"]:
        assert proxied.ask(_JSON[name], _wrong_error(int(status))) != [], status
    assert proxied.ask(_JSON[name], faults.status(418)) != []
    assert proxied.ask(_JSON[name], faults.wrong_content_type()) != []


def test_a_wrong_header_of_a_csv_page_is_objected_to(proxied: Proxied) -> None:
    wrong = faults.Fault("wrong cursor", lambda right: right.with_header("x-next-cursor", "not a cursor!"))
    assert proxied.ask(_CSV["getBillingUsageHistory"]) == []
    assert proxied.ask(_CSV["getBillingUsageHistory"], wrong) != []


def _right_answer(proxied: Proxied, name: str) -> Any:
    """Return what FakeVenice answers, two rows of each list, one with and one without details of its request."""
    body = json.loads(_answer(proxied.fake, _PATHS[name]).body)
    for key, rows in body.items():
        body[key] = rows[:2] if isinstance(rows, list) else rows
    if "data" in body:
        tokens = dict.fromkeys(("completionTokens", "inferenceExecutionTime", "promptTokens"), 1)
        body["data"][0]["inferenceDetails"] = None
        body["data"][1]["inferenceDetails"] = {"requestId": "r", **tokens}
    return body


def _answer(fake: FakeVenice, path: str) -> Any:
    fake.quirks.faults = ()
    return fake.respond("GET", "fake", f"/api/v1{path}", {"authorization": f"Bearer {fake.admin_key}"})


def _altered(body: Any) -> Iterator[Any]:
    for place in _places(body):
        for change in (_drop, _mistype, _empty):
            altered = deepcopy(body)
            holder = altered
            for step in place[:-1]:
                holder = holder[step]
            change(holder, place[-1])
            yield altered


def _places(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from _places(value, (*above, key))


def _drop(holder: Any, key: Any) -> None:
    del holder[key]


def _mistype(holder: Any, key: Any) -> None:
    holder[key] = _WRONG[isinstance(holder[key], dict)]


def _empty(holder: Any, key: Any) -> None:
    holder[key] = None


def _wrong_error(status: int) -> faults.Fault:
    error, body = faults.status(status), faults.body(b'{"error": 5}')
    return faults.Fault(f"wrong {status}", lambda right: body.apply(error.apply(right)))
