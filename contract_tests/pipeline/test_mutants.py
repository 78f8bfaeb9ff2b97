"""The suite on a slice of the mutations: it fails for breaking ones and says what they break, and for no other.

`nox -s mutants` tries the whole table.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import pytest
import yaml

from contract_tests.contract.suite import committed
from contract_tests.support.mutations import MUTATIONS, Mutation
from contract_tests.support.paths import ROOT
from mutants import attempt, main

if TYPE_CHECKING:
    from pathlib import Path

SLICE = 12
BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}


def test_table_is_large_and_has_every_severity() -> None:
    count = Counter(mutation.severity for mutation in MUTATIONS)
    assert count.keys() == {"breaking", "compatible", "cosmetic"}
    assert count["breaking"] >= 40
    assert count.total() >= 60
    assert len(BY_NAME) == count.total()


@pytest.mark.parametrize(
    ("argument", "message"),
    [("--slice=0", "argument --slice: 0 is not 1 or more"), ("no such", "no mutation is called 'no such'")],
)
def test_choice_of_no_mutation_is_refused(argument: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([argument])
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("mutation", MUTATIONS[::SLICE], ids=lambda mutation: mutation.name)
def test_suite_is_red_for_breaking_mutations_only(mutation: Mutation) -> None:
    outcome = attempt(mutation.name, examples=2)
    assert outcome.is_right, outcome.first


@pytest.mark.parametrize(
    ("name", "where", "instead"),
    [
        ("maximum lowered", "getBillingUsageHistory  parameters.query.pageSize", "greater than the maximum of 500"),
        ("amount retyped", "getBillingUsage  responses.200.application/json.data[].amount", "expected a number"),
        ("next cursor header renamed", "getBillingUsageHistory  responses.200.headers.x-next-cursor", "finds nothing"),
    ],
)
def test_a_broken_promise_is_named_by_operation_and_place(name: str, where: str, instead: str) -> None:
    broken = attempt(name, examples=0).found_by_tests
    assert any(where in str(each) and instead in str(each) for each in broken), broken


def test_the_command_ends_red_with_a_line_per_promise(tmp_path: Path) -> None:
    """`VENICE_CONTRACT=PATH nox -s contract` is this call; here on the tests that the mutation concerns."""
    path = tmp_path / "contract.yaml"
    path.write_text(yaml.safe_dump(BY_NAME["property made nullable"](committed().document), allow_unicode=True))
    command = [
        "-m",
        "pytest",
        "-p",
        "no:xdist",
        "-q",
        "--tb=no",
        "-rN",
        "-k",
        "json_body_is_given_back_whole and get_usage_history-json",
    ]
    run = subprocess.run(
        [sys.executable, *command, "contract_tests/contract"],
        cwd=ROOT,
        env={**os.environ, "VENICE_CONTRACT": str(path), "CONTRACT_EXAMPLES": "2"},
        timeout=600,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in run.stdout.splitlines() if line.startswith("BROKEN")]
    assert run.returncode == 1, run.stdout
    # One test for each reader, though all find the same place; two of the readers need httpx2.
    assert re.search(r"\b[35] failed", run.stdout)
    assert len(lines) == 1
    assert "getBillingUsageHistory  responses.200.application/json.data[].amount  " in lines[0]
