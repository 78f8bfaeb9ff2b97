"""The fast decoders give the same values, digits and error messages as the careful ones."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from collections import ChainMap
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venice_billing import _drift
from venice_billing import _operations as operations
from venice_billing._call import Reply, _read
from venice_billing._runtime import decoders, json_text
from venice_billing._secret import Secret
from venice_billing.testing._text import to_json
from venice_billing_api.errors import DecodeError
from venice_billing_api.models import Balance, StandardError, UsageAnalytics, UsageEntry, UsageHistoryPage
from venice_billing_api.wire import read_body, read_plain

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
    """Return a text that differs wherever two results differ in type, in digits or in the error message."""
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
    assert _answer(json_text.decode_json, content) == _answer(json_text._decode_or_explain, content)


def test_plain_json_needs_only_the_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_text, "_decode_or_explain", lambda _: pytest.fail("decoded twice"))
    assert json_text.decode_json(b'{"a": [0.10, 1, null]}') == {"a": [Decimal("0.10"), 1, None]}


def _balance(**changes: Any) -> dict[str, Any]:
    return {
        "balances": {"diem": None, "usd": Decimal("1.50")},
        "canConsume": True,
        "consumptionCurrency": None,
        "diemEpochAllocation": 0,
        **changes,
    }


def test_decoded_objects_equal_constructed_ones() -> None:
    """A decoded object has the class, repr, hash and equality of a constructed one, and is not a draft."""
    read = StandardError.from_dict({"error": "x"})
    assert type(read) is StandardError
    assert (repr(read), hash(read)) == (repr(StandardError("x")), hash(StandardError("x")))
    with pytest.raises(AttributeError):
        read.error = "y"  # type: ignore[misc]
    fast, slow = read_plain(UsageHistoryPage, _page(_ENTRY)), _careful_page(_page(_ENTRY))
    assert fast is not None
    assert [(type(entry), hash(entry)) for entry in fast.data] == [(UsageEntry, hash(entry)) for entry in slow.data]
    with pytest.raises(AttributeError):
        fast.next_cursor = None  # type: ignore[misc]


def test_from_dict_accepts_any_mapping() -> None:
    assert Balance.from_dict(ChainMap({"extra": 1}, _balance())) == Balance.from_dict(_balance(extra=1))


def test_objects_without_unknown_fields_share_a_frozen_empty_dict() -> None:
    entry = Balance.from_dict(_balance())
    changes: list[Callable[[dict[str, Any]], object]] = [
        lambda rest: rest.update(a=1),
        lambda rest: rest.setdefault("a", 1),
        lambda rest: rest.__ior__({"a": 1}),
    ]
    for change in changes:
        with pytest.raises(TypeError, match="frozen"):
            change(entry.additional_properties)
    with pytest.raises(TypeError, match="frozen"):
        entry.additional_properties["a"] = 1
    assert entry.additional_properties == {}
    assert copy.deepcopy(entry).additional_properties is entry.additional_properties
    assert pickle.loads(pickle.dumps(entry)) == entry


def test_drift_is_noticed_everywhere_in_a_page(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unknown fields of the page, of one entry among many and of its details, and an unknown currency: each once."""
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
    body = json.dumps({"data": data * 2, "nextCursor": None, "top": 3}).encode()
    with caplog.at_level(logging.INFO, "venice_billing"):
        reply = Reply(200, {"content-type": "application/json"}, body)
        _read(operations.usage_history(), reply, Secret("a-good-key"))
    noted = sorted(record.getMessage().partition(": ")[2] for record in caplog.records)
    assert noted == [
        "Currency value 'SHELLS'",
        "field of InferenceDetails 'deep'",
        "field of UsageEntry 'side'",
        "field of UsageHistoryPage 'top'",
    ]


def test_a_constructed_entry_equals_the_decoded_one() -> None:
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


# ---------------------------------------------------------------- wire.py against from_dict

_ENTRY = {
    "amount": "-0.10",
    "currency": '"USD"',
    "inferenceDetails": '{"completionTokens":1,"inferenceExecutionTime":2,"promptTokens":null,"requestId":"r"}',
    "notes": '"n"',
    "pricePerUnitUsd": "2",
    "sku": '"s"',
    "timestamp": '"2026-06-15T19:05:10.504Z"',
    "units": "1E-7",
    "apiKeyId": "null",
}
_VALUES = [
    *(
        "null",
        "true",
        "0",
        "-0",
        "1.0",
        "1.50",
        "1e29",
        "1e31",
        "1E-101",
        "0E-120",
        "0E+31",
        "1E-90",
        "0.1234567890123456789012345678901234567890",
        "1e400",
        "1" * 40,
        '""',
        '"1.5"',
        '"NaN"',
    ),
    *('"USD"', '"SHELLS"', '"2026-06-15T21:05:10+02:00"', '"2026-06-15t19:05:10z"', '"2026-06-15T19:05:10"'),
    *('"2016-12-31T23:59:60Z"', '"2026-06-15T19:05:10.1234567Z"', '"20260615T190510Z"', r'"\ud800"', "[]", "{}"),
    *('{"completionTokens":1,"inferenceExecutionTime":2,"promptTokens":3}', '{"completionTokens":"1"}'),
    '{"completionTokens":1e1,"inferenceExecutionTime":1.5,"promptTokens":3,"requestId":"r"}',
    '{"completionTokens":1e1,"inferenceExecutionTime":9,"promptTokens":3,"requestId":"r","x":[1]}',
    f'{{"completionTokens":1,"inferenceExecutionTime":{10**31},"promptTokens":3,"requestId":"r"}}',
]


def _page(entry: dict[str, str], *, cursor: str = '"c"', more: str = "") -> bytes:
    good = "{" + ",".join(f'"{name}":{value}' for name, value in _ENTRY.items()) + "}"
    changed = "{" + ",".join(f'"{name}":{value}' for name, value in entry.items()) + "}"
    return f'{{"data":[{good},{changed}],"nextCursor":{cursor}{more}}}'.encode()


def _careful_page(content: bytes) -> UsageHistoryPage:
    return UsageHistoryPage.from_dict(json_text.decode_json(content))


def _read_page(content: bytes) -> UsageHistoryPage:
    return read_body(UsageHistoryPage, content)


_PAGES = [
    *(_page({**_ENTRY, name: value}) for name in [*_ENTRY, "unknown"] for value in _VALUES),
    *(_page({key: value for key, value in _ENTRY.items() if key != name}) for name in _ENTRY),
    *(_page(_ENTRY, cursor=value) for value in _VALUES),
    *(_page(_ENTRY, more=f',"more":{value}') for value in _VALUES),
]


def test_the_fast_decoder_agrees_with_the_careful_one() -> None:
    """For each page both give the same objects to the digit, or the same error message about the same field."""
    for content in _PAGES:
        assert _answer(_read_page, content) == _answer(_careful_page, content), content


def test_a_page_as_documented_uses_only_the_fast_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "decode_json", lambda _: pytest.fail("decoded twice"))
    assert len(_read_page(_page({**_ENTRY, "currency": '"SHELLS"'})).data) == 2
    assert len(_read_page(_page({name: _ENTRY[name] for name in _ENTRY if name != "apiKeyId"})).data) == 2


_OTHER_BODIES = [
    (Balance, _balance(balances={"diem": 3, "usd": None}, consumptionCurrency="USD")),
    (
        UsageAnalytics,
        {
            "byDate": [{"DIEM": 0, "USD": Decimal("1.10"), "date": "2026-01-01"}],
            "byKey": [],
            "byKeyDaily": [{"date": 1, "a name": Decimal("0.30")}],
            "byModel": [],
            "byModelDaily": [],
            "lookback": "7d",
            "topKeyNames": ["a"],
            "topModels": [],
        },
    ),
]


@pytest.mark.parametrize(("model", "body"), _OTHER_BODIES)
def test_the_fast_decoder_agrees_on_other_bodies(model: Any, body: dict[str, Any]) -> None:
    """Also for the days with free names, which the fast decoder leaves to the careful one."""
    content = to_json(body).encode()
    assert read_plain(model, content) == model.from_dict(json_text.decode_json(content))
