"""The configuration of a client: arguments and environment -> one frozen value. Nothing is sent."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

from attrs import Factory, evolve, frozen

from venice_billing import _arguments as arguments
from venice_billing._budget import FailureBudget
from venice_billing._call import Policy
from venice_billing._clock import SystemClock
from venice_billing._default_headers import merged
from venice_billing._logging import heed_environment
from venice_billing._secret import Secret
from venice_billing.errors import AuthenticationError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from venice_billing._clock import Pace

BASE_URL = "https://api.venice.ai/api/v1"


@frozen
class Setup:
    """What a client is made with besides its public arguments: the hooks by which a fake controls time and chance.

    Attributes:
        clock: The clock of all waits and deadlines.
        jitter: Returns a random number from 0 to 1.
        owns_http_client: Whether the client closes the `http_client` it is given.
    """

    clock: Pace = Factory(SystemClock)
    jitter: Callable[[], float] = random.random
    owns_http_client: bool = False


@frozen
class Configuration:
    """The server, the key, and how calls are made."""

    base_url: str
    key: Secret
    policy: Policy

    def changed(
        self,
        timeout: float | None,
        max_retries: int | None,
        max_wait: float | None,
        default_headers: Mapping[str, str] | None,
    ) -> Configuration:
        """Return the configuration with other values for the arguments that are given; the budget stays shared."""
        policy = self.policy
        if timeout is not None:
            policy = evolve(policy, timeout=arguments.seconds("timeout", timeout))
        if max_retries is not None:
            policy = evolve(policy, max_retries=arguments.integer("max_retries", max_retries, *arguments.RETRIES))
        if max_wait is not None:
            policy = evolve(policy, max_wait=arguments.seconds("max_wait", max_wait, or_none=True))
        if default_headers is not None:
            policy = evolve(policy, headers=merged(policy.headers, default_headers, self.key))
        return evolve(self, policy=policy)


def configure(
    setup: Setup,
    api_key: str | None,
    base_url: str | None,
    timeout: float,
    max_retries: int,
    max_wait: float,
    default_headers: Mapping[str, str] | None,
) -> Configuration:
    """Return the configuration of a new client.

    Raises:
        AuthenticationError: There is no key, neither as an argument nor in `VENICE_API_KEY`.
        InvalidParameterError: An argument or an environment variable is invalid.
    """
    heed_environment()
    if api_key is None:
        api_key = os.environ.get("VENICE_API_KEY") or None
    if api_key is None:
        raise AuthenticationError("no API key: pass api_key, or set the environment variable VENICE_API_KEY")
    if base_url is None:
        base_url = os.environ.get("VENICE_BASE_URL") or BASE_URL
    key = Secret(arguments.api_key(api_key))
    others = {"base_url": base_url, "timeout": timeout, "max_retries": max_retries, "max_wait": max_wait}
    for name, value in others.items():
        _refuse_key(name, value, key)
    return Configuration(
        base_url=arguments.base_url(base_url),
        key=key,
        policy=Policy(
            timeout=arguments.seconds("timeout", timeout),
            max_retries=arguments.integer("max_retries", max_retries, *arguments.RETRIES),
            max_wait=arguments.seconds("max_wait", max_wait, or_none=True),
            budget=FailureBudget(),
            clock=setup.clock,
            jitter=setup.jitter,
            secret=key,
            headers=merged({}, default_headers, key),
        ),
    )


def _refuse_key(name: str, value: object, key: Secret) -> None:
    """Refuse an argument that contains the key: errors show arguments, and logs show URLs."""
    if isinstance(value, str) and key.masked(value) != value:
        raise InvalidParameterError(name, arguments.HIDDEN, "without the API key in it")


def bare(error: Exception) -> Exception:
    """Return an error without its frames and causes: tools that print local variables would show the key."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
