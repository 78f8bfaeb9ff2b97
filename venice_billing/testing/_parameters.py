"""Query strings -> parsed queries, or a list of everything that is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeVar

from attrs import frozen

from venice_billing.testing._text import DAY, parse_instant
from venice_billing_api.models import HistoryCurrency, LegacyCurrency

Pairs = Sequence[tuple[str, str]]
_Value = TypeVar("_Value")

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,30})")
_LOOKBACK = re.compile(r"[1-9][0-9]*d")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CURSOR = re.compile(r"[A-Za-z0-9_-]{1,512}")
_MAX_TIMESTAMP_LENGTH = 40
_MAX_LOOKBACK = 90
_EPOCH_DAY = date(1970, 1, 1).toordinal()


@frozen
class Issue:
    """One thing wrong with one parameter ("" for the query as a whole)."""

    parameter: str
    message: str


class QueryRefusedError(ValueError):
    """The query breaks the contract: a 400."""

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__("; ".join(f"{issue.parameter}: {issue.message}" for issue in issues))
        self.issues = tuple(issues)


@frozen
class HistoryQuery:
    """A first request (no cursor) or a continuation (nothing but the cursor)."""

    cursor: str | None
    currency: str | None
    start: int | None
    end: int | None
    page_size: int


@frozen
class UsageQuery:
    """A page of the original ledger."""

    currency: str | None
    start: int | None
    end: int | None
    limit: int
    page: int
    descending: bool


@frozen
class AnalyticsQuery:
    """A period in instants, end exclusive, and the text that the response gives for it."""

    lookback: str
    start: int
    end: int


def read_balance_query(pairs: Pairs) -> None:
    """Refuse any parameter: the operation has none."""
    _Reading(pairs, ()).finish()


def read_history_query(pairs: Pairs) -> HistoryQuery:
    """Read the query of `/billing/usage-history`."""
    reading = _Reading(pairs, ("currency", "startTimestamp", "endTimestamp", "pageSize", "cursor"))
    query = HistoryQuery(
        cursor=reading.get("cursor", _cursor_text),
        currency=reading.get("currency", _one_of(*(each.value for each in HistoryCurrency))),
        start=reading.get("startTimestamp", _utc_timestamp),
        end=reading.get("endTimestamp", _utc_timestamp),
        page_size=reading.get("pageSize", _integer(10, 1000)) or 1000,
    )
    if "cursor" in reading.names and len(reading.names) > 1:
        reading.complain("cursor", "a continuation takes the cursor alone; it carries the filters")
    reading.require_order("startTimestamp", query.start, "endTimestamp", query.end)
    reading.finish()
    return query


def read_usage_query(pairs: Pairs) -> UsageQuery:
    """Read the query of the original `/billing/usage`."""
    reading = _Reading(pairs, ("currency", "startDate", "endDate", "limit", "page", "sortOrder"))
    query = UsageQuery(
        currency=reading.get("currency", _one_of(*(each.value for each in LegacyCurrency))),
        start=reading.get("startDate", parse_instant),
        end=reading.get("endDate", parse_instant),
        limit=reading.get("limit", _integer(1, 500)) or 200,
        page=reading.get("page", _integer(1, None)) or 1,
        descending=reading.get("sortOrder", _one_of("asc", "desc")) != "asc",
    )
    reading.require_order("startDate", query.start, "endDate", query.end)
    reading.finish()
    return query


def read_analytics_query(pairs: Pairs, now: int) -> AnalyticsQuery:
    """Read the query of `/billing/usage-analytics`: a lookback from now, or whole UTC days."""
    reading = _Reading(pairs, ("lookback", "startDate", "endDate"))
    lookback = reading.get("lookback", _lookback)
    first, last = reading.get("startDate", _day), reading.get("endDate", _day)
    dates = reading.names & {"startDate", "endDate"}
    if "lookback" in reading.names and dates:
        reading.complain("lookback", "give a lookback or two dates, not both")
    if len(dates) == 1:
        reading.complain(min({"startDate", "endDate"} - dates), "startDate and endDate come together")
    if first is not None and last is not None and first > last:
        reading.complain("startDate", "must not be after endDate")
    reading.finish()
    if first is not None and last is not None:
        sent = dict(pairs)
        return AnalyticsQuery(f"{sent['startDate']}:{sent['endDate']}", first, last + DAY)
    lookback = lookback or "7d"
    return AnalyticsQuery(lookback, now - int(lookback[:-1]) * DAY, now + 1)


class _Reading:
    """Takes parameters out of a query, and collects all issues."""

    def __init__(self, pairs: Pairs, known: Sequence[str]) -> None:
        self._sent = dict(pairs)
        self._issues: list[Issue] = []
        self.names = set(self._sent)
        for name in self._sent:
            if name not in known:
                self.complain(name, "unknown parameter")
            elif sum(name == other for other, _ in pairs) > 1:
                self.complain(name, "given more than once")

    def get(self, name: str, read: Callable[[str], _Value]) -> _Value | None:
        """Return the value that was sent, or None if none was sent or the value is refused."""
        if name not in self._sent:
            return None
        try:
            return read(self._sent[name])
        except ValueError as refusal:
            self.complain(name, str(refusal))
            return None

    def require_order(self, start_name: str, start: int | None, end_name: str, end: int | None) -> None:
        """Note an issue unless start < end."""
        if start is not None and end is not None and start >= end:
            self.complain(end_name, f"must be later than {start_name}")

    def complain(self, name: str, message: str) -> None:
        """Note an issue."""
        self._issues.append(Issue(name, message))

    def finish(self) -> None:
        """Raise the noted issues, if any."""
        if self._issues:
            raise QueryRefusedError(self._issues)


def _one_of(*values: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}")
        return text

    return read


def _integer(least: int, most: int | None) -> Callable[[str], int]:
    def read(text: str) -> int:
        number = int(text) if _INTEGER.fullmatch(text) else None
        if number is None or number < least or (most is not None and number > most):
            raise ValueError(f"must be an integer from {least}" + ("" if most is None else f" to {most}"))
        return number

    return read


def _utc_timestamp(text: str) -> int:
    if len(text) > _MAX_TIMESTAMP_LENGTH:
        raise ValueError(f"must have at most {_MAX_TIMESTAMP_LENGTH} characters")
    return parse_instant(text, zulu=True)


def _cursor_text(text: str) -> str:
    if not _CURSOR.fullmatch(text):
        raise ValueError("must be 1 to 512 characters of A-Z, a-z, 0-9, _ and -")
    return text


def _lookback(text: str) -> str:
    if not _LOOKBACK.fullmatch(text):
        raise ValueError("must be a number of days like 7d")
    # The API shortens a longer lookback without saying so.
    days = text[:-1]
    return text if len(days) <= len(str(_MAX_LOOKBACK)) and int(days) <= _MAX_LOOKBACK else f"{_MAX_LOOKBACK}d"


def _day(text: str) -> int:
    if not _DATE.fullmatch(text):
        raise ValueError("must be a date YYYY-MM-DD")
    return (date.fromisoformat(text).toordinal() - _EPOCH_DAY) * DAY
