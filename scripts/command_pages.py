"""Write docs/commands/: a page for each command of `venice-billing`, made from its parser. `--check` compares alone.

What a command prints on the demo account is run anew, at one time and in one width, so that every run gives the same.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from venice_billing._table import escaped
from venice_billing.cli.app import COMMANDS, parser
from venice_billing.cli.help import examples, sections
from venice_billing.cli.main import main as venice_billing
from venice_billing.testing import demo_account

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_FOLDER = Path(__file__).resolve().parents[1] / "docs" / "commands"
_NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
_WIDTH = "100"
_MOST_LINES = 16
_BEGINNING = """[In a terminal](../command.md) says how to begin. These pages are made from the command itself:
`venice-billing COMMAND --help` says the same."""
_COMMON = "options of all commands"
_SHOWN: Mapping[str, str] = {
    "check": "check --max-spend 5USD --min-balance 20%",
    "close": "close last-month",
    "export": "export - today --as csv",
    "reconcile": "reconcile",
    "spend": "spend last-month --by service --currency USD",
}
"""What is shown of a command, where it is not its first example."""
_ENDS_NEVER = frozenset({"serve-fake"})
_GOES = {
    re.compile(re.escape(tempfile.gettempdir()) + r"/[\w./-]*?(?=[\w.-]+\.(?:duckdb|json|md|html|csv)\b)"): "",
    re.compile(r"(venice-billing|httpx|duckdb|rich) \d[\w.]*"): r"\1 ...",
    re.compile(r"version \d{8}[.\d]*"): "version ...",
    re.compile(r"127\.0\.0\.1:\d+"): "127.0.0.1:8080",
}
"""What differs from one machine to the next: temporary folders, versions, ports."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or compare them; return 1 where one differs."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--check", action="store_true", help="write nothing; fail where a page is not as it would be")
    made = pages()
    if not options.parse_args(arguments).check:
        _FOLDER.mkdir(exist_ok=True)
        for stale in set(_FOLDER.glob("*.md")) - {_FOLDER / name for name in made}:
            stale.unlink()
        for name, text in made.items():
            (_FOLDER / name).write_text(text, "utf-8")
        return 0
    differing = differences(made)
    for name in differing:
        print(f"docs/commands/{name} differs from the command: run scripts/command_pages.py", file=sys.stderr)
    return 1 if differing else 0


def differences(made: Mapping[str, str]) -> list[str]:
    """Return the names of the pages that are not as they would be made."""
    there = {page.name: page.read_text("utf-8") for page in _FOLDER.glob("*.md")}
    return sorted(name for name in there.keys() | made.keys() if there.get(name) != made.get(name))


def pages() -> dict[str, str]:
    """Return the text of each page by its file name."""
    with _quiet_place():
        filled = {name: command.fill() for name, command in _commands().items()}
        made = {f"{name}.md": _page(name, filled[name]) for name in COMMANDS}
        return {"index.md": _index(), **made}


def _commands() -> Mapping[str, Any]:
    for action in parser()._actions:  # noqa: SLF001 - argparse has no other way to the parsers of the commands
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - as above
            return action.choices
    raise AssertionError("the parser has no commands")


@contextlib.contextmanager
def _quiet_place() -> Iterator[None]:
    """Give the commands an empty home, a terminal without colour, and one time."""
    with tempfile.TemporaryDirectory() as home, contextlib.chdir(home):
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("VENICE", "XDG"))}
        settings |= {"HOME": home, "COLUMNS": _WIDTH, "NO_COLOR": "1", "FORCE_COLOR": "1"}
        with (
            patch.dict(os.environ, settings, clear=True),
            patch("venice_billing.testing.demo_account", lambda: demo_account(_NOW)),
        ):
            yield


def _page(name: str, command: argparse.ArgumentParser) -> str:
    described = sections(command.epilog or "")
    codes = described.get("exit codes") or sections(parser().epilog or "")["exit codes"]
    usage = command.format_usage().removeprefix("usage: ").strip()
    parts = [
        f"# {name}",
        command.description or "",
        _block(usage),
        *_arguments(command),
        f"The [options of all commands](index.md#{_COMMON.replace(' ', '-')}) may stand before and behind the command.",
        "## Examples",
        _block("\n".join(_example(*one) for one in examples(command.epilog or "")), "bash"),
        "## Exit codes",
        " ".join(codes.split()) + ".",
        "## On the demo account",
        _block(_shown(name, command)),
    ]
    return "\n\n".join(parts) + "\n"


def _index() -> str:
    whole = parser()
    rows = "\n".join(f"| [{name}]({name}.md) | {escaped(what)} |" for name, (_, what) in COMMANDS.items())
    tree = "\n".join(["```{toctree}", ":hidden:", "", *COMMANDS, "```"])
    parts = [
        "# Commands",
        _BEGINNING,
        f"| command | does |\n|---|---|\n{rows}",
        *_arguments(whole, keep=_COMMON),
        "## Exit codes",
        " ".join(sections(whole.epilog or "")["exit codes"].split()) + ".",
        tree,
    ]
    return "\n\n".join(parts) + "\n"


def _arguments(command: argparse.ArgumentParser, keep: str | None = None) -> Iterator[str]:
    """Yield the arguments of a parser, a table for each group: without those of all commands, unless they are kept."""
    for group in command._action_groups:  # noqa: SLF001 - argparse has no other way to its groups
        title = group.title or ""
        actions = [one for one in group._group_actions if _is_shown(one)]  # noqa: SLF001 - as above
        if actions and (title != _COMMON or keep == title):
            plain = "Options" if title in {"options", "positional arguments"} else title[:1].upper() + title[1:]
            heading = plain if title != "positional arguments" else "Arguments"
            yield f"## {heading}"
            rows = "\n".join(f"| {_code(_name(one))} | {_meaning(one)} |" for one in actions)
            yield f"| argument | means |\n|---|---|\n{rows}"


def _is_shown(action: argparse.Action) -> bool:
    return not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)  # noqa: SLF001 - as above


def _name(action: argparse.Action) -> str:
    metavar = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if not action.option_strings:
        return metavar
    names = ", ".join(action.option_strings)
    return names if action.nargs == 0 else f"{names} {metavar}"


def _meaning(action: argparse.Action) -> str:
    return escaped((action.help or "") % {**vars(action), "prog": "venice-billing"})


def _code(text: str) -> str:
    return f"`{text}`".replace("|", r"\|")


def _example(line: str, remark: str) -> str:
    return f"{line}  # {remark}" if remark else line


def _block(text: str, language: str = "text") -> str:
    return f"```{language}\n{text}\n```"


def _shown(name: str, command: argparse.ArgumentParser) -> str:
    """Return a command line on the demo account, and the beginning of what it prints."""
    first = examples(command.epilog or "")[0][0].removeprefix("venice-billing ")
    words = shlex.split(_SHOWN.get(name, first))
    printed = _served(name) if name in _ENDS_NEVER else _printed(words)
    shown = [line.rstrip() for line in printed.splitlines()]
    left_out = ["..."] if len(shown) > _MOST_LINES else []
    return "\n".join([f"$ venice-billing --demo {shlex.join(words)}", *shown[:_MOST_LINES], *left_out])


def _printed(words: Sequence[str]) -> str:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", write_through=True)  # an export writes bytes
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as err:
        code = venice_billing(["--demo", *words])
    if code not in {0, 1}:
        raise AssertionError(f"venice-billing --demo {shlex.join(words)}: {code}: {err.getvalue()}")
    return _same_everywhere(raw.getvalue().decode() or err.getvalue())


def _served(name: str) -> str:
    """Return the two lines that a server prints once it answers, at a free port, and stop it."""
    command = [sys.executable, "-m", "venice_billing", "--demo", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - it is a pipe
            return _same_everywhere("".join(server.stdout.readline() for _ in range(2)))
        finally:
            server.terminate()


def _same_everywhere(text: str) -> str:
    for pattern, instead in _GOES.items():
        text = pattern.sub(instead, text)
    return text


if __name__ == "__main__":
    sys.exit(main())
