"""The generator below ours: its version, what we use of its insides, and what it warns of."""

from __future__ import annotations

import ast
import importlib.metadata
import tomllib
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
from jinja2 import nodes
from openapi_python_client import TEMPLATE_FILTERS, Project
from openapi_python_client.parser.properties import ModelProperty
from openapi_python_client.parser.properties.float import FloatProperty

import regenerate
from contract_tests.support.paths import ROOT
from contract_tests.support.regeneration import UPSTREAM, regenerate_from
from pipeline import internals
from pipeline.documents import load_document

BUILDING = ROOT / "scripts" / "pipeline" / "building.py"
# What templates use that is not the generator's: jinja's own, text's methods, names that the templates set themselves.
OWN = {
    *(
        "all",
        "append",
        "endswith",
        "first",
        "get",
        "items",
        "json",
        "lower",
        "media",
        "named",
        "nulls",
        "plain",
        "split",
    ),
    *("strip", "upper"),
}
LISTED = {name for attributes in internals.OBJECTS.values() for name in attributes}

if TYPE_CHECKING:
    from pathlib import Path


def test_every_internal_is_where_we_look_for_it() -> None:
    assert internals.moved() == []


def test_internal_that_has_moved_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(FloatProperty, "_type_string")
    monkeypatch.delattr(Project, "build")
    monkeypatch.delattr("openapi_python_client.parser.openapi.EndpointCollection")
    monkeypatch.setitem(internals.OBJECTS, "openapi_python_client.gone:Module", ())
    monkeypatch.setattr(internals, "TEMPLATES", ("model.py.jinja", "renamed.jinja"))
    moved = internals.moved()
    assert "openapi_python_client:Project.build" in moved
    assert "openapi_python_client.parser.openapi:EndpointCollection" in moved
    assert "openapi_python_client.gone:Module" in moved
    assert "templates/renamed.jinja" in moved
    assert "templates/model.py.jinja" not in moved


@pytest.mark.parametrize("name", ["lazy_imports", "relative_imports"])
def test_field_of_a_class_that_has_moved_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = {key: value for key, value in ModelProperty.__annotations__.items() if key != name}
    monkeypatch.setattr(ModelProperty, "__annotations__", kept)
    monkeypatch.delattr(ModelProperty, name, raising=False)
    monkeypatch.setattr(ModelProperty, "__init__", object.__init__)
    assert f"openapi_python_client.parser.properties:ModelProperty.{name}" in internals.moved()


def test_list_has_every_object_that_is_imported() -> None:
    tree = ast.parse(BUILDING.read_text())
    imported = {
        f"{node.module}:{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("openapi_python_client")
        for alias in node.names
    }
    assert imported
    assert imported - internals.OBJECTS.keys() == {"openapi_python_client:strings"}  # a module; its members are listed


def test_list_has_everything_that_templates_use() -> None:
    """Attributes and filters; and templates of the generator that ours take the place of or name."""
    environment = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"])
    environment.filters.update(TEMPLATE_FILTERS)
    used: set[str] = set()
    named: set[str] = set()
    filters: set[str] = set()
    for path in (ROOT / "openapi" / "templates").glob("*.jinja"):
        tree: Any = environment.parse(path.read_text())
        used |= {node.attr for node in tree.find_all(nodes.Getattr)}
        filters |= {node.name for node in tree.find_all(nodes.Filter)} & TEMPLATE_FILTERS.keys()
        named |= {text for node in tree.find_all(nodes.Const) if str(text := node.value).endswith("_property.py.jinja")}
    assert used - LISTED - OWN == set()
    assert filters <= LISTED | {place.partition(":")[2] for place in internals.OBJECTS}
    assert {f"property_templates/{name}" for name in named} <= set(internals.TEMPLATES)


@pytest.mark.parametrize("installed", ["0.30.0", None])
def test_other_version_of_the_generator_is_refused_in_one_sentence(
    installed: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def version(name: str) -> str:
        if installed is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed

    monkeypatch.setattr(importlib.metadata, "version", version)
    assert regenerate.main(["--output", str(tmp_path / "made")]) == 2
    assert capsys.readouterr().err == (
        "regenerate: openapi/templates are for openapi-python-client 0.29.1, and "
        f"{installed or 'none'} is installed: install 0.29.1, or fit the templates and "
        "scripts/pipeline/internals.py to the other\n"
    )
    assert not (tmp_path / "made").exists()


def test_version_is_the_one_that_is_installed_everywhere() -> None:
    pin = f"{internals.GENERATOR}=={internals.VERSION}"
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert pin in groups["generate"]
    assert pin in (ROOT / "constraints.txt").read_text().splitlines()


def test_warnings_are_lines_of_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = load_document(UPSTREAM)
    responses = document["paths"]["/billing/usage-history"]["get"]["responses"]
    responses["418"] = {"description": "Odd", "content": {"application/x-odd": {"schema": {"type": "string"}}}}
    responses["odd"] = {"description": "Odd"}
    assert regenerate_from(document, tmp_path) == 0
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]
    place = "warning: parsing GET /billing/usage-history within billing"
    omitted = "response will be omitted from generated client"
    assert warnings == [
        f"{place}: Cannot parse response for status code 418 (Unsupported content_type application/x-odd), {omitted}",
        f"{place}: Invalid response status code pattern: odd, {omitted}",
    ]
