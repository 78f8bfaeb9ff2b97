"""What a statement says of a month: totals, opening and coverage, as JSON and as Markdown."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from attrs import evolve

from contract_tests.ledger.account import walked
from contract_tests.ledger.statement.months import DAY, OCTOBER, in_month, recorded
from contract_tests.support.flavours import NOW
from venice_billing import LedgerError, spend
from venice_billing.ledger import Ledger, Statement

if TYPE_CHECKING:
    from venice_billing.testing import FakeVenice


def test_statement_has_the_totals_of_a_walk(filled: Ledger, fake: FakeVenice) -> None:
    statement = filled.close("2026-10")
    entries = in_month(walked(fake), OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert (statement.month, statement.timezone, statement.revision) == ("2026-10", "UTC", 1)
    assert (statement.start, statement.end) == (OCTOBER, datetime(2026, 11, 1, tzinfo=UTC))
    assert (statement.is_closed, statement.is_complete, statement.count) == (True, True, len(entries))
    assert statement.totals == spend.summarize(entries, ())
    assert statement.by_model == spend.summarize(entries, "model")
    assert statement.by_key == spend.summarize(entries, "key")
    before = [entry for entry in walked(fake) if entry.timestamp < OCTOBER]
    assert statement.opening.totals == spend.summarize(before, ())
    assert statement.closing_totals == spend.summarize([*before, *entries], ())
    assert (statement.opening.month, statement.opening.open_months) == (None, ("2026-08", "2026-09"))
    coverage = statement.coverage
    assert (coverage.covered_from, coverage.covered_until, coverage.overlap) == (None, NOW + 3 * DAY, 2 * DAY)
    assert (coverage.sync, coverage.synced_at) == (2, NOW + 3 * DAY)
    assert (statement.adjustments, statement.restatement) == ((), None)


def test_next_statement_names_the_month_closed_before(filled: Ledger) -> None:
    september = filled.close("2026-09")
    october = filled.close("2026-10")
    assert (october.opening.month, october.opening.revision) == ("2026-09", 1)
    assert (october.opening.digest, october.opening.open_months) == (september.digest, ("2026-08",))
    assert october.opening.totals == september.closing_totals


def test_statement_of_an_open_month_shows_it_so_far_and_records_nothing(filled: Ledger, fake: FakeVenice) -> None:
    november = filled.statement("2026-11")
    entries = in_month(walked(fake), datetime(2026, 11, 1, tzinfo=UTC), NOW + 30 * DAY)
    assert (november.revision, november.is_closed, november.is_complete) == (0, False, False)
    assert (november.count, november.totals) == (len(entries), spend.summarize(entries, ()))
    assert "not closed; INCOMPLETE" in november.to_markdown()
    october = filled.statement("2026-10")
    assert (october.is_closed, october.is_complete) == (False, True)
    assert evolve(october, revision=1) == filled.close("2026-10")
    with pytest.raises(LedgerError, match="sync when the month has begun"):
        filled.statement("2026-12")
    assert len(recorded(filled)) == 1


_WRITE = """
import locale, sys
locale.setlocale(locale.LC_ALL, "")
from venice_billing.ledger import Ledger
with Ledger(sys.argv[1]) as ledger:
    for statement in (ledger.statement("2026-10"), ledger.close("2026-09")):
        sys.stdout.buffer.write((statement.to_json() + statement.to_markdown()).encode())
"""


def test_bytes_do_not_depend_on_the_surroundings(filled: Ledger) -> None:
    filled.close("2026-08")
    filled.close()
    written = []
    for number, (zone, language, seed) in enumerate(
        [("UTC", "C", "0"), ("Asia/Kathmandu", "de_DE.UTF-8", "1"), ("America/St_Johns", "tr_TR.UTF-8", "12345")]
    ):
        copy = filled.path.with_name(f"{number}.duckdb")
        copy.write_bytes(filled.path.read_bytes())
        environment = {**os.environ, "TZ": zone, "LANG": language, "PYTHONHASHSEED": seed}
        script = _WRITE if language == "C" else _WRITE.replace('locale.setlocale(locale.LC_ALL, "")', "")
        command = [sys.executable, "-c", script, str(copy)]
        written.append(subprocess.run(command, env=environment, capture_output=True, check=True, timeout=120).stdout)
    assert len(written[0]) > 3000
    assert written[0] == written[1] == written[2]


def test_markdown_is_aligned_and_says_what_it_is_of(filled: Ledger) -> None:
    statement = filled.close("2026-10", timezone="Europe/Zurich")
    text = statement.to_markdown()
    lines = text.splitlines()
    assert lines[:2] == ["# Statement of 2026-10", ""]
    for fact in (
        "- Status: closed, revision 1; complete",
        "- Time zone: Europe/Zurich",
        "- Period: 2026-09-30T22:00:00.000Z up to 2026-10-31T23:00:00.000Z, the end excluded",
        "- Coverage: from the beginning of the account up to 2026-11-04T12:00:00.000Z",
        f"- Charges: {statement.count}",
        f"- Digest of the charges (SHA-256): {statement.digest}",
    ):
        assert fact in lines
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for table in tables:
        assert len({len(line) for line in table}) == 1
        assert len({tuple(i for i, char in enumerate(line) if char == "|") for line in table}) == 1


@pytest.mark.parametrize("text", ["{}", '{"format": 1}', "[]", "null", "1", "nonsense", "[" * 100_000])
def test_text_that_is_no_statement_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Statement.from_json(text)
