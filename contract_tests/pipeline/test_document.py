"""References and operations of a document, and its schemas as JSON Schema: there is one way to read each."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Any

import pytest

import contract.diff
import contract_tests.contract.suite  # noqa: F401 - the other package of the name
from contract.document import UnreadableDocumentError, is_billing_path, operations, resolve, written_out
from contract.model import Contract
from contract.schemas import Reader
from contract_tests.support.paths import ROOT

TREE = {
    "type": "object",
    "nullable": True,
    "required": ["left"],
    "properties": {"left": {"$ref": "#/components/schemas/Tree"}},
}
OK: dict[str, Any] = {"description": "OK"}


def document(**components: Any) -> dict[str, Any]:
    return {"openapi": "3.0.3", "paths": {}, "components": components}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("#/components/schemas/None", "leads nowhere"),
        ("other.yaml#/Tree", "leaves the document"),
        ("#/components/schemas/Loop", "leads back to itself"),
        (7, "malformed reference"),
    ],
)
def test_reference_without_a_target_is_refused(reference: Any, message: str) -> None:
    loop = {"$ref": "#/components/schemas/Loop"}
    with pytest.raises(UnreadableDocumentError, match=message):
        resolve(document(schemas={"Loop": loop}), {"$ref": reference})


def test_reference_is_followed_to_its_end() -> None:
    schemas = {"a/b": {"$ref": "#/components/schemas/Last"}, "Last": {"type": "string"}}
    assert resolve(document(schemas=schemas), {"$ref": "#/components/schemas/a~1b"}) == {"type": "string"}


def test_recursive_schema_is_written_out_once() -> None:
    written = written_out(document(schemas={"Tree": TREE}), {"$ref": "#/components/schemas/Tree"})
    assert written == {**TREE, "properties": {"left": {}}}


def test_other_references_are_written_out_where_schemas_are_kept() -> None:
    schema = {"schema": {"$ref": "#/components/schemas/Tree"}}
    there = document(responses={"Good": {**OK, "content": {"application/json": schema}}}, schemas={"Tree": TREE})
    responses = {"200": {"$ref": "#/components/responses/Good"}}
    assert written_out(there, responses, keep_schemas=True) == {"200": there["components"]["responses"]["Good"]}


def test_response_that_contains_itself_is_refused() -> None:
    loop = {**OK, "headers": {"x": {"$ref": "#/components/responses/Loop"}}}
    with pytest.raises(UnreadableDocumentError, match="back to itself"):
        written_out(document(responses={"Loop": loop}), loop, keep_schemas=True)


def test_operations_are_found_through_the_reference_of_a_path() -> None:
    item: dict[str, Any] = {"post": {"responses": {}}, "get": {"responses": {}}}
    there = {
        **document(pathItems={"X": item}),
        "paths": {"/billing/x": {"$ref": "#/components/pathItems/X"}, "/y": item},
    }
    found = [(path, method) for path, method, _ in operations(there, is_billing_path)]
    assert found == [("/billing/x", "get"), ("/billing/x", "post")]
    assert [(each.path, each.method) for each in Contract(there).operations] == found


@pytest.mark.parametrize("junk", [None, [], "text", {"get": None}, {"get": []}])
def test_path_that_is_no_object_is_refused_unless_it_is_none_of_ours(junk: Any) -> None:
    there = {**document(), "paths": {"/billing/x": junk}}
    with pytest.raises(UnreadableDocumentError):
        list(operations(there))
    assert list(operations(there, lambda path: path == "/y")) == []


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "integer", "nullable": True}, [None, 1], ["1"]),
        ({"type": "string", "enum": ["a"], "nullable": True}, [None, "a"], ["b"]),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, [1], [0]),
        ({"type": "string", "format": "date"}, ["2026-01-01"], ["yesterday"]),
        (
            {"$ref": "#/components/schemas/Tree"},
            [{"left": None}, {"left": {"left": None}}],
            [{}, {"left": {}}, {"left": {"left": {"left": 1}}}],
        ),
        (
            {"allOf": [{"$ref": "#/components/schemas/Tree"}], "nullable": True},
            [None, {"left": None}],
            [{}, {"left": {"left": 1}}],
        ),
    ],
)
def test_schema_of_openapi_3_0_is_validated_as_json_schema(schema: Any, good: list[Any], bad: list[Any]) -> None:
    validator = Reader(document(schemas={"Tree": TREE})).validator(schema)
    assert [validator.is_valid(value) for value in (*good, *bad)] == [True] * len(good) + [False] * len(bad)


def test_no_module_is_imported_under_two_names() -> None:
    """`contract` is a package of scripts/, `contract_tests.contract` one of the tests."""
    files = (getattr(module, "__file__", None) for name, module in list(sys.modules.items()) if name != "__main__")
    count = Counter(file for file in files if file and file.startswith((f"{ROOT}/scripts/", f"{ROOT}/contract_tests/")))
    assert [file for file, times in count.items() if times > 1] == []
    assert contract.diff.__name__ == "contract.diff"
