"""The contract diff gives every change the severity it has for a consumer, and says where it is."""

from __future__ import annotations

import contextlib
import json
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from openapi_spec_validator import validate

import contract_diff
from contract.document import Document, UnreadableDocumentError
from contract_diff import Change, Severity, diff, verdict
from contract_tests.support.mutations import MUTATIONS, Mutation
from contract_tests.support.mutations_edits import also, append, drop, put, rename
from contract_tests.support.paths import CONTRACT, ROOT
from pipeline.documents import load_document

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PUBLISHED = ROOT.parent / "shared" / "specs"

ENTRY = "components schemas Entry"
CALL = "paths /billing/x get"


@pytest.fixture(scope="module")
def contract() -> Document:
    return load_document(CONTRACT)


@pytest.fixture
def small() -> Document:
    """Return a small document of one operation."""
    reference = {"$ref": "#/components/schemas/Entry"}
    entry = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "integer"}, "children": {"type": "array", "items": reference}},
    }
    body = {"application/json": {"schema": reference}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "small", "version": "1"},
        "servers": [{"url": "https://example.com/api/v1"}],
        "paths": {
            "/billing/x": {
                "get": {
                    "operationId": "getX",
                    "parameters": [{"name": "n", "in": "query", "schema": {"type": "integer"}}],
                    "responses": {"200": {"description": "OK", "content": body}},
                }
            }
        },
        "components": {"schemas": {"Entry": entry}},
    }


def edited(document: Document, *edits: Callable[[Document], None]) -> Document:
    copy = deepcopy(document)
    also(*edits)(copy)
    return copy


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.severity}: {mutation.name}")
def test_mutation_has_its_severity(contract: Document, mutation: Mutation) -> None:
    """Every mutation of the contract gets the severity that the definitions give it."""
    assert verdict(diff(contract, mutation(contract))) == mutation.severity


def test_table_has_unique_names_and_every_severity() -> None:
    """There are at least sixty mutations, no name stands for two, and no severity is forgotten."""
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS) >= 60
    assert {mutation.severity for mutation in MUTATIONS} == {"breaking", "compatible", "cosmetic"}


@pytest.mark.parametrize("severity", ["breaking", "compatible", "cosmetic"])
def test_mutations_are_valid_documents(contract: Document, severity: str) -> None:
    """A mutation breaks a promise, never the document format: what it shows is not an unreadable input."""
    for mutation in (mutation for mutation in MUTATIONS if mutation.severity == severity):
        validate(without_examples(mutation(contract)))


def without_examples(node: Any) -> Any:
    """Return a document without examples and defaults, except those of server variables, which must be there."""
    if isinstance(node, dict):
        left_out = {"example"} if node.keys() <= {"default", "enum", "description"} else {"example", "default"}
        return {key: without_examples(value) for key, value in node.items() if key not in left_out}
    return [without_examples(item) for item in node] if isinstance(node, list) else node


def test_the_contract_is_identical_to_itself(contract: Document) -> None:
    assert diff(contract, deepcopy(contract)) == []
    assert verdict([]) == "identical"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # The successor of the ledger appears and nothing else changes; VCU goes on being a filter of the old one.
        ("20260703", "20260709", "compatible"),
        ("20260709", "20260721", "compatible"),
        ("20260721", "20260811", "cosmetic"),
        ("20260811", "20260821", "breaking"),
        ("20260821", "20260821", "identical"),
    ],
)
def test_published_history(old: str, new: str, expected: str) -> None:
    """The full documents that the service published get the verdict their differences deserve."""
    documents = [PUBLISHED / f"venice-swagger-{version}.yaml" for version in (old, new)]
    if not all(document.exists() for document in documents):
        pytest.skip("the published documents are not beside this checkout")
    assert verdict(diff(*map(load_document, documents))) == expected


@pytest.mark.parametrize(
    ("edit", "change"),
    [
        (
            put("components schemas HistoryCurrency enum", ["USD", "DIEM"]),
            (
                "getBillingUsageHistory",
                "parameters.query.currency",
                "enum value removed: BUNDLED_CREDITS",
                Severity.BREAKING,
            ),
        ),
        (
            put("components schemas DailyUsage properties USD nullable", value=True),
            (
                "getBillingUsageAnalytics",
                "responses.200.application/json.byDate[].USD",
                "null admitted",
                Severity.BREAKING,
            ),
        ),
        (
            put("components schemas Pagination required", ["limit", "page", "total"]),
            (
                "getBillingUsage",
                "responses.200.application/json.pagination.totalPages",
                "required became optional",
                Severity.BREAKING,
            ),
        ),
        (
            rename("paths /billing/balance", "/billing/funds"),
            (
                "getBillingBalance",
                "path",
                "operation moved: GET {0}/balance -> GET {0}/funds".format("https://api.venice.ai/api/v1/billing"),
                Severity.BREAKING,
            ),
        ),
        (
            put("paths /billing/usage-history get parameters pageSize schema maximum", 100),
            (
                "getBillingUsageHistory",
                "parameters.query.pageSize",
                "maximum changed: 1000 -> 100",
                Severity.BREAKING,
            ),
        ),
        (
            put("components schemas DailySeriesPoint additionalProperties nullable", value=True),
            (
                "getBillingUsageAnalytics",
                "responses.200.application/json.byKeyDaily[].*",
                "null admitted",
                Severity.BREAKING,
            ),
        ),
        (
            drop("paths /billing/usage get responses 410"),
            (
                "getBillingUsage",
                "responses.410",
                "status removed",
                Severity.COMPATIBLE,
            ),
        ),
    ],
)
def test_a_row_says_where_and_what(
    contract: Document, edit: Callable[[Document], None], change: tuple[str, str, str, Severity]
) -> None:
    """A row names the operation, the place in it and the change, in words a reader can act on."""
    assert Change(*change) in diff(contract, edited(contract, edit))


def test_rows_come_worst_first(small: Document) -> None:
    new = edited(
        small, put(f"{CALL} summary", "X"), put(f"{CALL} deprecated", value=True), drop(f"{CALL} responses 200")
    )
    assert [change.severity for change in diff(small, new)] == ["breaking", "compatible", "cosmetic"]


def test_only_billing_counts(small: Document) -> None:
    """Changes outside the billing operations are left out."""
    new = edited(
        small,
        put("paths /models", {"get": {"responses": {}}}),
        put("info version", "2"),
        put("components schemas Unused", {"type": "string"}),
        put("tags", [{"name": "Billing"}]),
    )
    assert diff(small, new) == []


def test_a_version_in_the_path_or_in_the_server_is_the_same_place(small: Document) -> None:
    new = edited(
        small,
        put("servers", [{"url": "https://example.com"}]),
        rename("paths /billing/x", "/api/v1/billing/x"),
    )
    assert verdict(diff(small, new)) != "breaking"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"type": "integer", "nullable": True}, {"type": ["integer", "null"]}),
        ({"type": "integer", "minimum": 0, "exclusiveMinimum": True}, {"type": "integer", "exclusiveMinimum": 0}),
        ({"type": "string", "enum": ["a"]}, {"const": "a"}),
        ({"type": "string", "nullable": True}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"allOf": [{"type": "string"}], "nullable": True}, {"oneOf": [{"type": "null"}, {"type": "string"}]}),
    ],
)
def test_openapi_3_0_and_3_1_say_the_same(small: Document, old: Document, new: Document) -> None:
    """A document that moves to OpenAPI 3.1 and keeps its meaning breaks nobody, in requests and responses."""
    places = f"{CALL} parameters n schema", f"{ENTRY} properties id"
    before = edited(small, *(put(place, old) for place in places))
    after = edited(small, put("openapi", "3.1.0"), *(put(place, new) for place in places))
    assert verdict(diff(before, after)) in {"identical", "cosmetic"}
    assert verdict(diff(after, before)) in {"identical", "cosmetic"}


@pytest.mark.parametrize(
    "change", [put(f"{ENTRY} properties id type", "string"), put(f"{ENTRY} properties children nullable", value=True)]
)
def test_recursive_schemas_are_compared_once(small: Document, change: Callable[[Document], None]) -> None:
    """A schema that contains itself ends, and what breaks in it is seen."""
    rows = diff(small, edited(small, change))
    assert [row.severity for row in rows] == ["breaking"]


def test_a_named_property_among_free_ones_keeps_their_type(small: Document) -> None:
    """What no single keyword shows, the whole does: a name that was a number among others is a text now."""
    old = edited(small, put(ENTRY, {"type": "object", "additionalProperties": {"type": "number"}}))
    new = edited(old, put(f"{ENTRY} properties", {"date": {"type": "string"}}))
    assert Change(
        "getX", "responses.200.application/json", "may be of a shape it could not have", Severity.BREAKING
    ) in diff(old, new)


@pytest.mark.parametrize(
    ("text", "expected"), [({"type": "string", "format": "date"}, "breaking"), ({"type": "string"}, "cosmetic")]
)
def test_added_alternative_is_breaking_only_where_it_is_of_a_new_type(
    small: Document, text: Document, expected: str
) -> None:
    """A short text surprises a reader of integers and dates; a reader of any text had to expect it."""
    old = edited(small, put(f"{ENTRY} properties id", {"anyOf": [{"type": "integer"}, text]}))
    new = edited(old, append(f"{ENTRY} properties id anyOf", {"type": "string", "maxLength": 5}))
    assert verdict(diff(old, new)) == expected


class TestCommand:
    """`scripts/contract_diff.py OLD NEW [--format text|json]`."""

    @pytest.fixture
    def write(self, tmp_path: Path) -> Callable[[str, Any], str]:
        def write(name: str, document: Any) -> str:
            path = tmp_path / name
            path.write_text(document if isinstance(document, str) else yaml.safe_dump(document, sort_keys=False))
            return str(path)

        return write

    def test_breaking_exits_with_one(
        self, small: Document, write: Callable[[str, Any], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        old, new = write("old.yaml", small), write("new.yaml", edited(small, drop(f"{CALL} parameters n")))
        assert contract_diff.main([old, new]) == 1
        assert capsys.readouterr().out.splitlines() == [
            "breaking  getX  parameters.query.n  parameter removed",
            "verdict: breaking",
        ]

    def test_json_holds_rows_and_verdict(
        self, small: Document, write: Callable[[str, Any], str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        old, new = write("old.yaml", small), write("new.json", json.dumps(edited(small, put(f"{CALL} summary", "X"))))
        assert contract_diff.main([old, new, "--format", "json"]) == 0
        assert json.loads(capsys.readouterr().out) == {
            "verdict": "cosmetic",
            "rows": [{"operation": "getX", "location": "operation", "kind": "summary added", "severity": "cosmetic"}],
        }

    @pytest.mark.parametrize(
        "document",
        [
            "{",
            "just text",
            "openapi: 3.0.0\ninfo: {}\n",
            {"swagger": "2.0", "paths": {"/billing/x": {"get": {}}}},
            {"openapi": "3.0.0", "paths": {"/billing/x": []}},
            {"openapi": "3.0.0", "paths": {"/billing/x": {"get": {"parameters": [{"$ref": "#/components/none"}]}}}},
            {"openapi": "3.0.0", "paths": {"/billing/x": {"$ref": "other.yaml#/x"}}},
        ],
    )
    def test_unreadable_exits_with_two(
        self,
        document: Any,
        small: Document,
        write: Callable[[str, Any], str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """What cannot be read is never taken for a breaking change, nor for a harmless one."""
        good, bad = write("good.yaml", small), write("bad.yaml", document)
        assert contract_diff.main([good, bad]) == 2
        assert contract_diff.main([bad, good]) == 2
        assert capsys.readouterr().err.startswith("contract_diff: ")

    def test_missing_file_exits_with_two(self, tmp_path: Path) -> None:
        assert contract_diff.main([str(tmp_path / "none"), str(CONTRACT)]) == 2


def test_a_schema_that_is_none_is_refused(small: Document) -> None:
    with pytest.raises(UnreadableDocumentError, match="properties"):
        diff(small, edited(small, put(f"{ENTRY} properties", ["id"])))


@pytest.mark.parametrize("junk", [None, "text", 5, True, [], {}, [None], {"a": 1}, {"$ref": 7}], ids=str)
def test_malformed_document_gets_a_verdict_or_is_refused(small: Document, junk: Any) -> None:
    """A malformed document ends in a verdict or in UnreadableDocumentError, wherever its defect is."""
    for place in (place for place in places_of(small) if place != ("paths",)):
        new = deepcopy(small)
        parent = new
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = junk
        for documents in ((small, new), (new, small)):
            with contextlib.suppress(UnreadableDocumentError):
                assert verdict(diff(*documents)) in {"identical", *Severity}


def places_of(node: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from places_of(value, (*above, key))
