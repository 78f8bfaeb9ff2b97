"""The digest of a month: anyone can make it again from the exported lines, whatever the entries hold."""

from __future__ import annotations

import hashlib
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract_tests.ledger.account import load, walked
from contract_tests.ledger.odd_entries import ENTRIES, FIELDS, ODD
from contract_tests.ledger.statement.months import DAY, OCTOBER, in_month, recomputed, sync
from contract_tests.support.flavours import NOW
from venice_billing import UsageEntry, spend
from venice_billing.ledger import Ledger, _entries
from venice_billing.testing import FakeVenice


def test_digest_is_recomputed_from_exported_lines(filled: Ledger, fake: FakeVenice) -> None:
    entries = in_month(walked(fake), OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert filled.close("2026-10").digest == recomputed(entry.to_json() for entry in entries)
    assert filled.statement("2026-09").digest != filled.statement("2026-10").digest


def test_digest_of_no_charge_is_that_of_nothing(ledger: Ledger) -> None:
    sync(ledger, FakeVenice(0, now=NOW - 60 * DAY))
    sync(ledger, FakeVenice(0, now=NOW + 3 * DAY))
    statement = ledger.close("2026-10")
    assert (statement.count, statement.digest, len(statement.totals)) == (0, hashlib.sha256(b"").hexdigest(), 0)
    assert "## Totals\n\nNone." in statement.to_markdown()


@settings(max_examples=20)
@given(st.lists(ENTRIES, max_size=12))
def test_digest_of_any_entries_is_recomputed_from_exported_lines(entries: list[UsageEntry]) -> None:
    march = datetime(2026, 3, 1, tzinfo=UTC)
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder, "venice.duckdb")) as ledger:
        load(ledger, [*entries, *entries[:3], UsageEntry.from_dict({**FIELDS, "timestamp": march.isoformat()})])
        lines = [entry.to_json() for entry in ledger.entries(march, "2026-04-01")]
        statement = ledger.statement("2026-03")
        assert (statement.digest, statement.count) == (recomputed(lines), len(lines))
        assert statement.totals == spend.summarize(ledger.entries(march, "2026-04-01"), ())


@pytest.mark.parametrize("name", [name for name in ODD if "timestamp" not in ODD[name]])
def test_digest_of_an_odd_entry_is_that_of_its_json(ledger: Ledger, name: str) -> None:
    """A lone surrogate too: `to_json` refuses it, so the line is what the API sends, in ASCII."""
    entries = [UsageEntry.from_dict({**FIELDS, **fields}) for fields in (ODD[name], {}, ODD[name])]
    load(ledger, entries)
    assert ledger.statement("2026-10").digest == recomputed(_entries.json_text(entry.to_dict()) for entry in entries)


def test_digest_does_not_depend_on_the_order_of_rows_or_fields(tmp_path: Path) -> None:
    extra = {"b": 1, "a": {"d": 2, "c": [3]}}
    shuffled = {"a": {"c": [3], "d": 2}, "b": 1}
    one, other = ([UsageEntry.from_dict({**FIELDS, "sku": sku, **extra}) for sku in skus] for skus in ("abc", "cba"))
    other = [
        UsageEntry.from_dict({**shuffled, **{n: v for n, v in e.to_dict().items() if n not in extra}}) for e in other
    ]
    digests = []
    for number, entries in enumerate((one, other)):
        with Ledger(tmp_path / f"{number}.duckdb") as ledger:
            load(ledger, entries)
            digests.append(ledger.statement("2026-10").digest)
    assert digests[0] == digests[1]
