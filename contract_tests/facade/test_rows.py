"""Entries as flat rows: the same columns and types for each entry, also where the API sent nothing."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import attrs
import pytest

from contract_tests.support.flavours import NOW, Flavour
from venice_billing import EntryPage, UsageEntry
from venice_billing._runtime.rows import EntryModel
from venice_billing.models import InferenceDetails
from venice_billing.testing import FakeVenice

pytestmark = pytest.mark.anyio
AT = "2026-10-01T00:00:00.000Z"
COLUMNS = [
    *("timestamp", "sku", "model", "service", "units", "price_per_unit_usd", "amount", "currency", "notes"),
    *("completion_tokens", "inference_execution_time", "prompt_tokens", "request_id"),
    *("api_key_id", "additional_properties"),
]


def entry(**fields: Any) -> UsageEntry:
    return UsageEntry.from_dict(FakeVenice([{"timestamp": AT}], now=NOW).ledger[0] | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"apiKeyId": None, "region": "eu"},
        {"inferenceDetails": {"requestId": "r", "promptTokens": 1, "completionTokens": 2, "inferenceExecutionTime": 3}},
        {"currency": "SHELLS", "sku": "account-credit"},
    ],
)
def test_each_entry_has_the_same_columns(fields: dict[str, Any]) -> None:
    found = entry(**fields)
    row = found.row()
    assert list(row) == COLUMNS
    assert row["timestamp"] == datetime(2026, 10, 1, tzinfo=UTC)
    assert type(row["currency"]) is str
    assert all(type(row[name]) is Decimal for name in ("amount", "units", "price_per_unit_usd"))
    assert (row["model"], row["service"]) == (found.model, found.service)


def test_columns_hold_each_field_of_the_contract() -> None:
    """A field that a later contract adds becomes a column by itself."""
    fields = {field.name for kind in (UsageEntry, InferenceDetails) for field in attrs.fields(kind)}
    assert fields - {"inference_details", "explicit_nulls"} <= set(COLUMNS)


def test_nested_and_unknown_fields_are_not_lost() -> None:
    details = {"requestId": "r", "promptTokens": 1, "completionTokens": None, "inferenceExecutionTime": 3, "queue": 7}
    row = entry(inferenceDetails=details, region=Decimal("1.50")).row()
    assert (row["request_id"], row["prompt_tokens"], row["completion_tokens"]) == ("r", 1, None)
    unknown = json.loads(row["additional_properties"], parse_float=Decimal)
    assert unknown == {"region": Decimal("1.50"), "inference_details": {"queue": 7}}


async def test_walks_and_pages_give_rows(flavour: Flavour) -> None:
    fake = FakeVenice(30, now=NOW)
    face = flavour.connect(fake)
    page = await face.call("get_usage_history")
    truth = [item.row() for item in page.data]
    assert list(page.rows()) == list(EntryPage(page.data).rows()) == truth
    walk = face.client.iter_usage_history(page_size=10, max_items=25)
    rows = [row async for row in walk.rows()] if flavour.name == "async" else list(walk.rows())
    assert rows == truth[:25]


async def test_checkpoint_counts_the_rows_received(flavour: Flavour) -> None:
    fake = FakeVenice(30, now=NOW)
    face = flavour.connect(fake)
    walk = face.client.iter_usage_history(page_size=10)
    received = []
    if flavour.name == "async":
        iterator = walk.rows()
        received = [await anext(iterator) for _ in range(13)]
        await iterator.aclose()
    else:
        iterator = walk.rows()
        received = [next(iterator) for _ in range(13)]
        iterator.close()
    rest = face.client.iter_usage_history(checkpoint=walk.checkpoint)
    received += [row async for row in rest.rows()] if flavour.name == "async" else list(rest.rows())
    assert received == [UsageEntry.from_dict(row).row() for row in fake.ledger]


def test_rows_are_written_by_the_csv_module_and_read_back_to_the_digit() -> None:
    rows = [entry(amount=Decimal("-3.0799999999999996e-05")).row(), entry(notes='a "note",\nof two lines').row()]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    text.seek(0)
    for read, row in zip(csv.DictReader(text), rows, strict=True):
        assert Decimal(read["amount"]) == row["amount"]
        assert datetime.fromisoformat(read["timestamp"]) == row["timestamp"]
        assert read["notes"] == row["notes"]


def test_field_of_the_contract_replaces_what_the_sku_says() -> None:
    """A later contract may name the model and the service of a charge itself."""

    @attrs.frozen(slots=True)
    class Later(EntryModel):
        sku: str
        model: str

    found = Later("kimi-k2-6-llm-output-mtoken", "from the API")
    assert (found.model, found.service) == ("from the API", "llm")
    assert found.row()["model"] == "from the API"
