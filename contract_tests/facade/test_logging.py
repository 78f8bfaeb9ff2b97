"""What the package logs: a line a retry at INFO, a line a request at DEBUG; on stderr if `VENICE_LOG` says so."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.paths import ROOT
from venice_billing import BillingTimeoutError, InvalidParameterError, ServerError
from venice_billing.testing import FakeVenice, faults
from venice_billing.testing._responses import error_response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from contract_tests.support.flavours import Flavour

pytestmark = pytest.mark.anyio
KEY = "SeCrEtAdm1nKey_0123456789abcdef"


@pytest.fixture
def fake() -> FakeVenice:
    return FakeVenice(20, admin_key=KEY)


@pytest.fixture(autouse=True)
def untouched_logger() -> Iterator[None]:
    log = logging.getLogger("venice_billing")
    level, handlers = log.level, list(log.handlers)
    yield
    log.setLevel(level)
    log.handlers[:] = handlers


def lines(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno == level and record.name == "venice_billing" and "not in the contract" not in record.msg
    ]


def refusal(reason: str, *headers: tuple[str, str]) -> faults.Fault:
    return faults.Fault("refusal", lambda _: error_response(503, reason, headers))


async def test_each_retry_is_one_info_line_with_status_reason_and_wait(
    fake: FakeVenice, flavour: Flavour, caplog: pytest.LogCaptureFixture
) -> None:
    slow = faults.status(429, headers=(("retry-after", "7"),))
    fake.quirks.faults = [slow, faults.reset(), refusal("down\nfor now"), None]
    caplog.set_level(logging.INFO, "venice_billing")
    await flavour.connect(fake, max_retries=3).call("get_balance")
    first, second, third = lines(caplog, logging.INFO)
    assert re.fullmatch(r"getBillingBalance: retry 1 of 3 in 7\.00 s after HTTP 429: .+", first)
    assert re.fullmatch(r"getBillingBalance: retry 2 of 3 in 0\.\d\d s after ReadError: .*reset.*", second)
    assert re.fullmatch(r"getBillingBalance: retry 3 of 3 in 1\.\d\d s after HTTP 503: down for now", third)


async def test_a_call_without_retries_logs_nothing_at_info(
    fake: FakeVenice, flavour: Flavour, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_billing")
    face = flavour.connect(fake)
    await face.call("get_balance")
    fake.quirks.faults = lambda _: faults.hang()
    with pytest.raises(BillingTimeoutError):
        await face.call("get_balance")
    assert lines(caplog, logging.INFO) == []


async def test_each_request_is_one_debug_line(
    fake: FakeVenice, flavour: Flavour, caplog: pytest.LogCaptureFixture
) -> None:
    fake.quirks.faults = [faults.status(503), faults.hang()]
    caplog.set_level(logging.DEBUG, "venice_billing")
    with pytest.raises(BillingTimeoutError):
        await flavour.connect(fake, timeout=3).call("get_usage_history", page_size=20)
    told = r"getBillingUsageHistory: GET /billing/usage-history \{'pageSize': 20\}: "
    failed, hung, *_ = lines(caplog, logging.DEBUG)
    assert re.fullmatch(told + r"HTTP 503, \d+ bytes, 0\.\d{3} s", failed)
    assert re.fullmatch(told + r"no whole answer within 3 s, 3\.000 s", hung)


async def test_no_line_shows_the_key(fake: FakeVenice, flavour: Flavour, caplog: pytest.LogCaptureFixture) -> None:
    """Also if the server repeats it; the loggers of httpx are no different."""
    echo = refusal(f"Bearer {KEY} is busy", ("x-echo", KEY))
    fake.quirks.faults = lambda _: echo
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ServerError):
        await flavour.connect(fake, default_headers={"X-Password": "s3same"}).call("get_balance")
    assert len(lines(caplog, logging.INFO)) == 2
    assert "is busy" in caplog.text
    assert KEY not in caplog.text
    assert "s3same" not in caplog.text


PROGRAM = """
import logging, sys
from venice_billing import VeniceBilling
from venice_billing.testing import FakeVenice, faults

if "own" in sys.argv:
    logging.basicConfig(format="OWN %(message)s")
if "own logger" in sys.argv:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("OWN %(message)s"))
    logging.getLogger("venice_billing").addHandler(handler)
if "redirected" in sys.argv:
    sys.stderr.close()
    sys.stderr = sys.stdout
if "without stderr" in sys.argv:
    sys.stderr = None
fake = FakeVenice(20)
for _ in range(2):
    fake.quirks.faults = [faults.status(503)]
    with fake.client() as client:
        client.get_balance()
print(logging.getLogger().level, logging.getLogger("httpx").level)
"""


def run(level: str | None, *arguments: str) -> tuple[str, list[str]]:
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{ROOT}:{ROOT / 'generated'}"}
    if level is not None:
        environment["VENICE_LOG"] = level
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip(), done.stderr.splitlines()


@pytest.mark.parametrize(("level", "count"), [(None, 0), ("", 0), ("info", 2), ("INFO", 2), (" debug ", 6)])
def test_the_variable_shows_lines_on_stderr(level: str | None, count: int) -> None:
    """The levels of other loggers stay as they are, and two clients do not write each line twice."""
    levels, shown = run(level)
    assert levels == f"{logging.WARNING} {logging.NOTSET}"
    assert len(shown) == count
    for line in shown:
        assert re.match(r"\d{4}-\d\d-\d\d \S+ venice_billing (INFO|DEBUG) getBillingBalance: ", line)


def test_lines_go_to_what_stderr_is_at_the_moment() -> None:
    """A test runner closes its own, and a daemon has none."""
    shown, _ = run("info", "redirected")
    assert shown.count("venice_billing INFO getBillingBalance: retry 1 of 2") == 2
    assert run("info", "without stderr") == (f"{logging.WARNING} {logging.NOTSET}", [])


@pytest.mark.parametrize("where", ["own", "own logger"])
def test_a_program_with_handlers_of_its_own_writes_each_line_once(where: str) -> None:
    _, shown = run("info", where)
    assert len(shown) == 2
    assert all(line.startswith("OWN getBillingBalance: retry 1 of 2 in ") for line in shown)


@pytest.mark.parametrize("level", ["loud", "warning", "10"])
def test_a_level_that_is_none_is_refused(flavour: Flavour, monkeypatch: pytest.MonkeyPatch, level: str) -> None:
    monkeypatch.setenv("VENICE_LOG", level)
    with pytest.raises(InvalidParameterError, match=f"VENICE_LOG must be 'info' or 'debug'.*; got '{level}'"):
        flavour.open("a-key")
