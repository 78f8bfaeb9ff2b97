"""Sums of bookings are exact to the digit, whatever their order and number of digits."""

from __future__ import annotations

from collections import defaultdict
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from contract_tests.support.bookings import REQUEST, entry, single
from venice_billing.spend import kind_of, summarize

KINDS = ("debit", "refund", "purchase", "credit")

LOSSLESS = Context(prec=10_000)


# As the service may send them, and then some: more digits than Python's own context keeps.
amounts = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent, LOSSLESS),
    st.integers(-(10**80), 10**80) | st.integers(-9, 9),
    st.integers(-120, 30),
)


@given(
    st.lists(
        st.tuples(
            amounts, st.sampled_from(["USD", "DIEM", "SHELLS"]), st.booleans(), st.sampled_from(["", "purchase"])
        ),
        max_size=30,
    )
)
@example([(Decimal("1E-30"), "USD", True, ""), (Decimal("12345678901234567890.123456789"), "USD", True, "")])
@example([(Decimal("-3.0799999999999996e-05"), "DIEM", False, ""), (Decimal("1e30"), "DIEM", False, "")])
def test_sums_equal_those_of_fractions(bookings: list[tuple[Decimal, str, bool, str]]) -> None:
    entries = [
        entry(amount, currency=currency, notes=notes, inferenceDetails=REQUEST if asked else None)
        for amount, currency, asked, notes in bookings
    ]
    expected: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    counts: dict[str, int] = defaultdict(int)
    for booking in entries:
        expected[str(booking.currency), kind_of(booking)] += Fraction(booking.amount)
        counts[str(booking.currency)] += 1
    table = summarize(entries, by=())
    assert {row.currency: row.count for row in table} == counts
    for row in table:
        signed = [expected[row.currency, kind] for kind in KINDS]
        assert [-Fraction(row.debits), *map(Fraction, (row.refunds, row.purchases, row.credits))] == signed
        assert Fraction(row.net) == sum(signed)
        assert min(row.debits, row.refunds, row.purchases, row.credits) >= 0


@given(st.lists(amounts, max_size=30), st.randoms())
def test_order_and_grouping_change_no_sum(values: list[Decimal], random: Any) -> None:
    """The same bookings in another order, or summed by sku first, give the same table, also as text."""
    entries = [entry(value, sku=f"model-{number % 3}-image-unit") for number, value in enumerate(values)]
    shuffled = random.sample(entries, len(entries))
    table = summarize(entries, by="currency")
    assert summarize(shuffled, by="currency") == table == summarize(entries, by=("sku", "month")).totals()
    assert summarize(shuffled, by="currency").to_json() == table.to_json()


def test_context_of_the_caller_neither_rounds_nor_is_changed() -> None:
    with localcontext(prec=3) as context:
        context.clear_flags()
        row = single(summarize([entry("-123.456"), entry("-0.0000000000000000000000000000000001")]))
        assert str(row.debits) == "123.4560000000000000000000000000000001"
        assert str(row.net) == "-123.4560000000000000000000000000000001"
        assert not any(context.flags.values())


def test_digits_far_apart_are_all_kept() -> None:
    table = summarize([entry("-1E+30"), entry("-1E-100"), entry("1E-100", inferenceDetails=REQUEST)], by=())
    assert table.to_dict()["rows"][0] == {
        "currency": "USD",
        "debits": "1" + "0" * 30 + "." + "0" * 99 + "1",
        "refunds": "0." + "0" * 99 + "1",
        "purchases": "0",
        "credits": "0",
        "net": "-1" + "0" * 30,
        "count": 3,
    }
