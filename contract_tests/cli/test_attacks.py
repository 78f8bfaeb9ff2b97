"""What was found wrong from outside: totals of what is not covered, streams that are gone, addresses that are none."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from venice_billing.ledger import Ledger
from venice_billing.testing import FakeVenice, demo_account

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from contract_tests.cli.conftest import Done

    Command = Callable[..., Done]

PROGRAM = f"exec {sys.executable} -m venice_billing"
SECONDS = 120


def shell(line: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, timeout=SECONDS, check=False, env={**os.environ, **settings}
    )


@pytest.fixture
def stale(tmp_path: Path) -> str:
    """Return the path of a ledger that was synced for the last time ten days ago."""
    before = datetime.now(UTC) - timedelta(days=10)
    fake = FakeVenice([{"timestamp": before - timedelta(hours=1), "amount": "-7", "currency": "USD"}], now=before)
    path = tmp_path / "stale.duckdb"
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    return str(path)


@pytest.mark.parametrize("period", [["today"], ["--last", "7d"], ["--last", "20d"]])
@pytest.mark.parametrize("rule", [["--max-spend", "50USD"], ["--per-key", "50USD"], ["--forecast", "5000USD"]])
def test_limit_is_unknown_where_the_ledger_does_not_cover(
    command: Command, stale: str, period: list[str], rule: list[str]
) -> None:
    done = command("--ledger", stale, "--offline", "check", *rule, *period)
    assert done.code == 3, done
    assert "the ledger covers nothing after" in done.out


def test_breach_that_is_seen_is_one_though_the_ledger_is_old(command: Command, stale: str) -> None:
    done = command("--ledger", stale, "--offline", "check", "--max-spend", "5USD", "--last", "20d")
    assert (done.code, done.out.split()[0]) == (1, "BREACH")


def test_period_that_has_not_begun_cannot_be_told(command: Command) -> None:
    done = command("--demo", "check", "--max-spend", "5USD", "--month", "2999-01")
    assert done.code == 3
    assert "2999-01 has not begun" in done.out


def test_status_of_another_account_is_not_that_of_this_one(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = []
    for amount in ("10", "500"):
        fake = FakeVenice(
            [{"timestamp": datetime.now(UTC), "amount": amount, "currency": "USD"}], admin_key=f"key-{amount}"
        )
        with fake.serve() as server:
            monkeypatch.setenv("VENICE_API_KEY", fake.admin_key)
            monkeypatch.setenv("VENICE_BASE_URL", server.base_url)
            lines.append(command("status").out.split()[1])
    assert lines == ["10", "500"]


@pytest.mark.parametrize("by", ["model", "sku", "key", "service", "currency"])
@pytest.mark.parametrize("period", [["today"], ["yesterday"], ["--last", "3d"], ["last-month"]])
def test_groups_that_are_no_more_are_compared_in_a_table(command: Command, by: str, period: list[str]) -> None:
    done = command("--demo", "spend", "--by", by, "--compare", *period)
    assert done.code == 0, done.err


def test_breach_stays_one_when_the_reader_has_gone() -> None:
    line = f"{PROGRAM} --demo check --max-spend 0USD --per-key 0USD --month $(date +%Y-%m -d '-1 month')"
    done = shell(f"( ({line}; echo $? >&3) | true ) 3>&1".replace("exec ", ""))
    assert done.stdout.split() == ["1"], done


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - a device
@pytest.mark.parametrize("arguments", ["--version", "--demo balance", "--demo check --max-spend 100000USD"])
def test_output_that_cannot_be_written_is_one_line_and_3(arguments: str) -> None:
    done = shell(f"{PROGRAM} {arguments} > /dev/full")
    assert done.returncode == 3
    assert done.stderr.splitlines() == ["venice-billing: the output cannot be written: No space left on device"]


SAID_TO_NOBODY = [
    ("sync --bogus", 2),
    ("--demo export nofolder/x.csv --all", 2),
    ("--demo reconcile nofile.jsonl", 2),
    ("balance", 3),
    ("--demo check --max-spend 0USD", 1),
    ("--demo check --max-spend 1000000USD", 0),
    ("--demo close last-month --allow-incomplete --output taken.json", 2),
    ("--demo close last-month --allow-incomplete --output new.json", 0),
]


@pytest.fixture
def nobody() -> Iterator[int]:
    """Return a pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    yield writer
    os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110 - a device
@pytest.mark.parametrize("where", ["a full disk", "nobody reads the errors", "nobody reads anything"])
@pytest.mark.parametrize(("arguments", "code"), SAID_TO_NOBODY)
def test_exit_code_is_that_of_what_was_found_though_stderr_takes_nothing(
    arguments: str, code: int, where: str, tmp_path: Path, nobody: int
) -> None:
    taken = tmp_path / "taken.json"
    taken.write_text("of somebody else")
    with open("/dev/full", "wb", buffering=0) as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-m", "venice_billing", *arguments.split()],
            stdout=nobody if where == "nobody reads anything" else subprocess.DEVNULL,
            stderr=full if where == "a full disk" else nobody,
            cwd=tmp_path,
            timeout=SECONDS,
            check=False,
        )
    assert (done.returncode, taken.read_text()) == (code, "of somebody else")


def test_exit_code_is_3_where_neither_stream_takes_anything() -> None:
    assert shell(f"{PROGRAM} --demo balance > /dev/full 2>&1").returncode == 3


def test_closed_streams() -> None:
    assert shell(f"{PROGRAM} --demo check --max-spend 100000USD 2>&-").returncode == 0
    closed = shell(f"{PROGRAM} --demo balance >&-")
    assert (closed.returncode, closed.stderr) == (3, "venice-billing: standard output is closed\n")


@pytest.mark.parametrize("columns", ["20", "30", "40", "45"])
def test_very_narrow_terminal_cuts_no_figure(command: Command, monkeypatch: pytest.MonkeyPatch, columns: str) -> None:
    exact = command("--demo", "spend", "last-month", "--compare", "--format", "json").json
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("FORCE_COLOR", "1")
    shown = command("--demo", "spend", "last-month", "--compare").out
    for row in exact["rows"]:
        assert row["debits"] in shown
        assert row["debits_before"] in shown


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("http://user:secretkey123@127.0.0.1:9/api/v1", "secretkey123"),
        ("http://127.0.0.1:9/api/v1?key=secretkey123", "secretkey123"),
        ("http://127.0.0.1:abc/api/v1", "\0"),
        ("http://127.0.0.1:99999/api/v1", "\0"),
        ("http://[::1/api", "\0"),
        (f"https://{'a' * 70}.example/api", "\0"),
        ("127.0.0.1:9", "\0"),
    ],
)
def test_address_that_is_none_is_said_without_what_is_secret_in_it(
    command: Command, monkeypatch: pytest.MonkeyPatch, url: str, secret: str
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("VENICE_BASE_URL", url)
    for name in ("doctor", "balance"):
        done = command(name)
        assert done.code in {1, 2}
        assert secret not in done.out + done.err
        assert "VENICE_BASE_URL" in done.out + done.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ALL_PROXY", "socks5://127.0.0.1:9"),
        ("HTTPS_PROXY", "http://127.0.0.1:abc"),
        ("SSL_CERT_FILE", "/nonexistent"),
    ],
)
def test_doctor_explains_what_the_client_refuses(
    command: Command, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "some-admin-key")
    monkeypatch.setenv("VENICE_BASE_URL", "https://localhost:9/api/v1")
    monkeypatch.setenv(name, value)
    done = command("doctor")
    assert done.code == 1
    assert name in done.out


@pytest.mark.parametrize("arguments", [["--ledger", "~nobody-at-all/x.duckdb", "spend"], ["balance"]])
def test_home_that_is_none(command: Command, monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> None:
    monkeypatch.setenv("VENICE_BILLING_CONFIG", "~nobody-at-all/config.toml")
    done = command(*arguments)
    assert done.code == 2
    assert "there is no such home" in done.err


def test_folder_that_cannot_be_made(account: FakeVenice, command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", "/proc/nowhere")
    done = command("sync")
    assert done.code == 2
    assert "cannot be made" in done.err


def test_offline_makes_no_ledger_and_asks_nobody(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    missing = tmp_path / "mistyped.duckdb"
    for arguments in (["spend"], ["check", "--max-spend", "5USD"], ["balance"], ["check", "--min-balance", "5USD"]):
        done = command("--ledger", str(missing), "--offline", *arguments)
        assert done.code == 2, done
        assert "--offline" in done.err
    assert not missing.exists()
    assert account.requests == []


def test_compare_of_a_period_that_the_ledger_does_not_reach(command: Command, stale: str) -> None:
    done = command("--ledger", stale, "--offline", "spend", "today", "--compare", "--format", "json")
    assert done.code == 0, done.err
    assert done.json["complete"] is False


def test_compare_before_the_calendar(command: Command) -> None:
    done = command("--demo", "spend", "--month", "0001-01", "--compare")
    assert done.code == 2
    assert len(done.err.splitlines()) == 1


def test_ledger_in_use_is_a_matter_of_time(account: FakeVenice, command: Command, tmp_path: Path) -> None:
    path = tmp_path / "used.duckdb"
    program = (
        "import sys; from venice_billing.ledger import Ledger\n"
        "with Ledger(sys.argv[1]): print(1, flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = command("--ledger", str(path), "spend")
        assert done.code == 3
        assert "in use by another process" in done.err
    finally:
        holder.communicate(timeout=SECONDS)


@pytest.mark.parametrize("options", [[], ["--offline"]])
@pytest.mark.parametrize("has_rows", [True, False])
def test_demo_does_not_touch_a_ledger_of_an_account(
    command: Command, tmp_path: Path, options: list[str], *, has_rows: bool
) -> None:
    """Made-up charges in a ledger without any would look real, and real ones under --demo made up."""
    path = tmp_path / "real.duckdb"
    fake = FakeVenice(50 if has_rows else 0)
    with Ledger(path) as ledger, fake.client() as client:
        ledger.sync(client)
    done = command("--demo", "--ledger", str(path), *options, "spend", "--last", "3m")
    assert (done.code, done.out) == (2, "")
    assert "it is no ledger of the demo account; name a file that does not exist" in done.err
    with Ledger(path) as ledger:
        assert sum(1 for _ in ledger.entries()) == len(fake.ledger)


def test_ledger_of_the_demo_account_is_kept_between_two_commands_and_read_with_demo_alone(
    command: Command, tmp_path: Path
) -> None:
    path = str(tmp_path / "demo.duckdb")
    for _ in range(2):
        assert command("--demo", "--ledger", path, "spend").code == 0
    for arguments in (["spend", "--offline"], ["close", "2026-09"], ["export", str(tmp_path / "a.csv"), "--offline"]):
        done = command("--ledger", path, *arguments)
        assert (done.code, done.out) == (2, "")
        assert "a ledger of the demo account, all of it made up: give --demo, or another file" in done.err


def test_ledger_of_the_demo_account_is_known_days_later(command: Command, tmp_path: Path) -> None:
    """The account begins 400 days before now, so its first days are not in the account of a later day."""
    path = tmp_path / "demo.duckdb"
    before = datetime.now(UTC) - timedelta(days=3)
    with Ledger(path) as ledger, demo_account(before).client() as client:
        ledger.sync(client)
    assert command("--demo", "--ledger", str(path), "spend", "--offline").code == 0
    assert command("--ledger", str(path), "spend", "--offline").code == 2


@pytest.mark.parametrize("arguments", [["sync"], ["close", "2026-09"], ["verify"], ["report", "a.html"], ["spend"]])
def test_command_without_a_key_leaves_no_ledger_behind(
    command: Command, home: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    """An empty one would be filled by the next `spend`, which walks where there is none."""
    monkeypatch.chdir(home)
    done = command(*arguments)
    assert (done.code, "no API key: set VENICE_API_KEY" in done.err) == (3, True)
    assert list(home.rglob("*.duckdb*")) == []


@pytest.mark.parametrize(
    ("problem", "code"),
    [("full", 3), ("foreign", 2), ("folder", 2)],
)
def test_exit_code_tells_a_wrong_file_from_a_disk_that_fails(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, problem: str, code: int
) -> None:
    path = tmp_path / "a.duckdb"
    if problem == "foreign":
        path.write_bytes(b"no ledger" * 1000)
    if problem == "folder":
        path.mkdir()
    if problem == "full":

        def create(_module: object, path: Path) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

        monkeypatch.setattr("venice_billing.ledger._database.create", create)
    for arguments in (["sync"], ["close", "2026-09"], ["spend"], ["export", str(tmp_path / "b.csv")]):
        done = command("--demo", "--ledger", str(path), *arguments)
        assert (done.code, str(path) in done.err) == (code, True), arguments


@pytest.mark.parametrize("existing", ["month", "foreign"])
def test_folder_that_is_no_place_for_a_dataset_is_wrong_input(command: Command, tmp_path: Path, existing: str) -> None:
    folder = tmp_path / "dataset"
    if existing == "month":
        assert command("--demo", "export", f"{folder}/", "--month", "2026-09").code == 0
    else:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")
    done = command("--demo", "export", f"{folder}/")
    assert (done.code, str(folder) in done.err) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [
        ["spend", "--month", "KEY"],
        ["spend", "--account", "my-KEY"],
        ["KEY"],
        ["--KEY"],
        ["export", "KEY.csv"],
        ["export", "-", "--as", "focus", "--account-name", "KEY"],
    ],
)
def test_key_among_the_arguments_is_neither_shown_nor_written(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "key-of-an-admin")
    done = command(*(argument.replace("KEY", "key-of-an-admin") for argument in arguments))
    assert (done.code, done.out) == (2, "")
    assert "an argument holds the API key" in done.err
    assert "key-of-an-admin" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["config.toml"]


@pytest.mark.usefixtures("account")
def test_key_in_a_log_is_not_shown(command: Command, tmp_path: Path) -> None:
    key = os.environ["VENICE_API_KEY"]
    log = tmp_path / "log.jsonl"
    log.write_text(f'{{"request_id": "x", "amount": "{key}"}}\n')
    done = command("--ledger", str(tmp_path / "venice.duckdb"), "reconcile", str(log))
    assert done.code == 2
    assert "[key]" in done.err
    assert key not in done.err
