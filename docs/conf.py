"""Settings of Sphinx: `nox -s docs` builds the site, with warnings as errors, and runs its examples."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from venice_billing import __version__

if TYPE_CHECKING:
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

html_theme = "furo"
html_title = f"venice-billing {version}"
html_extra_path = ["llms.txt"]
html_show_sphinx = False
html_sourcelink_suffix = ""  # llms.txt names the pages as Markdown: _sources/start.md
pygments_style = "default"

_IN_BACKTICKS = re.compile(r"(?<!`)`([^`]+)`(?!`)(?=(\w?))")
_NAME = re.compile(r"[A-Za-z_][\w.]*")


def setup(app: Sphinx) -> None:
    """Let docstrings have code in single backticks, as Markdown has it: reStructuredText wants two."""
    app.connect("autodoc-process-docstring", lambda *arguments: _with_code_marked(arguments[-1]))


def _with_code_marked(lines: list[str]) -> None:
    lines[:] = _IN_BACKTICKS.sub(_as_code, "\n".join(lines)).split("\n")


def _as_code(match: re.Match[str]) -> str:
    text, behind = match.groups()
    code = f"`{text}`" if _NAME.fullmatch(text) else f"``{text}``"
    return code + ("\\ " if behind else "")  # as in `UsageEntry`s
