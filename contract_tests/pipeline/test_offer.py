"""Compatible additions upstream: they end green, are named with where to add them, and do not hinder the client."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

from contract.document import UnreadableDocumentError
from contract_tests.contract.harness import CALLS
from contract_tests.support.additions import ADDITIONS, with_additions
from contract_tests.support.paths import CONTRACT, ROOT
from contract_tests.support.regeneration import contract_of
from pipeline.documents import load_document
from pipeline.offer import given_by_models, load_offer
from venice_billing import AsyncVeniceBilling, VeniceBilling

if TYPE_CHECKING:
    from pathlib import Path

OFFER = load_offer(ROOT / "openapi" / "facade.yaml")
HERE = load_document(CONTRACT)
HISTORY, BALANCE = "GET /billing/usage-history", "GET /billing/balance"
JSON = "responses.200.application/json"

NOT_OFFERED = {
    "operation": ["GET /billing/invoices"],
    "optional parameter": [f"{HISTORY} parameters.query.apiKeyId", f"{HISTORY} parameters.header.x-trace"],
    "media type": [f"{HISTORY} responses.200.application/xml"],
    "header": [f"{BALANCE} responses.200.headers.x-region"],
    "status": [f"{BALANCE} responses.206"],
}
GIVEN = {
    "optional property": [
        f"{BALANCE} {JSON}.limits, property added",
        f"{HISTORY} {JSON}.data[].region, property added",
    ],
    "required property": [
        f"{BALANCE} {JSON}.updatedAt, property added",
        f"{BALANCE} {JSON}.balances.credits, property added",
        f"{HISTORY} {JSON}.asOf, property added",
        f"{HISTORY} {JSON}.data[].zone, property added",
    ],
    "enum value": [
        f"{BALANCE} {JSON}.consumptionCurrency, enum value added: GIFT_CARDS",
        f"{HISTORY} parameters.query.currency, enum value added: EARNED_CREDITS",
    ],
    "status": [f"{BALANCE} responses.418, status added"],
}


def test_every_kind_is_tried() -> None:
    assert NOT_OFFERED.keys() | GIVEN.keys() == ADDITIONS.keys()
    assert len(ADDITIONS) == 8


@pytest.mark.parametrize("kind", ADDITIONS)
def test_addition_is_named_with_where_to_add_it(kind: str) -> None:
    new = contract_of(with_additions(HERE, [kind]))
    missing, given = OFFER.missing(new), given_by_models(HERE, new, OFFER)
    assert sorted(each.place for each in missing) == sorted(NOT_OFFERED.get(kind, []))
    assert {each.place for each in given} >= set(GIVEN.get(kind, []))
    assert bool(given) == (kind in GIVEN)
    assert all(re.search(r"\w+/\w+\.(py|yaml)", each.where) for each in [*missing, *given])


def test_contract_without_additions_has_nothing_to_name() -> None:
    assert OFFER.missing(HERE) == []
    assert given_by_models(HERE, HERE, OFFER) == []


# ---------------------------------------------------------------- the whole way, with all additions at once


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return the folder that the real program wrote for a document with every addition, and what it printed."""
    folder = tmp_path_factory.mktemp("additions")
    (folder / "upstream.yaml").write_text(yaml.safe_dump(with_additions(HERE)))
    run = python(folder, "scripts/regenerate.py", "--upstream", str(folder / "upstream.yaml"), "--output", str(folder))
    return folder, run


def python(made: Path, *arguments: str) -> str:
    """Run a program with the client that was made; return what it printed."""
    made_here = {"PYTHONPATH": str(made / "generated"), "VENICE_CONTRACT": str(made / CONTRACT.relative_to(ROOT))}
    run = subprocess.run(
        [sys.executable, "-B", *arguments],
        cwd=ROOT,
        env={**os.environ, **made_here, "CONTRACT_EXAMPLES": "2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert run.returncode == 0, run.stdout[-5000:] + run.stderr[-5000:]
    return run.stdout


def test_the_command_ends_green_and_names_every_addition(made: tuple[Path, str]) -> None:
    _, output = made
    sections = output.split("new, and given by the regenerated package already: ")
    places = [place for some in NOT_OFFERED.values() for place in some]
    assert sections[0].startswith(f"not offered by the facade yet: {len(places)}\n")
    assert [place for place in places if f"\n  {place}: " not in sections[0]] == []
    assert [place for some in GIVEN.values() for place in some if f"\n  {place}: " not in sections[1]] == []


def test_the_contract_suite_is_green_for_the_client_in_another_folder(made: tuple[Path, str]) -> None:
    """The suite imports that client, and asks of it what the facade offers: no addition turns it red."""
    folder, _ = made
    program = "import venice_billing_api; print(venice_billing_api.__file__)"
    assert python(folder, "-c", program).startswith(str(folder))
    lines = python(folder, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "contract_tests/contract")
    assert " 0 broken promises of " in lines


FILLED = """
from decimal import Decimal
from venice_billing.testing import FakeVenice

row = {"timestamp": "2026-10-01T00:00:00Z", "inferenceDetails": {
    "requestId": "r", "promptTokens": 1, "completionTokens": 2, "inferenceExecutionTime": 3}}
fake = FakeVenice([row, {**row, "amount": "-1", "zone": "us-1"}])
fake.book()
with fake.client() as client:
    balance = client.get_balance()
    page = client.get_usage_history()
    usage = client.get_usage_analytics(start_date="2026-09-30", end_date="2026-10-02")
    assert balance.updated_at.tzinfo and Decimal("0.5") <= balance.balances.credits_ <= Decimal("2.25"), balance
    assert page.as_of.tzinfo, page
    assert [entry.zone for entry in page.data[:2]] == ["aa-0", "us-1"], page
    assert page.data[0].inference_details.attempts == 1, page
    assert len(usage.totals) == 1 and usage.by_date[0].requests == 0, usage
    assert usage.by_model[0].owner.value == "venice" and usage.by_key[0].active is False, usage
    assert client.get_usage_history(currency="EARNED_CREDITS").data == []
print("filled")
"""


def test_fake_fills_in_what_the_new_contract_demands(made: tuple[Path, str]) -> None:
    assert python(made[0], "-c", FILLED) == "filled\n"


# ---------------------------------------------------------------- what the facade offers


@pytest.mark.parametrize("operation", OFFER.operations)
@pytest.mark.parametrize("client", [VeniceBilling, AsyncVeniceBilling])
def test_offer_is_what_the_clients_have(client: type, operation: str) -> None:
    offered = OFFER.operations[operation]
    calls = [call for call in CALLS if call.path == operation.removeprefix("GET ")]
    assert offered.media_types == {call.media_type for call in calls}
    assert all(callable(getattr(client, method)) for method in offered.methods)
    names = {re.sub(r"([A-Z])", r"_\1", name).lower() for name in offered.parameters}
    assert names == set(inspect.signature(getattr(client, calls[0].method)).parameters) - {"self", "format"}


def test_everything_offered_is_in_the_contract() -> None:
    for operation, offered in OFFER.operations.items():
        described = HERE["paths"][operation.removeprefix("GET ")]["get"]
        success = described["responses"]["200"]
        assert offered.parameters == {each["name"] for each in described.get("parameters", [])}
        assert offered.media_types == set(success["content"])
        assert offered.headers == {name.lower() for name in success.get("headers", {})}


@pytest.mark.parametrize("text", ["[]", "GET /x: {methods: []}", "GET /x: {methods: a, parameters: [], headers: []}"])
def test_offer_that_is_not_written_as_it_should_be_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "facade.yaml").write_text(text)
    with pytest.raises(UnreadableDocumentError, match=r"^facade\.yaml: "):
        load_offer(tmp_path / "facade.yaml")
