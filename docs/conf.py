"""Settings of Sphinx: `nox -s docs` builds the site, with warnings as errors, and runs its examples."""

from __future__ import annotations

import ast
import os
import re
from typing import TYPE_CHECKING

from sphinx.domains.python import PyObject
from sphinx.pycode import ModuleAnalyzer

from venice_billing import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx

os.environ.pop("VENICE_API_KEY", None)  # the notebook then shows the made-up account

project = "venice-billing"
author = "The venice-billing maintainers"
project_copyright = author
version = release = __version__

extensions = [
    "myst_nb",  # pages in Markdown; notebooks are run while the site is built
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build", "programs"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

default_role = "py:obj"  # `name` in a docstring: a link where the name is documented, code elsewhere
autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
smartquotes = False

html_theme = "furo"
html_title = f"venice-billing {version}"
html_extra_path = ["llms.txt"]
html_show_sphinx = False
html_sourcelink_suffix = ""  # llms.txt names the pages as Markdown: _sources/start.md
pygments_style = "default"

_IN_BACKTICKS = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")
_NAME = re.compile(r"[A-Za-z_][\w.]*")
_PRIVATE = re.compile(r",\s*_setup: [^,)]*")
_KEPT_COLON = "\ue000 "
_WITHOUT_TYPE = {"attribute", "data", "property"}
_NAPOLEON = 500


def setup(app: Sphinx) -> None:
    """Read docstrings as they are written here."""
    app.connect("autodoc-process-docstring", _imported_text, _NAPOLEON - 2)
    for change, priority in ((_before_napoleon, _NAPOLEON - 1), (_after_napoleon, _NAPOLEON + 1)):
        app.connect("autodoc-process-docstring", _changing(change), priority)
    app.connect("autodoc-process-signature", _public_signature)
    for field in PyObject.doc_field_types:
        if field.name == "variable":
            field.label = "Attributes"


def _imported_text(_app: Sphinx, what: str, name: str, _value: object, _options: object, lines: list[str]) -> None:
    """Give an imported alias the text below its definition: autodoc looks for it only in the importing module."""
    module, _, attribute = name.rpartition(".")
    if what != "data":
        return
    for node in ast.parse(ModuleAnalyzer.for_module(module).code).body:
        if isinstance(node, ast.ImportFrom) and attribute in {alias.name for alias in node.names}:
            texts = ModuleAnalyzer.for_module(str(node.module)).find_attr_docs()
            lines[:0] = texts.get(("", attribute), [])


def _changing(change: Callable[[str, str], str]) -> Callable[..., None]:
    def process(_app: Sphinx, what: str, _name: str, _value: object, _options: object, lines: list[str]) -> None:
        lines[:] = change(what, "\n".join(lines)).split("\n")

    return process


def _before_napoleon(what: str, text: str) -> str:
    """Hide colons in what a property is: napoleon would take the words before a colon for its type."""
    return text.replace(": ", _KEPT_COLON) if what in _WITHOUT_TYPE else text


def _after_napoleon(_what: str, text: str) -> str:
    """Mark code in single backticks as reStructuredText has it; a plain name becomes a link."""
    return _IN_BACKTICKS.sub(_as_code, text.replace(_KEPT_COLON, ": "))


def _as_code(match: re.Match[str]) -> str:
    text, behind = match.groups()
    code = f"`{text}`" if _NAME.fullmatch(text) else f"``{text}``"
    return code + ("\\ " if behind else "")  # as in `UsageEntry`s


def _public_signature(*arguments: object) -> tuple[str, str | None] | None:
    """Leave out the private parameter by which FakeVenice makes its clients."""
    *_, signature, returned = arguments
    return (_PRIVATE.sub("", signature), returned) if isinstance(signature, str) else None
