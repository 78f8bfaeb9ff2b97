"""Types that generated code shares: UNSET for a parameter that is not given, the unknown fields, and a response."""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar, final

import attrs


@final
class Unset:
    """The type of UNSET, the value of a query parameter that is not given; a singleton, also after pickling."""

    __slots__ = ()

    def __bool__(self) -> Literal[False]:
        return False

    def __repr__(self) -> str:
        return "UNSET"

    def __reduce__(self) -> str:
        return "UNSET"


UNSET = Unset()


def _refuse(*_: Any, **__: Any) -> Any:
    raise TypeError("models are frozen; give other additional_properties to attrs.evolve")


@final
class _Nothing(dict[str, Any]):
    """An empty dict that stays empty, so that all objects without unknown fields can share it."""

    __slots__ = ()

    __setitem__: Any = _refuse
    __ior__: Any = _refuse
    setdefault: Any = _refuse
    update: Any = _refuse

    def __reduce__(self) -> str:
        return "NOTHING"


NOTHING: dict[str, Any] = _Nothing()
NO_NAMES: frozenset[str] = frozenset()

T = TypeVar("T")


@attrs.frozen
class Response(Generic[T]):
    """An answer of the API: its status (any integer), headers and body, and the value read from the body."""

    status_code: int
    content: bytes
    headers: Mapping[str, str]
    parsed: T | None


__all__ = ["NOTHING", "NO_NAMES", "UNSET", "Response", "Unset"]
