"""The billing interface of the old SDK: invalid arguments are refused by their old names."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.compat.old_sdk import connect, mixed_fake, result
from venice_billing.compat import venice_ai

if TYPE_CHECKING:
    from contract_tests.support.flavours import Flavour

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 501}, "limit"),
        ({"page": 0}, "page"),
        ({"currency": "EUR"}, "currency"),
        ({"sortOrder": "down"}, "sortOrder"),
        ({"startDate": "yesterday"}, "startDate"),
        ({"startDate": "2026-10-01", "endDate": "2026-09-01"}, "startDate"),
        ({"endDate": datetime(2026, 10, 1)}, "endDate"),  # noqa: DTZ001
        ({"format": "xml"}, "format"),
        ({"format": "csv", "page": 2}, "page"),
        ({"format": venice_ai.BillingFormatEnum.CSV, "sortOrder": "desc"}, "sortOrder"),
    ],
)
async def test_invalid_arguments_are_refused_by_their_old_names(
    flavour: Flavour, arguments: dict[str, Any], parameter: str
) -> None:
    fake = mixed_fake()
    with pytest.raises(venice_ai.InvalidRequestError) as raised:
        await result(connect(flavour, fake).billing.get_usage(**arguments))
    assert getattr(raised.value, "parameter", None) == parameter
    assert fake.requests == []


@pytest.mark.parametrize("arguments", [{"page_size": 1001}, {"page_size": 0}, {"max_items": 0}, {"sortOrder": "up"}])
async def test_invalid_arguments_of_a_paginator_are_refused(flavour: Flavour, arguments: dict[str, Any]) -> None:
    with pytest.raises(venice_ai.InvalidRequestError):
        connect(flavour, mixed_fake()).billing.iter_usage(**arguments)


@pytest.mark.parametrize(
    ("arguments", "parameter"),
    [
        ({"pageSize": 9}, "pageSize"),
        ({"startTimestamp": "yesterday"}, "startTimestamp"),
        ({"startTimestamp": "2026-10-01", "endTimestamp": "2026-09-01"}, "startTimestamp"),
        ({"cursor": "abc", "pageSize": 10}, "pageSize"),
        ({"cursor": "abc", "endTimestamp": "2026-09-01"}, "endTimestamp"),
        ({"cursor": "a b"}, "cursor"),
        ({"currency": "EUR"}, "currency"),
        ({"format": "xml"}, "format"),
    ],
)
async def test_invalid_arguments_of_the_history_are_refused_by_their_old_names(
    flavour: Flavour, arguments: dict[str, Any], parameter: str
) -> None:
    fake = mixed_fake()
    with pytest.raises(venice_ai.InvalidRequestError) as raised:
        await result(connect(flavour, fake).billing.get_usage_history(**arguments))
    assert getattr(raised.value, "parameter", None) == parameter
    assert fake.requests == []
