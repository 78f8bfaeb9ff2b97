"""How the command behaves among other programs: pipes, interrupts, terminals, what it imports."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from venice_billing import VeniceBilling, __version__
from venice_billing.cli.app import COMMANDS, parser
from venice_billing.cli.help import sections
from venice_billing.cli.places import cache_path, config_path, ledger_path
from venice_billing.testing import Quirks, SeenRequest, faults

if TYPE_CHECKING:
    from collections.abc import Callable

    from contract_tests.cli.conftest import Done
    from venice_billing.testing import FakeVenice, SeenRequest

    Command = Callable[..., Done]

PROGRAM = [sys.executable, "-m", "venice_billing"]
SECONDS = 120  # for a process of a second, on a machine under any load


def start(*arguments: str, **settings: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    environment = {**os.environ, **settings}
    return subprocess.Popen([*PROGRAM, *arguments], stdout=pipe, stderr=pipe, text=True, env=environment)


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings}
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, env=environment, timeout=SECONDS, check=False
    )


def test_version(command: Command) -> None:
    assert command("--version") == command("--version")
    assert command("--version").out == f"venice-billing {__version__}\n"
    installed = Path(sys.executable).with_name("venice-billing")
    done = subprocess.run([str(installed), "--version"], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout == f"venice-billing {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_has_examples(name: str) -> None:
    done = run(name, "--help")
    assert done.returncode == 0
    assert f"venice-billing {name}" in done.stdout.partition("examples:")[2]


@pytest.mark.parametrize("columns", [60, 100, 200])
@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_fits_the_terminal_and_is_never_wider_than_100(
    name: str | None, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        parser().parse_args(["--help"] if name is None else [name, "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert len(lines) > 10


def test_examples_on_a_narrow_terminal_are_lines_that_a_shell_reads_as_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = {}
    for columns in ("40", "200"):
        monkeypatch.setenv("COLUMNS", columns)
        with pytest.raises(SystemExit):
            parser().parse_args(["spend", "--help"])
        shown = sections(capsys.readouterr().out)["examples"].replace("\\\n", "")
        lines = [re.split(r"\s{2,}", line.strip())[0] for line in re.sub(r" +(?=-)", " ", shown).splitlines()]
        commands[columns] = [line for line in lines if not line.startswith("#")]
    assert commands["40"] == commands["200"]
    assert len(commands["40"]) == 5


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (["balance"], "Demo account: balance at"),
        (["spend"], "Demo account: spend of"),
        (["spend", "--format", "md"], "## Demo account: spend of"),
        (["sync"], "Demo account: synced"),
        (["check", "--max-spend", "1000000USD"], "(demo account)"),
        (["status"], "(demo account)"),
        (["doctor"], "the demo account: made up"),
    ],
)
def test_demo_says_that_it_is_one(command: Command, arguments: list[str], where: str) -> None:
    assert where in command("--demo", *arguments).out
    if "--format" not in arguments:
        assert command("--demo", *arguments, "--format", "json").json["demo"] is True


def test_command_alone_names_the_commands(command: Command) -> None:
    done = command()
    assert done.code == 2
    assert "name a command: balance, spend" in done.err
    unknown = command("spent")
    assert unknown.code == 2
    assert "'spent'" in unknown.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_knows_commands_and_options(command: Command, shell: str) -> None:
    done = command("--print-completion", shell)
    assert done.code == 0
    assert "serve-fake" in done.out
    assert "max-spend" in done.out
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.out, text=True, timeout=SECONDS, check=True)


COMPLETE = {
    "bash": """
eval "$({program} --print-completion bash)"
complete -p venice-billing >&2
tried() {{
  COMP_WORDS=(venice-billing "$@") COMP_CWORD=$# COMPREPLY=()
  _shtab_venice_billing; echo "${{COMPREPLY[@]}}"
}}
tried sp; tried spend --co; tried --print
tried spend --by mo; tried spend to; tried export --as js; tried --format j""",
    "fish": """
{program} --print-completion fish | source
for line in "sp" "spend --co" "--print" "spend --by mo" "spend to" "export --as js" "--format j"
    echo (complete -C "venice-billing $line" | string split -f1 (printf '\\t'))
end""",
}


@pytest.mark.parametrize("shell", COMPLETE)
def test_shell_completes_with_what_was_printed(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    program = COMPLETE[shell].format(program=shlex.join(PROGRAM))
    done = subprocess.run([shell, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=True)
    lines = [sorted(line.split()) for line in done.stdout.splitlines()]
    options = [["spend"], ["--compare", "--complete"], ["--print-completion"]]
    values = [["model", "month"], ["today"], ["jsonl"], ["json", "jsonl"]]
    assert lines == [*options, *values], done.stderr


def test_zsh_loads_what_was_printed(tmp_path: Path, command: Command) -> None:
    if shutil.which("zsh") is None:
        pytest.skip("needs zsh")
    (tmp_path / "_venice-billing").write_text(command("--print-completion", "zsh").out)
    program = (
        f"fpath=({tmp_path} $fpath); autoload -Uz compinit; compinit -u -d {tmp_path}/dump\n"
        "autoload +X -Uz _venice-billing; echo ${_comps[venice-billing]}; whence -w _venice-billing"
    )
    done = subprocess.run(["zsh", "-fc", program], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.split() == ["_venice-billing", "_venice-billing:", "function"]


def test_completion_of_an_unknown_shell(command: Command) -> None:
    done = command("--print-completion", "cmd")
    assert (done.code, done.err) == (2, "venice-billing: --print-completion 'cmd': one of bash, zsh, fish\n")


@pytest.mark.parametrize("format_", ["jsonl", "table", "md"])
def test_reader_that_goes_ends_the_command_quietly(format_: str) -> None:
    process = start("--demo", "spend", "--last", "6w", "--by", "day", "--by", "sku", "--format", format_)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert (process.wait(SECONDS), process.stderr.read()) == (0, "")
    process.stderr.close()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["balance"], 0), (["verify"], 0), (["reconcile"], 1), (["check", "--max-spend", "0USD"], 1), (["sync"], 0)],
)
def test_exit_code_is_that_of_what_was_found_though_nobody_reads_it(arguments: list[str], code: int) -> None:
    """A pipe that is closed before the first line; what a shell sees with `| true`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*PROGRAM, "--demo", *arguments], stdout=writer, stderr=subprocess.PIPE, timeout=SECONDS, check=False
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (code, b"")


def test_interrupt_ends_the_command_quietly() -> None:
    process = start("serve-fake", "--entries", "10")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 0
    assert "Traceback" not in err


def test_interrupt_of_a_walk_ends_130_at_once(account: FakeVenice) -> None:
    """The API does not answer for ten minutes; the command does not wait for it."""
    asked = threading.Event()

    def hanging(_seen: SeenRequest) -> faults.Fault:
        asked.set()
        return faults.hang(600)

    account.quirks = Quirks(faults=hanging)
    process = start("spend", "--last", "30d")
    assert asked.wait(SECONDS)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=20) == ("", "")
    assert process.returncode == 130


def in_terminal(columns: int, *arguments: str, **settings: str) -> str:
    """Return what a command shows in a terminal of a real width."""
    controller, terminal = pty.openpty()
    termios.tcsetwinsize(terminal, (40, columns))
    environment = {name: value for name, value in os.environ.items() if name not in {"COLUMNS", "LINES"}}
    process = subprocess.Popen(
        [*PROGRAM, *arguments], stdout=terminal, stderr=terminal, stdin=terminal, env={**environment, **settings}
    )
    os.close(terminal)
    shown = b""
    with contextlib.suppress(OSError):  # so Linux says that the other end is closed
        while piece := os.read(controller, 65536):
            shown += piece
    os.close(controller)
    assert process.wait(SECONDS) == 0, shown
    return shown.decode().replace("\r\n", "\n")


ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.skipif(sys.platform != "linux", reason="terminals of Linux")
@pytest.mark.parametrize("columns", [60, 200])
def test_terminal_has_no_line_that_is_too_wide(columns: int, command: Command) -> None:
    exact = command("--demo", "spend", "last-month", "--by", "model", "--format", "json").json
    shown = in_terminal(columns, "--demo", "spend", "last-month", "--by", "model", TERM="xterm-256color")
    assert "\x1b[" in shown
    plain = ESCAPE.sub("", shown).replace("\r", "\n")  # the progress is written over itself
    assert max(map(len, plain.splitlines())) <= columns
    for row in exact["rows"]:
        assert row["debits"] in plain


@pytest.mark.skipif(sys.platform != "linux", reason="terminals of Linux")
@pytest.mark.parametrize("settings", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_terminal_without_colour_gets_no_colour(settings: dict[str, str]) -> None:
    shown = in_terminal(80, "--demo", "spend", "today", **settings)
    assert not re.search(r"\x1b\[[0-9;]*m", shown)
    assert "Demo account: spend of today" in shown


@pytest.mark.parametrize("columns", ["60", "80", "200"])
def test_terminal_of_any_width_shows_every_figure_whole(
    columns: str, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = command("--demo", "spend", "last-month", "--by", "model", "--format", "json").json
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = command("--demo", "spend", "last-month", "--by", "model").out
    for row in exact["rows"]:
        assert row["debits"] in shown


def test_no_colour_where_none_is_wanted() -> None:
    assert "\x1b[" in run("--demo", "balance", FORCE_COLOR="1").stdout
    assert "\x1b[" not in run("--demo", "balance", FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b[" not in run("--demo", "balance").stdout


def test_terminal_without_unicode_gets_no_pictures() -> None:
    done = run("--demo", "spend", "--by", "model", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "llama" in done.stdout


HEAVY = ("httpx", "rich", "duckdb", "altair", "attrs", "msgspec")


def imported(*arguments: str, **settings: str) -> set[str]:
    """Return what a command line has imported when it ends."""
    program = (
        "import sys; sys.modules['click'] = None  # with click here too, httpx imports rich for its own command\n"
        "from venice_billing.cli.main import main\n"
        f"try: main({list(arguments)!r})\n"
        "except SystemExit: pass\n"
        "print(); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=True,
        env={**os.environ, **settings},
    )
    return set(done.stdout.splitlines()[-1].split())


def test_start_imports_no_more_than_it_needs() -> None:
    version = imported("--version")
    assert not version & {*HEAVY, "argparse", "typing", "re", "pathlib"}
    assert not imported("--help") & {*HEAVY, "typing", "pathlib"}
    assert not imported("--demo", "balance", "--format", "json") & {"rich", "duckdb", "altair"}


def test_status_from_the_cache_imports_no_network(account: FakeVenice, home: Path) -> None:
    assert "httpx" in imported("status")
    fresh = imported("status")
    assert len(account.requests) == 1
    assert not fresh & {*HEAVY, "tomllib", "subprocess", "venice_billing.errors"}
    if sys.platform == "linux":
        assert not fresh & {"platformdirs", "tempfile", "ssl", "_hashlib"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere platformdirs is asked")
@pytest.mark.parametrize("value", [None, "", "/somewhere/else", "relative/folder", "~/unexpanded"])
@pytest.mark.parametrize("kind", ["config", "data", "cache"])
def test_folders_are_those_of_platformdirs(kind: str, value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_BILLING_CONFIG")
    if value is None:
        monkeypatch.delenv(f"XDG_{kind.upper()}_HOME")
    else:
        monkeypatch.setenv(f"XDG_{kind.upper()}_HOME", value)
    ours = {"config": config_path().parent, "data": ledger_path(None).parent, "cache": cache_path()}[kind]
    theirs = getattr(platformdirs, f"user_{kind}_dir")("venice-billing")
    assert str(ours) == theirs


def test_library_imports_no_face_of_the_command() -> None:
    program = (
        "import sys; sys.modules['click'] = None  # as above\n"
        "from venice_billing.testing import FakeVenice\n"
        "with FakeVenice(50).client() as client: list(client.iter_usage_history())\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('rich', 'duckdb', 'altair', 'shtab', "
        "'platformdirs', 'argparse') or name.startswith(('venice_billing.cli.', 'venice_billing.report'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout == "[]\n"
    assert VeniceBilling.__module__ == "venice_billing.client"
