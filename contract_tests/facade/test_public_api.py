"""The public names and their signatures change deliberately; their documentation is whole, and its examples run.

`python -m contract_tests.facade.test_public_api` writes the snapshot anew.
"""

from __future__ import annotations

import asyncio
import doctest
import enum
import inspect
import re
import typing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest

import venice_billing
from contract_tests.support.flavours import row, timestamps
from venice_billing import AsyncVeniceBilling, EndpointRetiredError, VeniceBilling, ledger, report, sku, spend, testing
from venice_billing.compat import venice_ai, venice_ai_v1
from venice_billing.sku import split_sku
from venice_billing.testing import FakeVenice

SNAPSHOT = Path(__file__).with_name("public_api.txt")
TWINS = {"close": "aclose", "__enter__": "__aenter__", "__exit__": "__aexit__"}
METHODS = [name for name in vars(VeniceBilling) if not name.startswith("_")]
MODULES = [ledger, report, sku, spend]
FACES = [testing, venice_ai, venice_ai_v1]
CALLS = [name for name in METHODS if name.startswith(("get_", "iter_", "export_"))]


def surface() -> str:
    """Return every public name with its bases, fields, methods and signatures."""
    lines = [line for name in sorted(dir(venice_billing)) for line in described(name, getattr(venice_billing, name))]
    for module in [*MODULES, *FACES]:
        lines += [f"module {module.__name__}"]
        lines += [f"    {line}" for name in sorted(module.__all__) for line in described(name, getattr(module, name))]
    return "\n".join(lines) + "\n"


def described(name: str, value: object) -> list[str]:
    if inspect.isfunction(value):
        return [re.sub(r"<function (\w+) at \w+>", r"\1", f"{name}{inspect.signature(value)}")]
    if not inspect.isclass(value):
        return [name]
    bases = ", ".join(base.__name__ for base in value.__bases__ if base is not object)
    lines = [f"class {name}({bases})"]
    if issubclass(value, enum.Enum):
        return lines + [f"    {member}" for member in value.__members__]
    if attrs.has(value):
        lines += [f"    {field.name}: {field.type}" for field in attrs.fields(value) if not field.name.startswith("_")]
    elif "__init__" in vars(value):
        lines.append(f"    __init__{without_private(inspect.signature(value))}")
    own = [base for base in value.__mro__ if base is value or "._" in base.__module__ or base.__name__.startswith("_")]
    members = {name for base in own for name in vars(base)}
    return lines + [line for member in sorted(members) for line in described_member(value, member)]


def without_private(signature: inspect.Signature) -> inspect.Signature:
    public = [parameter for name, parameter in signature.parameters.items() if not name.startswith("_")]
    return signature.replace(parameters=public)


def described_member(kind: type, name: str) -> list[str]:
    member = inspect.getattr_static(kind, name)
    if name.startswith("_") or isinstance(member, attrs.Attribute):
        return []
    if isinstance(member, property):
        return [f"    {name}: property"]
    if isinstance(member, classmethod):
        return [f"    classmethod {name}{inspect.signature(member.__func__)}"]
    if inspect.isfunction(member):
        prefix = "async " if inspect.iscoroutinefunction(member) else ""
        return [f"    {prefix}{name}{inspect.signature(member)}"]
    return []


def test_public_api_matches_the_snapshot() -> None:
    assert surface() == SNAPSHOT.read_text("utf-8"), f"if the change is deliberate: python -m {__spec__.name}"


def test_every_listed_name_exists_and_is_public() -> None:
    names = dir(venice_billing)
    assert all(hasattr(venice_billing, name) for name in names)
    assert not [name for name in names if name.startswith("_") and name != "__version__"]
    with pytest.raises(AttributeError, match="no_such_name"):
        getattr(venice_billing, "no_such_name")  # noqa: B009 - the access is the test


def test_a_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from venice_billing import *", names)
    assert sorted(names.keys() - {"__builtins__"}) == dir(venice_billing)


def without_async(annotation: object) -> str:
    return str(annotation).replace("Async", "")


@pytest.mark.parametrize("name", [*METHODS, "__init__", "__enter__", "__exit__"])
def test_both_flavours_have_the_same_signatures(name: str) -> None:
    """Parameters, kinds, defaults, annotations and overloads; only the word Async may differ."""
    twins = getattr(VeniceBilling, name), getattr(AsyncVeniceBilling, TWINS.get(name, name))
    for one, other in zip(
        [twins[0], *typing.get_overloads(twins[0])], [twins[1], *typing.get_overloads(twins[1])], strict=True
    ):
        ours, theirs = inspect.signature(one), inspect.signature(other)
        assert list(ours.parameters) == list(theirs.parameters)
        for our, their in zip(ours.parameters.values(), theirs.parameters.values(), strict=True):
            assert (our.kind, our.default) == (their.kind, their.default)
            assert without_async(our.annotation) == without_async(their.annotation)
        assert without_async(ours.return_annotation) == without_async(theirs.return_annotation)


def test_both_flavours_have_the_same_methods() -> None:
    theirs = {name for name in vars(AsyncVeniceBilling) if not name.startswith("_")}
    assert {TWINS.get(name, name) for name in METHODS} == theirs


@pytest.mark.parametrize("kind", [VeniceBilling, AsyncVeniceBilling])
@pytest.mark.parametrize("name", CALLS)
def test_every_call_documents_its_api_page_and_an_example(kind: type, name: str) -> None:
    text = inspect.getdoc(getattr(kind, name)) or ""
    assert text.split("\n")[0].endswith((".", "`."))
    assert "\nAPI: https://docs.venice.ai/api-reference/endpoint/billing/" in text
    assert "\nExample:\n" in text
    assert ">>> " in text


@pytest.mark.parametrize("name", CALLS)
def test_every_parameter_of_a_call_is_documented(name: str) -> None:
    method = getattr(VeniceBilling, name)
    text = inspect.getdoc(method) or ""
    for parameter in list(inspect.signature(method).parameters)[1:]:
        assert f"\n    {parameter}: " in text, parameter


@pytest.mark.parametrize("name", dir(venice_billing))
def test_every_public_class_is_documented(name: str) -> None:
    value = getattr(venice_billing, name)
    assert not inspect.isclass(value) or value.__doc__


def account_of_the_examples() -> FakeVenice:
    """Return the account of the examples in the docstrings: September 2026, 345 charges."""
    start = datetime(2026, 9, 1, tzinfo=UTC)
    rows = [
        row(timestamp, currency="DIEM") for timestamp in timestamps(start, [7_200.0 * number for number in range(343)])
    ]
    last_sku = "zai-org-glm-5-1-llm-{}-mtoken"
    last = "2026-09-30T18:20:00.000Z"
    rows += [
        row(last, sku=last_sku.format("input"), amount=Decimal("-0.0003390")),
        row(last, sku=last_sku.format("output"), amount=Decimal("-0.0006356")),
    ]
    fake = FakeVenice(rows, now=start + timedelta(days=31))
    fake.balance = {
        "canConsume": True,
        "consumptionCurrency": "USD",
        "balances": {"diem": None, "usd": Decimal("25.5")},
        "diemEpochAllocation": 0,
    }
    return fake


def examples() -> list[Any]:
    finder = doctest.DocTestFinder(exclude_empty=True, recurse=True)
    documented = (VeniceBilling, AsyncVeniceBilling, split_sku, spend, ledger.Ledger)
    found = [test for value in documented for test in finder.find(value, value.__name__)]
    return [pytest.param(test, id=test.name) for test in found if test.examples]


@pytest.mark.parametrize("example", examples())
def test_examples_in_the_docstrings_run_as_written(
    example: doctest.DocTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fake = account_of_the_examples()
    client = fake.client()
    example.globs = {
        "asyncio": asyncio,
        "client": client,
        "AsyncVeniceBilling": fake.async_client,
        "EndpointRetiredError": EndpointRetiredError,
        "kind_of": spend.kind_of,
        "split_sku": split_sku,
        "VeniceBilling": fake.client,
    }
    said: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(example, out=said.append)
    client.close()
    assert result.attempted > 0
    assert result.failed == 0, "".join(said)


def test_every_public_method_has_an_example_that_is_run() -> None:
    run = {param.id for param in examples()}
    expected = {name for name in METHODS if name != "close"}
    assert {f"VeniceBilling.{name}" for name in expected} <= run
    assert {f"AsyncVeniceBilling.{name}" for name in expected} <= run
    assert {"split_sku", "venice_billing.spend.summarize", "venice_billing.spend.kind_of"} <= run


if __name__ == "__main__":
    SNAPSHOT.write_text(surface(), "utf-8")
