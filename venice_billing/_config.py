"""The configuration of a client: arguments and environment -> one frozen value. Nothing is sent."""

from __future__ import annotations

import os
import random
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import Factory, evolve, frozen

from venice_billing import _arguments as arguments
from venice_billing._budget import FailureBudget
from venice_billing._call import Policy
from venice_billing._clock import SystemClock
from venice_billing._default_headers import merged
from venice_billing._logging import configure_from_environment
from venice_billing._secret import Secret
from venice_billing.errors import AuthenticationError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from venice_billing._clock import Pace

Method = TypeVar("Method", bound="Callable[..., Any]")
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
    *,
    default_headers: Mapping[str, str] | None = None,
) -> Configuration:
    """Return the configuration of a new client.

    Raises:
        AuthenticationError: There is no key, neither as an argument nor in `VENICE_API_KEY`.
        InvalidParameterError: An argument or an environment variable is invalid.
    """
    configure_from_environment()
    key_name, api_key = _or_variable("api_key", api_key, "VENICE_API_KEY")
    if api_key is None:
        raise AuthenticationError("no API key: pass api_key, or set the environment variable VENICE_API_KEY")
    url_name, base_url = _or_variable("base_url", base_url, "VENICE_BASE_URL")
    key = Secret(arguments.api_key(api_key, key_name))
    others = {url_name: base_url, "timeout": timeout, "max_retries": max_retries, "max_wait": max_wait}
    refuse_key(others, key)
    return Configuration(
        base_url=BASE_URL if base_url is None else arguments.base_url(base_url, url_name),
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


def _or_variable(name: str, value: str | None, variable: str) -> tuple[str, str | None]:
    """Return a setting, an argument or else an environment variable, and what errors are to call it."""
    if value is not None:
        return name, value
    return f"the environment variable {variable}", os.environ.get(variable) or None


def refuse_key(named: Mapping[str, object], key: Secret) -> None:
    """Refuse arguments that contain the key: errors show arguments, logs show URLs, and files show their names."""
    for name, value in named.items():
        if key.is_in(value):
            raise InvalidParameterError(name, arguments.HIDDEN, "without the API key in it")


def refusing_key(method: Method) -> Method:
    """Decorate a method of a client: arguments with the key in them are refused, and no error about one shows it."""
    names = tuple(signature(method).parameters)[1:]

    def check(client: Any, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        refuse_key({**dict(zip(names, args, strict=False)), **kwargs}, client._configuration.key)  # noqa: SLF001 - its method

    # The errors are raised outside the handlers: inside, the frames of the first error, which hold the key, would
    # stay with the second.
    @wraps(method)
    def guarded(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            check(self, args, kwargs)
            return method(self, *args, **kwargs)
        except InvalidParameterError as error:
            problem = _without_key(error, self._configuration.key)
            if problem is error:
                raise
        del args, kwargs
        raise problem

    @wraps(method)
    async def guarded_async(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            check(self, args, kwargs)
            return await method(self, *args, **kwargs)
        except InvalidParameterError as error:
            problem = _without_key(error, self._configuration.key)
            if problem is error:
                raise
        del args, kwargs
        raise problem

    return cast("Method", guarded_async if iscoroutinefunction(method) else guarded)


def _without_key(error: InvalidParameterError, key: Secret) -> InvalidParameterError:
    """Return an error itself, or one without its value and its frames if it shows the key or is about it."""
    if error.value != repr(arguments.HIDDEN) and key.masked(str(error)) == str(error):
        return error
    return InvalidParameterError(error.parameter, arguments.HIDDEN, key.masked(error.allowed))


def bare(error: Exception) -> Exception:
    """Return an error without its frames and causes: tools that print local variables would show the key."""
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)
