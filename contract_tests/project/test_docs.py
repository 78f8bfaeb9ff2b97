"""The documentation is complete: each public name is in the reference, each page in `llms.txt` under its title.

`nox -s docs` builds the site and runs its examples; this needs neither Sphinx nor the libraries of the examples.
"""

from __future__ import annotations

import json
import re
from pkgutil import resolve_name
from typing import TYPE_CHECKING

import pytest

import venice_billing
from contract_tests.facade.test_public_api import FACES, MODULES
from contract_tests.support.paths import ROOT
from venice_billing import errors

if TYPE_CHECKING:
    from pathlib import Path

DOCS = ROOT / "docs"
PAGES = sorted(
    {*DOCS.glob("*.md"), *DOCS.glob("*.ipynb"), *(DOCS / "reference").glob("*.md"), DOCS / "commands" / "index.md"}
)
LLMS = (DOCS / "llms.txt").read_text("utf-8")
LINKS = re.findall(r"^- \[(.+?)\]\((.+?)\): .+", LLMS, re.MULTILINE)
LISTS_OF_PAGES = {"index.md", "reference/index.md"}
REFERENCE = "".join(page.read_text("utf-8") for page in (DOCS / "reference").glob("*.md"))
DIRECTIVES = re.findall(r"^\.\. (?:auto\w+|py:data):: ([\w.]+)", REFERENCE, re.MULTILINE)


def public_names() -> list[str]:
    names = [f"venice_billing.{name}" for name in dir(venice_billing)]
    return names + [f"{module.__name__}.{name}" for module in [*MODULES, *FACES] for name in module.__all__]


@pytest.mark.parametrize("name", public_names())
def test_each_public_name_is_in_the_reference(name: str) -> None:
    """Under this name, or under that of the module it is imported from."""
    value = resolve_name(name)
    assert name in DIRECTIVES or any(value is resolve_name(documented) for documented in DIRECTIVES)


def title(page: Path) -> str:
    text = page.read_text("utf-8")
    if page.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"])
    if "{include} ../CHANGELOG.md" in text:
        text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    found = re.search(r"^# (.+)", text, re.MULTILINE)
    assert found is not None
    return found[1]


def path_of(link: str) -> str:
    """Return the source of a linked page: `_sources/start.md` and `start.html` are both `start.md`."""
    return link.removeprefix("_sources/").replace(".html", ".md")


def test_llms_lists_each_page_under_its_title() -> None:
    listed = {path_of(link): text for text, link in LINKS}
    pages = {page.relative_to(DOCS).as_posix(): title(page) for page in PAGES}
    assert listed == {path: text for path, text in pages.items() if path not in LISTS_OF_PAGES}


def test_errors_page_has_each_error() -> None:
    table = re.findall(r"^\| `(\w+Error)` \|", (DOCS / "errors.md").read_text("utf-8"), re.MULTILINE)
    assert sorted([*table, "VeniceError"]) == sorted(errors.__all__)


def test_no_address_of_a_site_is_made_up() -> None:
    """The site is not hosted anywhere yet; links lead within it, to the API's own pages, or to standards."""
    text = LLMS + "".join(page.read_text("utf-8") for page in PAGES)
    assert set(re.findall(r"https?://([\w.-]+)", text)) <= {"api.venice.ai", "docs.venice.ai"}
