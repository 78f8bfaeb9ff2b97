"""What the facade accepts, as edges that are always tried and as strategies for the rest.

An edge it no longer accepted would prove nothing in silence, so `test_requests` insists on each.
"""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

Arguments = dict[str, Any]

_CURSOR_LETTERS = string.ascii_letters + string.digits + "_-"
_CURSORS = ("a", "Z", "0", "_", "-", _CURSOR_LETTERS, (_CURSOR_LETTERS * 8)[:512])
_MOMENTS: tuple[Any, ...] = (
    datetime(2026, 6, 1, tzinfo=UTC),
    datetime(2026, 6, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30))),
    datetime(1, 1, 2, tzinfo=UTC),
    datetime(9999, 12, 30, 23, 59, 59, 999000, tzinfo=UTC),
    date(2024, 2, 29),
    "2026-06-01T00:00:00Z",
    "2026-06-01T00:00:00.5-08:00",
    "2026-06-01",
)
_DAYS: tuple[Any, ...] = (date(1, 1, 1), date(1999, 12, 31), date(2024, 2, 29), "2026-06-01", date(9999, 12, 31))
_LEGACY = ("USD", "VCU", "DIEM", "BUNDLED_CREDITS")
_HISTORY = ("USD", "DIEM", "BUNDLED_CREDITS")
_LIMITS = (1, 2, 99, 200, 499, 500)
_PAGES = (1, 2, 101, 10**6, 2**31, 10**15)
_PAGE_SIZES = (10, 11, 99, 500, 999, 1000)
_LOOKBACKS = tuple(f"{days}d" for days in range(1, 91))
_ORDERS = ("asc", "desc")

EDGES: dict[str, dict[str, tuple[Any, ...]]] = {
    "get_balance": {},
    "get_usage": {
        "currency": _LEGACY,
        "start_date": _MOMENTS,
        "end_date": _MOMENTS,
        "limit": _LIMITS,
        "page": _PAGES,
        "sort_order": _ORDERS,
    },
    "get_usage_history": {
        "currency": _HISTORY,
        "start_timestamp": _MOMENTS,
        "end_timestamp": _MOMENTS,
        "page_size": _PAGE_SIZES,
        "cursor": _CURSORS,
    },
    "get_usage_analytics": {"lookback": _LOOKBACKS},
}


_NAIVE = datetime(2026, 6, 1)  # noqa: DTZ001 - that it is naive is the point
_NO_MOMENTS: tuple[Any, ...] = (_NAIVE, "", "yesterday", "2026-06-01T00:00:00", "2026-13-01", 1780272000, "1780272000")
_WINDOW: tuple[Any, Any] = ("2026-06-02", "2026-06-01")
_DOUBTFUL: dict[str, tuple[Arguments, ...]] = {
    "get_balance": (),
    "get_usage": (
        *({"currency": value} for value in ("EARNED_CREDITS", "usd", "", "USD,DIEM")),
        *({"limit": value} for value in (0, 501, -1, 10.5, "10", True)),
        *({"page": value} for value in (0, -1, 1.5, "1", 2**63, 10**400)),
        *({"sort_order": value} for value in ("up", "ASC", "")),
        *({"start_date": value} for value in _NO_MOMENTS),
        {"start_date": _WINDOW[0], "end_date": _WINDOW[1]},
    ),
    "get_usage_history": (
        *({"currency": value} for value in ("VCU", "EARNED_CREDITS", "usd", "")),
        *({"page_size": value} for value in (9, 1001, 0, -1, 10.5, "10", True)),
        *({"cursor": value} for value in ("", "a b", "a+b", "ä", "x" * 513, "a\n")),
        *({"cursor": "abc", name: value} for name, value in (("page_size", 10), ("currency", "USD"))),
        *({"cursor": "abc", name: "2026-06-01"} for name in ("start_timestamp", "end_timestamp")),
        *({"end_timestamp": value} for value in _NO_MOMENTS),
        {"start_timestamp": _WINDOW[0], "end_timestamp": _WINDOW[1]},
        {"start_timestamp": _WINDOW[0], "end_timestamp": _WINDOW[0]},
    ),
    "get_usage_analytics": (
        *({"lookback": value} for value in ("0d", "07d", "91d", "7", "d", "", "7D", "\u0667d", 7)),
        *({"start_date": value, "end_date": value} for value in (*_NO_MOMENTS, "2026-06-01T12:00:00Z")),
        *({name: "2026-06-01"} for name in ("start_date", "end_date")),
        {"start_date": _WINDOW[0], "end_date": _WINDOW[1]},
        {"lookback": "7d", "start_date": "2026-06-01", "end_date": "2026-06-01"},
    ),
}


def doubtful(method: str) -> tuple[Arguments, ...]:
    """Return arguments that the facade had better refuse: what it accepts of them must be in the contract."""
    return _DOUBTFUL[method]


def edges(method: str) -> dict[str, list[Arguments]]:
    """Return no argument at all, then each edge of each parameter by itself, then the days, which come in pairs."""
    found: dict[str, list[Arguments]] = {"none": [{}]}
    for name, values in EDGES[method].items():
        found[name] = [{name: value} for value in values]
    if method == "get_usage_analytics":
        found["dates"] = [{"start_date": day, "end_date": day} for day in _DAYS]
    return found


def combinations(method: str) -> SearchStrategy[Arguments]:
    """Return a strategy for arguments that the facade accepts together."""
    if method == "get_balance":
        return st.just({})
    if method == "get_usage":
        return st.fixed_dictionaries(
            {},
            optional={
                "currency": st.sampled_from(_LEGACY),
                "limit": st.integers(1, 500),
                "page": st.integers(1, 10**15),
                "sort_order": st.sampled_from(_ORDERS),
            },
        ).flatmap(lambda rest: _windows("start_date", "end_date").map(lambda window: rest | window))
    if method == "get_usage_history":
        filters = st.fixed_dictionaries(
            {},
            optional={"currency": st.sampled_from(_HISTORY), "page_size": st.integers(10, 1000)},
        ).flatmap(lambda rest: _windows("start_timestamp", "end_timestamp").map(lambda window: rest | window))
        cursor = st.text(_CURSOR_LETTERS, min_size=1, max_size=512)
        return filters | st.fixed_dictionaries({"cursor": cursor})
    days = st.tuples(st.dates(), st.dates()).map(sorted)
    return st.fixed_dictionaries({"lookback": st.sampled_from(_LOOKBACKS)}) | days.map(
        lambda pair: {"start_date": pair[0], "end_date": pair[1].isoformat()}
    )


def _windows(start: str, end: str) -> SearchStrategy[Arguments]:
    zones = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    firsts = st.datetimes(datetime(2, 1, 1), datetime(9000, 1, 1), timezones=zones)  # noqa: DTZ001 - the zone is drawn
    lengths = st.timedeltas(timedelta(days=1), timedelta(days=10_000))  # from a day on, its two dates differ too
    forms = st.sampled_from((lambda moment: moment, datetime.isoformat, datetime.date))

    def arguments(first: datetime, length: timedelta, form: Any, given: str) -> Arguments:
        window = {start: form(first), end: form(first + length)}
        return {name: value for name, value in window.items() if name in given}

    return st.builds(arguments, firsts, lengths, forms, st.sampled_from(("", start, end, f"{start} {end}")))
