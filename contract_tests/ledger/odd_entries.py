"""Entries with numbers, texts and fields that are easily lost, listed and generated."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from contract_tests.support.flavours import NOW
from venice_billing import UsageEntry
from venice_billing._runtime.json_text import decode_json
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Sequence


AWKWARD = [
    "1e-30",
    "-1e-30",
    "-3.0799999999999996e-05",
    "1234567890123456789012345678.901234567890",
    "-0.1234567890123456789012345678901234567890",
    "12345678901.5",
    "9999999999.9999999999999999999999999999",
    "-9999999999.9999999999999999999999999999",
    "0.0000000000000000000000000001",
    "1.50",
    "0E-40",
    "-0.0",
    "1E+5",
    "-1.5E+9",
    "1e10",
]


def booked(amounts: Sequence[str], **fields: Any) -> FakeVenice:
    """Return an account of one row an amount, a minute apart."""
    rows = [
        {"timestamp": NOW - timedelta(minutes=number), "amount": Decimal(amount), "currency": "USD", **fields}
        for number, amount in enumerate(amounts, 1)
    ]
    return FakeVenice(rows, now=NOW)


FIELDS = {
    "timestamp": "2026-10-01T10:00:00.123456Z",
    "sku": "gpt-llm-input-mtoken",
    "amount": Decimal("-0.5"),
    "currency": "USD",
    "notes": "",
    "pricePerUnitUsd": Decimal("1.10"),
    "units": 3,
    "inferenceDetails": None,
}
_TOKENS = {"requestId": "r", "promptTokens": 1, "completionTokens": None, "inferenceExecutionTime": 10}
ODD: dict[str, dict[str, Any]] = {
    "explicit null key": {"apiKeyId": None},
    "key": {"apiKeyId": "key"},
    "unknown fields": {"region": "eu", "price": Decimal("1.10"), "deep": {"a": [None, Decimal("1E-7"), "ż"]}},
    "unknown field of the request": {"inferenceDetails": {**_TOKENS, "cached": Decimal("2.50")}},
    "empty request id": {"inferenceDetails": {**_TOKENS, "requestId": ""}, "amount": 5},
    "null request id": {"inferenceDetails": {**_TOKENS, "requestId": None}, "amount": 5},
    "more than 64 bits": {"inferenceDetails": {**_TOKENS, "promptTokens": 2**63, "completionTokens": -(2**63)}},
    "unknown currency": {"currency": "EURO ✓"},
    "lone surrogate": {"sku": "a\ud800b", "notes": "\udfff", "amount": 5},
    "unknown field with a lone surrogate": {"x\ud800": "\ud800"},
    "NUL, quotes and line breaks": {"sku": 'a\x00b"c\\', "notes": "two\nlines\t\u2028"},
    "purchase": {"sku": "credit-Purchase", "amount": 5},
    "purchase, by its notes, in letters that only Python folds": {"notes": "top-up\u00a0purcha\u017fe", "amount": 5},
    "purchase with a lone surrogate": {"notes": "Purchase \ud800", "amount": 5},
    "edge of the calendar": {"timestamp": "0001-01-01T00:00:00.000001Z"},
    "end of the calendar": {"timestamp": "9999-12-31T23:59:59.999999Z"},
    "before 1970": {"timestamp": "1969-12-31T23:59:59.999999Z"},
}


def has_surrogates(entries: Sequence[UsageEntry]) -> bool:
    return "\\ud" in json.dumps([repr(entry) for entry in entries])


NUMBERS = st.one_of(
    st.decimals(allow_nan=False, allow_infinity=False, places=8, min_value=-1000, max_value=1000),
    st.sampled_from([Decimal(text) for text in AWKWARD]),
    st.builds(lambda digits, power: Decimal(digits).scaleb(power), st.integers(-(10**20), 10**20), st.integers(-40, 5)),
)
DECODED_NUMBERS = NUMBERS.map(lambda number: decode_json(str(number)))  # an unknown field's 0 is an int, as in JSON
TEXTS = st.text(max_size=6)
SKUS = st.one_of(st.sampled_from(["m-llm-input-mtoken", "flux-image-unit", "top-up"]), TEXTS)
TIMES = st.one_of(
    st.datetimes(datetime(2026, 3, 1), datetime(2026, 4, 2), timezones=st.just(UTC)),  # noqa: DTZ001 - of naive bounds
    st.sampled_from([datetime(2026, 3, 29, 0, 59, 59, 999999, UTC), datetime(2026, 3, 29, 1, tzinfo=UTC)]),
)
COUNTS = st.one_of(st.none(), st.integers(0, 10**6), st.integers(-(10**25), 10**25))
DETAILS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {
            "requestId": st.one_of(st.none(), TEXTS),
            "promptTokens": COUNTS,
            "completionTokens": COUNTS,
            "inferenceExecutionTime": COUNTS,
        },
        optional={"x": DECODED_NUMBERS},
    ),
)
ENTRIES = st.builds(
    UsageEntry.from_dict,
    st.fixed_dictionaries(
        {
            "timestamp": TIMES.map(lambda moment: moment.isoformat()),
            "sku": SKUS,
            "amount": NUMBERS,
            "currency": st.sampled_from(["USD", "DIEM", "EARNED_CREDITS", "new"]),
            "notes": SKUS,
            "pricePerUnitUsd": NUMBERS,
            "units": NUMBERS,
            "inferenceDetails": DETAILS,
        },
        optional={"apiKeyId": st.one_of(st.none(), TEXTS), "unknown": st.one_of(TEXTS, DECODED_NUMBERS, st.none())},
    ),
)
