"""What the suite finds: promises the client breaks, and what of the contract was exercised."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from attrs import Factory, define, frozen

if TYPE_CHECKING:
    from collections.abc import Iterable

Element = tuple[str, ...]
"""One thing a contract names: operation, place, name."""


@frozen(order=True)
class BrokenPromise:
    """A promise of the contract that the client does not keep, in one line."""

    operation: str
    location: str
    instead: str
    """What the client does instead."""

    def __str__(self) -> str:
        return f"{self.operation}  {self.location}  {self.instead}"


@define
class Findings:
    """Collects broken promises, one per place, and the elements that were exercised."""

    broken: dict[tuple[str, str], BrokenPromise] = Factory(dict)
    exercised: set[Element] = Factory(set)
    noted: list[BrokenPromise] = Factory(list)
    """All that the test under way has found, also where another has found it before."""

    def breaks(self, operation: str, location: str, instead: str) -> None:
        """Note a broken promise; of several at one place, the first is kept."""
        broken = BrokenPromise(operation, general(location), one_line(instead))
        self.broken.setdefault((operation, broken.location), broken)
        self.noted.append(broken)

    def exercises(self, *element: str) -> None:
        """Note that an element of the contract was put to the test."""
        self.exercised.add(element)

    def mentions(self, operation: str, location: str) -> bool:
        """Tell whether something is known to be broken at a place, around it or within it."""
        return any(
            known == operation and (there.startswith(location) or location.startswith(there))
            for known, there in self.broken
        )


def general(location: str) -> str:
    """Return a location without the numbers of list items."""
    return re.sub(r"\[\d+\]", "[]", location)


def one_line(text: str, limit: int = 200) -> str:
    """Return a text as one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def sorted_lines(broken: Iterable[BrokenPromise]) -> list[str]:
    """Return one line per broken promise."""
    return [str(each) for each in sorted(set(broken))]
