"""The site that `nox -s docs` has built just before: what it links to is there, and the reference has every method."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sphinx.util.inventory import InventoryFile

from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing.testing import FakeVenice, faults

SITE = Path(__file__).parent / "_build" / "html"


def test_links_of_llms_lead_to_pages_of_the_site() -> None:
    links = re.findall(r"\]\((.+?)\)", (SITE / "llms.txt").read_text("utf-8"))
    assert len(links) > 15
    assert [link for link in links if not (SITE / link).is_file()] == []


@pytest.mark.parametrize("documented", [VeniceBilling, AsyncVeniceBilling, FakeVenice])
def test_reference_has_every_method(documented: type) -> None:
    home = "venice_billing.testing" if documented is FakeVenice else "venice_billing"
    methods = {name for name in vars(documented) if not name.startswith("_")}
    assert {f"{home}.{documented.__name__}.{name}" for name in methods} <= names_in_the_reference()


def test_reference_has_every_fault() -> None:
    assert {f"{faults.__name__}.{name}" for name in faults.__all__ if name != "Fault"} <= names_in_the_reference()


def test_imported_alias_has_the_text_of_its_definition() -> None:
    for page, text in (("spend", "What totals can be made by."), ("ledger", "What happened to a row in time that")):
        assert text in (SITE / "reference" / f"{page}.html").read_text("utf-8")


def names_in_the_reference() -> set[str]:
    inventory = InventoryFile.loads((SITE / "objects.inv").read_bytes(), uri="")
    return {name for kind, found in inventory.data.items() if kind.startswith("py:") for name in found}
