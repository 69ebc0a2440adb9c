"""What a transformers model is asked for: the tasks, their names, and which architecture is made for which. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from haizen_runtime.protocol.errors import InvalidConfiguration, ModelLoadFailed

TEXT_CLASSIFICATION: Final = "text-classification"
TOKEN_CLASSIFICATION: Final = "token-classification"  # noqa: S105  # no password
FILL_MASK: Final = "fill-mask"
FEATURE_EXTRACTION: Final = "feature-extraction"
TEXT_GENERATION: Final = "text-generation"
TEXT2TEXT_GENERATION: Final = "text2text-generation"

CLASS_OF: Final = {
    TEXT_CLASSIFICATION: "AutoModelForSequenceClassification",
    TOKEN_CLASSIFICATION: "AutoModelForTokenClassification",
    FILL_MASK: "AutoModelForMaskedLM",
    FEATURE_EXTRACTION: "AutoModel",
    TEXT_GENERATION: "AutoModelForCausalLM",
    TEXT2TEXT_GENERATION: "AutoModelForSeq2SeqLM",
}
"""Each task's class in transformers."""

KSERVE_NAMES: Final = {"sequence-classification": TEXT_CLASSIFICATION, "text-embedding": FEATURE_EXTRACTION}
"""Where KServe's name for a task is not transformers' own (apart from _ for -)."""

_ENDINGS: Final = {
    "ForSequenceClassification": TEXT_CLASSIFICATION,
    "ForTokenClassification": TOKEN_CLASSIFICATION,
    "ForMaskedLM": FILL_MASK,
    "ForCausalLM": TEXT_GENERATION,
    "LMHeadModel": TEXT_GENERATION,
    "ForConditionalGeneration": TEXT2TEXT_GENERATION,
    "MTModel": TEXT2TEXT_GENERATION,
    "EncoderDecoderModel": TEXT2TEXT_GENERATION,
    "Model": FEATURE_EXTRACTION,
}
"""Endings of architectures' names; the first that fits counts."""


def choose_task(wanted: str, architectures: Sequence[str]) -> str:
    """The task that is asked for, else the one that the first architecture is made for.

    Raises InvalidConfiguration for a task that does not exist, ModelLoadFailed where none can be told.
    """
    if wanted:
        name = wanted.lower().replace("_", "-")
        name = KSERVE_NAMES.get(name, name)
        if name not in CLASS_OF:
            raise InvalidConfiguration(f'--task="{wanted[:60]}" must be one of {", ".join(CLASS_OF)}.')
        return name
    architecture = architectures[0] if architectures else ""
    for ending, task in _ENDINGS.items():
        if architecture.endswith(ending):
            return task
    shown = architecture[:80] or "no architecture"
    raise ModelLoadFailed(f"config.json names {shown}: say what it is for with --task, one of {', '.join(CLASS_OF)}.")
