"""What the billing methods of the old SDK return: the models of this client, readable by both kinds of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import attrs

from venice_billing._runtime.models import JsonModel
from venice_billing.models import Balance, UsageAnalytics, UsageEntry, UsageHistoryPage, UsagePage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

M = TypeVar("M", bound=JsonModel)
_UNKNOWN = "additional_properties"


class BillingFormatEnum(StrEnum):
    """The format of a ledger page."""

    JSON = "json"
    CSV = "csv"


class Value(Mapping[str, Any], Generic[M]):
    """A model whose values have the names of the old SDK (`totalUsd`, `USD`) and those of this client.

    They are attributes, as in the SDK's models, and items, as in the dicts of its first version: `usage.data` and
    `usage["data"]`. Fields that the contract does not name are among them.

    Attributes:
        wrapped: The model of this client.
    """

    __slots__ = ("_read", "wrapped")
    _items: ClassVar[dict[str, type[Value[Any]]]] = {}

    def __init__(self, model: M) -> None:
        self.wrapped = model
        self._read: dict[str, Any] = {}  # a list must be the same each time, since a program may sort it

    def __getitem__(self, name: str) -> Any:
        """Return a value by the old name or that of this client."""
        unknown: Mapping[str, Any] = getattr(self.wrapped, _UNKNOWN, {})
        if name in unknown:
            return unknown[name]
        own = _own_name(name)
        if own not in self._fields:
            raise KeyError(name)
        if own not in self._read:
            self._read.setdefault(own, _wrapped(getattr(self.wrapped, own), self._items.get(own, Value)))
        return self._read[own]

    @property
    def _fields(self) -> frozenset[str]:
        kind: Any = type(self.wrapped)
        return _fields_of(kind)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and name not in Value.__slots__:
            if name in self:
                return self[name]
            if hasattr(self.wrapped, name):
                return getattr(self.wrapped, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names in the JSON."""
        return iter(self.wrapped.to_dict())

    def __len__(self) -> int:
        return len(self.wrapped.to_dict())

    def __bool__(self) -> bool:
        return True

    def __dir__(self) -> Iterable[str]:
        names = [name for name in dir(self.wrapped) if not name.startswith(("_", "from_"))]
        return sorted({*super().__dir__(), *names, *map(_old_name, self._fields)})

    def __eq__(self, other: object) -> bool:
        return self.wrapped == other.wrapped if isinstance(other, Value) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.wrapped)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.wrapped!r})"

    def __reduce__(self) -> tuple[type[Value[M]], tuple[M], tuple[None, dict[str, Any]]]:
        return type(self), (self.wrapped,), (None, {"_read": self._read})

    def to_dict(self) -> dict[str, Any]:
        """Return the value as decoded JSON: numbers exact, times as text."""
        return self.wrapped.to_dict()

    def to_json(self) -> str:
        """Return the value as JSON text, digit for digit."""
        return self.wrapped.to_json()

    def model_dump(self) -> dict[str, Any]:
        """Return the value as decoded JSON, under the name that pydantic's models have for it."""
        return self.to_dict()

    def model_dump_json(self) -> str:
        """Return the value as JSON text, under the name that pydantic's models have for it."""
        return self.to_json()


class BillingUsageEntry(Value[UsageEntry]):
    """A charge: `amount` is negative for a debit, `inferenceDetails` is None where no request caused it."""

    __slots__ = ()


class BillingUsageResponse(Value[UsagePage]):
    """A page of the ledger: `data`, and `pagination` with `page`, `limit`, `total` and `totalPages`."""

    __slots__ = ()
    _items: ClassVar[dict[str, type[Value[Any]]]] = {"data": BillingUsageEntry}


class BillingUsageHistoryResponse(Value[UsageHistoryPage]):
    """A page of the history: `data`, oldest first, and `nextCursor`, which is None on the last page."""

    __slots__ = ()
    _items: ClassVar[dict[str, type[Value[Any]]]] = {"data": BillingUsageEntry}


class BillingBalanceResponse(Value[Balance]):
    """The balance: `canConsume`, `balances.usd`, `balances.diem`."""

    __slots__ = ()


class UsageAnalyticsResponse(Value[UsageAnalytics]):
    """The spend of some days: `byDate`, `byModel`, `byKey`, `byModelDaily`, `topModels` and so on."""

    __slots__ = ()


def _wrapped(value: Any, kind: type[Value[Any]]) -> Any:
    if isinstance(value, list):
        return [_wrapped(item, kind) for item in value]
    return kind(value) if isinstance(value, JsonModel) else value


@cache
def _fields_of(model: Any) -> frozenset[str]:
    """Return the names of a model's fields."""
    return frozenset(field.name for field in attrs.fields(model))


@cache
def _own_name(name: str) -> str:
    """Return the attribute of a model for a name in the JSON: `total_usd` for `totalUsd`, `usd` for `USD`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _old_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
