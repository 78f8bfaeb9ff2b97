"""The models and keys of the fake's account, and the mapping between SKUs and models."""

from __future__ import annotations

import re
from decimal import Decimal

from attrs import frozen


@frozen
class Model:
    """A model on the price list: prices in USD per unit (for LLMs per million tokens)."""

    id: str
    name: str
    kind: str
    prices: dict[str, Decimal]
    """Prices by variant, as the SKU spells it ("" if there is only one thing to charge for)."""


def _llm(id: str, name: str, read: str, write: str, cached: str) -> Model:
    prices = {"input": Decimal(read), "output": Decimal(write), "cache-read": Decimal(cached)}
    return Model(id, name, "LLM", prices)


MODELS = (
    _llm("zai-org-glm-5-1", "GLM 5.1", "0.7", "2.8", "0.1375"),
    _llm("kimi-k2-6", "Kimi K2.6", "0.75", "3.2", "0.15"),
    _llm("qwen3-next-80b", "Qwen 3 Next 80B", "0.35", "1.9", "0.035"),
    _llm("deepseek-v3-2", "DeepSeek V3.2", "0.4", "1.0", "0.0625"),
    _llm("llama-3-3-70b", "Llama 3.3 70B", "0.7", "2.8", "0.07"),
    _llm("venice-uncensored", "Venice Uncensored", "0.2", "0.9", "0.0225"),
    Model("grok-imagine-image", "Grok Imagine", "IMAGE", {"": Decimal("0.1")}),
    Model("z-image-turbo", "Z-Image Turbo", "IMAGE", {"": Decimal("0.01")}),
    Model("tts-kokoro", "Kokoro", "TTS", {"chars": Decimal("0.0000035")}),
    Model("whisper-large-v3", "Whisper Large V3", "ASR", {"seconds": Decimal("0.0001")}),
)

KEYS: dict[str, str] = {
    "key_4f1c09b7d2": "Production",
    "key_9a3e55c018": 'Notebook, "scratch"',
    "key_c27d80e6af": "Nächtlicher Lauf",
}
"""Descriptions, as the account holder wrote them, by key id."""

WEB_APP = "Web App"
_BY_HABIT = re.compile(r"(?P<model>.+)-(?P<service>llm|image|tts|asr|video)(?:-(?P<variant>.+?))?(?:-mtoken|-unit)?")
_UNIT = re.compile(r"(^|-)(mtoken|unit)$")
_UNIT_TYPES = {"LLM": "tokens", "IMAGE": "images", "TTS": "chars", "ASR": "seconds", "VIDEO": "seconds"}


@frozen
class Product:
    """The product that a SKU charges for."""

    model_name: str
    model_type: str | None
    unit_type: str
    variant: str
    """The variant as analytics titles it: Input, Output, Cache Read."""


def product_of(sku: str) -> Product:
    """Parse a SKU: a known model first, else `<model-id>-<service>-<variant>`, else the whole text."""
    for model in MODELS:
        if sku.startswith(f"{model.id}-{model.kind.lower()}-"):
            rest = sku.removeprefix(f"{model.id}-{model.kind.lower()}-")
            return Product(model.name, model.kind, _UNIT_TYPES[model.kind], _title(rest))
    match = _BY_HABIT.fullmatch(sku)
    if match is None:
        return Product(sku, None, "units", "")
    kind = match["service"].upper()
    return Product(match["model"], kind, _UNIT_TYPES[kind], _title(match["variant"] or ""))


def sku_of(model: Model, variant: str) -> str:
    """Return the SKU under which a model's variant is charged."""
    parts = (model.id, model.kind.lower(), variant, "mtoken" if model.kind == "LLM" else "unit")
    return "-".join(filter(None, parts))


def _title(variant: str) -> str:
    return _UNIT.sub("", variant).replace("-", " ").title()
