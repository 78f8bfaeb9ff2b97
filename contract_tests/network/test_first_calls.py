"""The first calls of a process, from several threads at once."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import threading
import time
from typing import Any

import msgspec
import pytest

from venice_billing.testing import FakeVenice
from venice_billing_api import wire
from venice_billing_api.models import Balance, UsageAnalytics, UsageHistoryPage, UsagePage

_FIRST_CALLS = """
import sys, threading
from venice_billing.testing import FakeVenice
fake = FakeVenice(40)
client = fake.client()
together = threading.Barrier(8)
right = []
def call(number):
    sys.setswitchinterval(0.00001)
    together.wait()
    if number % 2:
        right.append(len(client.get_usage_history().data) == 40)
    else:
        right.append(client.get_balance().can_consume)
threads = [threading.Thread(target=call, args=(number,)) for number in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(right.count(True))
"""


def test_first_calls_from_several_threads_succeed() -> None:
    """When a decoder could be used before it was complete, two of three such processes crashed."""
    for _ in range(6):
        done = subprocess.run(
            [sys.executable, "-c", _FIRST_CALLS], capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode, done.stdout) == (0, "8\n"), done.stderr


def test_only_one_decoder_is_made_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """While msgspec builds the information on a type, other threads can see it incomplete."""
    made, busy, most = [], 0, 0
    decoder: Any = msgspec.json.Decoder

    def slow(*arguments: Any, **options: Any) -> Any:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        time.sleep(0.02)
        made.append(arguments)
        busy -= 1
        return decoder(*arguments, **options)

    monkeypatch.setattr(msgspec.json, "Decoder", slow)
    monkeypatch.setattr(wire._decoders, "_made", {})
    models = (Balance, UsageHistoryPage, UsagePage, UsageAnalytics)
    threads = [threading.Thread(target=wire.read_plain, args=(model, b"{}")) for model in models * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (most, len(made)) == (1, len(models))


def test_a_fake_serves_several_threads_from_the_first_call() -> None:
    client = FakeVenice(30).client()
    sizes: list[int] = []
    threads = [
        threading.Thread(target=lambda: sizes.append(len(client.get_usage_history(page_size=20).data)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sizes == [20] * 8


_WITHOUT_DESCRIPTORS = """
import asyncio, os, resource, sys
from venice_billing import APIConnectionError, AsyncVeniceBilling, VeniceBilling

def use_up():
    while (last := os.open(os.devnull, 0)) < 60:
        pass
    resource.setrlimit(resource.RLIMIT_NOFILE, (last + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))

options = {"base_url": "http://127.0.0.1:9/api/v1", "max_retries": 0}

async def call():
    client = AsyncVeniceBilling("the-api-key", **options)
    use_up()
    await client.get_balance()

try:
    if sys.argv[1] == "async":
        asyncio.run(call())
    else:
        client = VeniceBilling("the-api-key", **options)
        use_up()
        client.get_balance()
except APIConnectionError:
    print("no connection")
"""


@pytest.mark.skipif(importlib.util.find_spec("resource") is None, reason="there are no such limits on this system")
@pytest.mark.parametrize("way", ["sync", "async"])
def test_a_first_call_without_a_free_descriptor_is_a_connection_error(way: str) -> None:
    """All modules are imported by then: an import would need a descriptor and fail with an error of Python."""
    done = subprocess.run(
        [sys.executable, "-c", _WITHOUT_DESCRIPTORS, way], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "no connection\n"), done.stderr
