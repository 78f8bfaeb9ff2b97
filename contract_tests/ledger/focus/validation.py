"""Validate a FOCUS export with the official validator: `python -m contract_tests.ledger.focus.validation PYTHON`.

PYTHON is that of an environment which the validator is installed in: it needs Python 3.12 and an older DuckDB.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from attrs import frozen

from contract_tests.ledger.focus.account import CURRENCIES, account
from venice_billing.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CANNOT_HOLD: Mapping[str, str] = {
    "InvoiceId-C-005-C": (
        "the API tells of no invoices, so InvoiceId is null, as InvoiceId-C-004-C wants it; "
        "the validator applies this rule, for charges with an invoice, to every charge"
    )
}
"""The one rule that fails, with the reason."""
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED",
    "MULTIPLE_PRICING_CATEGORIES_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "PRICING_BILLING_CURRENCY_DIFFERENCES_SUPPORTED",
    "PUBLIC_PRICE_LIST_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
    "VIRTUAL_CURRENCY_SUPPORTED",
)
"""What the rules are told of Venice: more of it turns more rules on."""
FEWEST_RULES = 250  # of those that a rule set has; a validator that checks nothing finds nothing
NO_CURRENCY = "XXX"  # as ISO 4217 calls it
_TIMEOUT = 300  # seconds
_FOLDER = "import pathlib, focus_validator; print(pathlib.Path(focus_validator.__file__).parent.parent)"


@frozen
class Verdict:
    """What the validator found.

    Attributes:
        checked: How many rules were checked.
        failed: The names of those that failed.
    """

    checked: int
    failed: frozenset[str]

    def problems(self) -> list[str]:
        """Return what is wrong, a line each; nothing if only that failed which cannot hold."""
        lines = [f"failed: {name}" for name in sorted(self.failed - CANNOT_HOLD.keys())]
        lines += [f"holds now, so name it no longer: {name}" for name in sorted(CANNOT_HOLD.keys() - self.failed)]
        if self.checked < FEWEST_RULES:
            lines.append(f"only {self.checked} rules were checked, not at least {FEWEST_RULES}")
        return lines


def export(folder: Path) -> Path:
    """Make a ledger of the account, and a FOCUS 1.2 file of the ledger."""
    with account().client() as client, Ledger(folder / "venice.duckdb") as ledger:
        ledger.sync(client)
        made = folder / "focus.csv"
        ledger.export(made, format="focus", focus_version="1.2", diem_usd=Decimal("0.25"))
    return made


def readable(path: Path) -> Path:
    """Write a copy that the validator can judge, in which two things are as it knows them.

    FOCUS allows names of virtual currencies in PricingCurrency and any Unicode in texts; the validator takes three
    letters alone for a currency, and ASCII alone for a text.
    """
    copy = path.with_stem(f"{path.stem}-for-the-validator")
    with path.open(encoding="utf-8", newline="") as source, copy.open("w", encoding="ascii", newline="") as target:
        reader = csv.DictReader(source)
        writer = csv.DictWriter(target, reader.fieldnames or ())
        writer.writeheader()
        writer.writerows({name: _readable(name, text) for name, text in row.items()} for row in reader)
    return copy


def _readable(name: str, text: str) -> str:
    is_virtual = name == "PricingCurrency" and text in CURRENCIES and text != "USD"
    return NO_CURRENCY if is_virtual else text.encode("ascii", "replace").decode()


def validate(python: str, path: Path) -> Verdict:
    """Run the validator on a file. It reads its rules from its own package, and currencies from the working folder."""
    report = path.with_suffix(".xml")
    folder = _output(python, "-c", _FOLDER).strip()
    command = ["-m", "focus_validator.main", "--data-file", str(path), "--validate-version", "1.2", "--block-download"]
    command += ["--applicability-criteria", ",".join(CRITERIA)]
    _output(python, *command, "--output-type", "unittest", "--output-destination", str(report), cwd=folder)
    return judged(ET.parse(report).iter("testcase"))


def judged(cases: Iterable[ET.Element]) -> Verdict:
    """Return the verdict of the test cases of a report."""
    failed, checked = set(), 0
    for case in cases:
        checked += case.find("skipped") is None
        if case.find("failure") is not None or case.find("error") is not None:
            failed.add(case.get("name", "").partition(" :: ")[0])
    return Verdict(checked, frozenset(failed))


def _output(python: str, *arguments: str, cwd: str | None = None) -> str:
    done = subprocess.run([python, *arguments], cwd=cwd, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        raise SystemExit(f"the validator did not run:\n{done.stderr[-2000:]}")
    return done.stdout


def main(python: str) -> int:
    """Print what the validator found; 1 if anything fails but the rule that cannot hold."""
    with tempfile.TemporaryDirectory() as folder:
        verdict = validate(str(Path(python).absolute()), readable(export(Path(folder))))
    problems = verdict.problems()
    known = [f"cannot hold: {name}: {CANNOT_HOLD[name]}" for name in sorted(verdict.failed & CANNOT_HOLD.keys())]
    print("\n".join([f"{verdict.checked} rules of FOCUS 1.2 checked", *known, *problems]))  # noqa: T201 - its output
    return int(bool(problems))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
