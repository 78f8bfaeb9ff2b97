"""Bad arguments are refused before any request, and good arguments are read as documented."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.flavours import NOW, Flavour, files, receive
from venice_billing import (
    AuthenticationError,
    Currency,
    InvalidParameterError,
    InvalidRequestError,
    VeniceBilling,
    VeniceError,
)
from venice_billing import _arguments as arguments
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

NAIVE = datetime(2026, 9, 1)  # noqa: DTZ001 - a naive datetime must be refused
DAY = datetime(2026, 9, 1, tzinfo=UTC)
BAD_TIMES = (NAIVE, "2026-09-01T10:00:00", "yesterday", "", 1788220800)
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
EMPTY_RANGES = ((DAY, DAY), (DAY, DAY - timedelta(days=1)), ("2026-09-02", "2026-09-01"))
BAD_CURSORS = ("", " ", "a b", "a" * 513, "é", "abc\n", 5)
BAD_LOOKBACKS = (
    *("91d", "0d", "7", "7D", "-7d", " 7d", "07d", "7d\n", "", "9999999d", 0, 91, -7, 7.0, True, 10**9),
    *(timedelta(hours=36), timedelta(0), timedelta(days=91), timedelta(days=-7), timedelta.max),
)

BAD_PORTS = ("0", "00", "65536", "65979", "131515", "-1", "-443", "+80", "4_43", "٣", "80a", "9" * 24, "9" * 5000)
"""A socket reads 65536 + N as N, and httpx accepts all of these but two."""

OF_WALKS = ("iter_usage", "iter_usage_history")
OF_HISTORY = ("get_usage_history", "iter_usage_history", "export_usage_csv")

# The methods, a parameter, values that they refuse, and what the error says is allowed.
REFUSED_VALUES: list[tuple[tuple[str, ...], str, tuple[Any, ...], str]] = [
    (("get_usage",), "limit", (0, -1, 501, 2.0, True, "200", 10**5000), "from 1 to 500"),
    (("get_usage",), "page", (0, -3, 1.5, False), "at least 1"),
    (("get_usage",), "page", (10**15 + 1, 10**5000), "from 1 to 1000000000000000"),
    (("get_usage",), "currency", ("EUR", "usd", "", 1), "'VCU'"),
    (("get_usage",), "sort_order", ("newest", "DESC", ""), "'asc', 'desc'"),
    (("get_usage", "get_usage_history"), "format", ("xml", "JSON", "text/csv", None), "'json', 'csv'"),
    ((*OF_HISTORY, "iter_usage"), "page_size", (9, 1001, 0, "10", True), "from 10 to 1000"),
    ((*OF_HISTORY, "iter_usage"), "currency", ("VCU", "EUR", "usd", "", 1), "'DIEM', 'USD'"),
    (OF_WALKS, "sort_order", ("up", "DESC", ""), "'asc', 'desc'"),
    (OF_WALKS, "max_items", (0, -1, 1.0), "at least 1"),
    (OF_WALKS, "checkpoint", ("", "x", "vb1.", "vb1.AAAA", 5), "whole and unaltered"),
    ((*OF_WALKS, "export_usage_csv"), "concurrency", (0, 17, 2.0), "from 1 to 16"),
    (("get_usage", "iter_usage"), "start_date", BAD_TIMES, "an aware datetime, a date, or ISO 8601"),
    (("get_usage", "iter_usage"), "end_date", BAD_TIMES, "an aware datetime, a date, or ISO 8601"),
    (OF_HISTORY, "start_timestamp", BAD_TIMES, "an aware datetime, a date, or ISO 8601"),
    (OF_HISTORY, "end_timestamp", BAD_TIMES, "an aware datetime, a date, or ISO 8601"),
    (("get_usage_analytics",), "lookback", BAD_LOOKBACKS, "from 1 to 90: '7d', 7 or timedelta"),
    (("get_usage_history",), "cursor", BAD_CURSORS, "1 to 512"),
]
# Arguments that are refused because another argument is given, or is missing.
DAYS = {"start_date": "2026-09-01", "end_date": "2026-09-02"}
REFUSED_COMBINATIONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("get_usage_analytics", {"start_date": "2026-09-01"}, "end_date", "together with start_date"),
    ("get_usage_analytics", {"end_date": "2026-09-01"}, "start_date", "together with end_date"),
    ("get_usage_analytics", {"lookback": "7d", **DAYS}, "lookback", "left out beside"),
    ("get_usage_analytics", {**DAYS, "start_date": "2026-09-03"}, "start_date", "no later than end_date"),
    ("get_usage_analytics", {**DAYS, "end_date": "2026-09-02T01:00Z"}, "end_date", "a whole day"),
    ("get_usage_history", {"cursor": "abc", "currency": "USD"}, "currency", "beside a cursor"),
    ("get_usage_history", {"cursor": "abc", "start_timestamp": DAY}, "start_timestamp", "beside a cursor"),
    ("get_usage_history", {"cursor": "abc", "end_timestamp": DAY}, "end_timestamp", "beside a cursor"),
    ("get_usage_history", {"cursor": "abc", "page_size": 100}, "page_size", "beside a cursor"),
]


def shown(value: Any) -> str:
    return "an unprintable int" if isinstance(value, int) and value > 10**4300 else repr(value)


def name_of(case: tuple[str, dict[str, Any], str, str]) -> str:
    return ascii([case[0], *(f"{name}={shown(value)}" for name, value in case[1].items())])[:90]


REFUSALS = [
    *(
        (method, {name: value}, name, text)
        for methods, name, values, text in REFUSED_VALUES
        for method in methods
        for value in values
    ),
    *REFUSED_COMBINATIONS,
    *(
        (method, {f"start_{of}": start, f"end_{of}": end}, f"start_{of}", f"earlier than end_{of}")
        for method, of in (
            ("get_usage", "date"),
            ("iter_usage", "date"),
            *((method, "timestamp") for method in OF_HISTORY),
        )
        for start, end in EMPTY_RANGES
    ),
]


@pytest.mark.parametrize(
    ("method", "given_", "parameter", "allowed"), [pytest.param(*case, id=name_of(case)) for case in REFUSALS]
)
async def test_bad_arguments_are_refused_before_any_request(
    *, method: str, given_: dict[str, Any], parameter: str, allowed: str, flavour: Flavour, tmp_path: Path
) -> None:
    """The error names the parameter, the value and what would be accepted, and nothing reaches the server."""
    fake = FakeVenice(0, now=NOW)
    face = flavour.connect(fake)
    path = (tmp_path / "usage.csv",) if method == "export_usage_csv" else ()
    with pytest.raises(InvalidParameterError) as caught:
        await face.call(method, *path, **given_)
    await face.close()
    error = caught.value
    assert error.parameter == parameter
    assert error.value[:70] == shown(given_.get(parameter))[:70]
    assert allowed in error.allowed
    assert str(error) == f"{parameter} must be {error.allowed}; got {error.value}"
    assert isinstance(error, ValueError)
    assert isinstance(error, InvalidRequestError)
    assert error.status_code is None
    assert fake.requests == []
    assert files(tmp_path) == [], "a refused export leaves no file"


async def test_bad_paths_are_refused_before_any_request(flavour: Flavour, tmp_path: Path) -> None:
    fake = FakeVenice(0, now=NOW)
    face = flavour.connect(fake)
    for path in ("", "  ", 5, None, "\0", "\ud800", tmp_path, tmp_path / "missing" / "usage.csv"):
        with pytest.raises(InvalidParameterError, match=r"^path must be"):
            await face.call("export_usage_csv", path)
    await face.close()
    assert fake.requests == []
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "parameter"),
    [
        ({"api_key": ""}, "api_key"),
        ({"api_key": " \t\n"}, "api_key"),
        ({"api_key": b"bytes"}, "api_key"),
        ({"api_key": "in side"}, "api_key"),
        ({"api_key": "line\nbreak"}, "api_key"),
        ({"api_key": "ключ"}, "api_key"),
        ({"base_url": "http://api.venice.ai/api/v1"}, "base_url"),
        ({"base_url": "http://10.0.0.1/api"}, "base_url"),
        ({"base_url": "http://localhost.example.com"}, "base_url"),
        ({"base_url": "http://127.0.0.1.example.com"}, "base_url"),
        ({"base_url": "http://localhost@example.com"}, "base_url"),
        ({"base_url": "ftp://api.venice.ai"}, "base_url"),
        ({"base_url": "api.venice.ai/api/v1"}, "base_url"),
        ({"base_url": "https://"}, "base_url"),
        ({"base_url": ""}, "base_url"),
        ({"base_url": "https://api.venice.ai/api?x=1"}, "base_url"),
        ({"base_url": "https://api.venice.ai/api#x"}, "base_url"),
        ({"base_url": "https://user:pass@api.venice.ai"}, "base_url"),
        ({"base_url": "https://[::1"}, "base_url"),
        ({"base_url": "https://xn--/"}, "base_url"),
        ({"base_url": "https://a..b"}, "base_url"),
        ({"base_url": "https://" + "a" * 64 + ".invalid"}, "base_url"),
        ({"base_url": 5}, "base_url"),
        *(({"base_url": f"https://api.venice.ai:{port}/api/v1"}, "base_url") for port in BAD_PORTS),
        *(({"base_url": f"http://[::1]:{port}"}, "base_url") for port in BAD_PORTS),
        ({"timeout": 0}, "timeout"),
        ({"timeout": -1}, "timeout"),
        ({"timeout": float("nan")}, "timeout"),
        ({"timeout": float("inf")}, "timeout"),
        ({"timeout": None}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"timeout": "10"}, "timeout"),
        ({"max_retries": -1}, "max_retries"),
        ({"max_retries": 11}, "max_retries"),
        ({"max_retries": 1.0}, "max_retries"),
        ({"max_wait": -1}, "max_wait"),
        ({"max_wait": float("nan")}, "max_wait"),
        ({"max_wait": float("inf")}, "max_wait"),
        ({"max_wait": None}, "max_wait"),
        ({"max_wait": True}, "max_wait"),
        ({"max_wait": "10"}, "max_wait"),
        ({"http_client": object()}, "http_client"),
    ],
)
def test_bad_options_are_refused_at_construction(options: dict[str, Any], parameter: str, flavour: Flavour) -> None:
    from venice_billing import AsyncVeniceBilling  # noqa: PLC0415 - beside its twin below

    kind = VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling
    with pytest.raises(InvalidParameterError) as caught:
        kind(**{"api_key": "good-key", **options})
    assert caught.value.parameter == parameter


@pytest.mark.parametrize("key", ["hush hush", "hüsh", "hush\n", "hush\u2028"])
def test_refused_key_is_not_in_the_error(key: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        VeniceBilling(key)
    assert not re.search("h[uü]sh", f"{caught.value!r} {vars(caught.value)}")


def test_password_in_a_refused_base_url_is_not_in_the_error() -> None:
    with pytest.raises(InvalidParameterError) as caught:
        VeniceBilling("good-key", base_url="https://user:hunter2@api.venice.ai")
    assert "hunter2" not in f"{caught.value!r} {vars(caught.value)}"


@pytest.mark.parametrize("value", [None, ""])
def test_missing_key_error_names_the_environment_variable(
    value: str | None, monkeypatch: pytest.MonkeyPatch, flavour: Flavour
) -> None:
    """An unset and an empty variable are the same: there is no key."""
    from venice_billing import AsyncVeniceBilling  # noqa: PLC0415 - beside its twin below

    if value is None:
        monkeypatch.delenv("VENICE_API_KEY", raising=False)
    else:
        monkeypatch.setenv("VENICE_API_KEY", value)
    with pytest.raises(AuthenticationError, match="VENICE_API_KEY"):
        (VeniceBilling if flavour.name == "sync" else AsyncVeniceBilling)()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.venice.ai/api/v1",
        "https://api.venice.ai/api/v1/",
        "http://localhost:8000/api/v1",
        "http://127.0.0.1:8000",
        "http://127.8.8.8",
        "http://[::1]:8000/api/v1",
        "HTTPS://API.VENICE.AI/api/v1",
        "https://api.venice.ai:1/api/v1",
        "https://api.venice.ai:65535/a:0/b",
        "https://[2001:db8::1]/api/v1",
    ],
)
def test_https_anywhere_and_http_on_loopback_are_accepted(url: str) -> None:
    assert arguments.base_url(url).lower() == url.lower().rstrip("/")


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


def test_enum_member_is_read_as_its_text() -> None:
    chosen = arguments.choice("currency", Currency.USD, ["DIEM", "USD"])
    assert (type(chosen), chosen) == (str, "USD")


@pytest.mark.parametrize("value", ["x" * 10_000, list(range(5_000)), b"y" * 10_000])
def test_refused_values_are_shown_in_bounded_length(value: Any) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        arguments.integer("limit", value, 1, 500)
    assert len(caught.value.value) <= 80
    assert len(str(caught.value)) <= 560


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


class OddTime(datetime):
    def timetuple(self) -> Any:
        raise RuntimeError

    def utcoffset(self) -> Any:
        raise RuntimeError


class OddText(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    def strip(self, *_: object) -> str:
        raise RuntimeError


class OddNumber(int):
    def __ge__(self, other: object) -> bool:
        raise RuntimeError

    __le__ = __gt__ = __lt__ = __index__ = __int__ = __float__ = __ge__  # type: ignore[assignment]


class OddFraction(float):
    def __ge__(self, other: object) -> bool:
        raise RuntimeError

    __le__ = __gt__ = __lt__ = __eq__ = __float__ = __ge__  # type: ignore[assignment]
    __hash__ = float.__hash__


class OddLength(timedelta):
    def __lt__(self, other: object) -> bool:
        raise RuntimeError

    __mod__ = __floordiv__ = __lt__  # type: ignore[assignment]


class Int64:
    """A whole number of another class, as in numpy and pandas."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __index__(self) -> int:
        return self.value


class OddIndex:
    def __index__(self) -> int:
        raise RuntimeError


def test_whole_numbers_of_other_classes_count_as_their_values(tmp_path: Path) -> None:
    """An `Int64(5)` refused as "must be a whole number" would be a riddle."""
    fake = FakeVenice(50, now=NOW)
    five, ten = Int64(5), Int64(10)
    with fake.client(timeout=ten, max_retries=Int64(1), max_wait=five) as client:
        assert len(list(client.iter_usage(max_items=five, page_size=ten, concurrency=Int64(2)))) == 5  # type: ignore[arg-type]
        assert client.get_usage_analytics(lookback=ten).lookback == "10d"  # type: ignore[arg-type]
        export = client.export_usage_csv(tmp_path / "usage.csv", page_size=ten, concurrency=Int64(2))  # type: ignore[arg-type]
        assert export.rows == 50
        with pytest.raises(InvalidParameterError, match="max_items must be a whole number of at least 1"):
            client.iter_usage(max_items=Int64(0))  # type: ignore[arg-type]
        with pytest.raises(InvalidParameterError, match="max_items must be a whole number of at least 1"):
            client.iter_usage(max_items=OddIndex())  # type: ignore[arg-type]
        with pytest.raises(InvalidParameterError, match="lookback must be"):
            client.get_usage_analytics(lookback=OddIndex())  # type: ignore[arg-type]


def test_subclasses_whose_methods_fail_count_as_their_values() -> None:
    assert arguments.integer("page_size", OddNumber(20), 10, 1000) == 20
    assert arguments.seconds("timeout", OddNumber(20)) == 20.0
    assert arguments.seconds("timeout", OddFraction(2.5)) == 2.5
    assert arguments.choice("currency", OddText("USD"), ["USD"]) == "USD"
    assert arguments.cursor(OddText("abc")) == "abc"
    assert arguments.api_key(OddText("a-key")) == "a-key"
    assert arguments.base_url(OddText("https://example.com/")) == "https://example.com"
    assert arguments.instant("start", OddText("2026-09-01")) == datetime(2026, 9, 1, tzinfo=UTC)
    assert arguments.duration("resume", OddLength(hours=1)) == timedelta(hours=1)
    assert arguments.lookback(OddLength(days=7)) == arguments.lookback(OddText("7d")) == "7d"
    with pytest.raises(InvalidParameterError, match="a time that fails"):
        arguments.instant("start", OddTime(2026, 9, 1, tzinfo=UTC))


@pytest.mark.parametrize("now", [1e15, float("inf"), float("nan"), -1.0])
def test_a_clock_outside_the_calendar_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, now: float) -> None:
    client = VeniceBilling("a-key", base_url="http://127.0.0.1:1", max_retries=0)
    monkeypatch.setattr("venice_billing._clock.time.time", lambda: now)
    with pytest.raises(VeniceError, match="the clock of this system is wrong"):
        list(client.iter_usage())
    with pytest.raises(VeniceError, match="the clock of this system is wrong"):
        client.export_usage_csv(tmp_path / "usage.csv")
