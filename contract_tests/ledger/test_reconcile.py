"""A log of requests against the ledger: what agrees, what differs and in what, what only one of them has."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import texts
from contract_tests.ledger.booked_requests import DAY, HOUR, RESULTS, booked, differences, filled, outcome
from contract_tests.support.flavours import NOW
from venice_billing.ledger import (
    Ledger,
    RequestRecord,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


def test_request_is_found_by_its_id_alone(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"), booked("b", "-2"), booked("c", "-3", ago=9 * DAY))
    found = ledger.reconcile(["a", "b", "x"])
    assert outcome(found) == {"matched": ["a", "b"], "missing": ["x"]}
    assert (found.ok, bool(found), found.records) == (False, False, 3)
    assert found.compared == {"amount": 0, "currency": 0, "model": 0, "time": 0}
    assert ledger.reconcile(["a", "b"]).ok


def test_rows_of_one_request_are_added_up_by_currency(ledger: Ledger) -> None:
    rows = [booked("a", "-0.1"), booked("a", "-0.2"), booked("a", "-0.2"), booked("a", "-0.05", "BUNDLED_CREDITS")]
    filled(ledger, *rows)
    records = [
        {"request_id": "a", "amount": "-0.5", "currency": "USD"},
        {"request_id": "a", "amount": "-0.05", "currency": "BUNDLED_CREDITS"},
    ]
    (request,) = ledger.reconcile(records).matched
    assert request.booked == {"USD": Decimal("-0.5"), "BUNDLED_CREDITS": Decimal("-0.05")}
    assert (request.logged, request.rows, request.records, request.line) == (request.booked, 4, 2, 1)
    assert differences(ledger.reconcile(records[:1])) == [("amount", "BUNDLED_CREDITS", None, Decimal("-0.05"))]
    records[0]["amount"] = "-0.3"
    assert differences(ledger.reconcile(records)) == [("amount", "USD", Decimal("-0.3"), Decimal("-0.5"))]


@pytest.mark.parametrize("amount", ["-1e-30", "-0.1234567890123456789012345678901234567890", "-12345678901.5", "0E-40"])
def test_amounts_are_compared_to_the_digit(ledger: Ledger, amount: str) -> None:
    filled(ledger, booked("a", amount), booked("a", amount))
    exact: list[Any] = [{"request_id": "a", "amount": amount}, RequestRecord("a", amount=amount)]
    assert ledger.reconcile(exact).ok
    sign, digits, exponent = Decimal(amount).as_tuple()
    longer = Decimal((sign, (*digits, *[0] * 30, 1), int(exponent) - 31))
    (request,) = ledger.reconcile([exact[0], RequestRecord("a", amount=longer)]).differing
    assert [difference.field for difference in request.differences] == ["amount"]


def test_sign_is_that_of_the_ledger(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"))
    assert ledger.reconcile([RequestRecord("a", amount=-1)]).ok
    assert differences(ledger.reconcile([RequestRecord("a", amount=1)])) == [("amount", "USD", Decimal(1), Decimal(-1))]


def test_refund_is_a_row_of_its_request(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1", ago=9 * DAY), booked("a", "0.4", ago=DAY))
    (request,) = ledger.reconcile([RequestRecord("a", amount="-0.6", time=NOW - 9 * DAY)]).matched
    assert (request.booked, request.refunded) == ({"USD": Decimal("-0.6")}, {"USD": Decimal("0.4")})
    (request,) = ledger.reconcile([RequestRecord("a", amount=-1)]).differing
    assert request.refunded == {"USD": Decimal("0.4")}
    assert ledger.reconcile([RequestRecord("a", amount=-1), RequestRecord("a", amount="0.4")]).ok


def test_amount_without_a_currency_needs_a_request_in_one_currency(ledger: Ledger) -> None:
    rows = [booked("b", "-1", ago=2 * DAY), booked("b", "-1", "BUNDLED_CREDITS", ago=2 * DAY)]
    filled(ledger, booked("a", "-1", "DIEM"), *rows)
    assert outcome(ledger.reconcile([RequestRecord("a", amount=-1)])) == {"matched": ["a"]}
    found = ledger.reconcile([RequestRecord("b", amount=-2)])
    assert differences(found) == [("currency", None, None, "BUNDLED_CREDITS, USD")]
    assert found.compared["amount"] == 0


def test_other_currency_differs_though_the_number_is_the_same(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1", "DIEM"))
    assert differences(ledger.reconcile([RequestRecord("a", currency="USD")])) == [("currency", None, "USD", "DIEM")]
    assert differences(ledger.reconcile([RequestRecord("a", amount=-1, currency="USD")])) == [
        ("amount", "DIEM", None, Decimal(-1)),
        ("amount", "USD", Decimal(-1), None),
        ("currency", None, "USD", "DIEM"),
    ]
    assert ledger.reconcile([RequestRecord("a", currency="DIEM")]).ok


def test_model_is_compared_as_skus_spell_it(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"), booked("a", "-1", sku="web-search-unit"))
    for model in ("llama-3-3-70b", "Llama-3.3-70B", "web-search-unit"):
        assert ledger.reconcile([RequestRecord("a", model=model)]).ok
    found = ledger.reconcile([RequestRecord("a", model="llama-3-1")])
    assert differences(found) == [("model", None, "llama-3-1", "llama-3-3-70b, web-search-unit")]


def test_time_may_be_off_by_the_tolerance(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1", ago=2 * HOUR), booked("a", "-1", ago=HOUR))
    for ago in (HOUR - timedelta(minutes=15), HOUR, 2 * HOUR + timedelta(minutes=15)):
        assert ledger.reconcile([RequestRecord("a", time=NOW - ago)]).ok
    at = NOW - HOUR + timedelta(minutes=16)
    assert differences(ledger.reconcile([RequestRecord("a", time=at)])) == [("time", None, at, NOW - HOUR)]
    assert ledger.reconcile([RequestRecord("a", time=at)], time_tolerance=HOUR).ok


def test_several_records_of_a_request_are_added_up_and_listed(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"), booked("b", "-1"))
    found = ledger.reconcile(
        [RequestRecord("a", amount=-1), RequestRecord("b", amount=-1), RequestRecord("a", amount=-1)]
    )
    assert outcome(found) == {"matched": ["b"], "differing": ["a"]}
    assert differences(found) == [("amount", "USD", Decimal(-2), Decimal(-1))]
    assert [(request.request_id, request.records) for request in found.repeated] == [("a", 2)]
    assert ledger.reconcile(["a", "a", "b"]).ok


def test_sum_is_not_compared_where_a_record_has_no_amount(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-2"))
    found = ledger.reconcile([RequestRecord("a", amount=-1), RequestRecord("a")])
    assert (found.ok, found.compared["amount"]) == (True, 0)


def test_unknown_requests_are_those_between_the_first_and_the_last_of_the_log(ledger: Ledger) -> None:
    filled(ledger, *[booked(f"r{ago}", "-1", ago=ago * DAY) for ago in range(1, 8)])
    by_rows = ledger.reconcile(["r2", "r4", "r5"])
    assert outcome(by_rows) == {"matched": ["r2", "r4", "r5"], "unknown": ["r3"]}
    assert (by_rows.start, by_rows.end) == (NOW - 5 * DAY, NOW - 2 * DAY + timedelta(microseconds=1))
    by_times = ledger.reconcile([RequestRecord("r4", time=NOW - 6.5 * DAY)])
    assert outcome(by_times) == {"differing": ["r4"]}
    by_both = ledger.reconcile([RequestRecord("lost", time=NOW - 6.5 * DAY), "r4"])
    assert outcome(by_both) == {"matched": ["r4"], "missing": ["lost"], "unknown": ["r5", "r6"]}
    assert outcome(ledger.reconcile(["lost"]))["unknown"] == [f"r{ago}" for ago in range(1, 8)]


def test_range_says_which_requests_are_unknown(ledger: Ledger) -> None:
    filled(ledger, *[booked(f"r{ago}", "-1", ago=ago * DAY) for ago in range(1, 8)])
    found = ledger.reconcile(["r7"], start=NOW - 4 * DAY, end=NOW - 2 * DAY)
    assert outcome(found) == {"matched": ["r7"], "unknown": ["r3", "r4"]}
    assert outcome(ledger.reconcile(["r3"], start=NOW - 4 * DAY)) == {"matched": ["r3"], "unknown": ["r4"]}
    assert outcome(ledger.reconcile(["r3"], end=NOW - DAY)) == {"matched": ["r3"], "unknown": ["r2"]}
    assert outcome(ledger.reconcile(["r7"], start=NOW - 2 * DAY)) == {"matched": ["r7"], "unknown": ["r1", "r2"]}
    assert outcome(ledger.reconcile([], start=NOW - DAY)) == {"unknown": ["r1"]}
    assert ledger.reconcile([], start=NOW - HOUR).ok


def test_request_is_of_the_time_of_its_first_row(ledger: Ledger) -> None:
    """A refund weeks later does not make a request of October an unknown one of November."""
    filled(ledger, booked("old", "-1", ago=20 * DAY), booked("old", "1", ago=DAY), booked("new", "-1", ago=2 * DAY))
    assert ledger.reconcile(["new"], start=NOW - 5 * DAY, end=NOW).ok
    (request,) = ledger.reconcile(["new"], start=NOW - 25 * DAY).unknown
    assert (request.time, request.booked, request.rows) == (NOW - 20 * DAY, {"USD": Decimal(0)}, 2)


def test_record_later_than_what_is_covered_is_not_missing(ledger: Ledger) -> None:
    filled(ledger, booked("a", "-1"))
    records: list[Any] = [
        "a",
        *[RequestRecord(f"at {at:%H:%M}", time=at) for at in (NOW - HOUR, NOW - HOUR / 6, NOW + HOUR)],
    ]
    found = ledger.reconcile(records)
    assert outcome(found) == {"matched": ["a"], "missing": ["at 11:00"], "not_covered": ["at 11:50", "at 13:00"]}
    assert found.covered_until == NOW
    assert ledger.reconcile(["a", records[-1]]).ok
    assert not ledger.reconcile([records[-1]]).ok, "nothing was compared"


def test_ledger_that_was_never_synced_covers_nothing(ledger: Ledger) -> None:
    found = ledger.reconcile(["a", RequestRecord("b", time=NOW)])
    assert (outcome(found), found.covered_until, found.ok) == ({"not_covered": ["a", "b"]}, None, False)


def test_rows_that_name_no_request_are_apart(ledger: Ledger) -> None:
    rows = [booked("a", "-1", ago=3 * DAY), booked("b", "-1", ago=DAY)]
    apart = [
        booked(None, "50", ago=2 * DAY, sku="top-up"),
        booked("", "-1", ago=2 * DAY),
        booked(None, "5", ago=9 * DAY),
    ]
    filled(ledger, *rows, *apart)
    found = ledger.reconcile(["a", "b"])
    assert found.ok
    assert texts(found.without_request) == texts(ledger.entries(NOW - 2 * DAY, NOW - DAY))
    assert len(ledger.reconcile(["a", "b"], start=NOW - 10 * DAY).without_request) == 3


AMOUNTS = st.sampled_from(["-1", "-0.1", "-1e-30", "-0.123456789012345678901234567890123", "0", "0.1"])
ROWS = st.builds(
    booked,
    st.one_of(st.none(), st.sampled_from(["", "a", "b", "c", "d", "ż"])),
    AMOUNTS,
    st.sampled_from(["USD", "DIEM", "BUNDLED_CREDITS"]),
    ago=st.integers(1, 6).map(lambda days: days * DAY),
)
RECORDS = st.fixed_dictionaries(
    {"request_id": st.sampled_from(["a", "b", "c", "d", "ż", "lost"]), "amount": AMOUNTS},
    optional={"currency": st.sampled_from(["USD", "DIEM"])},
)


@settings(max_examples=40)
@given(st.lists(ROWS, max_size=12), st.lists(RECORDS, min_size=1, max_size=10))
def test_any_log_is_divided_as_the_rows_say(rows: list[dict[str, Any]], records: list[dict[str, Any]]) -> None:
    """No request is lost or listed twice, and sums are those of the rows; added up here as fractions."""
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "venice.duckdb")) as ledger:
        filled(ledger, *rows)
        found = ledger.reconcile(records, start=NOW - 4 * DAY, end=NOW - 2 * DAY)
        logged, in_ledger = sums(records), sums([wire(row) for row in rows if wire(row)["request_id"]])
        for name in ("matched", "differing"):
            for request in getattr(found, name):
                of_request = in_ledger[request.request_id]
                assert {currency: Fraction(amount) for currency, amount in request.booked.items()} == of_request
                assert agrees(logged[request.request_id], of_request) is (name == "matched")
        expected = {request_id for request_id in logged if request_id in in_ledger}
        assert {request.request_id for request in [*found.matched, *found.differing]} == expected
        assert {request.request_id for request in found.missing} == logged.keys() - in_ledger.keys()
        first = {
            request_id: min(row["timestamp"] for row in rows if wire(row)["request_id"] == request_id)
            for request_id in in_ledger
        }
        strange = {name for name, at in first.items() if NOW - 4 * DAY <= at < NOW - 2 * DAY} - logged.keys()
        assert {request.request_id for request in found.unknown} == strange
        ids = [request.request_id for name in RESULTS for request in getattr(found, name)]
        assert len(ids) == len(set(ids))
        in_range = [row for row in rows if NOW - 4 * DAY <= row["timestamp"] < NOW - 2 * DAY]
        assert len(found.without_request) == sum(not wire(row)["request_id"] for row in in_range)


def wire(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "request_id": (row["inferenceDetails"] or {}).get("requestId")}


def sums(records: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Fraction]]:
    """Return the sum of each request and currency."""
    found: defaultdict[str, defaultdict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for record in records:
        found[record["request_id"]][record.get("currency", "")] += Fraction(record["amount"])
    return {request_id: dict(by_currency) for request_id, by_currency in found.items()}


def agrees(logged: dict[str, Fraction], in_ledger: dict[str, Fraction]) -> bool:
    """Tell whether sums are equal; those without a currency are in the only one that the request was booked in."""
    if "" in logged:
        if len(in_ledger) > 1:
            return False
        (currency,) = in_ledger
        logged = {**logged, currency: logged.get(currency, Fraction()) + logged[""]}
        del logged[""]
    if not logged.keys() <= in_ledger.keys():
        return False
    return all(logged.get(currency, 0) == amount for currency, amount in in_ledger.items())
