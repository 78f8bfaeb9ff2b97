"""The generated codec: exact, strict about documented fields, tolerant of undocumented ones."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.generated.bodies import details, entry
from venice_billing._runtime import codec, json_text
from venice_billing_api.api.billing import get_billing_usage_history
from venice_billing_api.errors import DecodeError
from venice_billing_api.models import UsageEntry

# ---------------------------------------------------------------- JSON text


@pytest.mark.parametrize(
    "text", ["0.1", "-0.10", "1.000", "123456789012345678901234.5", "1E-7", "0.000000000000000001"]
)
def test_a_number_with_a_fraction_keeps_its_digits(text: str) -> None:
    assert json_text.decode_json(text.encode()).as_tuple() == Decimal(text).as_tuple()


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b" ", b"{", b"{} {}", b"nul", b"<html></html>", b"[1,]", b"'a'"),
        *(b"NaN", b"Infinity", b'{"a": -Infinity}', b'"\xff"', b"\xff\xfe1", b"1" * 5000, b"[" * 100_000),
        *(b'{"a":' * 100_000, b"1e9999999999999999999999"),
    ],
    ids=lambda content: repr(content[:20]),
)
def test_invalid_json_is_a_decode_error(content: bytes) -> None:
    with pytest.raises(DecodeError) as raised:
        json_text.decode_json(content)
    assert raised.value.location == ""
    assert len(str(raised.value)) < 200


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_decode_or_raise_a_decode_error(content: bytes) -> None:
    with contextlib.suppress(DecodeError):
        json_text.decode_json(content)


@pytest.mark.parametrize("value", [None, 5, {"amount": 1}, ["{}"], 1.5])
def test_from_json_says_that_it_reads_text(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"expected JSON as text or bytes, got .*; from_dict reads decoded JSON$"):
        UsageEntry.from_json(value)


def test_from_json_reads_each_kind_of_text() -> None:
    text = UsageEntry.from_dict(entry()).to_json()
    kinds: list[Any] = [text, f"\ufeff{text}", text.encode(), bytearray(text.encode()), memoryview(text.encode())]
    for kind in kinds:
        assert UsageEntry.from_json(kind).to_json() == text


@pytest.mark.parametrize("content", ["1" * 5000, "-" + "1" * 5000, "1e9999999999999999999999"])
def test_a_number_that_python_cannot_read_is_said_to_be_one(content: str) -> None:
    with pytest.raises(DecodeError, match=r"^the body: a number that is too long, or beyond any sane size$"):
        json_text.decode_json(content)


LETTERS = st.characters()  # with halves of surrogate pairs
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.text(LETTERS)
    | st.integers(-(10**30), 10**30)
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(LETTERS), inner, max_size=3),
    max_leaves=8,
)


@given(DOCUMENTS)
def test_what_is_encoded_decodes_to_the_same(value: Any) -> None:
    """Also half of a surrogate pair, which JSON may hold as an escape, and UTF-8 may not."""
    text = json_text.encode_json(value)
    assert text.encode().decode() == text
    assert json_text.decode_json(text) == value


def test_half_a_character_survives_to_json_and_rows() -> None:
    half = UsageEntry.from_dict(entry(notes="NaN \ud83d", **{"\ud83d": "\ude00"}))
    assert UsageEntry.from_json(half.to_json()) == half
    assert half.row()["additional_properties"] == '{"\\ud83d":"\\ude00"}'


@pytest.mark.parametrize("number", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity"])
def test_a_number_that_json_cannot_express_is_not_written(number: str) -> None:
    strange = attrs.evolve(UsageEntry.from_dict(entry()), amount=Decimal(number))
    with pytest.raises(DecodeError, match="not JSON"):
        strange.to_json()


def test_a_value_within_itself_is_not_written() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(DecodeError, match="too deeply nested"):
        json_text.encode_json(endless)


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize("text", ["1e400", "1e31", "-1e31", "1e-101", "1" * 40, "1e999999"])
def test_a_number_of_absurd_size_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match=r"amount: expected a number of a sane size"):
        UsageEntry.from_dict(entry(amount=json_text.decode_json(text.encode())))


@pytest.mark.parametrize(
    ("value", "expected"), [(3, "3"), (0.1, "0.1"), (Decimal("1.50"), "1.50"), (1e-7, "1E-7"), (0, "0"), (-0.0, "-0.0")]
)
def test_a_number_is_read_exactly(value: Any, expected: str) -> None:
    assert str(UsageEntry.from_dict(entry(amount=value)).amount) == expected


@pytest.mark.parametrize("value", [True, False, "1", None, [], {}, float("nan"), float("inf"), Decimal("NaN"), b"1"])
def test_other_values_are_refused_as_numbers(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^amount: expected a number"):
        UsageEntry.from_dict(entry(amount=value))


@pytest.mark.parametrize("value", [3, 3.0, Decimal("3.0"), Decimal("3e0")])
def test_an_integer_may_be_written_with_a_fraction_of_zero(value: Any) -> None:
    read = UsageEntry.from_dict(entry(inferenceDetails=details(completionTokens=value)))
    assert read.inference_details is not None
    assert read.inference_details.completion_tokens == 3
    assert type(read.inference_details.completion_tokens) is int


@pytest.mark.parametrize("value", [3.5, Decimal("3.5"), "3", True, [], 10**40, Decimal("1e40")])
def test_other_values_are_refused_as_integers(value: Any) -> None:
    with pytest.raises(DecodeError, match=r"^inferenceDetails\.completionTokens: expected an integer"):
        UsageEntry.from_dict(entry(inferenceDetails=details(completionTokens=value)))


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-06-15T19:05:10.504Z", datetime(2026, 6, 15, 19, 5, 10, 504_000, UTC)),
        ("2026-06-15T21:05:10+02:00", datetime(2026, 6, 15, 19, 5, 10, tzinfo=UTC)),
        ("2026-06-15T19:05:10.123456789Z", datetime(2026, 6, 15, 19, 5, 10, 123_456, UTC)),
        ("2026-06-15t19:05:10z", datetime(2026, 6, 15, 19, 5, 10, tzinfo=UTC)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_a_time_is_read_as_an_instant_in_utc(text: str, expected: datetime) -> None:
    read = codec.parse_datetime(text)
    assert read == expected
    assert read.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        *("2026-06-15T19:05:10", "2026-06-15", "", "Z", "yesterday", "2026-13-01T00:00:00Z", "9999-12-31T23:59:60Z"),
        *("0001-01-01T00:00:00+01:00", "2026-06-15T19:05:10+99:00", "0000-01-01T00:00:00Z"),
    ],
)
def test_texts_that_are_no_instant_are_refused(text: str) -> None:
    with pytest.raises(DecodeError, match=r"^timestamp: expected a time"):
        UsageEntry.from_dict(entry(timestamp=text))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, 1, tzinfo=timezone(timedelta(hours=1))), "2026-01-02T00:00:00.000Z"),
        (datetime(2026, 1, 2, 0, 0, 0, 5_000, UTC), "2026-01-02T00:00:00.005Z"),
        (datetime(2026, 1, 2, 0, 0, 0, 5_001, UTC), "2026-01-02T00:00:00.005001Z"),
    ],
)
def test_an_instant_is_written_in_utc_with_a_z(instant: datetime, expected: str) -> None:
    assert codec.format_datetime(instant) == expected


def test_a_naive_datetime_is_never_sent() -> None:
    with pytest.raises(ValueError, match="naive"):
        get_billing_usage_history.build_request(start_timestamp=datetime(2026, 1, 1))  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_round_trips(instant: datetime) -> None:
    assert codec.parse_datetime(codec.format_datetime(instant)) == instant


# ---------------------------------------------------------------- models
