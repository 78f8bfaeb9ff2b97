"""The fast ways of the decode path give what the careful ones give, to the digit and to the word of an error."""

from __future__ import annotations

import json
import logging
from collections import ChainMap
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venice_billing import _drift
from venice_billing_api import codec
from venice_billing_api.errors import DecodeError
from venice_billing_api.models import Balance, StandardError, UsageEntry, UsageHistoryPage

if TYPE_CHECKING:
    from collections.abc import Callable

_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,6})?", fullmatch=True)
_SCALARS = _NUMBERS | st.sampled_from(["null", "true", "false"]) | st.text(max_size=8).map(json.dumps)
_TEXTS = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4).map(lambda items: f"[{', '.join(items)}]")
        | st.lists(st.tuples(st.text(max_size=3).map(json.dumps), inner), max_size=4).map(
            lambda pairs: "{" + ",".join(f"{name}: {value}" for name, value in pairs) + "}"
        )
    ),
    max_leaves=12,
)


def _answer(decode: Callable[[bytes], Any], content: bytes) -> str:
    """Return a text that differs wherever two answers differ: in type, in digits, in the words of an error."""
    try:
        return repr(decode(content))
    except DecodeError as error:
        return str(error)


@given(_TEXTS.map(str.encode) | st.binary(max_size=12))
@example(b'{"a": 1, "a": 2}')
@example(b'\xef\xbb\xbf{"a": 1.50}')
@example(rb'"\ud800"')
@example(b"-0")
@example(b"1" * 5000)
@example(b"[" * 100_000)
@example(b"1e9999999999999999999999")
@example(b"[NaN]")
def test_both_decoders_give_the_same(content: bytes) -> None:
    assert _answer(codec.decode_json, content) == _answer(codec._decode_carefully, content)


def test_plain_json_needs_only_the_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "_decode_carefully", lambda _: pytest.fail("decoded twice"))
    assert codec.decode_json(b'{"a": [0.10, 1, null]}') == {"a": [Decimal("0.10"), 1, None]}


def _balance(**changes: Any) -> dict[str, Any]:
    return {
        "balances": {"diem": None, "usd": Decimal("1.50")},
        "canConsume": True,
        "consumptionCurrency": None,
        "diemEpochAllocation": 0,
        **changes,
    }


def test_what_is_read_is_what_would_be_constructed() -> None:
    """An object that was read is of its class, with its repr, its hash and its equality; no draft is left over."""
    read = StandardError.from_dict({"error": "x"})
    assert type(read) is StandardError
    assert (repr(read), hash(read)) == (repr(StandardError("x")), hash(StandardError("x")))
    with pytest.raises(AttributeError):
        read.error = "y"  # type: ignore[misc]


def test_any_mapping_is_read() -> None:
    assert Balance.from_dict(ChainMap({"extra": 1}, _balance())) == Balance.from_dict(_balance(extra=1))


def test_unknown_fields_do_not_spread_from_object_to_object() -> None:
    """Each object keeps its own unknown fields, also one that has none."""
    one, two = Balance.from_dict(_balance()), Balance.from_dict(_balance())
    one.additional_properties["mine"] = 1
    assert two.additional_properties == {}


def test_drift_is_found_in_every_corner_of_a_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Fields of the page, of one entry in many and of its details; a currency of one; each noted once."""
    monkeypatch.setattr(_drift, "_noted", set())
    plain = {
        "amount": 1,
        "currency": "USD",
        "inferenceDetails": None,
        "notes": "",
        "pricePerUnitUsd": 1,
        "sku": "s",
        "timestamp": "2026-01-01T00:00:00Z",
        "units": 1,
    }
    counts = {"completionTokens": None, "inferenceExecutionTime": None, "promptTokens": None, "requestId": None}
    data = [plain, {**plain, "inferenceDetails": {**counts, "deep": 1}}, {**plain, "currency": "SHELLS", "side": 2}]
    page = UsageHistoryPage.from_dict({"data": data * 2, "nextCursor": None, "top": 3})
    with caplog.at_level(logging.INFO, "venice_billing"):
        _drift.note_drift(page)
    noted = sorted(record.getMessage().partition(": ")[2] for record in caplog.records)
    assert noted == [
        "Currency value 'SHELLS'",
        "field of InferenceDetails 'deep'",
        "field of UsageEntry 'side'",
        "field of UsageHistoryPage 'top'",
    ]


def test_a_page_without_entries_shows_no_drift() -> None:
    _drift.note_drift(UsageHistoryPage([], None))


def test_an_entry_made_by_hand_equals_the_one_that_was_read() -> None:
    entry = UsageEntry.from_dict(
        {
            "amount": Decimal("-0.10"),
            "currency": "USD",
            "inferenceDetails": None,
            "notes": "n",
            "sku": "s",
            "pricePerUnitUsd": 2,
            "timestamp": "2026-01-01T00:00:00Z",
            "units": Decimal("0.05"),
            "new": [1],
        }
    )
    names = [name for name in UsageEntry.__slots__ if name != "additional_properties"]
    made = UsageEntry(
        **{name: getattr(entry, name) for name in names}, additional_properties=dict(entry.additional_properties)
    )
    assert made == entry
