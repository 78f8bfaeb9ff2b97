"""The pipeline: any full upstream document in, a contract and a client out, or a refusal and nothing written."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import regenerate
from contract.document import Document, UnreadableDocumentError, is_billing_path, operations
from contract_tests.support.paths import CONTRACT, ROOT
from pipeline.canonical import canonical
from pipeline.cut import cut_billing, strip_prose
from pipeline.documents import load_document
from pipeline.hoist import hoist_schemas

_SMALL = Path(__file__).with_name("upstream.yaml")
_TEMPLATES = ROOT / "openapi" / "templates"
_SPECS = ROOT.parent / "shared" / "specs"
_PUBLISHED = sorted(_SPECS.glob("venice-swagger-*.yaml"))
_LATEST = _SPECS / "venice-swagger-20260821.yaml"
_needs_published = pytest.mark.skipif(not _PUBLISHED, reason="the published documents are not beside this checkout")
_each_published = pytest.mark.parametrize("upstream", _PUBLISHED or [None], ids=lambda path: path and path.stem)


def _run(*arguments: str | Path) -> int:
    return regenerate.main([str(argument) for argument in arguments])


def _snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- documents that are taken


_OUTPUTS_TYPED: set[str] = set()


def _assert_typed(generated: Path) -> None:
    """Assert that the package imports and passes mypy --strict; what was checked once is not checked again."""
    snapshot = _snapshot(generated)
    digest = hashlib.sha256(repr(sorted(snapshot.items())).encode()).hexdigest()
    if digest in _OUTPUTS_TYPED:
        return
    modules = [
        name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for name in snapshot
        if name.endswith(".py")
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
    assert _run("--upstream", upstream, "--output", tmp_path / "made") == 0
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"openapi", "generated"}
    wanted = {(path, method) for path, method, _ in operations(load_document(upstream), is_billing_path)}
    contract = load_document(tmp_path / "made" / "openapi" / "venice-billing.yaml")
    assert {(path, method) for path, method, _ in operations(contract)} == wanted
    modules = {path.stem for path in (tmp_path / "made/generated/venice_billing_api/api/billing").glob("get_*.py")}
    assert len(modules) == len(wanted)
    _assert_typed(tmp_path / "made" / "generated")


@_needs_published
def test_the_committed_contract_is_what_the_latest_document_gives(tmp_path: Path) -> None:
    assert _run("--upstream", _LATEST, "--check") == 0


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
        assert _run("--upstream", _SMALL, "--output", tmp_path / name) == 0
    assert _snapshot(tmp_path / "one") == _snapshot(tmp_path / "two")
    assert len(_snapshot(tmp_path / "one")) > 30


def test_running_again_replaces_what_was_there(tmp_path: Path) -> None:
    _run("--upstream", _SMALL, "--output", tmp_path)
    before = _snapshot(tmp_path)
    (tmp_path / "generated/venice_billing_api/orphan.py").write_text("")
    (tmp_path / "generated/venice_billing_api/wire.py").write_text("")
    assert _run("--upstream", _SMALL, "--output", tmp_path) == 0
    assert _snapshot(tmp_path) == before


def test_the_words_of_the_small_document_are_dropped() -> None:
    text, _ = regenerate.contract_from(_SMALL.read_bytes(), str(_SMALL))
    assert "must not survive" not in text
    assert "This field is required" not in text


def test_every_operation_of_a_document_is_hoisted_to_the_promised_names() -> None:
    contract = _contract_of(load_document(_SMALL))
    names = set(contract["components"]["schemas"])
    assert names == {
        *("Balance", "Balances", "Currency", "UsageEntry", "InferenceDetails", "UsagePage", "Pagination"),
        *("UsageHistoryPage", "UsageAnalytics", "DailyUsage", "ModelUsage", "ModelUsageBreakdown", "ApiKeyUsage"),
        *("DailySeriesPoint", "StandardError", "DetailedError", "DetailedErrorDetails", "ErrorObject"),
        *("HistoryCurrency", "LegacyCurrency", "SortOrder"),
    }


def _contract_of(document: Document) -> Document:
    """Return the contract made of a document, as data."""
    text, _ = regenerate.contract_from(yaml.safe_dump(document).encode(), "a test")
    contract: Document = yaml.safe_load(text)
    return contract


def test_an_old_document_with_the_original_ledger_alone_is_taken(tmp_path: Path) -> None:
    """In 2025 there was one billing operation, and some revisions name no security scheme."""
    entry = {"type": "object", "required": ["amount"], "properties": {"amount": {"type": "number"}}}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": entry}}}
    operation = {"responses": {200: {"content": {"application/json": {"schema": page}}}}}
    old = {"openapi": "3.0.0", "info": {}, "paths": {"/billing/usage": {"get": operation}}}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))
    assert _run("--upstream", tmp_path / "old.yaml", "--output", tmp_path / "made") == 0
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
    document = load_document(_SMALL)
    document["components"]["schemas"] |= {"Sold": sold, "Unsold": unsold}
    references = {name: {"$ref": f"#/components/schemas/{name}"} for name in ("Sold", "Unsold")}
    content = {"application/json": {"schema": {"type": "object", "properties": references}}}
    document["paths"]["/billing/sales"] = {"get": {"responses": {"200": {"content": content}}}}
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    assert _run("--upstream", tmp_path / "new.yaml", "--output", tmp_path / "made") == 0
    models = tmp_path / "made/generated/venice_billing_api/models"
    assert "    model: str | None = None\n" in (models / "sold.py").read_text("utf-8")
    for name in ("sold.py", "unsold.py"):
        assert "@property" not in (models / name).read_text("utf-8")
    assert "class UsageEntry(EntryModel):" in (models / "usage_entry.py").read_text("utf-8")
    _assert_typed(tmp_path / "made" / "generated")


def test_unknown_operation_is_generated(tmp_path: Path) -> None:
    """A future operation is generated under names made by rule, whatever it is built of."""
    document = load_document(_SMALL)
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
    (tmp_path / "new.yaml").write_text(yaml.safe_dump(document))
    assert _run("--upstream", tmp_path / "new.yaml", "--output", tmp_path / "made") == 0
    api = tmp_path / "made/generated/venice_billing_api/api/billing"
    assert "get_billing_invoices_invoice_id.py" in {path.name for path in api.iterdir()}
    _assert_typed(tmp_path / "made" / "generated")


# ---------------------------------------------------------------- documents that are refused


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
    assert _run("--upstream", tmp_path / "upstream.yaml", "--output", tmp_path / "made") == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not (tmp_path / "made").exists()


def test_a_missing_document_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--upstream", tmp_path / "nothing.yaml", "--output", tmp_path / "made") == 2
    assert "cannot be read" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("source", ["", "--upstream="])
def test_empty_source_is_refused(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _run(*([source] if source else ["--upstream", source]))
    assert caught.value.code == 2
    assert "argument --upstream: is empty" in capsys.readouterr().err


def test_output_that_is_no_folder_of_ones_own_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for output in (file, file / "below"):
        assert _run("--upstream", _SMALL, "--output", output) == 2
        assert capsys.readouterr().err.startswith(f"regenerate: --output {output}: not a folder")
    assert file.read_text() == "mine"
    for output in (ROOT / "generated", ROOT / "generated" / "new"):
        assert _run("--output", output) == 2
        assert f"--output {output}: lies in " in capsys.readouterr().err
    assert {path.name for path in (ROOT / "generated").iterdir()} >= {"venice_billing_api"}
    assert not (ROOT / "generated" / "openapi").exists()


def test_a_failure_while_swapping_leaves_the_old_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _run("--upstream", _SMALL, "--output", tmp_path)
    before = _snapshot(tmp_path)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("disk full")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert _run("--upstream", _SMALL, "--output", tmp_path) == 2
    assert _snapshot(tmp_path) == before


# ---------------------------------------------------------------- --check


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a folder with the committed contract and client."""
    shutil.copytree(ROOT / "generated", tmp_path / "generated", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "openapi").mkdir()
    shutil.copy(CONTRACT, tmp_path / "openapi")
    return tmp_path


def test_the_committed_client_is_what_the_committed_contract_gives(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--check") == 0, capsys.readouterr().out


def test_check_accepts_a_faithful_copy(copy: Path) -> None:
    assert _run("--check", "--output", copy) == 0


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("generated/venice_billing_api/wire.py", "edited"),
        ("generated/venice_billing_api/models/orphan.py", "an orphan"),
        ("generated/orphan.txt", "an orphan beside the package"),
        ("generated/venice_billing_api/py.typed", None),
        ("openapi/venice-billing.yaml", "edited"),
    ],
)
def test_check_names_each_difference_and_writes_nothing(
    name: str, content: str | None, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / name).unlink() if content is None else (copy / name).write_text(content)
    before = _snapshot(copy)
    assert _run("--check", "--output", copy) == 1
    assert capsys.readouterr().out == f"differs: {name}\n"
    assert _snapshot(copy) == before


def test_every_generated_file_names_what_it_is_made_of() -> None:
    """Its template: one of ours, which is to be changed, or one of the generator's own."""
    package = ROOT / "generated" / "venice_billing_api"
    named = {}
    for path in package.rglob("*.py"):
        head = path.read_text().partition("\n")[0]
        found = re.fullmatch(
            r"# Generated by scripts/regenerate\.py from openapi/venice-billing\.yaml and "
            r"(?:openapi/templates/(?P<ours>\S+): change those|openapi-python-client's own \S+: change the contract), "
            r"not this file\.",
            head,
        )
        assert found, path
        named[str(path.relative_to(package))] = found["ours"]
    assert set(named.values()) - {None} == {path.name for path in _TEMPLATES.glob("*.py.jinja")}
    assert {name for name, ours in named.items() if ours is None} == {
        *("api/__init__.py", "api/billing/__init__.py", "models/__init__.py")
    }
    expected = {
        "__init__.py": "package_init.py.jinja",
        "api/billing/get_billing_usage.py": "endpoint_module.py.jinja",
        "models/balance.py": "model.py.jinja",
        "models/currency.py": "str_enum.py.jinja",
        "wire.py": "wire.py.jinja",
    }
    assert named.items() >= expected.items()
    assert (package / "py.typed").exists()


def test_no_template_is_a_module_that_the_contract_does_not_change() -> None:
    """Code that is the same for every contract is not generated: it stands in `venice_billing/_runtime`, linted."""
    fixed = [path for path in _TEMPLATES.glob("*.jinja") if not re.search(r"\{[{%]", path.read_text())]
    assert [path.name for path in fixed if _code(path) > 6] == []


def _code(template: Path) -> int:
    """Return how many lines a template has beside comments of its own and imports."""
    text = re.sub(r"\{#.*?#\}", "", template.read_text(), flags=re.DOTALL)
    return len([line for line in text.splitlines() if line and not line.startswith(("from ", "import "))])


# ---------------------------------------------------------------- cutting, hoisting


def test_cutting_keeps_what_an_operation_uses_and_nothing_else() -> None:
    document = cut_billing(load_document(_SMALL))
    assert set(document["components"]["schemas"]) == {"StandardError", "DetailedError"}
    assert set(document["components"]["securitySchemes"]) == {"BearerAuth"}
    history = document["paths"]["/billing/usage-history"]["get"]
    assert [one["name"] for one in history["parameters"]].count("currency") == 1
    assert "Sunset" in document["paths"]["/billing/usage"]["get"]["responses"]["410"]["headers"]


def test_a_reference_that_leads_to_itself_is_refused() -> None:
    loop = {"$ref": "#/components/responses/Loop"}
    with pytest.raises(UnreadableDocumentError, match="back to itself"):
        cut_billing(
            {
                "paths": {"/billing/x": {"get": {"responses": {"200": loop}}}},
                "components": {"responses": {"Loop": loop}},
            }
        )


def test_a_property_called_description_is_not_prose() -> None:
    contract = _contract_of(load_document(_SMALL))
    assert contract["components"]["schemas"]["ApiKeyUsage"]["properties"]["description"]["type"] == "string"


def test_two_schemas_that_differ_never_share_a_name() -> None:
    document = strip_prose(cut_billing(_with_living_original(load_document(_SMALL))))
    schemas = hoist_schemas(document)["components"]["schemas"]
    assert set(schemas["UsageEntry"]["properties"]) != set(schemas["LegacyUsageEntry"]["properties"])
    page = schemas["UsagePage"]["properties"]["data"]["items"]
    assert page == {"$ref": "#/components/schemas/LegacyUsageEntry"}


def _with_living_original(document: Document) -> Document:
    entry = {"type": "object", "properties": {"amount": {"type": "number"}}}
    page = {"type": "object", "properties": {"data": {"type": "array", "items": entry}}}
    responses = document["paths"]["/billing/usage"]["get"]["responses"]
    responses["200"] = {"content": {"application/json": {"schema": page}}}
    return document


def test_the_currencies_of_all_answers_are_united() -> None:
    document = load_document(_SMALL)
    balance = document["paths"]["/billing/balance"]["get"]["responses"]["200"]["content"]["application/json"]
    balance["schema"]["properties"]["consumptionCurrency"]["enum"].append("NOVEL")
    values = _contract_of(document)["components"]["schemas"]["Currency"]["enum"]
    assert set(values) == {"USD", "VCU", "DIEM", "BUNDLED_CREDITS", "EARNED_CREDITS", "NOVEL"}
    assert len(values) == len(set(values))


def test_the_retired_operation_stays_while_its_successor_is_there() -> None:
    document = load_document(_SMALL)
    del document["paths"]["/billing/usage"]
    kept = _contract_of(document)["paths"]["/billing/usage"]["get"]
    assert {"200", "410"} <= set(kept["responses"])
    del document["paths"]["/billing/usage-history"]
    assert "/billing/usage" not in _contract_of(document)["paths"]


def test_what_upstream_drops_is_not_written_back() -> None:
    """A correction that restored a field would hide that the field is gone."""
    document = load_document(_SMALL)
    page = document["paths"]["/billing/usage-history"]["get"]["responses"]["200"]["content"]["application/json"]
    entry = page["schema"]["properties"]["data"]["items"]
    del entry["properties"]["units"], entry["properties"]["timestamp"]
    entry["required"] = [name for name in entry["required"] if name not in {"units", "timestamp"}]
    written = _contract_of(document)["components"]["schemas"]["UsageEntry"]
    assert {"units", "timestamp"}.isdisjoint({*written["properties"], *written["required"]})


def test_an_example_that_breaks_its_schema_is_dropped() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "example": "x"}}, "example": {"a": 1}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/S"}}}
    document = {
        "paths": {"/billing/x": {"get": {"responses": {"200": {"content": content}}}}},
        "components": {"schemas": {"S": schema}},
    }
    kept = canonical(document)["components"]["schemas"]["S"]
    assert kept["example"] == {"a": 1}
    assert "example" not in kept["properties"]["a"]
