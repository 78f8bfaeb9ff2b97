"""Invalid arguments to FakeVenice raise an error that names the argument or the field, and what is allowed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from contract_tests.support.flavours import NOW
from venice_billing import ResponseValidationError
from venice_billing.testing import FakeVenice, Quirks, VirtualClock, faults

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
        ({"history": "no"}, TypeError, "history must be True or False; got 'no'"),
        ({"quirks": {}}, TypeError, "quirks must be Quirks; got {}"),
        ({"clock": 5}, TypeError, "clock must be a VirtualClock; got 5"),
        ({"admin_key": b"key"}, TypeError, "admin_key must be text; got b'key'"),
        ({"inference_key": None}, TypeError, "inference_key must be text; got None"),
        ({"inference_key": "fake-admin-key"}, ValueError, "inference_key must be another key than admin_key"),
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


def test_field_within_the_details_is_named_after_them() -> None:
    fields = {"timestamp": AT, "inferenceDetails": {**DETAILS, "cached": 1}}
    with FakeVenice([fields], now=NOW, extra_fields=["inferenceDetails.cached"]).client() as client:
        (entry,) = client.iter_usage_history()
    assert entry.inference_details is not None
    assert entry.inference_details.additional_properties == {"cached": 1}


def test_details_that_are_left_out_are_null() -> None:
    fake = FakeVenice([{"timestamp": AT, "inferenceDetails": {"requestId": "r"}}], now=NOW)
    fake.book({"timestamp": AT, "inferenceDetails": {"promptTokens": 5}})
    with fake.client() as client:
        first, second = (entry.inference_details for entry in client.iter_usage_history())
    assert first is not None
    assert second is not None
    assert (first.request_id, first.prompt_tokens, first.completion_tokens) == ("r", None, None)
    assert (second.request_id, second.prompt_tokens, second.inference_execution_time) == (None, 5, None)


def test_very_short_period_is_accepted() -> None:
    assert len(FakeVenice(50, days=1e-9, now=NOW).ledger) == 50


@pytest.mark.parametrize("name", ["start", "end"])
def test_naive_bound_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be an aware datetime"):
        FakeVenice(1, now=NOW).rows(**{name: datetime(2026, 9, 1)})  # type: ignore[arg-type] # noqa: DTZ001


SWITCHES: list[tuple[str, Any, type[Exception], str]] = [
    ("latency", "x", TypeError, "a number of seconds, 0 or more, or a tuple .*; got 'x'"),
    ("latency", -1, ValueError, "a number of seconds.*; got -1"),
    ("latency", float("nan"), ValueError, "a number of seconds.*; got nan"),
    ("latency", (2, 1), ValueError, r"a number of seconds.*; got \(2, 1\)"),
    ("latency", (1, 2, 3), TypeError, r"a number of seconds.*; got \(1, 2, 3\)"),
    ("gzip", 1, TypeError, "True or False; got 1"),
    ("narrow_window_hangs", "yes", TypeError, "True or False; got 'yes'"),
    ("dead_cursor_every", 0, ValueError, "a whole number of at least 1; got 0"),
    ("dead_cursor_every", "2", TypeError, "a whole number of at least 1; got '2'"),
    ("dead_cursors", 2, TypeError, "a function; got 2"),
    ("dead_cursor_hang", None, TypeError, "a number of seconds, 0 or more; got None"),
    ("cursor_lives_seconds", -1, ValueError, "a number of seconds, 0 or more; got -1"),
    ("cursor_lives_requests", -1, ValueError, "a whole number of at least 0; got -1"),
    ("no_progress", "nothing", ValueError, "one of 'empty pages', 'one instant', 'before range'; got 'nothing'"),
    ("no_progress_after", True, TypeError, "a whole number of at least 0; got True"),
    ("rate_limit_every", 0, ValueError, "a whole number of at least 1; got 0"),
    ("rate_limit_seconds", float("inf"), ValueError, "a number of seconds, 0 or more; got inf"),
    ("rate_limit_headers", "retry-after", ValueError, "a list of 'retry-after', .*; got 'retry-after'"),
    ("rate_limit_headers", ["Retry-After"], ValueError, r"a list of 'retry-after', .*; got \['Retry-After'\]"),
    ("original_per_minute", 1.5, TypeError, "a whole number of at least 1; got 1.5"),
    ("csv_layouts", (), ValueError, r"a list of CsvLayouts, at least 1; got \(\)"),
    ("csv_layouts", [None], TypeError, "a list of CsvLayouts, at least 1; got None"),
    ("faults", ["503"], TypeError, "a list of Faults and Nones, or a function of a SeenRequest; got '503'"),
    ("faults", 503, TypeError, "a list of Faults and Nones, or a function of a SeenRequest; got 503"),
    ("arrivals", [{}], TypeError, r"a function; got \[{}\]"),
]


@pytest.mark.parametrize(("name", "value", "kind", "shown"), SWITCHES)
def test_invalid_switches_are_refused(name: str, value: Any, kind: type[Exception], shown: str) -> None:
    """A switch that does nothing would make a test that shows nothing."""
    with pytest.raises(kind, match=f"{name} must be {shown}"):
        Quirks(**{name: value})
    quirks = FakeVenice(1, now=NOW).quirks
    with pytest.raises(kind, match=f"{name} must be {shown}"):
        setattr(quirks, name, value)
    assert quirks == Quirks()


def test_quirks_are_replaced_by_quirks_only() -> None:
    fake = FakeVenice(1, now=NOW)
    with pytest.raises(TypeError, match=r"quirks must be Quirks; got {'gzip': True}"):
        fake.quirks = {"gzip": True}  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("make", "kind", "shown"),
    [
        (lambda: faults.status("503"), TypeError, "code must be a status of three digits; got '503'"),  # type: ignore[arg-type]
        (lambda: faults.status(99), ValueError, "code must be a status of three digits; got 99"),
        (lambda: faults.hang("3"), TypeError, "seconds must be a number of seconds, 0 or more; got '3'"),  # type: ignore[arg-type]
        (lambda: faults.hang(-3), ValueError, "seconds must be .*; got -3"),
        (lambda: faults.connect_hang(float("nan")), ValueError, "seconds must be .*; got nan"),
        (lambda: faults.body_hang(seconds=-3), ValueError, "seconds must be .*; got -3"),
    ],
)
def test_invalid_arguments_of_faults_are_refused(make: Any, kind: type[Exception], shown: str) -> None:
    with pytest.raises(kind, match=shown):
        make()


def test_late_is_a_timedelta() -> None:
    with pytest.raises(TypeError, match="late must be a timedelta; got 5"):
        FakeVenice(1, now=NOW).book(late=5)  # type: ignore[arg-type]


def test_currency_of_any_type_is_sent() -> None:
    """To see what a client says to it."""
    fake = FakeVenice([{"timestamp": AT, "currency": ["USD"]}], now=NOW)
    with fake.client() as client, pytest.raises(ResponseValidationError, match="currency"):
        client.get_usage_history()


def test_clock_refuses_a_naive_start() -> None:
    with pytest.raises(ValueError, match="start must be an aware datetime"):
        VirtualClock(datetime(2026, 9, 1))  # noqa: DTZ001
