"""The ledger against the API's analytics: which days can be compared, which to ask for, and what they say.

What the analytics are: the debits of each day in UTC, as positive sums. USD there is dollars and bundled credits
together; refunds are not taken off; there is no other currency but DIEM. An answer may be 10 minutes old.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from attrs import frozen

from venice_billing import _arguments as arguments
from venice_billing import _exact
from venice_billing._event_loops import in_thread
from venice_billing.errors import BillingTimeoutError, InvalidParameterError, LedgerError, ResponseValidationError
from venice_billing.ledger import _history, spending
from venice_billing.ledger._moments import microseconds, moment
from venice_billing.ledger.verification import DayFigures, LeftOut, Verification

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from venice_billing._arguments import Moment
    from venice_billing.client import AsyncVeniceBilling, VeniceBilling
    from venice_billing.ledger._database import Database
    from venice_billing.ledger.verification import Omission
    from venice_billing.models import DailyUsage, UsageAnalytics

_DAY = timedelta(days=1)
_CACHE = timedelta(minutes=10)
_AT_ONCE = timedelta(days=arguments.LOOKBACK_DAYS)
_EARLIEST = date.min + _AT_ONCE  # there are no days before
_SMALLEST = timedelta(days=7)  # the API's own default
_SUMMED_IN = {"USD": "USD", "BUNDLED_CREDITS": "USD", "DIEM": "DIEM"}
"""The currencies that the analytics have, and in which of their sums."""
CURRENCIES = ("USD", "DIEM")
_TWO_DAYS = re.compile(r"(\d{4}-\d\d-\d\d):(\d{4}-\d\d-\d\d)", re.ASCII)

Figures = dict[tuple[date, str], "Decimal"]
"""What was charged, by day and currency."""


@frozen
class Days:
    """Some days in a row: the first of them, and the one after the last."""

    first: date
    end: date

    @property
    def last(self) -> date:
        """The last of the days."""
        return self.end - _DAY

    def __iter__(self) -> Iterator[date]:
        return (self.first + number * _DAY for number in range((self.end - self.first).days))


class Questions:
    """Which days to ask for next: at most 90 at once, and fewer where the API says that it takes too long. Pure.

    Attributes:
        asked: How many requests were made.
        figures: The sums of the days that were answered for.
        answered: These days.
    """

    def __init__(self, days: Iterable[date]) -> None:
        wanted = sorted(days)
        self._wanted = frozenset(wanted)
        self._waiting: list[Days] = []
        while wanted:
            end = wanted[0] + _AT_ONCE
            part = [day for day in wanted if day < end]
            wanted = wanted[len(part) :]
            self._waiting.append(Days(part[0], part[-1] + _DAY))
        self.asked = 0
        self.figures: Figures = {}
        self.answered: set[date] = set()

    @property
    def next(self) -> Days | None:
        """The days to ask for; None: there are no more."""
        return self._waiting[0] if self._waiting else None

    def take(self, answer: UsageAnalytics) -> None:
        """Note the answer for the days that were asked for."""
        days = self._waiting.pop(0)
        self.asked += 1
        self.answered |= self._wanted.intersection(_told(answer, days))
        self.figures |= figures_of(answer.by_date)

    def divide(self, error: BillingTimeoutError) -> None:
        """Ask for each half of the days that took too long; raise the error if they are few."""
        days = self._waiting.pop(0)
        self.asked += 1
        length = days.end - days.first
        if length <= _SMALLEST:
            raise error
        middle = days.first + length // 2
        self._waiting[:0] = [Days(days.first, middle), Days(middle, days.end)]


@frozen
class _LedgerDays:
    """What the ledger has of the days in question.

    Attributes:
        figures: What was charged on each day, in the sums of the analytics.
        comparable: The days that can be compared.
        left_out: What cannot, and why.
    """

    figures: Figures
    comparable: list[date]
    left_out: list[LeftOut]


class Verify:
    """One verification of a ledger."""

    def __init__(
        self,
        database: Database,
        client: VeniceBilling | AsyncVeniceBilling,
        *,
        start: Moment | None,
        end: Moment | None,
        tolerance: Decimal | int | str,
    ) -> None:
        self._database = database
        self._client: Any = client
        self._asked_at = datetime.fromtimestamp(vars(client)["_configuration"].policy.clock.time(), UTC)
        self._days = _days(start, end, self._asked_at.date())
        self._tolerance = arguments.amount("tolerance", tolerance)
        if self._tolerance < 0:
            raise InvalidParameterError("tolerance", tolerance, "a number that is not negative")

    def run(self) -> Verification:
        """Verify, with a client of blocking calls."""
        ours = self._read()
        questions = Questions(ours.comparable)
        while (days := questions.next) is not None:
            try:
                questions.take(self._client.get_usage_analytics(start_date=days.first, end_date=days.last))
            except BillingTimeoutError as error:
                questions.divide(error)
        return self._compared(ours, questions)

    async def run_async(self) -> Verification:
        """Verify, with a client of asyncio or trio; the file is read in a thread."""
        ours = await in_thread(self._read)
        questions = Questions(ours.comparable)
        while (days := questions.next) is not None:
            try:
                questions.take(await self._client.get_usage_analytics(start_date=days.first, end_date=days.last))
            except BillingTimeoutError as error:
                questions.divide(error)
        return self._compared(ours, questions)

    def _read(self) -> _LedgerDays:
        until = _history.coverage(self._database).until
        if until is None:
            raise LedgerError(f"{self._database.path}: the ledger is empty; sync it first: ledger.sync(client)")
        reasons = dict(self._reasons(until))
        comparable = [day for day in self._days if day not in reasons]
        left_out = [LeftOut(reason=reason, day=day.isoformat()) for day, reason in reasons.items()]
        figures: Figures = defaultdict(lambda: _exact.ZERO)
        for row in spending.total(self._database, ("day", "currency"), self._days.first, self._days.end, "UTC"):
            day, currency = date.fromisoformat(str(row.day)), _SUMMED_IN.get(row.currency)
            if currency is not None:
                figures[day, currency] = _exact.add(figures[day, currency], row.debits)
            elif row.debits and day not in reasons:
                name = day.isoformat()
                left_out.append(LeftOut(reason="currency", day=name, currency=row.currency, debits=row.debits))
        return _LedgerDays(figures, comparable, left_out)

    def _reasons(self, until: datetime) -> Iterator[tuple[date, Omission]]:
        """Yield the days that cannot be compared yet, and why."""
        changed = self._changed_lately()
        for day in self._days:
            end = datetime.combine(day, time(), UTC) + _DAY
            if end > until:
                yield day, "not_covered"
            elif end > self._asked_at - _CACHE or day in changed:
                yield day, "recent"

    def _changed_lately(self) -> set[date]:
        """Return the days that a sync changed so lately that the API's answer may be older than that."""
        with self._database.reading() as cursor:
            times = cursor.execute(
                """SELECT DISTINCT epoch_us(timestamp) FROM changed_rows JOIN changes USING (adjustment)
                WHERE seen_at > make_timestamptz($since)""",
                {"since": microseconds(self._asked_at - _CACHE)},
            ).fetchall()
        return {moment(at).date() for (at,) in times}

    def _compared(self, ours: _LedgerDays, questions: Questions) -> Verification:
        unanswered = [day for day in ours.comparable if day not in questions.answered]
        left_out = [*ours.left_out, *[LeftOut(reason="not_answered", day=day.isoformat()) for day in unanswered]]
        return Verification(
            days=tuple(
                [
                    DayFigures(
                        day=day.isoformat(),
                        currency=currency,
                        ledger=ours.figures.get((day, currency), _exact.ZERO),
                        analytics=questions.figures.get((day, currency), _exact.ZERO),
                    )
                    for day in ours.comparable
                    if day in questions.answered
                    for currency in CURRENCIES
                ]
            ),
            left_out=tuple(sorted(left_out, key=attrgetter("day"))),
            asked_at=self._asked_at,
            requests=questions.asked,
            tolerance=self._tolerance,
        )


def figures_of(by_date: Iterable[DailyUsage]) -> Figures:
    """Return the sums of days as the analytics tell them.

    Raises:
        ResponseValidationError: A day is none, or is told twice.
    """
    figures: Figures = {}
    for number, daily in enumerate(by_date):
        place = f"byDate[{number}].date"
        try:
            day = arguments.instant("date", daily.date).date()
        except InvalidParameterError:
            raise ResponseValidationError(f"expected a day, got {daily.date!r}", field=place) from None
        if (day, "USD") in figures:  # which of both is the day's, or whether their sum is, nobody can tell
            raise ResponseValidationError(f"the day {day} is told twice", field=place)
        figures[day, "USD"], figures[day, "DIEM"] = daily.usd, daily.diem
    return figures


def _told(answer: UsageAnalytics, days: Days) -> Iterable[date]:
    """Return the days that an answer is for: it repeats the range, unless that has another form."""
    match = _TWO_DAYS.fullmatch(answer.lookback)
    return [day for day in days if match is None or match[1] <= day.isoformat() <= match[2]]


def _days(start: Moment | None, end: Moment | None, today: date) -> Days:
    """Return the days from `start` on and before `end`; by default the last 90, today among them."""
    last = today + _DAY if end is None else date.fromisoformat(arguments.day("end", end))
    first = max(last, _EARLIEST) - _AT_ONCE if start is None else date.fromisoformat(arguments.day("start", start))
    if first >= last:
        raise InvalidParameterError("start", first.isoformat(), f"earlier than end ({last})")
    return Days(first, last)
