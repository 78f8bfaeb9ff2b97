"""What the billing methods of the old SDK return: the models of this client, readable by both kinds of names."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from venice_billing._runtime.models import JsonModel
from venice_billing.models import Balance, UsageAnalytics, UsageEntry, UsagePage

if TYPE_CHECKING:
    from collections.abc import Iterable


M = TypeVar("M", bound=JsonModel)


class BillingFormatEnum(StrEnum):
    """The format of a ledger page."""

    JSON = "json"
    CSV = "csv"


class Value(Generic[M]):
    """A model whose attributes have the names of the old SDK (`totalUsd`, `USD`) and those of this client.

    Attributes:
        model: The model of this client.
    """

    __slots__ = ("model",)
    _items: ClassVar[dict[str, type[Value[Any]]]] = {}

    def __init__(self, model: M) -> None:
        self.model = model

    def __getattr__(self, name: str) -> Any:
        own = _own_name(name)
        if name.startswith("_") or own == "model" or not hasattr(self.model, own):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return _wrapped(getattr(self.model, own), self._items.get(own, Value))

    def __dir__(self) -> Iterable[str]:
        names = [name for name in dir(self.model) if not name.startswith("_")]
        return sorted({*super().__dir__(), *names, *(_old_name(name) for name in names)})

    def __eq__(self, other: object) -> bool:
        return self.model == other.model if isinstance(other, Value) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.model)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model!r})"

    def __reduce__(self) -> tuple[type[Value[M]], tuple[M]]:
        return type(self), (self.model,)

    def to_dict(self) -> dict[str, Any]:
        """Return the value as decoded JSON: numbers exact, times as text."""
        return self.model.to_dict()

    def to_json(self) -> str:
        """Return the value as JSON text, digit for digit."""
        return self.model.to_json()

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
def _own_name(name: str) -> str:
    """Return the attribute of a model for a name in the JSON: `total_usd` for `totalUsd`, `usd` for `USD`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _old_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
