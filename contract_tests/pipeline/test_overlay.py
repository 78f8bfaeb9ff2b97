"""Corrections, kept as overlays: what each changes, and which of them upstream has overtaken."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import regenerate
from contract.document import UnreadableDocumentError
from contract_tests.support.paths import ROOT
from pipeline.documents import load_document
from pipeline.overlay import Action, Status, apply_overlay, load_overlay, read_overlay

if TYPE_CHECKING:
    from pathlib import Path

_PUBLISHED = sorted((ROOT.parent / "shared" / "specs").glob("venice-swagger-*.yaml"))
_needs_published = pytest.mark.skipif(not _PUBLISHED, reason="the published documents are not beside this checkout")


def _apply(document: Any, **action: Any) -> tuple[Any, Status]:
    corrected, outcomes = apply_overlay(document, [Action(**action)])
    return corrected, outcomes[0].status


def test_a_correction_changes_a_copy() -> None:
    document = {"a": {"b": 1}}
    corrected, status = _apply(document, target="$.a", update={"b": 2, "c": 3})
    assert (corrected, status) == ({"a": {"b": 2, "c": 3}}, Status.APPLIED)
    assert document == {"a": {"b": 1}}


def test_a_correction_of_what_is_not_there_is_reported() -> None:
    assert _apply({"a": {}}, target="$.b", update={"c": 1}) == ({"a": {}}, Status.MISSING)


def test_a_correction_that_changes_nothing_is_reported_as_mended() -> None:
    assert _apply({"a": {"b": [1, 2]}}, target="$.a", update={"b": [2]})[1] is Status.MENDED


def test_a_correction_of_what_upstream_says_otherwise_now_is_applied_and_reported() -> None:
    action = {"target": "$.a", "update": {"type": "integer"}, "upstream": {"has": {"type": "number"}}}
    assert _apply({"a": {"type": "number"}}, **action)[1] is Status.APPLIED
    assert _apply({"a": {"type": "string"}}, **action) == ({"a": {"type": "integer"}}, Status.CHANGED)
    assert _apply({"a": {"x": 1}}, target="$.a", update={"y": 1}, upstream={"lacks": ["x"]})[1] is Status.CHANGED


def test_an_array_appends_only_what_is_not_there() -> None:
    assert _apply({"a": [1, 2]}, target="$", update={"a": [2, 3]})[0] == {"a": [1, 2, 3]}


def test_a_reference_replaces_what_stood_beside_it() -> None:
    assert _apply({"a": {"type": "string"}}, target="$.a", update={"$ref": "#/b"})[0] == {"a": {"$ref": "#/b"}}


def test_a_fill_adds_only_keys_that_are_absent() -> None:
    corrected, _ = _apply({"a": {"b": [1]}}, target="$.a", update={"b": [2], "c": 3}, fill=True)
    assert corrected == {"a": {"b": [1], "c": 3}}


def test_a_removal_takes_every_match() -> None:
    document = {"a": {"shut": False, "b": {"shut": True}}, "c": {"shut": False}}
    corrected, status = _apply(document, target="$..[?@.shut == false].shut", remove=True)
    assert (corrected, status) == ({"a": {"b": {"shut": True}}, "c": {}}, Status.APPLIED)


@pytest.mark.parametrize("name", ["corrections", "descriptions"])
def test_an_overlay_declares_the_version_that_can_remove_primitives(name: str) -> None:
    assert yaml.safe_load((ROOT / "openapi" / f"{name}.yaml").read_bytes())["overlay"] == "1.1.0"


@pytest.mark.parametrize("name", ["corrections", "descriptions"])
def test_no_update_is_itself_a_reference(name: str) -> None:
    """Readers of overlays resolve such a one in the overlay, where it leads nowhere: the parent is the target."""
    actions = load_overlay(ROOT / "openapi" / f"{name}.yaml")
    assert [one.target for one in actions if isinstance(one.update, dict) and "$ref" in one.update] == []


def test_the_currency_of_a_row_is_corrected_only_where_there_is_one() -> None:
    """Neither is a dropped field written back, nor is an example taken for the properties."""
    (action,) = [one for one in load_overlay(ROOT / "openapi/corrections.yaml") if "@.currency" in one.target]
    reference = {"$ref": "#/components/schemas/Currency"}
    for currency in ({"type": "string"}, {"$ref": "#/components/schemas/Coin"}):
        entry = {"properties": {"currency": currency, "sku": {}}, "example": {"currency": "DIEM"}}
        corrected, _ = apply_overlay({"components": {"schemas": {"UsageEntry": entry}}}, [action])
        expected = {"properties": {"currency": reference, "sku": {}}, "example": {"currency": "DIEM"}}
        assert corrected["components"]["schemas"]["UsageEntry"] == expected
    without: Any = {"components": {"schemas": {"UsageEntry": {"properties": {"sku": {}}}}}}
    assert apply_overlay(without, [action])[0] == without


def test_every_correction_gives_its_reason() -> None:
    assert [one.target for one in load_overlay(ROOT / "openapi/corrections.yaml") if len(one.description) < 20] == []


@pytest.mark.parametrize(
    ("document", "action", "deviation"),
    [
        ({"a": {}}, {"update": {"b": 1}}, None),
        ({"a": {"b": 1}}, {"update": {"b": 1}}, "upstream now has b itself"),
        ({"a": {"b": 1}}, {"update": {"b": 1}, "expected": Status.MENDED}, None),
        ({"a": {}}, {"update": {"b": 1}, "expected": Status.MENDED}, "upstream does not say it itself any more"),
        ({}, {"update": {"b": 1}}, "upstream has nothing there now"),
        ({}, {"update": {"b": 1}, "expected": Status.MISSING}, None),
        ({"a": {}}, {"remove": True, "expected": Status.MISSING}, "upstream now has something there"),
        (
            {"a": {"b": 1, "c": 1}},
            {"update": {"b": 2, "d": 3}, "upstream": {"lacks": ["b"]}},
            "upstream now has b itself",
        ),
        (
            {"a": {"type": "string"}},
            {"update": {"type": "integer"}, "upstream": {"has": {"type": "number", "minimum": 0}}},
            'upstream now says type: "string", not "number" and has no minimum',
        ),
    ],
)
def test_only_what_turned_out_otherwise_than_recorded_is_a_deviation(
    document: Any, action: dict[str, Any], deviation: str | None
) -> None:
    _, outcomes = apply_overlay(document, [Action(target="$.a", **action)])
    assert outcomes[0].deviation == deviation


def test_every_correction_records_what_is_expected_of_it() -> None:
    actions = read_overlay(ROOT / "openapi/corrections.yaml")["actions"]
    assert [action["target"] for action in actions if "x-expected" not in action] == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("actions: [{target: $, x-expected: applid}]", "must be one of applied, missing, mended; got 'applid'"),
        ("actions: [{update: {}}]", "action 1 has no target"),
        ("actions: [{target: '$['}]", "action 1, $[: not a JSONPath"),
        ("info: {}", "not an overlay: it has no list of 'actions'"),
    ],
)
def test_overlay_that_cannot_be_read_is_refused_with_its_name(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text(text)
    with pytest.raises(UnreadableDocumentError, match=re.escape(message)) as caught:
        load_overlay(tmp_path / "broken.yaml")
    assert str(caught.value).startswith("broken.yaml: ")


@_needs_published
def test_upstream_still_says_what_the_corrections_were_written_against() -> None:
    _, outcomes = regenerate.contract_from(_PUBLISHED[-1].read_bytes(), "latest")
    assert [f"{outcome.action.target}: {outcome.deviation}" for outcome in outcomes if outcome.deviation] == []


@_needs_published
def test_nothing_is_reported_while_all_is_as_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    assert regenerate.main(["--upstream", str(_PUBLISHED[-1]), "--check"]) == 0
    assert capsys.readouterr() == ("", "")


@_needs_published
def test_the_report_tells_a_maintainer_what_upstream_has_overtaken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A field that upstream has taken over is named; all corrections that did as recorded are not."""
    document = load_document(_PUBLISHED[-1])
    page = document["paths"]["/billing/usage-history"]["get"]["responses"]["200"]["content"]["application/json"]
    page["schema"]["properties"]["data"]["items"]["properties"]["apiKeyId"] = {"type": "string", "nullable": True}
    (tmp_path / "upstream.yaml").write_text(yaml.safe_dump(document))
    options = ["--upstream", str(tmp_path / "upstream.yaml"), "--check", "--output", str(tmp_path / "made")]
    assert regenerate.main(options) == 1
    report = capsys.readouterr().err.splitlines()
    assert report[0] == "corrections that turned out otherwise than recorded: 1"
    assert report[1].startswith("  $.components.schemas.UsageEntry.properties: upstream now has apiKeyId itself. ")
    assert len(report) == 3
