"""What a reconciliation is given and what it gives: records of your own log, and how they and the ledger agree."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, get_args
from uuid import UUID

from attrs import field, frozen

from venice_billing import _arguments as arguments
from venice_billing import _exact
from venice_billing._table import table_text
from venice_billing.errors import InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from venice_billing.models import UsageEntry

__all__ = ["ComparedField", "FieldDifference", "ReconciledRequest", "Reconciliation", "RequestRecord", "RequestResult"]

ComparedField = Literal["amount", "currency", "model", "time"]
"""What of a request is compared, besides its id."""

RequestResult = Literal["differing", "missing", "unknown", "not_covered", "matched"]
"""How a request of the log or of the ledger turned out."""

FIELDS: tuple[ComparedField, ...] = get_args(ComparedField)
RESULTS: tuple[RequestResult, ...] = get_args(RequestResult)
_MOST_SHOWN = 20


def _request_id(value: object) -> str:
    text = str(value) if isinstance(value, UUID) else value
    if not isinstance(text, str) or not text or text != text.strip():
        raise InvalidParameterError("request_id", value, "a text, not empty and without white space around it")
    return _text("request_id", text)


def _amount(value: object) -> Decimal | None:
    return None if _is_absent(value) else arguments.amount("amount", value)


def _currency(value: object) -> str | None:
    return None if _is_absent(value) else _text("currency", value)


def _model(value: object) -> str | None:
    return None if _is_absent(value) else _text("model", value)


def _time(value: object) -> datetime | None:
    if _is_absent(value):
        return None
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    if is_day or (isinstance(value, str) and ":" not in value and "T" not in value.upper()):
        raise InvalidParameterError("time", value, "a time, not a day alone: like '2026-10-31T09:30:00Z'")
    return arguments.instant("time", value)


def _is_absent(value: object) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidParameterError(name, value, "a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidParameterError(name, value, "a text in Unicode, without half a character") from None
    return str.__str__(value).strip()


@frozen
class RequestRecord:
    """A request as your own log has it. What the log does not name is None, and not compared.

    Attributes:
        request_id: The id that the API gave the request, as the ledger has it in `inference_details.request_id`.
        amount: What was charged, signed as in the ledger: a debit is negative. A `Decimal`, an int or a text.
        currency: The currency of the amount.
        model: The id of the model.
        time: When the request was made: an aware datetime or ISO 8601 text.
    """

    request_id: str = field(converter=_request_id)
    amount: Decimal | None = field(default=None, converter=_amount, kw_only=True)
    currency: str | None = field(default=None, converter=_currency, kw_only=True)
    model: str | None = field(default=None, converter=_model, kw_only=True)
    time: datetime | None = field(default=None, converter=_time, kw_only=True)


@frozen(kw_only=True)
class FieldDifference:
    """A field in which your log and the ledger differ.

    Attributes:
        field: amount, currency, model or time.
        currency: The currency of the amounts; None for other fields.
        log: The value in your log: a `Decimal`, a datetime or a text. None: the log has no such amount.
        ledger: The value in the ledger, likewise; several texts are joined by commas.
    """

    field: ComparedField
    currency: str | None = None
    log: Decimal | datetime | str | None
    ledger: Decimal | datetime | str | None

    def to_dict(self) -> dict[str, str | None]:
        """Return the difference as JSON has it: money and times as texts."""
        return {
            "field": self.field,
            "currency": self.currency,
            "log": as_text(self.log),
            "ledger": as_text(self.ledger),
        }

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> FieldDifference:
        """Read what `to_dict` wrote."""
        read = _READERS.get(source["field"], str)
        log, ledger = (None if source[side] is None else read(source[side]) for side in ("log", "ledger"))
        return cls(field=source["field"], currency=source["currency"], log=log, ledger=ledger)


@frozen(kw_only=True)
class ReconciledRequest:
    """A request, as your log and the ledger have it. Amounts are signed: a debit is negative.

    Attributes:
        request_id: The id.
        time: The time of its first row in the ledger; where there is none, that of its first record that has one.
        line: Where the first record is: the line of the file, or the place in the iterable, counted from 1.
        records: How many records the log has of it; their amounts are added up.
        rows: How many rows the ledger has of it; their amounts are added up.
        logged: The sum in each currency in the log; "" where a record names an amount, but no currency.
        booked: The sum in each currency in the ledger, with its refunds.
        refunded: The refunds in it, by currency.
        differences: In what the log and the ledger differ.
    """

    request_id: str
    time: datetime | None = None
    line: int | None = None
    records: int = 0
    rows: int = 0
    logged: Mapping[str, Decimal] = field(factory=dict, hash=False)
    booked: Mapping[str, Decimal] = field(factory=dict, hash=False)
    refunded: Mapping[str, Decimal] = field(factory=dict, hash=False)
    differences: tuple[FieldDifference, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON has it: money and times as texts."""
        return {
            "request_id": self.request_id,
            "time": as_text(self.time),
            "line": self.line,
            "records": self.records,
            "rows": self.rows,
            **{name: {unit: _exact.text(sum_) for unit, sum_ in getattr(self, name).items()} for name in _SUMS},
            "differences": [difference.to_dict() for difference in self.differences],
        }

    @classmethod
    def from_dict(cls, source: Mapping[str, Any]) -> ReconciledRequest:
        """Read what `to_dict` wrote."""
        sums = {name: {unit: Decimal(text) for unit, text in source[name].items()} for name in _SUMS}
        return cls(
            request_id=source["request_id"],
            time=None if source["time"] is None else datetime.fromisoformat(source["time"]),
            line=source["line"],
            records=source["records"],
            rows=source["rows"],
            **sums,
            differences=tuple([FieldDifference.from_dict(each) for each in source["differences"]]),
        )


@frozen(kw_only=True, repr=False, eq=False)
class Reconciliation:
    """Your log against the ledger, request by request. True if they agree: see `ok`.

    Each list is a sequence that is read from a temporary file, so that it may be long; it does not change with the
    ledger, and outlives it. Every id of the log is in exactly one of `matched`, `differing`, `missing`, `not_covered`.

    Attributes:
        matched: Requests that the log and the ledger agree about, in all that the log names.
        differing: Requests in both that differ, each with its `differences`.
        missing: Requests in the log that the ledger has no row of.
        not_covered: Requests in the log that are later than what the ledger covers: sync, and reconcile again.
        unknown: Requests in the ledger, from `start` on and before `end`, that are not in the log.
        repeated: Requests that the log has several records of. They are in one of the lists above as well.
        without_request: Rows of the ledger in that time that name no request: purchases, grants, transfers.
        records: How many records the log has.
        compared: For each of amount, currency, model and time, of how many requests it was compared.
        start: From when on requests of the ledger count as unknown; None: from the beginning.
        end: Up to when they do, excluded; None: to the end.
        covered_until: Up to when the ledger covers the account; None: it was never synced.
    """

    matched: Sequence[ReconciledRequest]
    differing: Sequence[ReconciledRequest]
    missing: Sequence[ReconciledRequest]
    not_covered: Sequence[ReconciledRequest]
    unknown: Sequence[ReconciledRequest]
    repeated: Sequence[ReconciledRequest]
    without_request: Sequence[UsageEntry]
    records: int
    compared: Mapping[ComparedField, int]
    start: datetime | None
    end: datetime | None
    covered_until: datetime | None

    @property
    def ok(self) -> bool:
        """Whether nothing differs, is missing or is unknown.

        Requests that are not covered yet are no fault; but if all are, nothing was compared, and it is False.
        """
        is_all_later = bool(self.not_covered) and not self.matched
        return not (self.differing or self.missing or self.unknown or is_all_later)

    def __bool__(self) -> bool:
        return self.ok

    def rows(self, *results: RequestResult) -> Iterator[dict[str, Any]]:
        """Iterate over flat dicts with fixed columns: one for each difference, or each currency of a request.

        The columns are `result`, `request_id`, `field`, `currency`, `log`, `ledger`, `records`, `rows`, `line`, `time`.

        Args:
            *results: One or several of "differing", "missing", "unknown", "not_covered", "matched"; by default all.
        """
        chosen: Sequence[RequestResult] = [_choice(result) for result in results] or RESULTS
        return (row for result in chosen for request in getattr(self, result) for row in _flat(result, request))

    def to_dict(self) -> dict[str, Any]:
        """Return all but the requests that matched as JSON has it: money and times as texts."""
        return {
            "ok": self.ok,
            "start": as_text(self.start),
            "end": as_text(self.end),
            "covered_until": as_text(self.covered_until),
            "records": self.records,
            "compared": dict(self.compared),
            "counts": self._counts(),
            **{name: [request.to_dict() for request in getattr(self, name)] for name in RESULTS if name != "matched"},
            "repeated": [request.to_dict() for request in self.repeated],
            "without_request": [_entry(entry) for entry in self.without_request],
        }

    def to_json(self) -> str:
        """Return all but the requests that matched as JSON. Money is text, since readers of JSON round numbers."""
        return json.dumps(self.to_dict())

    def _counts(self) -> dict[str, int]:
        return {name: len(getattr(self, name)) for name in (*RESULTS, "repeated", "without_request")}

    def __repr__(self) -> str:
        counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in self._counts().items())
        compared = ", ".join(f"{name} of {count}" for name, count in self.compared.items())
        period = f"{as_text(self.start) or 'the beginning'} to {as_text(self.end) or 'the end'}"
        title = f"Reconciliation of {self.records} records; {period}\n{counts}\ncompared: {compared}"
        rows = list(islice(self.rows("differing", "missing", "unknown", "not_covered"), _MOST_SHOWN + 1))
        shown = [{**row, "log": as_text(row["log"]), "ledger": as_text(row["ledger"])} for row in rows[:_MOST_SHOWN]]
        table = table_text(title, ("result", "request_id", "field", "currency", "log", "ledger"), shown)
        return table + ("\n..." if len(rows) > _MOST_SHOWN else "")


def as_text(value: Decimal | datetime | str | None) -> str | None:
    """Return a value as JSON has it."""
    if isinstance(value, Decimal):
        return _exact.text(value)
    return value.isoformat() if isinstance(value, datetime) else value


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


_READERS: dict[str, Callable[[str], Decimal | datetime | str]] = {"amount": Decimal, "time": _moment}
_SUMS = ("logged", "booked", "refunded")


def _flat(result: RequestResult, request: ReconciledRequest) -> Iterator[dict[str, Any]]:
    head = {"result": result, "request_id": request.request_id}
    tail = {name: getattr(request, name) for name in ("records", "rows", "line", "time")}
    for difference in request.differences:
        sides = {name: getattr(difference, name) for name in ("field", "currency", "log", "ledger")}
        yield {**head, **sides, **tail}
    if not request.differences:
        for currency in sorted({*request.logged, *request.booked}) or [""]:
            log, ledger = (sums.get(currency) for sums in (request.logged, request.booked))
            yield {**head, "field": None, "currency": currency or None, "log": log, "ledger": ledger, **tail}


def _entry(entry: UsageEntry) -> dict[str, Any]:
    names = ("timestamp", "sku", "currency", "amount", "notes", "api_key_id")
    return {name: as_text(getattr(entry, name)) for name in names}


def _choice(result: object) -> RequestResult:
    return RESULTS[RESULTS.index(arguments.choice("results", result, RESULTS))]
