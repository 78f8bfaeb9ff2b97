"""What all generated models can do besides holding their fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from venice_billing._runtime.json_text import decode_text, encode_json

if TYPE_CHECKING:
    from collections.abc import Mapping


class JsonModel:
    """A model that is read from a JSON object and written as one."""

    __slots__ = ()

    @classmethod
    def from_dict(cls, src_dict: Mapping[str, Any]) -> Self:
        """Read decoded JSON."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Return the model as decoded JSON."""
        raise NotImplementedError

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read JSON text, such as that of `to_json`.

        Raises:
            DecodeError: The text is no JSON, or a field is missing or not of its type; the error says which.
        """
        return cls.from_dict(decode_text(text))

    def to_json(self) -> str:
        """Return the model as JSON text: numbers as JSON numbers, digit for digit, unknown fields included.

        Raises:
            DecodeError: A number that was put into the model is NaN or infinite, which JSON cannot express.
        """
        return encode_json(self.to_dict())
