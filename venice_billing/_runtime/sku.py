"""Read what was sold from the text of a SKU. It is here, below the models, because `UsageEntry.model` is read so."""

from __future__ import annotations

import attrs

SERVICES = frozenset({"llm", "image", "tts", "asr", "video"})
"""What the API sells by model: the types of models in its analytics, as SKUs spell them."""

UNITS = frozenset({"mtoken", "unit"})

# Without a unit at its end, a SKU is easily misread: an image model may be called "qwen-image", and "qwen-image-fixed"
# would become an image of the model "qwen". So all words behind the service must then measure something.
_MEASURES = frozenset(
    {"input", "output", "cache", "cached", "read", "write", "extended", "reasoning", "chars", "seconds", "minutes"}
)


@attrs.frozen
class Sku:
    """What a SKU says it charges for.

    SKUs are written by habit, not by contract: `<model>-<service>`, then perhaps a variant, then `-mtoken` or `-unit`.
    Where a text does not meet the habit, nothing is guessed: the model is the whole text, and the rest is None.

    Attributes:
        model: The id of the model; the whole text of the SKU if it was not recognised.
        service: llm, image, tts, asr or video; None if the SKU was not recognised.
        variant: What of it was used, like `input`, `output` or `cache-read`; None if the SKU names nothing.
        unit: mtoken (a million tokens) or unit (one image, one second, ...); None if the SKU names none.
    """

    model: str
    service: str | None = None
    variant: str | None = None
    unit: str | None = None

    @property
    def recognised(self) -> bool:
        """Whether the SKU meets the habit, so that `model` is a model's id."""
        return self.service is not None


def split_sku(sku: str) -> Sku:
    """Split the text of a SKU into model, service, variant and unit.

    Example:
        >>> split_sku("zai-org-glm-5-1-llm-output-mtoken")
        Sku(model='zai-org-glm-5-1', service='llm', variant='output', unit='mtoken')
        >>> split_sku("grok-imagine-image-image-unit").model
        'grok-imagine-image'
        >>> split_sku("account-credit")
        Sku(model='account-credit', service=None, variant=None, unit=None)
        >>> split_sku("account-credit").recognised
        False
    """
    words = sku.split("-")
    unit = words.pop() if words[-1] in UNITS else None
    index = _service_index(words, unit)
    model, variant = "-".join(words[:index]), words[index + 1 :]
    if not model.strip("-") or "" in variant or not (unit or _measures(variant)):
        return Sku(sku)
    return Sku(model, words[index], "-".join(variant) or None, unit)


def _service_index(words: list[str], unit: str | None) -> int:
    """Return the index of the word that names the service; 0, where a model's id is missing, if there is none.

    It is the last such word, since ids of models have them too: `grok-imagine-image-image-unit`. Tokens are those of a
    language model, whatever they encode: `<model>-llm-image-input-mtoken`.
    """
    services = {"llm"} if unit == "mtoken" and "llm" in words else SERVICES
    return max((index for index, word in enumerate(words) if word in services), default=0)


def _measures(variant: list[str]) -> bool:
    return bool(variant) and _MEASURES.issuperset(variant)
