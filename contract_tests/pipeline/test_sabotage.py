"""The contract suite notices a client that has gone wrong: each promise can fail, and says where."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from attrs import evolve

from contract_tests.contract.context import Context
from contract_tests.contract.findings import Findings
from contract_tests.contract.harness import Harness
from contract_tests.contract.request_validation import RequestValidator
from contract_tests.contract.suite import checks, committed, unexercised
from venice_billing import _arguments, _operations, errors
from venice_billing_api.api.billing import get_billing_usage_history
from venice_billing_api.models import Balance, UsageEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

HISTORY_URL = "https://api.venice.ai/api/v1/billing/usage-history"
ANALYTICS_URL = "https://api.venice.ai/api/v1/billing/usage-analytics"


def run(name: str) -> Findings:
    """Return what one test of the suite finds."""
    findings = Findings()
    with Harness() as harness:
        check = next(each for each in checks(committed()) if each.name == name)
        check.run(Context(committed(), committed(), harness, findings, examples=3))
    return findings


def rounded(monkeypatch: pytest.MonkeyPatch) -> None:
    written = UsageEntry.to_dict

    def to_dict(entry: UsageEntry) -> dict[str, Any]:
        return written(entry) | {"amount": Decimal(str(float(entry.amount)))}

    monkeypatch.setattr(UsageEntry, "to_dict", to_dict)


def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Balance.to_dict
    monkeypatch.setattr(Balance, "to_dict", lambda balance: written(evolve(balance, additional_properties={})))


def misfiled_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(errors._BY_STATUS, 402)


def unparsed_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_billing_usage_history, "read_error", lambda *_: None)


def lost_cursor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_operations, "_next_cursor", lambda _: None)


def wider_page_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arguments, "PAGE_SIZES", (1, 1001))


def cursor_beside_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arguments, "cursor", lambda value, **_: value)


def renamed_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    built = get_billing_usage_history.build_request

    def build_request(**arguments: Any) -> dict[str, Any]:
        request = built(**arguments)
        request["params"] = {name.lower(): value for name, value in request["params"].items()}
        return request

    monkeypatch.setattr(get_billing_usage_history, "build_request", build_request)


@pytest.mark.parametrize(
    ("sabotage", "check", "location"),
    [
        (
            rounded,
            "test_json_body_is_given_back_whole[get_usage_history-json-async]",
            "responses.200.application/json.data[].amount",
        ),
        (
            forgetful,
            "test_json_body_is_given_back_whole[get_balance-json-parse_response]",
            "responses.200.application/json.fieldOfTomorrow",
        ),
        (misfiled_error, "test_status_raises_its_error[get_balance-json-402-sync]", "responses.402"),
        (
            unparsed_error,
            "test_error_body_is_parsed_whole[get_usage_history-json-400]",
            "responses.400.application/json",
        ),
        (
            lost_cursor,
            "test_csv_page_shows_what_its_headers_say[get_usage_history-csv-sync]",
            "responses.200.headers.x-next-cursor",
        ),
        (
            wider_page_size,
            "test_doubtful_values_are_refused_or_documented[get_usage_history-json]",
            "parameters.query.pageSize",
        ),
        (
            cursor_beside_filters,
            "test_doubtful_values_are_refused_or_documented[get_usage_history-json]",
            "parameters.query.cursor",
        ),
        (
            renamed_parameter,
            "test_edge_values_are_sent_as_documented[get_usage_history-json-page_size-sync]",
            "parameters.query.pagesize",
        ),
        (
            renamed_parameter,
            "test_walk_sends_documented_requests_only[iter_usage_history]",
            "parameters.query.pagesize",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_sabotage_is_noticed_and_named(
    monkeypatch: pytest.MonkeyPatch,
    sabotage: Callable[[pytest.MonkeyPatch], None],
    check: str,
    location: str,
) -> None:
    sabotage(monkeypatch)
    assert location in {place for _, place in run(check).broken}


def test_what_no_test_has_met_is_reported() -> None:
    """Without the tests of the history, everything the contract says of it is reported missing."""
    findings = run("test_json_body_is_given_back_whole[get_balance-json-parse_response]")
    kinds = Counter(line.split(" ")[1] for line in unexercised(committed(), findings))
    assert kinds["/billing/usage-history"] > 50
    missing = unexercised(committed(), findings)
    assert "GET /billing/usage-history parameters.query.cursor" in missing
    assert "GET /billing/usage-history responses.200.headers.x-next-cursor" in missing
    assert "GET /billing/usage-history responses.200.application/json.data[].amount" in missing
    assert "GET /billing/balance responses.503" in missing
    assert "GET /billing/balance responses.200.application/json.balances.usd" not in missing


def requests_gone_wrong() -> Iterator[tuple[str, httpx.Request, str]]:
    """Yield requests that the contract has no room for, and the place each is wrong at."""
    good = {"Authorization": "Bearer key", "Accept": "application/json"}
    window = "startTimestamp=2026-06-02T00:00:00Z&endTimestamp=2026-06-01T00:00:00Z"
    for name, url, headers, place in (
        ("default sent beside a cursor", f"{HISTORY_URL}?cursor=a&pageSize=1000", good, "parameters.query.cursor"),
        ("repeated", f"{HISTORY_URL}?pageSize=10&pageSize=10", good, "parameters.query.pageSize"),
        ("undeclared", f"{HISTORY_URL}?limit=10", good, "parameters.query.limit"),
        ("too small", f"{HISTORY_URL}?pageSize=9", good, "parameters.query.pageSize"),
        ("no number", f"{HISTORY_URL}?pageSize=ten", good, "parameters.query.pageSize"),
        ("no time", f"{HISTORY_URL}?startTimestamp=2026-06-01", good, "parameters.query.startTimestamp"),
        ("backwards", f"{HISTORY_URL}?{window}", good, "parameters.query.startTimestamp"),
        ("half a range", f"{ANALYTICS_URL}?startDate=2026-06-01", good, "parameters.query.startDate"),
        ("lookback beside dates", f"{ANALYTICS_URL}?lookback=7d&startDate=2026-06-01&endDate=2026-06-01", good, ""),
        ("no key", HISTORY_URL, {"Accept": "application/json"}, "security"),
        ("another key", HISTORY_URL, {**good, "Authorization": "Basic key"}, "security"),
        ("any media type", HISTORY_URL, {**good, "Accept": "*/*"}, "responses.200.*/*"),
        ("moved", HISTORY_URL.replace("v1", "v2"), good, "path"),
    ):
        yield name, httpx.Request("GET", url, headers=headers), place or "parameters.query.lookback"


@pytest.mark.parametrize(
    ("request_", "place"), [case[1:] for case in requests_gone_wrong()], ids=[case[0] for case in requests_gone_wrong()]
)
def test_request_without_a_place_in_the_contract_is_refused(request_: httpx.Request, place: str) -> None:
    assert place in {problem.location for problem in RequestValidator(committed(), committed()).problems(request_)}


def test_good_request_is_accepted() -> None:
    headers = {"Authorization": "Bearer key", "Accept": "text/csv"}
    request = httpx.Request("GET", f"{HISTORY_URL}?pageSize=10&currency=USD", headers=headers)
    problems: Sequence[object] = list(RequestValidator(committed(), committed()).problems(request))
    assert problems == []
