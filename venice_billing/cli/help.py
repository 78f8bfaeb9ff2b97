"""The help of a command: as wide as the terminal up to 100 columns, with examples that can be copied at any width."""

from __future__ import annotations

import argparse
import re

TYPE_CHECKING = False  # without typing, see `venice_billing`
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

__all__ = ["HelpFormatter", "examples", "sections"]

_WIDEST = 100
_EXAMPLES = "examples"
_ONE = r"""(?:[^\s'"]|'[^']*'|"[^"]*")+"""
_WORD = re.compile(rf"-[\w-]+\s(?!-){_ONE}|{_ONE}")  # an option is not parted from its value
_GAP = re.compile(r"\s{2,}")


class HelpFormatter(argparse.HelpFormatter):
    """Folds text, and leaves examples whole: a line of them that is too wide continues behind a backslash."""

    def __init__(self, prog: str, width: int = _WIDEST) -> None:
        super().__init__(prog, width=width)  # argparse makes one for each argument that is added

    def format_help(self) -> str:
        """Lay the help out for the width of the terminal."""
        import shutil  # noqa: PLC0415 - for `--help` alone
        import textwrap  # noqa: PLC0415 - as above

        width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        self._width = width
        self._max_help_position = min(self._max_help_position, max(width - 20, 4))
        lines = super().format_help().splitlines(keepends=True)  # headings of groups are not folded by argparse
        return "".join(line if line[:1].isspace() else textwrap.fill(line, width) + "\n" for line in lines)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        import textwrap  # noqa: PLC0415 - as above

        laid_out = []
        for title, body in sections(text).items():
            if title == _EXAMPLES:
                laid_out.append("\n".join([f"{title}:", *_lines(examples(text), width)]))
            else:
                whole = f"{title}: {body}" if title else body
                laid_out.append(textwrap.fill(whole, width, initial_indent=indent, subsequent_indent=indent))
        return "\n\n".join(laid_out)

    def _format_usage(
        self, usage: str | None, actions: Iterable[argparse.Action], groups: Any, prefix: str | None
    ) -> str:
        """Name the positional arguments alone: the options stand below, each on a line."""
        return super()._format_usage(self.usage(actions) if usage is None else usage, actions, groups, prefix)

    def usage(self, actions: Iterable[argparse.Action]) -> str:
        """Return a usage that names the positional arguments alone, as argparse takes it."""
        named = [action for action in actions if not action.option_strings]
        words = [self._format_args(action, self._get_default_metavar_for_positional(action)) for action in named]
        return " ".join([self._prog, "[options]", *words]).replace("%", "%%")


def sections(text: str) -> dict[str, str]:
    """Return the sections of a help text by their titles, in order; that without a title has an empty one."""
    found: dict[str, str] = {}
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        title, colon, body = paragraph.partition(":")
        is_titled = colon and title in (_EXAMPLES, "exit codes")
        found[title if is_titled else ""] = (body.removeprefix(" ") if is_titled else paragraph).strip("\n")
    return found


def examples(text: str) -> list[tuple[str, str]]:
    """Return the examples of a help text: each command line, and what is said of it."""
    found = []
    for line in sections(text).get(_EXAMPLES, "").splitlines():
        command, *remark = _GAP.split(line.strip(), maxsplit=1)
        found.append((command, remark[0] if remark else ""))
    return found


def _lines(given: list[tuple[str, str]], width: int) -> list[str]:
    """Return examples as lines: remarks beside the commands where there is room for all of them, else above."""
    column = max((len(command) for command, remark in given if remark), default=0)
    if all(4 + column + len(remark) <= width for _, remark in given if remark):
        lines = [f"  {command:<{column}}  {remark}".rstrip() for command, remark in given]
        return [part for line in lines for part in (_folded(line, width) if len(line) > width else [line])]
    return [part for command, remark in given for part in (*_remark(remark, width), *_folded(command, width))]


def _remark(remark: str, width: int) -> list[str]:
    import textwrap  # noqa: PLC0415 - for `--help` alone

    return textwrap.wrap(remark, width, initial_indent="  # ", subsequent_indent="  # ") if remark else []


def _folded(command: str, width: int) -> list[str]:
    """Return a command line as lines that a shell reads as one."""
    lines = [""]
    for word in _WORD.findall(command):
        if lines[-1] and len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append("   ")
        lines[-1] += f" {word}" if lines[-1] else f"  {word}"
    return lines
