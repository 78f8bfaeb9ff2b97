"""One request: its rows in the ledger and its records in a log, added up and compared. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING

from venice_billing import _exact
from venice_billing._runtime.sku import split_sku
from venice_billing.ledger._moments import moment
from venice_billing.ledger.reconciliation import FieldDifference, ReconciledRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from venice_billing.ledger.reconciliation import ComparedField

_NO_CURRENCY = ""
_BETWEEN_WORDS = re.compile(r"[^a-z0-9]+")
_model_of = lru_cache(1024)(lambda sku: split_sku(sku).model)


class Request:
    """What the ledger and the log have of one request. Its rows are added before its records, in the order of time."""

    def __init__(self, request_id: str, tolerance: int) -> None:
        """Begin with nothing; `tolerance` is how many microseconds a record and the rows may lie apart."""
        self._request_id = request_id
        self._tolerance = tolerance
        self.rows = self.records = 0
        self.compared: set[ComparedField] = set()
        self._row_times: list[int] = []
        self._first_logged: int | None = None
        self._line: int | None = None
        self._booked: dict[str, Decimal] = {}
        self._refunded: dict[str, Decimal] = {}
        self._logged: dict[str, Decimal] = {}
        self._records_with_amount = 0
        self._booked_models: dict[str, str] = {}
        self._logged_models: dict[str, str] = {}
        self._logged_currencies: set[str] = set()
        self._strange_time: FieldDifference | None = None

    @property
    def first_booked(self) -> int:
        """The time of the first row, in microseconds since 1970."""
        return self._row_times[0]

    @property
    def first_logged(self) -> int | None:
        """The time of the first record that has one, likewise."""
        return self._first_logged

    def add_row(self, amount: str, currency: str, sku: str, at: int, *, is_refund: bool) -> None:
        """Add a row of the ledger."""
        self.rows += 1
        _add(self._booked, currency, amount)
        if is_refund:
            _add(self._refunded, currency, amount)
        self._row_times.append(at)
        model = _model_of(sku)
        self._booked_models.setdefault(_plain(model), model)

    def add_record(
        self, line: int, amount: str | None, currency: str | None, model: str | None, at: int | None
    ) -> None:
        """Add a record of the log."""
        self.records += 1
        self._line = line if self._line is None else min(self._line, line)
        if amount is not None:
            self._records_with_amount += 1
            _add(self._logged, currency or _NO_CURRENCY, amount)
        if currency is not None:
            self._logged_currencies.add(currency)
        if model is not None:
            self._logged_models.setdefault(_plain(model), model)
        if at is not None:
            self._first_logged = at if self._first_logged is None else self._first_logged
            self._compare_time(at)

    def reconciled(self) -> ReconciledRequest:
        """Return the request, with its differences if both the ledger and the log have it."""
        at = self._row_times[0] if self._row_times else self._first_logged
        return ReconciledRequest(
            request_id=self._request_id,
            time=None if at is None else moment(at),
            line=self._line,
            records=self.records,
            rows=self.rows,
            logged=self._logged,
            booked=self._booked,
            refunded=self._refunded,
            differences=tuple(self._differences()) if self.rows and self.records else (),
        )

    def _differences(self) -> Iterator[FieldDifference]:
        yield from self._of_amounts()
        yield from self._of_currencies()
        if self._logged_models:
            self.compared.add("model")
            if not self._logged_models.keys() <= self._booked_models.keys():
                yield _of_texts("model", self._logged_models.values(), self._booked_models.values())
        if self._strange_time is not None:
            yield self._strange_time

    def _of_amounts(self) -> Iterator[FieldDifference]:
        """Compare the sums of each currency, if all records have an amount, and it is clear in which currency."""
        if self._records_with_amount < self.records:
            return
        logged = dict(self._logged)
        if _NO_CURRENCY in logged:
            if len(self._booked) > 1:
                return
            (currency,) = self._booked
            logged[currency] = _exact.add(logged.pop(_NO_CURRENCY), logged.get(currency, _exact.ZERO))
        self.compared.add("amount")
        for currency in sorted({*logged, *self._booked}):
            log, ledger = logged.get(currency), self._booked.get(currency)
            if (log or _exact.ZERO) != (ledger or _exact.ZERO):
                yield FieldDifference(field="amount", currency=currency, log=log, ledger=ledger)

    def _of_currencies(self) -> Iterator[FieldDifference]:
        if _NO_CURRENCY in self._logged and len(self._booked) > 1:
            self.compared.add("currency")
            yield FieldDifference(field="currency", log=None, ledger=", ".join(sorted(self._booked)))
        elif self._logged_currencies:
            self.compared.add("currency")
            if not self._logged_currencies <= self._booked.keys():
                yield _of_texts("currency", self._logged_currencies, self._booked)

    def _compare_time(self, at: int) -> None:
        """Compare the time of a record with the row nearest to it: a refund may come days later."""
        if not self.rows:
            return
        self.compared.add("time")
        place = bisect_left(self._row_times, at)
        nearest = min(self._row_times[max(0, place - 1) : place + 1], key=lambda booked: abs(booked - at))
        if abs(nearest - at) > self._tolerance and self._strange_time is None:
            self._strange_time = FieldDifference(field="time", log=moment(at), ledger=moment(nearest))


def _add(sums: dict[str, Decimal], currency: str, amount: str) -> None:
    sums[currency] = _exact.add(sums.get(currency, _exact.ZERO), Decimal(amount))


def _of_texts(field: ComparedField, log: Iterable[str], ledger: Iterable[str]) -> FieldDifference:
    return FieldDifference(field=field, log=", ".join(sorted(log)), ledger=", ".join(sorted(ledger)))


def _plain(model: str) -> str:
    """Return the id of a model as SKUs spell it: "Llama-3.3-70B" is `llama-3-3-70b` there."""
    return _BETWEEN_WORDS.sub("-", model.lower()).strip("-") or model
