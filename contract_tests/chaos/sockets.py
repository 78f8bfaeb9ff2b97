"""The same scenarios over real sockets: hangs and trickles take real time, and each request is timed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from contract_tests.chaos.cases import Result, draw
from contract_tests.chaos.scenarios import Scenario, run_to_end
from venice_billing import AsyncVeniceBilling, VeniceBilling
from venice_billing._config import Setup

if TYPE_CHECKING:
    from collections.abc import Callable

    from venice_billing._call import Send

LATEST = 0.5
"""The most seconds that a request may take beyond its deadline."""


def run(seed: int, latest: float = LATEST) -> Result:
    """Run the case of a seed over a served fake; waits between attempts use its clock, requests use real time."""
    case, fake, schedule = draw(seed, over_sockets=True)
    with fake.serve() as server:
        scenario = _SocketScenario(case, fake, schedule)
        scenario.base_url = server.base_url
        result = run_to_end(scenario)
    if result.overshoot > latest:
        result.problems.append(f"a request ended {result.overshoot:.2f} s after its deadline")
    return result


class _SocketScenario(Scenario):
    base_url = ""
    patience = 30

    def client(self) -> VeniceBilling:
        client = VeniceBilling(**self._options())
        driver: Any = client._driver
        driver._send = self._timed(driver._send)
        return client

    def async_client(self) -> AsyncVeniceBilling:
        client = AsyncVeniceBilling(**self._options())
        driver: Any = client._driver
        driver._send = self._timed_async(driver._send)
        return client

    def _options(self) -> dict[str, Any]:
        return {
            "api_key": self.fake.admin_key,
            "base_url": self.base_url,
            "timeout": self.case.timeout,
            "max_retries": self.case.max_retries,
            "_setup": Setup(clock=self.fake.clock),
        }

    def _timed(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def timed(step: Send, *rest: Any) -> Any:
            started = time.monotonic()
            try:
                return send(step, *rest)
            finally:
                self._note(started, step)

        return timed

    def _timed_async(self, send: Callable[..., Any]) -> Callable[..., Any]:
        async def timed(step: Send, *rest: Any) -> Any:
            started = time.monotonic()
            try:
                return await send(step, *rest)
            finally:
                self._note(started, step)

        return timed

    def _note(self, started: float, step: Send) -> None:
        self.result.overshoot = max(self.result.overshoot, time.monotonic() - started - step.timeout)
