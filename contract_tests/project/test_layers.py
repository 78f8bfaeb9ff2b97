"""Which module imports which: rooms import downwards only, the runtime no other room, and no imports form a circle."""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.paths import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PACKAGE = "venice_billing"
RUNTIME = "venice_billing._runtime"
ABOVE = {  # the rooms that nothing below may import, each with the modules that may
    "venice_billing.cli": {"venice_billing.__main__"},
    "venice_billing.report": {"venice_billing.cli"},
    "venice_billing.ledger": {"venice_billing.cli", "venice_billing.report", "venice_billing._warehouse"},
    "venice_billing.compat": set(),
    "venice_billing.dlt_source": set(),
    "venice_billing.testing": {"venice_billing.cli", "venice_billing.pytest_plugin"},
}


def modules_of(package: Path) -> dict[str, Path]:
    """Return the modules of a package by their full names."""
    names = {}
    for path in package.rglob("*.py"):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


FACADE = modules_of(ROOT / "venice_billing")
GENERATED = modules_of(ROOT / "generated" / "venice_billing_api")
OURS = FACADE | GENERATED


def imports_of(name: str, source: str, *, is_package: bool = False) -> Iterator[str]:
    """Yield our modules that a module imports anywhere: at its top, in functions, or for type checkers alone."""
    here = name.split(".") if is_package else name.split(".")[:-1]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in OURS)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                found = f"{module}.{alias.name}" if f"{module}.{alias.name}" in OURS else module
                if found in OURS:
                    yield found


@cache
def graph() -> dict[str, set[str]]:
    """Map each of our modules to those of our modules that it imports."""
    return {
        name: set(imports_of(name, path.read_text("utf-8"), is_package=path.name == "__init__.py"))
        for name, path in OURS.items()
    }


def foreign_imports(importers: dict[str, Path]) -> dict[str, set[str]]:
    """Map each module to the facade modules outside the runtime that it imports, if there are any."""
    imported = graph()
    foreign = {
        name: {other for other in imported[name] & FACADE.keys() if not f"{other}.".startswith(f"{RUNTIME}.")}
        for name in importers
    }
    return {name: others for name, others in foreign.items() if others}


def test_the_runtime_imports_nothing_of_ours_but_itself() -> None:
    runtime = {name: path for name, path in FACADE.items() if f"{name}.".startswith(f"{RUNTIME}.")}
    assert len(runtime) > 5
    assert foreign_imports(runtime) == {}
    imported = graph()
    assert {name for name in runtime if imported[name] & GENERATED.keys()} == set()


def test_generated_code_imports_only_the_runtime_of_the_facade() -> None:
    assert foreign_imports(GENERATED) == {}


def is_in(module: str, room: str) -> bool:
    return f"{module}.".startswith(f"{room}.")


@pytest.mark.parametrize("room", ABOVE)
def test_room_is_imported_from_above_alone(room: str) -> None:
    assert any(is_in(name, room) for name in FACADE), f"there is no {room}"
    upwards = {
        (name, imported)
        for name, others in graph().items()
        if name != PACKAGE  # the table of public names, loaded on first use
        for imported in others
        if is_in(imported, room) and not any(is_in(name, above) for above in {room, *ABOVE[room]})
    }
    assert upwards == set()


def test_no_imports_form_a_circle() -> None:
    try:
        TopologicalSorter(graph()).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import venice_billing._call", {"venice_billing._call"}),
        ("from venice_billing import _call as c", {"venice_billing._call"}),
        ("from venice_billing import VeniceError", {"venice_billing"}),
        ("from venice_billing._call import call", {"venice_billing._call"}),
        ("from .types import Page", {"venice_billing._walk.types"}),
        ("from .. import _call", {"venice_billing._call"}),
        ("from ..errors import VeniceError", {"venice_billing.errors"}),
        ("def late():\n    from venice_billing import _csv", {"venice_billing._csv"}),
        ("if TYPE_CHECKING:\n    from venice_billing import _csv", {"venice_billing._csv"}),
        ("import httpx\nfrom decimal import Decimal", set()),
    ],
)
def test_every_way_to_import_is_found(source: str, expected: set[str]) -> None:
    assert set(imports_of("venice_billing._walk.workers", source)) == expected
