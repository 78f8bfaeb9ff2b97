"""Times and lookbacks are read as documented, or refused with an error that says what is wrong."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Flavour, receive
from venice_billing import InvalidParameterError
from venice_billing import _arguments as arguments
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

DAY = datetime(2026, 9, 1, tzinfo=UTC)

MISTYPED = (
    "20260901T0000400Z",
    "2026-09-01020:00:007Z",
    "2026-09-01T09:000Z",
    "2026-09-01T093Z",
    "2026-09-01T09:00:005Z",
    "2026-09-01T09:00:00+02.00",
    "2026-09-01T09:00:00Z\0",
    "20260901\x0000000Z",
    "2026-09-01T09:00:00.123456\u0663+02:00",
)
"""Python's own parser reads most of these as other times."""


@pytest.mark.parametrize(
    ("given_", "meant"),
    [
        ("2026-09-01", datetime(2026, 9, 1, tzinfo=UTC)),
        (date(2026, 9, 1), datetime(2026, 9, 1, tzinfo=UTC)),
        ("2026-09-01T10:00Z", datetime(2026, 9, 1, 10, tzinfo=UTC)),
        ("2026-09-01T10:00:00.123456Z", datetime(2026, 9, 1, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2026-09-01T10:00:00+02:00", datetime(2026, 9, 1, 8, tzinfo=UTC)),
        ("20260901T100000Z", datetime(2026, 9, 1, 10, tzinfo=UTC)),
        (datetime(2026, 9, 1, 1, tzinfo=timezone(timedelta(hours=2))), datetime(2026, 8, 31, 23, tzinfo=UTC)),
    ],
)
def test_times_in_every_accepted_form(given_: object, meant: datetime) -> None:
    assert arguments.instant("start_timestamp", given_) == meant
    assert arguments.instant("start_timestamp", given_).tzinfo is UTC


@given(st.datetimes(timezones=st.timezones(), allow_imaginary=False))
def test_any_aware_datetime_keeps_its_instant(moment: datetime) -> None:
    try:
        result = arguments.instant("x", moment)
    except InvalidParameterError as error:
        assert "1 to 9999" in error.allowed  # noqa: PT017 - only near the years 1 and 9999
        return
    assert result - moment == timedelta(0)  # `==` is False for an hour that a time zone repeats
    assert result.tzinfo is UTC


@given(st.one_of(st.text(max_size=30), st.integers(), st.binary(max_size=5), st.floats(), st.none()))
def test_any_value_is_read_as_a_time_or_refused_by_name(value: Any) -> None:
    try:
        assert arguments.instant("start_timestamp", value).tzinfo is UTC
    except InvalidParameterError as error:
        assert error.parameter == "start_timestamp"  # noqa: PT017 - the other allowed outcome


@given(st.text(max_size=8))
def test_lookback_accepts_only_1_to_90_days(text: str) -> None:
    allowed = {f"{number}d" for number in range(1, 91)}
    try:
        assert arguments.lookback(text) in allowed
    except InvalidParameterError:
        assert text not in allowed


@pytest.mark.parametrize("number", [1, 7, 89, 90])
def test_lookbacks_up_to_ninety_days_pass(number: int) -> None:
    assert arguments.lookback(f"{number}d") == f"{number}d"
    assert arguments.lookback(number) == arguments.lookback(timedelta(days=number)) == f"{number}d"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-13-01", "there is no month 13; got '2026-13-01'"),
        ("2026-00-01T00:00:00Z", "there is no month 00"),
        ("20261301", "there is no month 13"),
        ("2026-02-30", "there is no 2026-02-30"),
        ("2025-02-29T12:00:00Z", "there is no 2025-02-29"),
        ("0000-01-01", "there is no 0000-01-01"),
        ("2026-10-01T25:00:00Z", "there is no hour 25"),
        ("2026-10-01T10:61:00Z", "there is no minute 61"),
        ("2026-10-01T10:00:75Z", "there is no second 75"),
    ],
)
def test_time_that_does_not_exist_is_refused_with_the_part_that_is_wrong(text: str, shown: str) -> None:
    with pytest.raises(InvalidParameterError, match=shown):
        arguments.instant("start_timestamp", text)


@pytest.mark.parametrize("text", MISTYPED)
def test_a_mistyped_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameterError, match="ISO 8601") as caught:
        arguments.instant("start_timestamp", text)
    assert caught.value.parameter == "start_timestamp"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-09-01t09:30z", DAY.replace(hour=9, minute=30)),
        ("20260901T093000.5+0200", DAY.replace(hour=7, minute=30, microsecond=500_000)),
        ("2026-W36-2", DAY),
        ("2026-09-01 09+02", DAY.replace(hour=7)),
        ("2026-09-01T00:00:00.010000001Z", DAY.replace(microsecond=10_001)),
        ("2026-09-01T00:00:00.010000000Z", DAY.replace(microsecond=10_000)),
        ("2026-09-01T00:00:00,999999999Z", DAY.replace(second=1)),
    ],
)
def test_iso_8601_forms_are_read_and_nanoseconds_round_up(text: str, moment: datetime) -> None:
    assert arguments.instant("start_timestamp", text) == moment


class Nanoseconds(datetime):
    """A datetime with nanoseconds and other arithmetic, like that of pandas."""

    nanosecond = 1

    def astimezone(self, tz: Any = None) -> Any:
        raise OverflowError(tz)


async def test_nanosecond_bounds_select_the_same_charges_everywhere(flavour: Flavour, tmp_path: Path) -> None:
    """There is a charge each millisecond. The bounds lie 1 ns after 10 and 20 ms, and select 11 to 20 ms."""
    fake = FakeVenice(
        [
            {"timestamp": f"2026-09-01T00:00:00.{ms:03d}Z", "amount": f"-{ms + 1}", "currency": "USD"}
            for ms in range(50)
        ],
        now=NOW,
    )
    face = flavour.connect(fake)
    texts = [f"2026-09-01T00:00:00.0{ms}0000001Z" for ms in (1, 2)]
    values = [Nanoseconds(2026, 9, 1, microsecond=ms * 10_000, tzinfo=UTC) for ms in (1, 2)]
    for start, end in (texts, values):
        window: dict[str, Any] = {"start_timestamp": start, "end_timestamp": end}
        for order in ("asc", "desc"):
            for concurrency in (1, 4):
                walk = face.client.iter_usage_history(**window, sort_order=order, concurrency=concurrency)
                assert sum(entry.amount for entry in await receive(walk)) == -sum(range(12, 22))
        page = await face.call("get_usage_history", **window)
        assert sum(entry.amount for entry in page.data) == -sum(range(12, 22))
        export = await face.call("export_usage_csv", tmp_path / "usage.csv", **window, resume=False)
        assert export.rows == 10
