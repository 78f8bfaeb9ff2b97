"""A table of sums: made of entries or of sums from elsewhere, as dicts, JSON and readable text, in any order."""

from __future__ import annotations

import copy
import csv
import io
import json
import pickle
import sys
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract_tests.support.bookings import entry, purchase
from venice_billing import Currency, InvalidParameterError
from venice_billing.spend import SpendRow, SpendTable, summarize

if TYPE_CHECKING:
    from collections.abc import Callable

FIGURES = ["debits", "refunds", "purchases", "credits", "net", "count"]
COPIES: list[Callable[[Any], Any]] = [lambda value: pickle.loads(pickle.dumps(value)), copy.copy, copy.deepcopy]
numbers = st.integers(0, 10**40).map(lambda digits: Decimal(f"{digits}E-20"))


def row(debits: str = "0", **fields: Any) -> SpendRow:
    """Return sums made elsewhere, with nothing but debits unless told otherwise."""
    zero = Decimal(0)
    given = {"currency": "USD", "refunds": zero, "purchases": zero, "credits": zero, "count": 1, **fields}
    return SpendRow(debits=Decimal(debits), **given)


def table_of(*rows: SpendRow, by: Any = "model", **fields: Any) -> SpendTable:
    return SpendTable(rows, by=by, **fields)


TABLE = summarize(
    [entry("-0.5"), entry("-1.25"), purchase("25"), entry("-3", currency="DIEM")], by=("model", "currency")
)


def test_rows_are_flat_dicts_with_fixed_columns() -> None:
    assert TABLE.rows() == [
        {
            "model": "account-credit",
            "currency": "USD",
            "debits": 0,
            "refunds": 0,
            "purchases": 25,
            "credits": 0,
            "net": 25,
            "count": 1,
        },
        {
            "model": "some-model",
            "currency": "DIEM",
            "debits": 3,
            "refunds": 0,
            "purchases": 0,
            "credits": 0,
            "net": -3,
            "count": 1,
        },
        {
            "model": "some-model",
            "currency": "USD",
            "debits": Decimal("1.75"),
            "refunds": 0,
            "purchases": 0,
            "credits": 0,
            "net": Decimal("-1.75"),
            "count": 2,
        },
    ]
    for flat in TABLE.rows():
        assert list(flat) == ["model", "currency", *FIGURES]
        assert all(isinstance(flat[name], Decimal) for name in FIGURES[:-1])


def test_rows_suit_a_csv_writer() -> None:
    target = io.StringIO()
    writer = csv.DictWriter(target, TABLE.rows()[0])
    writer.writeheader()
    writer.writerows(TABLE.rows())
    assert list(csv.reader(io.StringIO(target.getvalue())))[3] == [
        "some-model",
        "USD",
        "1.75",
        "0",
        "0",
        "0",
        "-1.75",
        "2",
    ]


def test_json_has_money_as_text() -> None:
    assert json.loads(TABLE.to_json()) == TABLE.to_dict()
    assert json.loads(summarize([entry("-0.50", apiKeyId=None)], by="key", timezone="Asia/Tokyo").to_json()) == {
        "timezone": "Asia/Tokyo",
        "by": ["key", "currency"],
        "rows": [
            {
                "key": None,
                "currency": "USD",
                "debits": "0.5",
                "refunds": "0",
                "purchases": "0",
                "credits": "0",
                "net": "-0.5",
                "count": 1,
            }
        ],
    }


@given(numbers)
def test_json_has_every_digit(number: Decimal) -> None:
    [flat] = table_of(row(str(number), model="m")).to_dict()["rows"]
    assert Decimal(flat["debits"]) == number
    assert "E" not in flat["debits"]
    assert not flat["debits"].endswith("0") or "." not in flat["debits"]
    assert Decimal(flat["net"]) == number.copy_negate()
    assert flat["net"] != "-0"


@pytest.mark.parametrize("zero", ["-0", "0E-20", "0.000", "-0E+5"])
def test_zero_is_plain(zero: str) -> None:
    [flat] = table_of(row(zero)).to_dict()["rows"]
    assert (flat["debits"], flat["net"]) == ("0", "0")


def test_equal_sums_make_equal_tables_and_texts() -> None:
    """The number of zeros at the end depends on the source: a database pads its decimals."""
    here = summarize([entry("-1.5")], by="model")
    there = table_of(row("1.5000000000000000000000000000", model="some-model", currency=Currency.USD))
    assert there == here
    assert hash(there) == hash(here)
    assert there.to_json() == here.to_json()
    assert repr(there) == repr(here)
    assert there != table_of(row("1.5", model="some-model"), timezone="Europe/Berlin")
    assert type(next(iter(there)).currency) is str


@pytest.mark.parametrize("copied", COPIES, ids=["pickle", "copy", "deepcopy"])
def test_table_is_copied_whole(copied: Callable[[Any], Any]) -> None:
    assert copied(TABLE) == TABLE


def test_table_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        TABLE.timezone = "Europe/Berlin"  # type: ignore[misc]
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        next(iter(TABLE)).debits = Decimal(0)  # type: ignore[misc]
    TABLE.rows().clear()
    assert len(TABLE) == 3


# Sums made elsewhere


def test_currency_is_always_one_of_the_names() -> None:
    assert table_of(row(model="m"), by=["model"]).by == ("model", "currency")
    assert table_of(row(model="m"), by=("currency", "model")).by == ("currency", "model")


def test_two_rows_of_one_group_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="one row for each combination of model, currency"):
        table_of(row("1", model="m"), row("2", model="m"))
    assert len(table_of(row("1", model="m"), row("2", model="m", currency="DIEM"))) == 2


@pytest.mark.parametrize("money", [1, 1.5, "1", None, Decimal("NaN"), Decimal("Infinity")])
def test_money_that_is_no_finite_decimal_is_refused(money: Any) -> None:
    with pytest.raises(InvalidParameterError, match="credits must be a finite Decimal"):
        row(credits=money)


def test_rows_of_another_type_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="rows must be an iterable of SpendRow"):
        SpendTable([{"currency": "USD"}], by=())  # type: ignore[list-item]


def test_unknown_name_of_a_table_is_refused() -> None:
    with pytest.raises(InvalidParameterError, match=r"by must be one or more of 'day'.*got 'modle'"):
        table_of(by="modle")


@given(numbers, numbers, numbers, numbers)
def test_net_is_exact(debits: Decimal, refunds: Decimal, purchases: Decimal, credited: Decimal) -> None:
    net = row(str(debits), refunds=refunds, purchases=purchases, credits=credited).net
    assert Fraction(net) == Fraction(refunds) + Fraction(purchases) + Fraction(credited) - Fraction(debits)


# Order and totals


def test_table_is_sorted_by_figures_and_names() -> None:
    table = table_of(
        row("2", model="b"), row("10", model="a"), row("10", model="c", currency="DIEM"), row("1", model=None)
    )
    assert [one.model for one in table.sorted_by("debits", descending=True)] == ["a", "c", "b", None]
    assert [one.model for one in table.sorted_by("debits")] == [None, "b", "a", "c"]
    assert [one.model for one in table.sorted_by("currency", "net")] == ["c", "a", "b", None]
    assert [one.model for one in table.sorted_by("model")] == ["a", "b", "c", None]
    assert [one.model for one in table.sorted_by("model", descending=True)] == ["c", "b", "a", None]
    assert table.sorted_by() == table


@pytest.mark.parametrize("name", ["month", "amount", "", None])
def test_sorting_by_another_column_is_refused(name: Any) -> None:
    with pytest.raises(InvalidParameterError, match=r"names must be one or more of 'model', 'currency', 'debits'"):
        TABLE.sorted_by(name)


def test_totals_are_by_currency_unless_more_is_asked_for() -> None:
    table = summarize(
        [
            entry("-1", timestamp="2026-10-01T00:00Z"),
            entry("-2", timestamp="2026-11-01T00:00Z"),
            entry("-4", currency="DIEM"),
            purchase("8"),
        ],
        by=("month", "model"),
    )
    totals = [[str(value) for value in row.values()] for row in table.totals().rows()]
    assert totals == [["DIEM", "4", "0", "0", "0", "-4", "1"], ["USD", "3", "0", "8", "0", "5", "3"]]
    assert table.totals("month").by == ("month", "currency")
    assert [one.net for one in table.totals("month")] == [-4, 7, -2]
    assert table.totals(("month", "model")) == table


@pytest.mark.parametrize("by", ["day", "sku", ["month"], "nothing"])
def test_totals_by_what_the_table_does_not_know_are_refused(by: Any) -> None:
    with pytest.raises(InvalidParameterError, match="by must be one or more of"):
        TABLE.totals(by)


# Text


def test_text_is_aligned_to_the_decimal_point() -> None:
    table = summarize([entry("-1234.5"), entry("-0.00025", sku="b-image-unit"), purchase("100")], by="model")
    assert repr(table) == (
        "SpendTable by model, currency; time zone UTC; 3 rows\n"
        "model           currency      debits  refunds  purchases  credits          net  count\n"
        "account-credit  USD          0              0        100        0    100            1\n"
        "b               USD          0.00025        0          0        0     -0.00025      1\n"
        "some-model      USD       1234.5            0          0        0  -1234.5          1"
    )


def test_text_of_an_empty_table_says_so() -> None:
    assert repr(summarize([])) == "SpendTable by month, model, currency; time zone UTC; 0 rows"


def test_text_has_a_bounded_number_of_lines() -> None:
    rows = [row(str(number), model=f"model-{number:04}") for number in range(1_000)]
    lines = repr(table_of(*rows)).splitlines()
    assert len(lines) == 23
    assert lines[0].endswith("1000 rows")
    assert lines[-1] == "... and 980 more rows"
    assert len(repr(table_of(*rows[:20])).splitlines()) == 22


@pytest.mark.parametrize("model", ["a\nb", "a\x1b[31mb", "a\rb", "a\u2028b", "a\ud800b"])
def test_text_of_the_service_stays_on_its_line_and_commands_no_terminal(model: str) -> None:
    text = repr(table_of(row(model=model)))
    assert len(text.splitlines()) == 3
    assert all(char.isprintable() for char in text.replace("\n", ""))
    assert text.encode("utf-8")


def test_long_text_is_cut() -> None:
    text = repr(table_of(row(model="m" * 10_000)))
    assert max(map(len, text.splitlines())) < 150
    assert "mmm..." in text


def test_absent_names_are_shown_as_a_dash() -> None:
    assert repr(summarize([entry()], by="key")).splitlines()[2].split()[:2] == ["-", "USD"]


def test_number_of_more_digits_than_python_converts_is_shown() -> None:
    digits = "9" * (sys.get_int_max_str_digits() + 1)
    assert f" {digits} " in repr(table_of(row(digits)))
