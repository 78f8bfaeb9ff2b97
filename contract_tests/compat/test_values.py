"""The billing interface of the old SDK: its values and errors are ours, by their old names."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from contract_tests.compat.old_sdk import mixed_fake, page_of
from contract_tests.support.flavours import NOW
from venice_billing import errors, models
from venice_billing.compat import venice_ai, venice_ai_v1
from venice_billing.compat._values import Value
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("module", [venice_ai, venice_ai_v1])
def test_errors_are_those_of_this_package(module: Any) -> None:
    for name in (
        *("BillingTimeoutError", "InvalidRequestError", "AuthenticationError", "PermissionDeniedError"),
        *("RateLimitError", "APIError", "APIConnectionError", "NotFoundError", "VeniceError"),
    ):
        assert getattr(module, name) is getattr(errors, name)
        assert name in module.__all__
    for name, ours in {
        "APIResponseValidationError": errors.ResponseValidationError,
        "APITimeoutError": errors.BillingTimeoutError,
        "InternalServerError": errors.ServerError,
        "PaymentRequiredError": errors.InsufficientBalanceError,
        "ServiceUnavailableError": errors.ServerError,
        "UnprocessableEntityError": errors.InvalidRequestError,
    }.items():
        assert getattr(module, name) is ours
        assert name in module.__all__


MODELS = [model for name in models.__all__ if attrs.has(model := getattr(models, name))]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_each_field_has_the_name_of_the_contract_and_that_of_this_client(model: Any) -> None:
    fake = mixed_fake()
    with fake.client() as client:
        found = [client.get_balance(), client.get_usage_history(), client.get_usage_analytics()]
    values = [value for source in found for value in every_model(source) if type(value) is model]
    for value in values[:20]:
        wrapped = Value(value)
        for name in value.to_dict().keys() - value.additional_properties.keys():
            assert name in dir(wrapped) or name.isupper()
            assert getattr(wrapped, name) is not Ellipsis
        for field in attrs.fields(model):
            assert field.name in dir(wrapped)


def every_model(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [inner for item in value for inner in every_model(item)]
    if not attrs.has(type(value)):
        return []
    return [value, *every_model([getattr(value, field.name) for field in attrs.fields(type(value))])]


def test_values_compare_copy_and_print_like_their_models() -> None:
    fake = mixed_fake()
    with fake.client() as client:
        one, other = client.get_usage_history().data[:2]
    value: Any = venice_ai.BillingUsageEntry(one)
    copies: list[Callable[[Any], Any]] = [copy.copy, copy.deepcopy, lambda item: pickle.loads(pickle.dumps(item))]
    for copied in copies:
        assert copied(value) == value
    assert len({value, venice_ai.BillingUsageEntry(one), venice_ai.BillingUsageEntry(other)}) == len({one, other})
    assert repr(value).startswith("BillingUsageEntry(UsageEntry(")
    assert value.to_json() == value.model_dump_json() == one.to_json()
    assert value.model_dump() == one.to_dict()
    with pytest.raises(AttributeError, match="'BillingUsageEntry' object has no attribute 'totalUSDs'"):
        _ = value.totalUSDs
    assert value.timestamp.tzinfo is UTC


def test_values_are_read_like_the_dicts_of_the_first_version() -> None:
    fake = mixed_fake()
    usage = page_of(fake)
    assert "data" in usage
    assert usage["pagination"]["totalPages"] == usage.pagination.totalPages
    assert [entry["pricePerUnitUsd"] for entry in usage["data"]] == [entry.pricePerUnitUsd for entry in usage.data]
    entry = next(entry for entry in usage["data"] if entry["inferenceDetails"])
    assert list(entry) == list(entry.wrapped.to_dict())
    assert dict(entry.items())["inferenceDetails"].requestId == entry["inferenceDetails"].get("requestId")
    assert entry.get("totalUSDs", 3) == 3
    with pytest.raises(KeyError, match="totalUSDs"):
        entry["totalUSDs"]
    assert usage, "a value is true, as a model of pydantic is"


def test_daily_series_are_read_like_dicts() -> None:
    """A name of a model may be any text, also one of an attribute."""
    point: Any = Value(models.DailySeriesPoint.from_dict({"date": 1795392000000, "Z-Image Turbo": 3, "wrapped": 2}))
    assert point["date"] == 1795392000000
    assert dict(point.items()) == {"Z-Image Turbo": 3, "wrapped": 2, "date": 1795392000000}
    assert len(point) == 3


def test_lists_keep_what_a_program_does_to_them() -> None:
    """A program may sort the charges of a page in place."""
    usage = page_of(mixed_fake())
    usage.data.sort(key=lambda entry: entry.amount)
    amounts = [entry.amount for entry in usage.data]
    assert amounts == sorted(amounts)
    assert usage["data"] is usage.data
    for copied in (copy.copy(usage), pickle.loads(pickle.dumps(usage))):
        assert [entry.amount for entry in copied.data] == amounts


def test_fields_that_the_contract_does_not_name_are_values_too() -> None:
    fake = FakeVenice(
        [{"timestamp": "2026-10-01T00:00:00Z", "region": "eu", "_odd": 1}], now=NOW, extra_fields=["region", "_odd"]
    )
    (entry,) = page_of(fake).data
    assert entry.region == entry["region"] == "eu"
    assert entry["_odd"] == 1
    assert {"region", "_odd"} < entry.keys()


def test_model_of_a_charge_is_its_id() -> None:
    """As in this client: a program may group by it."""
    charges = page_of(mixed_fake()).data
    assert [entry.model for entry in charges] == [entry.wrapped.model for entry in charges]
    assert all(isinstance(entry.model, str) for entry in charges)
    assert {"model", "service", "pricePerUnitUsd"} <= set(dir(charges[0]))
    assert "fromDict" not in dir(charges[0])
