"""Models of the generated layer keep all that was sent and never change; an error names the field that is wrong."""

from __future__ import annotations

import copy
import json
import pickle
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.generated.bodies import details, entry, without
from venice_billing._runtime import codec
from venice_billing_api import wire
from venice_billing_api.errors import DecodeError
from venice_billing_api.models import Currency, DailySeriesPoint, SortOrder, UsageEntry, UsageHistoryPage

if TYPE_CHECKING:
    from collections.abc import Callable


def test_a_page_round_trips() -> None:
    first = entry(inferenceDetails=details(novel={"deep": [1]}), apiKeyId=None, another=[{"a": None}])
    page = {"data": [first, entry(apiKeyId="k")], "nextCursor": None, "extra": True}
    assert UsageHistoryPage.from_dict(page).to_dict() == page


def test_reading_does_not_change_its_input() -> None:
    page = {"data": [entry(inferenceDetails=details())], "nextCursor": None}
    before = copy.deepcopy(page)
    UsageHistoryPage.from_dict(page)
    assert page == before


@pytest.mark.parametrize("name", entry())
def test_the_error_names_a_missing_field(name: str) -> None:
    page = {"data": [entry(), without(entry(), name)], "nextCursor": None}
    with pytest.raises(DecodeError) as raised:
        UsageHistoryPage.from_dict(page)
    assert (raised.value.location, raised.value.problem) == (f"data[1].{name}", "missing")


@pytest.mark.parametrize("name", ["sku", "notes", "currency", "timestamp", "amount", "units", "pricePerUnitUsd"])
def test_the_error_names_a_null_that_is_not_allowed(name: str) -> None:
    with pytest.raises(DecodeError) as raised:
        UsageEntry.from_dict(entry(**{name: None}))
    assert raised.value.location == name
    assert raised.value.problem.endswith("got null")


@pytest.mark.parametrize("body", [None, [], "x", 1, True])
def test_other_values_are_refused_as_objects(body: Any) -> None:
    with pytest.raises(DecodeError, match=r"^the body: expected an object, got "):
        UsageEntry.from_dict(body)


def test_an_incomplete_nullable_object_is_refused() -> None:
    with pytest.raises(DecodeError, match=r"^inferenceDetails\.promptTokens: missing$"):
        UsageEntry.from_dict(entry(inferenceDetails=without(details(), "promptTokens")))


def test_absent_and_null_are_distinguished() -> None:
    absent, null = UsageEntry.from_dict(entry()), UsageEntry.from_dict(entry(apiKeyId=None))
    assert absent.api_key_id is null.api_key_id is None
    assert absent != null
    assert "apiKeyId" not in absent.to_dict()
    assert null.to_dict()["apiKeyId"] is None
    assert UsageEntry.from_json(null.to_json()) == null


@pytest.mark.parametrize("sent", [{}, {"apiKeyId": None}, {"apiKeyId": "k"}, {"region": Decimal("1.50"), "n": 10**40}])
def test_json_text_keeps_each_digit_and_each_field(sent: dict[str, Any]) -> None:
    """`to_json` writes what the wire text held; both decoders read it to the same entry."""
    numbers = {"amount": Decimal("-3.0799999999999996e-05"), "units": Decimal("1.000"), "pricePerUnitUsd": 7}
    found = UsageEntry.from_dict(entry(**numbers, **sent))
    text = found.to_json()
    assert '"amount":-0.000030799999999999996' in text
    assert '"units":1.000' in text
    assert UsageEntry.from_json(text) == UsageEntry.from_json(text.encode()) == found
    assert wire.read_body(UsageEntry, text.encode()) == found
    assert json.loads(text, parse_float=Decimal).keys() == {*entry(), *sent}


@pytest.mark.parametrize("text", ["", "[]", "{", '{"data": 1, "nextCursor": null}', "NaN"])
def test_json_text_that_is_no_page_is_refused(text: str) -> None:
    with pytest.raises(DecodeError):
        UsageHistoryPage.from_json(text)


def test_entries_compare_by_value_and_are_frozen() -> None:
    """Equal rows are equal and have equal hashes, also with unknown fields; they cannot be changed."""
    one, two = UsageEntry.from_dict(entry(x=[1])), UsageEntry.from_dict(entry(x=[1]))
    assert one == two
    assert len({one, two, UsageEntry.from_dict(entry(sku="other"))}) == 2
    assert one != UsageEntry.from_dict(entry(x=[2]))
    with pytest.raises(AttributeError):
        one.sku = "changed"  # type: ignore[misc]


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda value: pickle.loads(pickle.dumps(value))])
def test_a_page_survives_copying_and_pickling(copied: Callable[[Any], Any]) -> None:
    page = UsageHistoryPage.from_dict({"data": [entry(currency="SHELLS")], "nextCursor": "c"})
    again = copied(page)
    assert again == page
    assert again.data[0].api_key_id is None


def test_a_daily_series_keeps_names_and_exact_amounts() -> None:
    point = DailySeriesPoint.from_dict({"date": 1705276800000, "date ": 1, "My key": Decimal("0.30")})
    assert point.date == 1705276800000
    assert point.additional_properties == {"date ": Decimal(1), "My key": Decimal("0.30")}
    with pytest.raises(DecodeError, match=r"^My key: expected a number, got text 'x'$"):
        DailySeriesPoint.from_dict({"date": 1, "My key": "x"})


def test_the_excerpt_in_an_error_is_bounded() -> None:
    with pytest.raises(DecodeError) as raised:
        UsageEntry.from_dict(entry(amount="x" * 10_000))
    assert len(raised.value.problem) < 130
    assert pickle.loads(pickle.dumps(raised.value)).location == "amount"


# ---------------------------------------------------------------- open enums


def test_an_unknown_currency_is_kept_as_text() -> None:
    shells = Currency("SHELLS")
    assert shells == "SHELLS" == str(shells) == f"{shells}" == shells.value
    assert isinstance(shells, Currency)
    assert {shells: 1}["SHELLS"] == 1
    assert repr(shells) == "Currency('SHELLS')"
    assert pickle.loads(pickle.dumps(shells)) == shells
    assert "SHELLS" not in [member.value for member in Currency]


def test_a_known_currency_hashes_as_its_text() -> None:
    assert {SortOrder.ASC: 1}["asc"] == 1  # type: ignore[index]
    assert Currency("USD") is Currency.USD


@pytest.mark.parametrize("value", [1, None, [], {}, True])
def test_other_values_are_refused_as_currencies(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^currency: expected a Currency"):
        UsageEntry.from_dict(entry(currency=value))


# ---------------------------------------------------------------- undocumented fields and values


_DRIFTED = {"data": [entry(currency="SHELLS", novel=1)], "nextCursor": None}


def _told() -> list[tuple[str, str]]:
    """Read a page with undocumented fields and values, and return the notices about them."""
    told: list[tuple[str, str]] = []
    codec.read_with_notice(lambda *what: told.append(what), UsageHistoryPage.from_dict, _DRIFTED)
    return told


def test_unknown_fields_and_values_are_noticed() -> None:
    assert _told() == [("Currency value", "SHELLS"), ("field of UsageEntry", "novel")]


def test_a_notice_callback_is_reset_after_reading() -> None:
    told = _told()
    UsageHistoryPage.from_dict(_DRIFTED)
    assert len(told) == 2
    with pytest.raises(DecodeError):
        codec.read_with_notice(lambda *_: None, UsageHistoryPage.from_dict, {})
    assert codec._notice.get() is codec._ignore


# Python 3.12 reports opcode events too late, and not for all instructions.
_EVENT = "line" if sys.version_info[:2] == (3, 12) else "opcode"


def test_an_interrupt_anywhere_leaves_no_notice_callback_set() -> None:
    interrupted = 0
    while _is_interrupted(interrupted):
        assert codec._notice.get() is codec._ignore, f"position {interrupted}"
        interrupted += 1
    assert interrupted > (2 if _EVENT == "line" else 10)


def _is_interrupted(position: int) -> bool:
    """Read with a notice callback and a KeyboardInterrupt at one position; return whether it was reached."""
    reached = 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal reached
        if frame.f_code.co_filename != codec.__file__:
            return trace
        frame.f_trace_opcodes = _EVENT == "opcode"
        if event == _EVENT:
            reached += 1
            if reached == position + 1:
                raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        codec.read_with_notice(lambda *_: None, str, 1)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


# ---------------------------------------------------------------- requests
