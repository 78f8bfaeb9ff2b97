"""FakeVenice keeps the contract: schemathesis asks it everything the contract allows, and much it does not.

Some rules stand only in prose, so each valid request is first read here, by those rules, and the one status that is
due follows: nothing is forgiven by a list of statuses. `FAKE_EXAMPLES=1000` makes the long run.
"""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import load_all_checks
from schemathesis.config import SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document
from venice_billing.testing import FakeServer, FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EXAMPLES = int(os.environ.get("FAKE_EXAMPLES", "25"))
HISTORY, ORIGINAL, ANALYTICS = "/billing/usage-history", "/billing/usage", "/billing/usage-analytics"
NEXT_PAGE = {
    "operationId": "getBillingUsageHistory",
    "parameters": {"cursor": "$response.body#/nextCursor"},
}

ANSWER_CHECKS = [
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
]

load_all_checks()


def _schema() -> Any:
    """Return the contract, with the link from a page to the next one that OpenAPI has no simpler way to say."""
    document = deepcopy(load_document(CONTRACT))
    document["paths"][HISTORY]["get"]["responses"]["200"]["links"] = {"next": NEXT_PAGE}
    config = SchemathesisConfig.from_dict(
        {
            "generation": {
                "deterministic": True,
                "max-examples": EXAMPLES,
                "with-security-parameters": False,
                "database": "none",
            },
            "checks": {"positive_data_acceptance": {"expected-statuses": ["200"]}},
        }
    )
    return schemathesis.openapi.from_dict(document, config=config)


SCHEMA = _schema()


@pytest.fixture(scope="module", params=["current", "legacy"])
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    fake = FakeVenice(60, original="alive" if request.param == "legacy" else "retired")
    with fake.serve() as server:
        yield Served(fake, server, is_legacy=request.param == "legacy")


class Served:
    """A fake on a socket, and the cursors it has given out."""

    def __init__(self, fake: FakeVenice, server: FakeServer, *, is_legacy: bool) -> None:
        self.fake = fake
        self.server = server
        self.is_legacy = is_legacy
        self.cursors: set[str] = set()

    def ask(self, case: Any) -> Any:
        """Send a case with the key of an admin."""
        key = {"Authorization": f"Bearer {self.fake.admin_key}"}
        response = case.call(base_url=self.server.base_url, headers=key)
        if case.path == HISTORY and response.status_code == 200:
            self.cursors.add(response.json()["nextCursor"] or "the last page names none")
        return response

    def judge(self, case: Any, response: Any) -> None:
        """Compare the answer with the contract, and with the one that is due by rules that stand only in prose."""
        due = self.due(case)
        if due == 200:
            case.validate_response(response)
        else:
            assert response.status_code == due, case.query
            case.validate_response(response, excluded_checks=[positive_data_acceptance, negative_data_rejection])

    def due(self, case: Any) -> int:
        """Return the status that a request must get which the schemas allow; 200 leaves the rest to schemathesis."""
        if case.path == ORIGINAL and case.method == "GET" and not self.is_legacy:
            return 410
        if case.method != "GET" or case.meta.generation.mode is not GenerationMode.POSITIVE:
            return 200
        query = {name: str(value) for name, value in (case.query or {}).items()}
        if case.path == ORIGINAL:
            return _due(_is_ascending(query, "startDate", "endDate"))
        if case.path == ANALYTICS:
            return _due(_is_period(query))
        if case.path == HISTORY:
            return _due(_is_first_page(query) if "cursor" not in query else self._is_continuation(query))
        return 200

    def _is_continuation(self, query: Mapping[str, str]) -> bool:
        return set(query) == {"cursor"} and query["cursor"] in self.cursors


def _due(accepted: object) -> int:
    return 200 if accepted else 400


def _is_first_page(query: Mapping[str, str]) -> bool:
    """Tell whether the window ascends, and is in UTC by the letter Z."""
    times = [query[name] for name in ("startTimestamp", "endTimestamp") if name in query]
    return all(text[-1] in "Zz" for text in times) and _is_ascending(query, "startTimestamp", "endTimestamp")


def _is_ascending(query: Mapping[str, str], start: str, end: str) -> bool:
    times = [datetime.fromisoformat(query[name].upper()) for name in (start, end) if name in query]
    return len(times) < 2 or times[0] < times[1]


def _is_period(query: Mapping[str, str]) -> bool:
    """Tell whether it is a lookback, or two days of the calendar in order, or nothing."""
    dates = [query[name] for name in ("startDate", "endDate") if name in query]
    if not dates:
        return True
    try:
        days = [date.fromisoformat(text) for text in dates]
    except ValueError:
        return False
    return "lookback" not in query and len(days) == 2 and days[0] <= days[1]


@SCHEMA.parametrize()  # type: ignore[untyped-decorator]
def test_every_answer_is_one_the_contract_has(case: Any, served: Served) -> None:
    """Examples, edges and chance, valid and not: the status that is due, and a body and headers by the schemas."""
    served.judge(case, served.ask(case))


def test_pages_lead_to_pages(served: Served) -> None:
    """The stateful phase follows cursors: each that was given out is good for one more page."""
    followed = []

    class Walk(SCHEMA.as_state_machine()):  # type: ignore[misc]
        def call(self, case: Any, **_kwargs: Any) -> Any:
            query = case.query or {}
            if case.path == HISTORY and query.get("cursor") in served.cursors:
                case.query = {"cursor": query["cursor"]}  # a continuation, as prose has it
                followed.append(query["cursor"])
            elif case.path == HISTORY and case.meta.generation.mode is GenerationMode.POSITIVE:
                case.query = {"pageSize": 10}  # so that there is a next page
            return served.ask(case)

        def validate_response(self, response: Any, case: Any, **_kwargs: Any) -> None:
            served.judge(case, response)

    Walk.run(settings=settings(max_examples=EXAMPLES, stateful_step_count=6, deadline=None, derandomize=True))
    assert followed


@pytest.mark.parametrize("path", ["/billing/balance", HISTORY, ANALYTICS, ORIGINAL])
def test_what_the_contract_does_not_name_is_refused(served: Served, path: str) -> None:
    """Schemathesis would let an unknown parameter pass."""
    if path == ORIGINAL and not served.is_legacy:
        pytest.skip("answers 410 to everything")
    case = SCHEMA[path]["GET"].Case(query={"unknown": "1"})
    response = served.ask(case)
    assert response.status_code == 400
    case.validate_response(response, checks=ANSWER_CHECKS)
