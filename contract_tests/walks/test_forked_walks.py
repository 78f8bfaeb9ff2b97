"""A concurrent walk that is under way at a fork continues exactly in the child and in the parent."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from contract_tests.support.forked import ENVIRONMENT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")

SCRIPT = '''
"""Fork during a walk while one of its worker threads is held at one line, in the parent only."""
import os, sys, threading, time
import httpx
from contract_tests.support.forked import child, result
from venice_billing import VeniceBilling, _call
from venice_billing._walk import windows as _windows
from venice_billing.testing import FakeVenice

where, order = sys.argv[1:]
parent = os.getpid()
armed, held, go_on = threading.Event(), threading.Event(), threading.Event()
gate = threading.Lock()  # held while forking, so that no thread holds a lock of the fake at that moment


def hold():
    if armed.is_set() and os.getpid() == parent and not held.is_set():
        held.set()
        go_on.wait(20)


def holding(function):
    def held_up(*args, **kwargs):
        hold()
        return function(*args, **kwargs)
    return held_up


def noting(init):
    def noted(self, *args, **kwargs):
        plans.append(self)
        init(self, *args, **kwargs)
    return noted


def workers_are_idle():
    """Return whether the workers wait for the consumer, having read ahead as far as they may."""
    for _ in range(30):
        if plans[0]._busy:
            return False
        time.sleep(0.01)
    return True


def a_page_is_waiting():
    for part in plans[0]._parts:
        if not isinstance(part, _windows.Window) or part.pages or not part.done:
            return isinstance(part, _windows.Window) and part.pages and (order == "asc" or part.done)
    return False


def handle(request):
    if where == "request":
        hold()
    with gate:
        response = fake_transport.handle_request(request)
        return httpx.Response(response.status_code, headers=response.headers, content=response.read())


if where == "reading":  # between the steps of a window
    _call._read = holding(_call._read)
if where == "recording":  # with the lock of the workers
    _windows.Windows.record = holding(_windows.Windows.record)

fake = FakeVenice(1200)
fake_transport = fake.transport()
truth = fake.ledger if order == "asc" else fake.ledger[::-1]
plans = []
_windows.Windows.__init__ = noting(_windows.Windows.__init__)
client = VeniceBilling(fake.admin_key, timeout=100, http_client=httpx.Client(transport=httpx.MockTransport(handle)))
walk = iter(client.iter_usage_history(page_size=50, sort_order=order, concurrency=4).pages())
received = [*next(walk)]


def rest():
    rows = [entry.to_dict() for entry in [*received, *(entry for page in walk for entry in page)]]
    return "exact" if rows == truth else f"{len(rows)} rows, of {len(truth)}"


def leave():
    walk.close()
    budget = client._policy.budget
    return "left" if client.get_balance() and not len(budget._under_way) else "a place is taken"


until = time.monotonic() + 60
while time.monotonic() < until and not (workers_are_idle() and a_page_is_waiting()):
    if not plans[0]._busy:
        received += next(walk)
armed.set()
received += next(walk)  # each page taken makes room to read ahead
while a_page_is_waiting() and not held.wait(1):
    received += next(walk)
held.wait(60)
pipes = [child(work, gate) for work in (rest, rest, leave)]
print(held.is_set(), *(result(pipe) for pipe in pipes), sep=", ", end=", ", flush=True)
go_on.set()
print(rest())
'''


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("where", ["request", "reading", "recording"])
def test_a_forked_walk_continues_exactly_in_child_and_parent(where: str, order: str, tmp_path: Path) -> None:
    """The child has none of the walk's threads, and a lock that one of them held is never released there."""
    script = tmp_path / "forks.py"
    script.write_text(SCRIPT, "utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), where, order],
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout == "True, exact, exact, left, exact\n"
