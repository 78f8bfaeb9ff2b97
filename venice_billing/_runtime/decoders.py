"""Read bodies that are exactly as documented, in compiled code: text becomes structs, and structs become models.

Decoding is most of the CPU time of a walk. `from_dict` reads all other bodies, with an unknown, a missing or a mistyped
field; only `from_dict` says what is wrong.
"""

from __future__ import annotations

import os
from decimal import Clamped, Context, InvalidOperation, Overflow, Rounded, Subnormal
from threading import RLock
from typing import TYPE_CHECKING, Annotated, Any, Protocol, Self, TypeVar

import msgspec

from venice_billing._runtime.codec import LARGEST_POWER
from venice_billing._runtime.json_text import decode_json

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Model(Protocol):
    """A class whose instances can be read from a JSON object."""

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        """Read decoded JSON."""
        ...


M = TypeVar("M", bound=Model)

Count = Annotated[int, msgspec.Meta(ge=-(2**62), le=2**62)]
"""An integer of a struct. Larger ones are left to `from_dict`, so that no integer has to be checked again."""

# Keeps every digit of a number of a sane size, and refuses others: then `from_dict` decides.
_SANE = Context(prec=31, Emax=LARGEST_POWER, Emin=-70, traps=[Clamped, InvalidOperation, Overflow, Rounded, Subnormal])
# msgspec publishes what it knows about a type before that is complete: if another thread makes or uses a decoder
# meanwhile, the process crashes.
_making = RLock()
if hasattr(os, "register_at_fork"):  # else a child could find the lock held by a thread that it does not have
    os.register_at_fork(before=_making.acquire, after_in_parent=_making.release, after_in_child=_making.release)


class Decoders:
    """The decoders of the models of one package, each made on first use.

    Args:
        readers: For each model, the struct that a body is decoded to, and the function that makes the model of it.
    """

    def __init__(self, readers: Mapping[type, tuple[Any, Callable[[Any], Any]]]) -> None:
        self._readers = readers
        self._made: dict[type, tuple[Callable[[bytes], Any], Callable[[Any], Any]]] = {}

    def read_body(self, model: type[M], content: bytes) -> M:
        """Return the model in a body.

        Raises:
            DecodeError: The body is no JSON, or a field is missing or not of its type; the error says which.
        """
        plain = self.read_plain(model, content)
        return model.from_dict(decode_json(content)) if plain is None else plain

    def read_plain(self, model: type[M], content: bytes) -> M | None:
        """Return the model in a body, or None if the body is not exactly as documented."""
        if model not in self._readers:
            return None
        decode, read = self._decoder(model)
        try:
            found: M = read(decode(content))
        except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError):
            return None
        return found

    def _decoder(self, model: type) -> tuple[Callable[[bytes], Any], Callable[[Any], Any]]:
        if model not in self._made:
            with _making:
                if model not in self._made:
                    shape, read = self._readers[model]
                    self._made[model] = msgspec.json.Decoder(shape, float_hook=_SANE.create_decimal).decode, read
        return self._made[model]


def draft_of(model: type) -> Any:
    """Return a class whose instances are filled field by field, and then become the model by setting `__class__`.

    Both have the same bases and slots, so Python allows that. The constructor of a frozen class calls a function for
    each field, which would double the time that reading a page takes.
    """
    return type(f"{model.__name__}Draft", model.__bases__, {"__slots__": tuple(vars(model)["__slots__"])})
