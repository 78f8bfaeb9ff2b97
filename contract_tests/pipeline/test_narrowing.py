"""The facade accepts what the contract allows in a parameter; the few exceptions are choices, each with its reason."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings

from contract_tests.contract.harness import CALLS, Call, Harness, MockResponse
from contract_tests.contract.suite import committed
from contract_tests.contract.values import QUIET, Values
from venice_billing import InvalidParameterError, VeniceError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contract.model import Parameter

EXAMPLES = 100


def _is_beyond_ninety_days(text: str) -> bool:
    """The wire silently clamps a longer lookback, and would answer for other days than asked for."""
    return int(text[:-1]) > 90


def _is_no_day(text: str) -> bool:
    """The pattern admits days that no calendar has."""
    try:
        date.fromisoformat(text)
    except ValueError:
        return True
    return False


def _has_leap_second(text: str) -> bool:
    """RFC 3339 knows leap seconds; ISO 8601 as Python reads it, which is what we document, does not."""
    return text[17:19] == "60"


def _is_no_page(number: int) -> bool:
    """No ledger has that many pages, and a number of any length is nothing to put into a URL."""
    return number > 10**15


CHOICES: dict[tuple[str, str], Callable[[Any], bool]] = {
    ("get_usage", "page"): _is_no_page,
    ("get_usage", "startDate"): _has_leap_second,
    ("get_usage", "endDate"): _has_leap_second,
    ("get_usage_history", "startTimestamp"): _has_leap_second,
    ("get_usage_history", "endTimestamp"): _has_leap_second,
    ("get_usage_analytics", "startDate"): _is_no_day,
    ("get_usage_analytics", "endDate"): _is_no_day,
    ("get_usage_analytics", "lookback"): _is_beyond_ninety_days,
}
PARAMETERS = [
    (call, parameter)
    for call in CALLS
    if not call.arguments
    for operation in [committed().operation("get", call.url)]
    if operation is not None
    for parameter in operation.parameters
]


@pytest.fixture(scope="module")
def harness() -> Iterator[Harness]:
    with Harness() as harness:
        yield harness


@pytest.mark.parametrize(
    ("call", "parameter"), PARAMETERS, ids=[f"{call.method}-{parameter.name}" for call, parameter in PARAMETERS]
)
def test_documented_value_is_accepted_unless_refused_by_choice(
    harness: Harness, call: Call, parameter: Parameter
) -> None:
    values = Values(committed().reader)
    choice = CHOICES.get((call.method, parameter.name))

    def offer(drawn: Any) -> None:
        value = int(drawn) if isinstance(drawn, Decimal) else drawn  # 3.0 is 3 in a query
        is_refused = choice is not None and choice(value)
        assert _is_accepted(harness, call, parameter.name, value) != is_refused, value

    for corner in values.corners(parameter.schema):
        offer(corner)
    settings(QUIET, max_examples=EXAMPLES)(given(values.any_of(parameter.schema))(offer))()


def _is_accepted(harness: Harness, call: Call, name: str, value: Any) -> bool:
    """Tell whether a request was sent, whatever came back."""
    arguments = {_snake(name): value}
    if call.method == "get_usage_analytics" and name.endswith("Date"):
        arguments = {"start_date": value, "end_date": value}
    try:
        harness.call("sync", call.method, arguments, MockResponse(418))
    except InvalidParameterError:
        return False
    except VeniceError:
        return bool(harness.taken())
    return True


def _snake(name: str) -> str:
    return re.sub(r"(?=[A-Z])", "_", name).lower()
