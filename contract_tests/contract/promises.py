"""Tests that are promises of the client. They run under pytest, one for each choice of their parameters.

`scripts/mutants.py` runs the same tests without pytest, once for every mutation of the contract. So they take their
parameters from here, not from `pytest.mark.parametrize`, and note what is broken instead of asserting it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import field, frozen

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from contract.model import Contract
    from contract_tests.contract.context import Context
    from contract_tests.contract.harness import Call

Test = TypeVar("Test", bound=Callable[..., None])
Choices = Sequence[Any] | Callable[["Contract", Any], Sequence[Any]]
"""The values of a parameter, or what gives them for one contract and one call."""


@frozen
class Check:
    """A test with one choice of its parameters."""

    test: Callable[..., None]
    call: Call | None
    """The call whose `case` the test takes; a test without one takes the `context`."""
    choices: Mapping[str, Any]

    @property
    def id(self) -> str:
        """Return the part of the test id in brackets."""
        names = [getattr(each, "__name__", str(each)).strip("_") for each in self.choices.values()]
        return "-".join([*([self.call.name] if self.call else []), *names])

    @property
    def name(self) -> str:
        """Return the name that pytest gives it."""
        return f"{self.test.__name__}[{self.id}]"

    @property
    def path(self) -> str:
        """Return the path it is about; empty if it is about several."""
        return self.call.path if self.call else ""

    def run(self, context: Context) -> None:
        """Run the test without pytest."""
        if self.call is None:
            self.test(context, **self.choices)
            return
        case = context.case(self.call)
        if case is not None:
            self.test(case, **self.choices)


@frozen
class Promise:
    """A test and the values of its parameters."""

    test: Callable[..., None]
    calls: Sequence[Call | None]
    choices: Mapping[str, Choices] = field(repr=False)

    def checks(self, contract: Contract) -> Iterator[Check]:
        """Yield the test with every choice of its parameters under a contract."""
        for call in self.calls:
            values = [each if isinstance(each, Sequence) else each(contract, call) for each in self.choices.values()]
            for chosen in product(*values):
                yield Check(self.test, call, dict(zip(self.choices, chosen, strict=True)))


PROMISES: list[Promise] = []


def promise(*, calls: Sequence[Call | None] = (None,), **choices: Choices) -> Callable[[Test], Test]:
    """Register a test as a promise, with the calls it concerns and the values of its other parameters."""

    def register(test: Test) -> Test:
        PROMISES.append(Promise(test, calls, choices))
        return test

    return register


def promise_of(test: object) -> Promise | None:
    """Return the promise that a test function is."""
    return next((each for each in PROMISES if each.test is test), None)
