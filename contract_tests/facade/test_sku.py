"""A SKU written as Venice usually writes them names model, service, variant and unit; any other is a model's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

import venice_billing
from contract_tests.support.flavours import NOW
from contract_tests.support.paths import CONTRACT, ROOT
from venice_billing import Sku, UsageEntry
from venice_billing.sku import split_sku
from venice_billing.testing import FakeVenice
from venice_billing.testing._catalogue import MODELS, sku_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

DOCUMENTS = ROOT.parent / "shared" / "specs"
SERVICES = ("llm", "image", "tts", "asr", "video")
WORD = st.text("abcxyz0123456789._", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zai-org-glm-5-1-llm-output-mtoken", ("zai-org-glm-5-1", "llm", "output", "mtoken")),
        ("kimi-k2-6-llm-cache-read-mtoken", ("kimi-k2-6", "llm", "cache-read", "mtoken")),
        ("some-model-llm-cache-write-5m-mtoken", ("some-model", "llm", "cache-write-5m", "mtoken")),
        ("some-model-llm-mtoken", ("some-model", "llm", None, "mtoken")),
        ("some-model-llm-output", ("some-model", "llm", "output", None)),
        ("some-model-llm-image-input-mtoken", ("some-model", "llm", "image-input", "mtoken")),
        ("grok-imagine-image-image-unit", ("grok-imagine-image", "image", None, "unit")),
        ("z-image-turbo-image-unit", ("z-image-turbo", "image", None, "unit")),
        ("z-image-turbo-image-2k-unit", ("z-image-turbo", "image", "2k", "unit")),
        ("tts-kokoro-tts-chars-unit", ("tts-kokoro", "tts", "chars", "unit")),
        ("whisper-large-v3-asr-seconds", ("whisper-large-v3", "asr", "seconds", None)),
        ("some-image-to-video-video-5s-unit", ("some-image-to-video", "video", "5s", "unit")),
    ],
)
def test_habit_is_read(text: str, expected: tuple[str | None, ...]) -> None:
    assert attrs.astuple(split_sku(text)) == expected
    assert split_sku(text).recognised


@pytest.mark.parametrize(
    "text",
    [
        "account-credit",
        "web-search-unit",
        "some-image-fixed-1K-1img",  # an image model's own name, with no unit to say so
        "some-model-text-to-video-duration-rate-720p",
        "some-model-image",
        "some-llm-7b",
        "llm-output-mtoken",
        "-llm-output-mtoken",
        "some-model-llm--mtoken",
        "some-model-LLM-output-mtoken",
        "some model",
        "llm",
        "unit",
        "-",
        "--image-unit",
        "",
        "\n-\x00",
    ],
)
def test_other_texts_are_their_own_model(text: str) -> None:
    assert split_sku(text) == Sku(text)
    assert not split_sku(text).recognised


@given(
    st.lists(WORD, min_size=1, max_size=4).map("-".join),
    st.sampled_from(SERVICES),
    st.lists(WORD.filter(lambda word: word not in {*SERVICES, "unit", "mtoken"}), max_size=3).map("-".join),
)
@example("llama-3.3-70b", "llm", "input")
def test_written_by_habit_is_read_back(model: str, service: str, variant: str) -> None:
    unit = "mtoken" if service == "llm" else "unit"
    text = "-".join(filter(None, (model, service, variant, unit)))
    assert split_sku(text) == Sku(model, service, variant or None, unit)


@given(st.text() | st.lists(st.sampled_from(["a", "", *SERVICES, "mtoken", "unit", "input"])).map("-".join))
def test_every_text_is_kept_whole(text: str) -> None:
    """No part of a SKU is lost or made up, whatever the service sends."""
    sku = split_sku(text)
    assert "-".join(part for part in attrs.astuple(sku) if part is not None) == text
    assert sku.recognised == (sku.service in SERVICES)


def test_every_sku_of_the_fake_names_its_model() -> None:
    for model in MODELS:
        for variant in model.prices:
            sku = split_sku(sku_of(model, variant))
            assert (sku.model, sku.service, sku.variant) == (model.id, model.kind.lower(), variant or None)
    skus = {entry.sku for entry in FakeVenice(5_000, now=NOW).client().iter_usage_history()}
    unrecognised = {sku for sku in skus if not split_sku(sku).recognised}
    assert unrecognised == {"account-credit", "web-search-unit"}
    assert {split_sku(sku).model for sku in skus - unrecognised} == {model.id for model in MODELS}


def skus_in(value: Any) -> Iterator[str]:
    """Yield the text of each `sku` in the examples of a document."""
    if isinstance(value, dict):
        for name, item in value.items():
            if name == "sku" and isinstance(item, str):
                yield item
            yield from skus_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from skus_in(item)


@pytest.mark.parametrize(
    "document",
    [CONTRACT, *(sorted(DOCUMENTS.glob("*.yaml")) or [DOCUMENTS])],
    ids=lambda path: path.name,
)
def test_every_sku_of_the_documents_is_recognised(document: Path) -> None:
    if document == DOCUMENTS:
        pytest.skip("the published documents are not beside this checkout")
    skus = set(skus_in(yaml.load(document.read_text("utf-8"), yaml.CSafeLoader)))
    assert skus
    for text in skus:
        sku = split_sku(text)
        assert sku.recognised
        assert text.startswith(f"{sku.model}-{sku.service}-")
        assert f"-{sku.service}-" not in text.removeprefix(f"{sku.model}-{sku.service}")


def test_an_entry_names_its_model_and_service() -> None:
    rows = [{"sku": "kimi-k2-6-llm-output-mtoken"}, {"sku": "account-credit"}]
    entries = [UsageEntry.from_dict({**WIRE, **row}) for row in rows]
    assert [(entry.model, entry.service) for entry in entries] == [("kimi-k2-6", "llm"), ("account-credit", None)]


def test_model_and_service_are_no_fields_of_the_entry() -> None:
    """What is read from the SKU is not sent, compared or copied beside it."""
    entry = UsageEntry.from_dict(WIRE)
    assert {"model", "service"}.isdisjoint(entry.to_dict())
    assert {"model", "service"}.isdisjoint(field.name for field in attrs.fields(UsageEntry))
    with pytest.raises(AttributeError):
        entry.model = "other"  # type: ignore[misc]


def test_a_field_called_model_on_the_wire_is_kept_as_sent() -> None:
    entry = UsageEntry.from_dict({**WIRE, "model": "as-sent"})
    assert (entry.additional_properties, entry.to_dict()["model"]) == ({"model": "as-sent"}, "as-sent")


def test_sku_is_reached_from_the_package() -> None:
    assert venice_billing.sku.split_sku is split_sku
    assert venice_billing.Sku is Sku


WIRE: dict[str, Any] = {
    "timestamp": "2026-10-01T00:00:00.000Z",
    "sku": "some-model-image-unit",
    "pricePerUnitUsd": 1,
    "units": 1,
    "amount": -1,
    "currency": "USD",
    "notes": "",
    "inferenceDetails": None,
}
