"""What comes late, changes or vanishes after a month was closed: revisions and adjustments count every charge once."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import load, walked
from contract_tests.ledger.odd_entries import FIELDS, ODD
from contract_tests.ledger.statement.months import DAY, HOUR, OCTOBER, in_month, recorded, sync
from contract_tests.support.flavours import NOW
from venice_billing import LedgerError, UsageEntry, _exact, spend
from venice_billing.ledger import Ledger, Statement, _closings
from venice_billing.testing import FakeVenice

if TYPE_CHECKING:
    from collections.abc import Iterable

    from venice_billing.spend import SpendTable


def test_month_not_covered_to_its_end_counts_the_rest_later(
    ledger: Ledger, fake: FakeVenice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A charge after what was covered is an adjustment, if its month was closed before it came."""
    early = FakeVenice(fake.rows(end=OCTOBER + 10 * DAY), now=OCTOBER + 10 * DAY)
    sync(ledger, early)
    statements = [ledger.close(month, allow_incomplete=True) for month in ("2026-08", "2026-09", "2026-10")]
    assert [statement.is_complete for statement in statements] == [True, True, False]
    monkeypatch.setattr(_closings, "_now", lambda: NOW + 60 * DAY)
    later = FakeVenice(fake.ledger, now=NOW + 40 * DAY)
    sync(ledger, later)
    november = ledger.close("2026-11")
    rest = in_month(walked(fake), OCTOBER + 10 * DAY, datetime(2026, 11, 1, tzinfo=UTC))
    assert len(rest) > 100
    assert november.adjustment_totals == spend.summarize(rest, ())
    assert {change.month for change in november.adjustments} == {"2026-10"}
    assert counted([*statements, november]) == spend.summarize(walked(fake), ())


def test_closing_again_gives_the_same_bytes(filled: Ledger, fake: FakeVenice) -> None:
    first = filled.close("2026-10")
    fake.clock.advance(86400)
    fake.book({"amount": "-1.5", "currency": "USD", "sku": "later"})
    fake.clock.advance(60)
    sync(filled, fake)
    for again in (filled.close("2026-10"), filled.statement("2026-10"), filled.close("2026-10", timezone=UTC)):
        assert (again.to_json(), again.to_markdown(), again) == (first.to_json(), first.to_markdown(), first)
    assert Statement.from_json(first.to_json()) == first
    assert len(recorded(filled)) == 1
    with Ledger(filled.path) as reopened:
        assert reopened.statement("2026-10").to_json() == first.to_json()


def test_closing_again_after_a_change_says_what_changed(filled: Ledger, fake: FakeVenice) -> None:
    first = filled.close("2026-10")
    fake.book({"amount": "-1e-30", "currency": "USD", "sku": "late_a|b", "apiKeyId": "k"}, late=20 * DAY)
    sync(filled, fake, full=True)
    assert filled.statement("2026-10").to_json() == first.to_json(), "what was recorded stays"
    second = filled.close("2026-10")
    assert (second.revision, second.count, second.is_complete) == (2, first.count + 1, True)
    assert second.restatement is not None
    assert (second.restatement.revision, second.restatement.digest) == (1, first.digest)
    assert second.digest != first.digest
    (change,) = second.restatement.changes
    assert (change.change, change.sku, change.key, change.month) == ("late", "late_a|b", "k", "2026-10")
    assert (change.amount_before, str(change.amount_after), change.kind_after) == (None, "-1E-30", "debit")
    assert (change.seen_at, change.sync, change.number) == (NOW + 3 * DAY, 3, filled.adjustments()[-1].number)
    assert f"Digest in revision 1: {first.digest}" in second.to_markdown()
    assert "| late_a\\|b |" in second.to_markdown()
    assert "0.000000000000000000000000000001" in second.to_markdown()
    assert filled.close("2026-10").to_json() == filled.statement("2026-10").to_json() == second.to_json()
    assert filled.statement("2026-10", revision=1).to_json() == first.to_json()
    with pytest.raises(LedgerError, match="no revision 3"):
        filled.statement("2026-10", revision=3)
    assert recorded(filled) == [("2026-10", 1, first.digest), ("2026-10", 2, second.digest)]


def test_change_of_a_closed_month_is_listed_once_by_the_month_closed_next(filled: Ledger, fake: FakeVenice) -> None:
    august = filled.close("2026-08")
    fake.book({"amount": "-0.25", "currency": "USD"}, late=80 * DAY)
    fake.book({"amount": "-0.5", "currency": "USD"}, late=40 * DAY)  # in September, which is open
    sync(filled, fake, full=True)
    filled.close("2026-08")  # a revision takes nothing away
    september = filled.close("2026-09")
    october = filled.close("2026-10")
    assert [str(change.difference) for change in september.adjustments] == ["-0.25"]
    assert "Sums of the adjustments" in september.to_markdown()
    assert october.adjustments == ()
    assert counted([august, september, october]) == summed(filled, datetime(2026, 11, 1, tzinfo=UTC))


def test_first_charge_of_an_empty_account_that_comes_late_is_an_adjustment(ledger: Ledger) -> None:
    """There was no row to replace, but its time had been covered, and closed."""
    fake = FakeVenice(0, now=OCTOBER + HOUR)
    sync(ledger, fake)
    fake.clock.advance(40 * 86400)
    sync(ledger, fake)
    october = ledger.close("2026-10")
    fake.book({"amount": "-0.25", "currency": "USD"}, late=20 * DAY)
    sync(ledger, fake)
    again = ledger.close("2026-10")
    assert (october.count, again.count, again.revision) == (0, 1, 2)
    assert again.restatement is not None
    assert [str(change.difference) for change in again.restatement.changes] == ["-0.25"]
    assert [change.month for change in ledger.statement("2026-11").adjustments] == ["2026-10"]


def counted(statements: Iterable[Statement]) -> SpendTable:
    """The totals of months as they were closed first, and the adjustments that later ones list."""
    sums: dict[str, Any] = defaultdict(
        lambda: {"debits": [], "refunds": [], "purchases": [], "credits": [], "count": []}
    )
    for statement in statements:
        for row in (*statement.totals, *statement.adjustment_totals):
            for name, values in sums[row.currency].items():
                values.append(getattr(row, name))
    rows = []
    for currency in sorted(sums):
        found = {name: _total(values) for name, values in sums[currency].items()}
        if any(found.values()):
            rows.append(spend.SpendRow(currency=currency, **found))
    return spend.SpendTable(rows, by=())


def _total(values: list[Any]) -> Any:
    if all(isinstance(value, int) for value in values):
        return sum(values)
    total = Decimal(0)
    for value in values:
        total = _exact.add(total, value)
    return total


def summed(ledger: Ledger, end: datetime) -> SpendTable:
    return spend.summarize(ledger.entries(end=end), ())


MONTHS = ["2026-01", "2026-02", "2026-03", "2026-04"]
AMOUNTS = st.sampled_from(["-1e-30", "-0.25", "3", "12345678901.5", "-0.1234567890123456789012345678901234567890", "0"])
ROWS = st.builds(
    lambda days, amount, currency, sku, request: UsageEntry.from_dict(
        {
            **FIELDS,
            "timestamp": (datetime(2026, 1, 1, tzinfo=UTC) + days * timedelta(hours=9)).isoformat(),
            "amount": Decimal(amount),
            "currency": currency,
            "sku": sku,
            "inferenceDetails": {
                "requestId": "r",
                "promptTokens": 1,
                "completionTokens": 1,
                "inferenceExecutionTime": 1,
            }
            if request
            else None,
        }
    ),
    st.integers(0, 310),
    AMOUNTS,
    st.sampled_from(["USD", "DIEM"]),
    st.sampled_from(["a", "top-up"]),
    st.booleans(),
)


@settings(max_examples=10)
@given(
    st.lists(ROWS, min_size=1, max_size=12),
    st.lists(
        st.tuples(
            st.lists(ROWS, max_size=3),
            st.lists(st.integers(0, 30), max_size=3),
            st.lists(st.sampled_from(MONTHS), max_size=2),
        ),
        min_size=1,
        max_size=4,
    ),
)  # fmt: skip
def test_every_charge_counts_once_over_statements_and_adjustments(
    entries: list[UsageEntry], steps: list[tuple[list[UsageEntry], list[int], list[str]]]
) -> None:
    """Whatever comes late, changes or vanishes between closings, in whatever order months are closed and closed again.

    At the first closings time is covered up to the middle of March, so months are also closed before their end.
    """
    later = datetime(2027, 1, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_closings, "_now", lambda: later)
        with Ledger(Path(folder, "venice.duckdb")) as ledger:
            fixed = UsageEntry.from_dict(  # a request by which the account is known again
                {**FIELDS, "timestamp": "2026-01-01T00:00:00Z", "sku": "always", **ODD["unknown field of the request"]}
            )
            rows = [fixed, *entries]
            statements: dict[str, Statement] = {}
            until = datetime(2026, 3, 15, tzinfo=UTC)
            for number, (come, gone, months) in enumerate([*steps, ([], [], MONTHS)], 1):
                for place in gone:
                    if len(rows) > 1:
                        old = rows.pop(1 + place % (len(rows) - 1))
                        if place % 2:
                            rows.append(evolve(old, amount=Decimal("-7.5")))
                rows.extend(come)
                load(ledger, [row for row in rows if row.timestamp < until], number, until)
                for month in months:
                    statement = close_if_begun(ledger, month)
                    if statement is not None:
                        statements.setdefault(month, statement)
                until = later
            load(ledger, rows, 100, until)
            last = ledger.close("2026-05", allow_incomplete=True)
            assert counted([*statements.values(), last]) == spend.summarize(rows, ())


def close_if_begun(ledger: Ledger, month: str) -> Statement | None:
    with suppress(LedgerError):  # nothing of the month is covered yet
        return ledger.close(month, allow_incomplete=True)
    return None


def test_currency_with_half_a_character_is_one_currency_in_all_of_a_statement(ledger: Ledger) -> None:
    """DuckDB holds no half of a surrogate pair: its column has an escape, and the statement what the API sent."""
    odd = UsageEntry.from_dict({**FIELDS, "currency": "\ud800X"})
    load(ledger, [odd])
    ledger.close("2026-10", allow_incomplete=True)
    load(ledger, [odd, odd], sync=2)
    statement = ledger.close("2026-10", allow_incomplete=True)
    assert statement.restatement is not None
    assert [change.currency for change in statement.restatement.changes] == ["\ud800X"]
    assert [row.currency for row in statement.totals] == ["\ud800X"]
    assert Statement.from_json(statement.to_json()) == statement
