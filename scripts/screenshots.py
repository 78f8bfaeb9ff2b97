"""Make the pictures of the README: the top of the HTML report, and what `spend` shows in a terminal.

Both are of the made-up account of `--demo` at a fixed time, so that a picture changes only with what it shows. The
report needs Chromium on the machine.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest.mock import patch

from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

from venice_billing import testing
from venice_billing.cli.main import main as venice_billing

if TYPE_CHECKING:
    from collections.abc import Sequence

_NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
_PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
_SPEND = ("--demo", "spend", "--by", "model", "--currency", "USD")
_WIDTH, _HEIGHT = 960, 1180
_COLUMNS = 104
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the pictures, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=_PICTURES, help="the folder (default: docs/pictures)")
    folder: Path = parser.parse_args(arguments).output
    browser = next(filter(None, map(shutil.which, _BROWSERS)), None)
    if browser is None:
        print("screenshots: there is no Chromium here", file=sys.stderr)
        return 1
    folder.mkdir(parents=True, exist_ok=True)
    account = testing.demo_account
    with patch("venice_billing.testing.demo_account", lambda: account(_NOW)):
        _picture_report(browser, folder / "report.png")
        _picture_spend(folder / "spend.svg")
    for path in (folder / "report.png", folder / "spend.svg"):
        print(f"{path}: {path.stat().st_size:,} bytes")
    return 0


def _picture_report(browser: str, target: Path) -> None:
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        page_file = Path(folder, "report.html")
        _run("--demo", "report", str(page_file), "--currency", "USD")
        started = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = started.new_page(viewport={"width": _WIDTH, "height": _HEIGHT}, color_scheme="light")
        page.goto(page_file.as_uri())
        page.screenshot(path=target)
        started.close()


def _picture_spend(target: Path) -> None:
    """Draw what the command shows in a terminal of a fixed width as SVG."""
    with patch.dict(os.environ, {"COLUMNS": str(_COLUMNS), "FORCE_COLOR": "1", "TERM": "xterm-256color"}):
        shown = _run(*_SPEND)
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi(f"$ venice-billing {' '.join(_SPEND)}\n{shown}"))
    svg = console.export_svg(title="venice-billing", theme=DEFAULT_TERMINAL_THEME, unique_id="spend")
    target.write_text(_without_fonts(svg), "utf-8")


def _without_fonts(svg: str) -> str:
    """Return a picture of rich without the fonts that it would load from the network."""
    while "@font-face" in svg:
        before, _, rest = svg.partition("@font-face")
        svg = before + rest.partition("}")[2].lstrip()
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines())


def _run(*arguments: str) -> str:
    """Run the command in this process, and return what it writes to stdout."""
    with redirect_stdout(io.StringIO()) as output:
        code = venice_billing(arguments)
    if code:
        raise SystemExit(f"venice-billing {' '.join(arguments)}: exit code {code}")
    return output.getvalue()


if __name__ == "__main__":
    sys.exit(main())
