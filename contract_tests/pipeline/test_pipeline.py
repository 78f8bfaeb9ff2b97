"""The pipeline: any full upstream document in, a contract and a client out, or a refusal and nothing written."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import regenerate
from contract.document import is_billing_path, operations
from contract_tests.support.paths import ROOT
from contract_tests.support.regeneration import UPSTREAM, regenerate_from, run, snapshot
from pipeline.documents import load_document

_SPECS = ROOT.parent / "shared" / "specs"
_PUBLISHED = sorted(_SPECS.glob("venice-swagger-*.yaml"))
_LATEST = _SPECS / "venice-swagger-20260821.yaml"
_needs_published = pytest.mark.skipif(not _PUBLISHED, reason="the published documents are not beside this checkout")
_each_published = pytest.mark.parametrize("upstream", _PUBLISHED or [None], ids=lambda path: path and path.stem)

_OUTPUTS_TYPED: set[str] = set()


def _assert_typed(generated: Path) -> None:
    """Assert that the package imports and passes mypy --strict; what was checked once is not checked again."""
    files = snapshot(generated)
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if digest in _OUTPUTS_TYPED:
        return
    modules = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in files if name.endswith(".py")
    ]
    program = f"import sys; sys.path.insert(0, {str(generated)!r})\nfor name in {modules!r}: __import__(name)"
    subprocess.run([sys.executable, "-I", "-B", "-W", "error", "-c", program], check=True)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(generated.parents[2] / "mypy")]
    done = subprocess.run([*mypy, "venice_billing_api"], cwd=generated, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    _OUTPUTS_TYPED.add(digest)


@_needs_published
@_each_published
def test_a_published_document_becomes_a_typed_client(upstream: Path, tmp_path: Path) -> None:
    assert run("--upstream", upstream, "--output", tmp_path / "made") == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"openapi", "generated"}
    wanted = {(path, method) for path, method, _ in operations(load_document(upstream), is_billing_path)}
    contract = load_document(tmp_path / "made" / "openapi" / "venice-billing.yaml")
    assert {(path, method) for path, method, _ in operations(contract)} == wanted
    modules = {path.stem for path in (tmp_path / "made/generated/venice_billing_api/api/billing").glob("get_*.py")}
    assert len(modules) == len(wanted)
    _assert_typed(tmp_path / "made" / "generated")


@_needs_published
def test_the_committed_contract_is_what_the_latest_document_gives(tmp_path: Path) -> None:
    assert run("--upstream", _LATEST, "--check") == 0


@_needs_published
@_each_published
def test_no_words_of_upstream_reach_the_contract(upstream: Path) -> None:
    text, _ = regenerate.contract_from(upstream.read_bytes(), str(upstream))
    words = " ".join(text.split())
    billing = {path: item for path, item in load_document(upstream)["paths"].items() if is_billing_path(path)}
    sentences = {" ".join(one.split()) for one in _texts(billing) if len(one.split()) > 3 and "GMT" not in one}
    assert sentences
    assert [sentence for sentence in sentences if sentence in words] == []


def _texts(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [text for value in node.values() for text in _texts(value)]
    if isinstance(node, list):
        return [text for value in node for text in _texts(value)]
    return [node] if isinstance(node, str) else []


def test_the_same_document_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        assert run("--upstream", UPSTREAM, "--output", tmp_path / name) == 0
    assert snapshot(tmp_path / "one") == snapshot(tmp_path / "two")
    assert len(snapshot(tmp_path / "one")) > 30


def test_running_again_replaces_what_was_there(tmp_path: Path) -> None:
    run("--upstream", UPSTREAM, "--output", tmp_path)
    before = snapshot(tmp_path)
    (tmp_path / "generated/venice_billing_api/orphan.py").write_text("")
    (tmp_path / "generated/venice_billing_api/wire.py").write_text("")
    assert run("--upstream", UPSTREAM, "--output", tmp_path) == 0
    assert snapshot(tmp_path) == before


def test_the_words_of_the_small_document_are_dropped() -> None:
    text, _ = regenerate.contract_from(UPSTREAM.read_bytes(), str(UPSTREAM))
    assert "must not survive" not in text
    assert "This field is required" not in text


def test_an_old_document_with_the_original_ledger_alone_is_taken(tmp_path: Path) -> None:
    """In 2025 there was one billing operation, and some revisions name no security scheme."""
    entry = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": entry}}}
    operation = {"responses": {200: {"content": {"application/json": {"schema": page}}}}}
    old = {"openapi": "3.0.0", "info": {}, "paths": {"/billing/usage": {"get": operation}}}
    assert regenerate_from(old, tmp_path) == 0
    contract = load_document(tmp_path / "made/openapi/venice-billing.yaml")
    assert [path for path, _, _ in operations(contract)] == ["/billing/usage"]
    assert contract["security"] == [{"BearerAuth": []}]
    assert contract["servers"]
    _assert_typed(tmp_path / "made" / "generated")


def test_fields_of_the_contract_come_before_what_the_sku_says(tmp_path: Path) -> None:
    """`model` and `service` are read from the SKU only as long as the API does not send them."""
    text = {"type": "string"}
    sold = {"type": "object", "required": ["sku"], "properties": {"sku": text, "model": text, "service": text}}
    unsold = {"type": "object", "properties": {"sku": text}}
    document = load_document(UPSTREAM)
    document["components"]["schemas"] |= {"Sold": sold, "Unsold": unsold}
    references = {name: {"$ref": f"#/components/schemas/{name}"} for name in ("Sold", "Unsold")}
    content = {"application/json": {"schema": {"type": "object", "properties": references}}}
    document["paths"]["/billing/sales"] = {"get": {"responses": {"200": {"content": content}}}}
    assert regenerate_from(document, tmp_path) == 0
    models = tmp_path / "made/generated/venice_billing_api/models"
    assert "    model: str | None = None\n" in (models / "sold.py").read_text("utf-8")
    for name in ("sold.py", "unsold.py"):
        assert "@property" not in (models / name).read_text("utf-8")
    assert "class UsageEntry(EntryModel):" in (models / "usage_entry.py").read_text("utf-8")
    _assert_typed(tmp_path / "made" / "generated")


def test_unknown_operation_is_generated(tmp_path: Path) -> None:
    """A future operation is generated under names made by rule, whatever it is built of."""
    document = load_document(UPSTREAM)
    line = {
        "type": "object",
        "required": ["kind", "amount", "day", "tree"],
        "properties": {
            "kind": {"type": "string", "nullable": True, "enum": ["fee", "tax"]},
            "amount": {"oneOf": [{"type": "number"}, {"type": "array", "items": {"type": "number"}}]},
            "day": {"type": "string", "format": "date"},
            "list": {"type": "array", "items": {"type": "string", "format": "date-time"}},
            "tree": {"$ref": "#/components/schemas/Tree"},
        },
    }
    document["components"]["schemas"]["Tree"] = {
        "type": "object",
        "properties": {"branches": {"type": "array", "items": {"$ref": "#/components/schemas/Branch"}}},
    }
    document["components"]["schemas"]["Branch"] = {
        "type": "object",
        "required": ["tree"],
        "properties": {"tree": {"$ref": "#/components/schemas/Tree"}},
    }
    document["paths"]["/billing/invoices/{invoiceId}"] = {
        "get": {
            "parameters": [
                {"name": "invoiceId", "in": "path", "required": True, "schema": {"type": "string"}},
                {"name": "since", "in": "query", "required": True, "schema": {"type": "string", "format": "date"}},
                {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
            ],
            "responses": {
                "200": {"content": {"application/json": {"schema": {"type": "array", "items": line}}}},
                "204": {"description": "Nothing"},
                "4XX": {"content": {"application/json": {"schema": {"type": "object"}}}},
                "default": {"content": {"text/plain": {"schema": {"type": "string"}}}},
            },
        }
    }
    assert regenerate_from(document, tmp_path) == 0
    api = tmp_path / "made/generated/venice_billing_api/api/billing"
    assert "get_billing_invoices_invoice_id.py" in {path.name for path in api.iterdir()}
    _assert_typed(tmp_path / "made" / "generated")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("openapi: 3.0.0\npaths: {/chat: {get: {}}}", "no billing operation"),
        ("openapi: 3.0.0\npaths: {/billing/usage: {}}", "no billing operation"),
        ("openapi: 3.0.0\npaths: {/billing/usage: null}", "no billing operation"),
        ("just a text", "not an OpenAPI document"),
        ("paths: {/billing/usage: {get: {responses: null}}}", "#/paths//billing/usage/get/responses is no map"),
        ("paths: {/billing/usage: {get: {parameters: [{in: query}]}}}", "get/parameters/0 is no parameter"),
        ("paths: {/billing/usage: {get: {parameters: [{in: q, name: a, schema: {type: 3}}]}}}", "schema is no schema"),
        ("a: [1", "neither YAML nor JSON"),
        ("{paths: {/billing/usage: {get: {responses: {200: {$ref: '#/components/responses/X'}}}}}}", "leads nowhere"),
    ],
)
def test_a_document_that_gives_no_client_is_refused_in_one_line(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "upstream.yaml").write_text(text)
    assert run("--upstream", tmp_path / "upstream.yaml", "--output", tmp_path / "made") == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_a_missing_document_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--upstream", tmp_path / "nothing.yaml", "--output", tmp_path / "made") == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("source", ["", "--upstream="])
def test_empty_source_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*([source] if source else ["--upstream", source]))
    assert caught.value.code == 2
    assert "argument --upstream: is empty" in capsys.readouterr().err


def test_output_that_is_no_folder_of_ones_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for output in (file, file / "below"):
        assert run("--upstream", UPSTREAM, "--output", output) == 2
        assert capsys.readouterr().err.startswith(f"regenerate: --output {output}: not a folder")
    assert file.read_text() == "mine"
    for output in (ROOT / "generated", ROOT / "generated" / "new"):
        assert run("--output", output) == 2
        assert f"--output {output}: lies in " in capsys.readouterr().err
    assert {path.name for path in (ROOT / "generated").iterdir()} >= {"venice_billing_api"}
    assert not (ROOT / "generated" / "openapi").exists()


def test_a_failure_while_swapping_leaves_the_old_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("--upstream", UPSTREAM, "--output", tmp_path)
    before = snapshot(tmp_path)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert run("--upstream", UPSTREAM, "--output", tmp_path) == 2
    assert snapshot(tmp_path) == before
