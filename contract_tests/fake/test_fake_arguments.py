"""Invalid arguments to FakeVenice raise an error that names the argument or the field, and what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from contract_tests.support.flavours import NOW
from venice_billing.testing import FakeVenice, VirtualClock

AT = "2026-10-01T00:00:00Z"
DETAILS = {"requestId": "r-1", "promptTokens": 10, "completionTokens": 2, "inferenceExecutionTime": 300}


@pytest.mark.parametrize(
    ("arguments", "kind", "shown"),
    [
        ({"entries": -5}, ValueError, "entries must be .* 0 or more.*; got -5"),
        ({"entries": True}, TypeError, "entries must be .*; got True"),
        ({"entries": "ten"}, TypeError, "entries must be .*; got 'ten'"),
        ({"entries": None}, TypeError, "entries must be .*; got None"),
        ({"entries": {"timestamp": AT}}, TypeError, "entries must be .* rows themselves; got {"),
        ({"entries": [AT]}, TypeError, "a row must be a UsageEntry, or a dict .*; got '2026"),
        ({"days": 0}, ValueError, "days must be .* more than 0.*; got 0"),
        ({"days": -1}, ValueError, "days must be .*; got -1"),
        ({"days": float("nan")}, ValueError, "days must be .*; got nan"),
        ({"days": 10**9}, ValueError, "days must be .*; got 1000000000"),
        ({"days": "3"}, TypeError, "days must be .*; got '3'"),
        ({"now": datetime(2026, 9, 1)}, ValueError, "now must be an aware datetime.*; got datetime"),  # noqa: DTZ001
        ({"now": AT}, TypeError, "now must be an aware datetime.*; got '2026"),
        ({"original": "yes"}, ValueError, "original must be 'retired' or 'alive'; got 'yes'"),
    ],
)
def test_invalid_arguments_are_refused(arguments: Any, kind: type[Exception], shown: str) -> None:
    with pytest.raises(kind, match=shown):
        FakeVenice(**{"entries": 1, **arguments})


@pytest.mark.parametrize(
    ("fields", "kind", "shown"),
    [
        ({}, ValueError, "a row must have a timestamp, .*; got {'notes'"),
        ({"timestamp": "yesterday"}, ValueError, "a row's timestamp must be .*; got 'yesterday'"),
        ({"timestamp": "2026-10-01T00:00:00"}, ValueError, "a row's timestamp must be .*; got '2026-10"),
        ({"timestamp": "2026-02-30T00:00:00Z"}, ValueError, "a row's timestamp must be .*; got '2026-02-30"),
        ({"timestamp": datetime(2026, 9, 1)}, ValueError, "a row's timestamp must be an aware .*; got datetime"),  # noqa: DTZ001
        ({"timestamp": 1_790_000_000}, TypeError, "a row's timestamp must be .*; got 1790000000"),
        ({"timestamp": None}, TypeError, "a row's timestamp must be .*; got None"),
        ({"timestamp": AT, "amount": -0.1}, TypeError, "a row's amount must be .*; got -0.1"),
        ({"timestamp": AT, "amount": "one"}, ValueError, "a row's amount must be .*; got 'one'"),
        ({"timestamp": AT, "units": Decimal("NaN")}, ValueError, "a row's units must be a finite .*; got Decimal"),
        ({"timestamp": AT, "notes": b"x"}, TypeError, "a row's notes must be a text, an int, .*; got b'x'"),
        ({"timestamp": AT, "notes": "half \ud83d"}, ValueError, "a row's notes must be text that UTF-8"),
        (
            {"timestamp": AT, "inferenceDetails": {"promptTokens": 0.5}},
            TypeError,
            r"inferenceDetails\.promptTokens must",
        ),
        ({"timestamp": AT, "tags": {"a", "b"}}, TypeError, "a row's tags must be a text, an int"),
        ({"timestamp": AT, "tags": ["a", {"b": object()}]}, TypeError, r"a row's tags\[1\]\.b must be .*; got <object"),
        ({"timestamp": AT, "tags": {1: "a"}}, TypeError, "a row's tags must be a dict whose names are texts"),
    ],
)
def test_invalid_rows_are_refused(fields: Any, kind: type[Exception], shown: str) -> None:
    """In the constructor and in `book`, not when the row is requested."""
    fields = {"notes": "a note", **fields}
    with pytest.raises(kind, match=shown):
        FakeVenice([fields], now=NOW, extra_fields=["tags"])
    if "timestamp" in fields:
        with pytest.raises(kind, match=shown):
            FakeVenice(0, now=NOW, extra_fields=["tags"]).book(fields)


@pytest.mark.parametrize(
    ("fields", "shown"),
    [
        ({"ammount": "-1"}, "no field 'ammount', did you mean 'amount'"),
        ({"api_key_id": "k"}, "no field 'api_key_id', did you mean 'apiKeyId'"),
        (
            {"inferenceDetails": {"promptToken": 1}},
            "'inferenceDetails.promptToken', did you mean 'infer",
        ),
        (
            {"xyzzy": 1},
            "no field 'xyzzy'; its fields are amount, apiKeyId, currency, .*extra_fields=",
        ),
    ],
)
def test_misspelt_field_is_refused_with_its_name(fields: dict[str, Any], shown: str) -> None:
    with pytest.raises(ValueError, match=shown):
        FakeVenice([{"timestamp": AT, **fields}], now=NOW)
    with pytest.raises(ValueError, match=shown):
        FakeVenice(0, now=NOW).book(fields)


@pytest.mark.parametrize("names", ["tags", 3, [1]])
def test_extra_fields_are_a_collection_of_names(names: Any) -> None:
    with pytest.raises(TypeError, match="extra_fields must be a collection of field names; got"):
        FakeVenice(0, now=NOW, extra_fields=names)


def test_entries_of_one_account_are_rows_of_another() -> None:
    """Numbers to the digit, unknown fields included."""
    row = {"timestamp": AT, "amount": "-3.0799999999999996e-05", "units": "1.000", "region": "eu"}
    fields = {"inferenceDetails": {**DETAILS, "queue": 1}}
    extra = ["region", "inferenceDetails.queue"]
    with FakeVenice([row, {**row, **fields}], now=NOW, extra_fields=extra).client() as client:
        entries = list(client.iter_usage_history())
    fake = FakeVenice(entries[:1], now=NOW)
    assert fake.book(entries[1])["inferenceDetails"] == fields["inferenceDetails"]
    with fake.client() as client:
        assert list(client.iter_usage_history()) == entries


def test_a_timestamp_may_be_an_aware_datetime() -> None:
    zone = timezone(timedelta(hours=2))
    rows: list[dict[str, Any]] = [
        {"timestamp": datetime(2026, 10, 1, 2, tzinfo=zone)},
        {"timestamp": datetime(2026, 10, 1, 0, 0, 0, 500, tzinfo=UTC), "amount": "-1"},
    ]
    fake = FakeVenice(rows, now=NOW)
    fake.book({"timestamp": datetime(2026, 10, 2, tzinfo=UTC)})
    assert [row["timestamp"] for row in fake.ledger] == [
        "2026-10-01T00:00:00.000Z",
        "2026-10-01T00:00:00.000500Z",
        "2026-10-02T00:00:00.000Z",
    ]
    with fake.client() as client:
        assert [entry.timestamp for entry in client.iter_usage_history()] == [
            datetime(2026, 10, 1, tzinfo=UTC),
            datetime(2026, 10, 1, 0, 0, 0, 500, tzinfo=UTC),
            datetime(2026, 10, 2, tzinfo=UTC),
        ]


def test_extra_fields_are_sent_as_they_are() -> None:
    fake = FakeVenice(
        [{"timestamp": AT, "tags": ["a", {"b": (1, None, True, Decimal("0.50"))}]}], now=NOW, extra_fields=["tags"]
    )
    with fake.client() as client:
        (entry,) = client.iter_usage_history()
    assert entry.additional_properties == {"tags": ["a", {"b": [1, None, True, Decimal("0.50")]}]}


def test_very_short_period_is_accepted() -> None:
    assert len(FakeVenice(50, days=1e-9, now=NOW).ledger) == 50


@pytest.mark.parametrize("name", ["start", "end"])
def test_naive_bound_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be an aware datetime"):
        FakeVenice(1, now=NOW).rows(**{name: datetime(2026, 9, 1)})  # type: ignore[arg-type] # noqa: DTZ001


def test_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="start must be an aware datetime"):
        VirtualClock(datetime(2026, 9, 1))  # noqa: DTZ001
