"""Bad arguments are refused before any request, and good arguments are read as documented."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from contract_tests.support.flavours import NOW, Flavour, files
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
    (("get_usage",), "page", (0, -3, 1.5, False, 10**5000), "at least 1"),
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
    with pytest.raises(InvalidParameterError) as caught:
        flavour.kind(**{"api_key": "good-key", **options})
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
    if value is None:
        monkeypatch.delenv("VENICE_API_KEY", raising=False)
    else:
        monkeypatch.setenv("VENICE_API_KEY", value)
    with pytest.raises(AuthenticationError, match="VENICE_API_KEY"):
        flavour.kind()


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


def test_enum_member_is_read_as_its_text() -> None:
    chosen = arguments.choice("currency", Currency.USD, ["DIEM", "USD"])
    assert (type(chosen), chosen) == (str, "USD")


@pytest.mark.parametrize("value", ["x" * 10_000, list(range(5_000)), b"y" * 10_000])
def test_refused_values_are_shown_in_bounded_length(value: Any) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        arguments.integer("limit", value, 1, 500)
    assert len(caught.value.value) <= 80
    assert len(str(caught.value)) <= 560


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
