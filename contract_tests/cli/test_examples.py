"""The examples that the commands give are right: each can be parsed, and runs on the demo account where it can."""

from __future__ import annotations

import io
import re
import shlex
import sys
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
ENDS_NEVER = {"serve-fake"}  # its own tests start and stop it


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


def test_every_line_of_the_examples_is_a_command() -> None:
    texts = [sys.modules[f"venice_billing.cli.commands.{module}"].EXAMPLES for module, _ in COMMANDS.values()]
    lines = [line for text in texts for line, _ in examples(text)]
    assert [line for line in lines if "venice-billing " not in line and not line.startswith("curl ")] == []


@pytest.mark.parametrize("line", LINES)
def test_example_can_be_parsed(line: str) -> None:
    assert parser().parse_args(shlex.split(line)).command in COMMANDS


@pytest.fixture
def files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the examples the files that they name, and a log on standard input."""
    log = b'{"request_id": "one", "amount": "-0.25", "currency": "USD"}\n'
    (home / "requests.jsonl").write_bytes(log)
    (home / "requests.csv").write_text("request_id,amount,currency\none,-0.25,USD\n")
    (home / "statements").mkdir()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(log)))
    monkeypatch.chdir(home)


@pytest.mark.usefixtures("files")
@pytest.mark.parametrize("line", [line for line in LINES if not ENDS_NEVER & set(line.split())])
def test_example_runs_on_the_demo_account(line: str, command: Command) -> None:
    done = command("--demo", *shlex.split(line))
    if "--revision" in line:
        assert done.code == 2
        assert "has no revision 1" in done.err  # no month of the demo account was closed before
    else:
        assert done.code in {0, 1}, done.err
        assert done.out or done.err.startswith("written: ")
