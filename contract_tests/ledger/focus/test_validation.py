"""What `nox -s focus` gives to the official validator, and makes of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import attrs

from contract_tests.ledger.focus.account import CURRENCIES, account
from contract_tests.ledger.focus.files import RATE, Row, read, write
from contract_tests.ledger.focus.validation import CANNOT_HOLD, FEWEST_RULES, judged, readable
from venice_billing import spend

if TYPE_CHECKING:
    from pathlib import Path

    from venice_billing.ledger import Ledger


def test_verdict_names_every_other_failure() -> None:
    report = ET.fromstring(
        "<testsuites>"
        + "".join(
            f'<testcase name="{name} :: Nullability"><failure/></testcase>' for name in [*CANNOT_HOLD, "A-1", "A-2"]
        )
        + '<testcase name="B :: Type"><error/></testcase><testcase name="C :: Type"><skipped/></testcase>'
        + '<testcase name="D :: Type"/>' * FEWEST_RULES
        + "</testsuites>"
    )
    verdict = judged(report.iter("testcase"))
    assert verdict.checked == FEWEST_RULES + 4
    assert verdict.problems() == ["failed: A-1", "failed: A-2", "failed: B"]
    assert attrs.evolve(verdict, failed=frozenset(CANNOT_HOLD)).problems() == []
    assert attrs.evolve(verdict, checked=1, failed=frozenset()).problems() == [
        "holds now, so name it no longer: InvoiceId-C-005-C",
        f"only 1 rules were checked, not at least {FEWEST_RULES}",
    ]


def test_copy_for_the_validator_differs_in_names_of_currencies_and_letters_alone(
    rows: dict[str, list[Row]], synced: Ledger, tmp_path: Path
) -> None:
    write(synced, tmp_path / "f.csv", diem_usd=RATE)
    copied = read(readable(tmp_path / "f.csv"))
    differing = {
        (name, row[name], copy[name])
        for row, copy in zip(rows["1.2"], copied, strict=True)
        for name in row
        if row[name] != copy[name]
    }
    assert {found for found in differing if found[0] == "PricingCurrency"} == {
        ("PricingCurrency", currency, "XXX") for currency in CURRENCIES if currency != "USD"
    }
    assert [found[1] for found in differing if found[0] != "PricingCurrency"] == [
        "z-image-turbo-image-unit, Inférence, équipe données\nretried"
    ]


def test_every_kind_of_booking_is_in_the_account() -> None:
    with account().client() as client:
        entries = list(client.iter_usage_history())
    assert {spend.kind_of(entry) for entry in entries} == {"debit", "refund", "purchase", "credit"}
    assert {None, "key_4f1c09b7d2"} == {entry.api_key_id for entry in entries}
