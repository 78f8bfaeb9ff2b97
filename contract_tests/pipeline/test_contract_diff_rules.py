"""Rules of the contract diff that one mutation of the contract does not show: other directions, and their words."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import contract_diff
from contract.diff import diff, verdict
from contract.model import Contract
from contract_tests.contract.values import Values
from contract_tests.support.mutations import MUTATIONS
from contract_tests.support.mutations_edits import also, append, drop, put
from contract_tests.support.paths import CONTRACT, ROOT
from pipeline.documents import load_document

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract.document import Document

_BY_NAME = {mutation.name: mutation for mutation in MUTATIONS}
_LOOKBACK = "paths /billing/usage-analytics get parameters lookback schema"
_CONTRACT = load_document(CONTRACT)


@pytest.mark.parametrize(
    ("name", "severity"),
    [
        ("parameter moved to content", "breaking"),
        ("parameter moved to plain text", "cosmetic"),
        ("cursor header moved to content", "breaking"),
        ("style of a scalar changed", "breaking"),
        ("scalar not exploded", "cosmetic"),
        ("reserved characters allowed", "breaking"),  # a colon that was sent raw has to be encoded now
        ("reserved characters allowed where there are none", "cosmetic"),
        ("list accepted", "breaking"),
        ("empty value allowed", "breaking"),
        ("property hidden from responses", "compatible"),
        ("property hidden from requests", "compatible"),
        ("rule added", "compatible"),
        ("rule removed", "breaking"),
        ("order of rules", "cosmetic"),
        ("server over plain http", "breaking"),
        ("server with a trailing slash", "cosmetic"),
        ("server variable", "compatible"),
        ("server variable with choices", "breaking"),
        ("second server", "breaking"),
        ("second server as the default", "breaking"),
        ("servers no longer named", "compatible"),
        ("key made optional", "breaking"),
        ("date accepted beside a time", "breaking"),
        ("word accepted beside numbers", "breaking"),
        ("hours accepted beside days", "breaking"),
        ("anchors removed", "breaking"),
        ("length already in the pattern", "cosmetic"),
        ("length moved into the pattern", "cosmetic"),
        ("undecidable pattern", "breaking"),
        ("enum worded as alternatives", "cosmetic"),
        ("alternatives that exclude each other anyway", "cosmetic"),
        ("entries within entries", "compatible"),
        ("entries within entries, always", "breaking"),
        ("number or integer", "cosmetic"),
        ("success as a range", "compatible"),
        ("width of an integer added", "breaking"),
        ("width of an integer halved", "breaking"),
    ],
)
def test_mutation_undone_has_its_severity(name: str, severity: str) -> None:
    """The way back from a mutated contract has a severity of its own."""
    assert verdict(diff(_BY_NAME[name](_CONTRACT), _CONTRACT)) == severity


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (
            "undecidable pattern",
            r"pattern changed: ^[1-9]\d*d$ -> ^(?=.*d$)[1-9]\d*d$ (not proven to accept all it did)",
        ),
        ("length shorter than the pattern", "maxLength added: 2"),
        ("parameter moved to content", "serialisation changed: plain -> application/json"),
        ("rule removed", "rule removed: alone cursor"),
        ("rule added", "rule added: together startTimestamp, endTimestamp"),
        ("list accepted", "list accepted"),
        ("property hidden from responses", "writeOnly added"),
        ("second server", "server added: GET https://eu.venice.ai/api/v1/billing/usage-history"),
        (
            "server over plain http",
            "operation moved: GET https://{0} -> GET http://{0}".format("api.venice.ai/api/v1/billing/usage"),
        ),
    ],
)
def test_a_row_says_what_changed(name: str, kind: str) -> None:
    assert kind in {change.kind for change in diff(_CONTRACT, _BY_NAME[name](_CONTRACT))}


def test_no_row_is_breaking_where_the_whole_request_schema_accepts_all_it_did() -> None:
    """The format is gone and the type is another, yet each old value is among the new ones."""
    rows = diff(_CONTRACT, _BY_NAME["date accepted beside a time"](_CONTRACT))
    assert verdict(rows) == "compatible"
    assert any("format" in row.kind or "anyOf" in row.kind for row in rows)


@pytest.mark.parametrize(
    ("old", "new", "severity"),
    [
        ([["a", "b"]], [["a"]], "compatible"),
        ([["a"]], [["a", "b"]], "breaking"),
        ([["a"], ["b"]], [["a", "b"]], "cosmetic"),
    ],
)
def test_rules_compare_by_what_they_refuse(old: list[list[str]], new: list[list[str]], severity: str) -> None:
    """A parameter that stands alone does so whichever rule says it."""

    def document(rules: list[list[str]]) -> Document:
        parameters = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in "abc"]
        x_rules = [{"rule": "alone", "parameters": names} for names in rules]
        operation = {"operationId": "x", "parameters": parameters, "x-rules": x_rules, "responses": {}}
        return {"openapi": "3.0.0", "paths": {"/billing/x": {"get": operation}}}

    assert verdict(diff(document(old), document(new))) == severity


_UNREADABLE: dict[str, tuple[Callable[[Document], None], str]] = {
    "dangling reference": (
        put("components schemas UsageEntry properties amount", {"$ref": "#/components/schemas/None"}),
        "'#/components/schemas/None' leads nowhere",
    ),
    "circular reference": (
        also(
            put("components schemas Currency", {"$ref": "#/components/schemas/SortOrder"}),
            put("components schemas SortOrder", {"$ref": "#/components/schemas/Currency"}),
        ),
        "leads back to itself",
    ),
    "dangling parameter": (
        append("paths /billing/usage get parameters", {"$ref": "#/components/parameters/None"}),
        "leads nowhere",
    ),
    "Swagger 2": (also(drop("openapi"), put("swagger", "2.0")), "not an OpenAPI 3 document"),
    "no such type": (put(f"{_LOOKBACK} type", "text"), "malformed schema"),
    "no regular expression": (put(f"{_LOOKBACK} pattern", "("), "malformed schema"),
    "rules that are none": (put("paths /billing/usage get x-rules", 5), "x-rules"),
}


@pytest.mark.parametrize("name", _UNREADABLE)
def test_the_command_names_the_file_that_it_cannot_read(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line with the name of the file and the reason, and exit code 2, whichever of the two it is."""
    edit, reason = _UNREADABLE[name]
    path = _written(edit, tmp_path)
    for arguments in ([str(path), str(CONTRACT)], [str(CONTRACT), str(path)]):
        assert contract_diff.main(arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith(f"contract_diff: {path}: ")
        assert reason in lines[0]


@pytest.mark.parametrize("name", ["dangling reference", "circular reference", "Swagger 2", "no such type"])
def test_the_suite_names_the_contract_that_it_cannot_read(name: str, tmp_path: Path) -> None:
    """One line with the name of the file and the reason, exit code 2, and no word of promises."""
    edit, reason = _UNREADABLE[name]
    path = _written(edit, tmp_path)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:xdist", "-q", "--tb=short", "-rN", "contract_tests/contract"],
        cwd=ROOT,
        env={**os.environ, "VENICE_CONTRACT": str(path)},
        timeout=600,
        capture_output=True,
        text=True,
        check=False,
    )
    lines = [line for line in (run.stdout + run.stderr).splitlines() if line.strip()]
    assert run.returncode == 2, run.stdout
    assert len(lines) == 1
    assert str(path) in lines[0]
    assert reason in lines[0]


def _written(edit: Callable[[Document], None], folder: Path) -> Path:
    document = yaml.safe_load(CONTRACT.read_text())
    edit(document)
    path = folder / "unreadable.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    "name", ["entries within entries", "an entry within an entry", "two recursions", "recursion through a map"]
)
def test_values_of_a_recursive_schema_are_finite_and_valid(name: str) -> None:
    """A schema that contains itself has values that do so, and few enough to try them all."""
    contract = Contract(_BY_NAME[name](_CONTRACT))
    schema = {"$ref": "#/components/schemas/UsageEntry"}
    corners = Values(contract.reader).corners(schema)
    validator = contract.validator(schema)
    assert 10 < len(corners) < 5000
    assert any(isinstance(value, dict | list) and value for corner in corners for value in corner.values())
    assert sum(validator.is_valid(corner) for corner in _plain(corners)) > 10


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
