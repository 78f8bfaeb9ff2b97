"""A component or null: one form in the contract, however upstream writes it, that other tools read as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.schemas import Reader
from contract.structure import objects
from contract_diff import diff, verdict
from contract_tests.support.paths import CONTRACT
from pipeline.documents import load_document
from pipeline.hoist import hoist_schemas

if TYPE_CHECKING:
    from contract.document import Document

_PART = {"$ref": "#/components/schemas/Part"}
_OURS = {"type": "object", "nullable": True, "anyOf": [_PART, {"enum": [None]}]}
_NULL = {"type": "object", "nullable": True, "enum": [None]}
_FORMS = [
    {"anyOf": [_PART, _NULL]},
    {"oneOf": [{"nullable": True, "enum": [None]}, _PART]},
    {"anyOf": [_PART, {"enum": [None]}]},
    {"nullable": True, "allOf": [_PART]},
    {"type": "object", "nullable": True, "allOf": [_PART]},
    {"nullable": True, "anyOf": [_PART]},
    _OURS,
]
_each_form = pytest.mark.parametrize("form", _FORMS, ids=str)


def _document(form: Any, part: Any = None, version: str = "3.0.0") -> Document:
    """Return a document whose one operation answers with a thing that has a part written in this form."""
    part = part or {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    thing = {"type": "object", "required": ["part"], "properties": {"part": form}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Thing"}}}
    responses = {"200": {"description": "OK", "content": content}}
    return {
        "openapi": version,
        "info": {"title": "", "version": "1"},
        "paths": {"/billing/thing": {"get": {"operationId": "getThing", "parameters": [], "responses": responses}}},
        "components": {"schemas": {"Thing": thing, "Part": part}},
    }


def _hoisted(document: Document) -> Any:
    return hoist_schemas(document)["components"]["schemas"]["Thing"]["properties"]["part"]


@_each_form
def test_the_usual_forms_become_ours(form: Any) -> None:
    assert _hoisted(_document(form)) == _OURS


@_each_form
def test_our_form_means_the_same_as_the_usual_ones(form: Any) -> None:
    usual, ours = _document(form), _document(_OURS)
    assert verdict(diff(usual, ours)) in {"identical", "cosmetic"}
    assert verdict(diff(ours, usual)) in {"identical", "cosmetic"}


@pytest.mark.parametrize(
    ("body", "valid"), [({"part": None}, True), ({"part": {"name": "n"}}, True), ({"part": {}}, False), ({}, False)]
)
def test_our_form_admits_the_component_and_null(body: Any, *, valid: bool) -> None:
    validator = Reader(_document(_OURS)).validator({"$ref": "#/components/schemas/Thing"})
    assert validator.is_valid(body) is valid


def test_our_form_without_null_is_another_contract() -> None:
    assert verdict(diff(_document(_PART), _document(_OURS))) == "breaking"


def test_an_enum_that_lists_null_loses_it_to_our_form() -> None:
    """Else the component would admit null wherever it is used."""
    enum = {"type": "string", "nullable": True, "enum": ["a", None]}
    hoisted = hoist_schemas(_document(enum))["components"]["schemas"]
    assert hoisted["ThingPart"] == {"type": "string", "enum": ["a"]}
    reference = {"$ref": "#/components/schemas/ThingPart"}
    part = hoisted["Thing"]["properties"]["part"]
    assert part == {"type": "string", "nullable": True, "anyOf": [reference, {"enum": [None]}]}


def test_a_component_of_several_types_is_not_narrowed_to_one() -> None:
    """Beside `nullable` stands a `type`; where there is no single one, null is among the alternatives alone."""
    several = {"anyOf": [{"type": "string"}, {"type": "integer"}]}
    assert _hoisted(_document({"anyOf": [_PART, _NULL]}, several)) == {"anyOf": [_PART, {"enum": [None]}]}


def test_openapi_3_1_has_a_form_of_its_own() -> None:
    form = {"anyOf": [_PART, {"type": "null"}]}
    assert _hoisted(_document(form, version="3.1.0")) == form


def test_the_contract_holds_no_form_that_a_validator_on_ajv_cannot_compile() -> None:
    """Prism 5 checks no answer that holds one: `nullable` without a type, or beside an enum with null."""
    nullable = [one for kind, one in objects(load_document(CONTRACT)) if kind == "schema" and one.get("nullable")]
    assert nullable
    assert [one for one in nullable if not isinstance(one.get("type"), str) or None in one.get("enum", ())] == []
