"""The examples that the commands give are right: each can be parsed, and runs on the demo account where it can."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from venice_billing.cli.app import COMMANDS, parser
from venice_billing.cli.help import examples

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]

CALL = re.compile(r"venice-billing ([^|>)#;&]+)")


def runs(line: str) -> bool:
    """Tell whether an example can run here: it ends, and reads nothing that only its reader has."""
    words = shlex.split(line)
    reads_a_log = "reconcile" in words and "--demo" not in words
    return "serve-fake" not in words and not reads_a_log and "--revision" not in words  # of a month closed before


def given() -> list[str]:
    """Return the command lines of all examples, those of pipes and prompts included."""
    whole = parser()
    texts = [whole.epilog or ""]
    for action in whole._actions:
        if action.dest == "command":
            assert isinstance(action.choices, dict)
            texts += [command.fill().epilog for command in action.choices.values()]
    calls = [CALL.search(line) for text in texts for line, _ in examples(text)]
    return [call[1].strip() for call in calls if call is not None and "COMMAND" not in call[1]]


LINES = given()


def test_every_command_has_examples() -> None:
    words = {name: [line for line in LINES if name in line.split()] for name in COMMANDS}
    assert [name for name, lines in words.items() if not lines] == []


@pytest.mark.parametrize("line", LINES)
def test_example_can_be_parsed(line: str) -> None:
    assert parser().parse_args(shlex.split(line)).command in COMMANDS


@pytest.mark.parametrize("line", [line for line in LINES if runs(line)])
def test_example_runs_on_the_demo_account(
    line: str, command: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(home)
    (home / "statements").mkdir()  # which an example names
    done = command("--demo", *shlex.split(line))
    assert done.code in {0, 1}, done.err
    assert done.out or done.err  # a file that is written is named on stderr
