"""HuggingFace's transformers: texts in, and what the model's task makes of them out."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
import transformers

from haizen_runtime.backends.columns import OUTPUT
from haizen_runtime.backends.huggingface_tasks import (
    CLASS_OF,
    FEATURE_EXTRACTION,
    FILL_MASK,
    TEXT2TEXT_GENERATION,
    TEXT_CLASSIFICATION,
    TEXT_GENERATION,
    TOKEN_CLASSIFICATION,
    choose_task,
)
from haizen_runtime.backends.texts import bytes_of, texts_of
from haizen_runtime.backends.torch_devices import choose_device
from haizen_runtime.engine.backend import Backend
from haizen_runtime.protocol.errors import InvalidInput, ModelLoadFailed, UntrustedFormat
from haizen_runtime.protocol.messages import ModelMetadata, TensorMetadata

if TYPE_CHECKING:
    from haizen_runtime.backends.loading import LoadOptions
    from haizen_runtime.engine.backend import Arrays

Array = np.ndarray[Any, Any]

INPUT: Final = "input-0"
NEW_TOKENS: Final = 64
"""How long a generated text may be where the model's generation_config.json does not say."""


class TransformersBackend(Backend):
    """A model and its tokenizer. Subclasses say what becomes of the model's answer."""

    concurrent = True

    def __init__(self, model: Any, tokenizer: Any, outputs: Sequence[TensorMetadata]) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._tokenizing = threading.Lock()  # padding and truncation are set on the tokenizer for the time of a call
        self._max_tokens = _max_tokens(model.config, tokenizer)
        self.metadata = ModelMetadata(
            platform="huggingface",
            inputs=(TensorMetadata(INPUT, "BYTES", (-1,)),),
            outputs=tuple(outputs),
            any_input_name=True,
        )

    def execute(self, inputs: Arrays, outputs: Sequence[str] | None) -> dict[str, Array]:
        """Tokenize, run, and read the answer."""
        (array,) = inputs.values()
        texts = texts_of(array).tolist()
        with torch.inference_mode():
            return self.answer(texts)

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """Outputs by name, a row for each text."""
        raise NotImplementedError

    def sample(self, rows: int) -> Arrays | None:
        """A word, over and over."""
        text = self._tokenizer.mask_token or "text"
        return {INPUT: np.full((rows,), text.encode(), dtype=object)}

    def tokens(self, texts: list[str], *, truncation: bool = True) -> Any:
        """Padded token ids and their mask, on the model's device."""
        with self._tokenizing:
            encoded = self._tokenizer(
                texts, padding=True, truncation=truncation, max_length=self._max_tokens if truncation else None,
                return_tensors="pt",
            )  # fmt: skip
        return encoded.to(self._model.device)


class TextClassifier(TransformersBackend):
    """The index of the likeliest class, or a probability for each class under its index (as KServe names them)."""

    def __init__(self, model: Any, tokenizer: Any, probabilities: bool) -> None:
        self._probabilities = probabilities
        classes = [TensorMetadata(str(index), "FP32", (-1,)) for index in range(model.config.num_labels)]
        super().__init__(model, tokenizer, classes if probabilities else [TensorMetadata(OUTPUT, "INT64", (-1,))])

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """From the logits."""
        logits = self._model(**self.tokens(texts)).logits
        if not self._probabilities:
            return {OUTPUT: logits.argmax(-1).cpu().numpy()}
        columns = torch.softmax(logits.float(), -1).T.cpu().contiguous().numpy()
        return {str(index): column for index, column in enumerate(columns)}


class TokenClassifier(TransformersBackend):
    """The index of the likeliest class of each token, padding included: [rows, 1, tokens], as KServe answers."""

    batchable = False  # the number of tokens is the longest row's: it must not depend on the company

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer, [TensorMetadata(OUTPUT, "INT64", (-1, 1, -1))])

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """From the logits."""
        return {OUTPUT: self._model(**self.tokens(texts)).logits.argmax(-1).unsqueeze(1).cpu().numpy()}


class MaskFiller(TransformersBackend):
    """The likeliest tokens for the masks of each text, as text."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer, [TensorMetadata(OUTPUT, "BYTES", (-1,))])

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """From the logits at the masks. Raises InvalidInput for a text without a mask."""
        encoded = self.tokens(texts)
        masks = encoded["input_ids"] == self._tokenizer.mask_token_id
        for text, mask in zip(texts, masks, strict=True):
            if not mask.any():
                raise InvalidInput(f'The text "{text[:80]}" has no {self._tokenizer.mask_token} within the limit.')
        logits = self._model(**encoded).logits
        filled = [self._tokenizer.decode(row[mask].argmax(-1)) for row, mask in zip(logits, masks, strict=True)]
        return {OUTPUT: bytes_of(np.array(filled, dtype=object))}


class Embedder(TransformersBackend):
    """The mean of the tokens' last hidden states, of length 1."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(model, tokenizer, [TensorMetadata(OUTPUT, "FP32", (-1, int(model.config.hidden_size)))])

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """Padding does not count."""
        encoded = self.tokens(texts)
        states = self._model(**encoded).last_hidden_state.float()
        weights = encoded["attention_mask"].unsqueeze(-1).float()
        mean = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
        return {OUTPUT: torch.nn.functional.normalize(mean, dim=1).cpu().numpy()}


class Generator(TransformersBackend):
    """The text that follows (text-generation), or that answers (text2text-generation)."""

    def __init__(self, model: Any, tokenizer: Any, follows: bool) -> None:
        self._follows = follows
        if follows:
            tokenizer.padding_side = "left"  # the new tokens come right behind the text
        settings = model.generation_config
        self._new_tokens = int(settings.max_new_tokens or NEW_TOKENS)
        settings.max_length = None  # what it counts with the prompt is counted by max_new_tokens without
        settings.pad_token_id = tokenizer.pad_token_id
        super().__init__(model, tokenizer, [TensorMetadata(OUTPUT, "BYTES", (-1,))])

    def answer(self, texts: list[str]) -> dict[str, Array]:
        """Without the prompt. Raises InvalidInput for one that leaves no room."""
        encoded = self.tokens(texts, truncation=not self._follows)
        encoded.pop("token_type_ids", None)  # encoders know them, generators do not
        if not encoded["attention_mask"].any(dim=1).all():
            raise InvalidInput("An empty text has no tokens to begin with.")
        length = encoded["input_ids"].shape[1]
        new = self._new_tokens
        if self._follows and self._max_tokens is not None and length + new > self._max_tokens:
            if len(texts) > 1:  # how much fits behind a text must not depend on the longest of its company
                return {OUTPUT: np.concatenate([self.answer([text])[OUTPUT] for text in texts])}
            new = self._max_tokens - length
            if new < 1:
                raise InvalidInput(f"The text has {length} tokens; the model takes less than {self._max_tokens}.")
        ids = self._model.generate(**encoded, max_new_tokens=new)
        if self._follows:
            ids = ids[:, length:]
        written = self._tokenizer.batch_decode(ids, skip_special_tokens=True)
        return {OUTPUT: bytes_of(np.array(written, dtype=object))}


def load(path: Path, options: LoadOptions) -> TransformersBackend:
    """Load a directory; nothing is fetched from a hub.

    Raises UntrustedFormat where weights are pickles or the model brings code and code is not allowed,
    InvalidConfiguration or ModelLoadFailed where the task cannot be told.
    """
    safe = any(path.glob("*.safetensors"))
    if not safe and not options.allow_code:
        raise UntrustedFormat(
            f"The weights in {path.name} are pickles, not safetensors. Start the runtime with --allow_code if you "
            "trust where they come from."
        )
    device = choose_device(options)
    transformers.utils.logging.disable_progress_bar()
    sources = {"local_files_only": True, "trust_remote_code": options.allow_code}
    try:
        config = transformers.AutoConfig.from_pretrained(path, **sources)
        task = choose_task(options.task, config.architectures or ())
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **sources)
        model = getattr(transformers, CLASS_OF[task]).from_pretrained(
            path,
            config=config,
            use_safetensors=safe,
            dtype=torch.float32 if device.type == "cpu" else "auto",
            **sources,
        )
    except ValueError as error:
        if "trust_remote_code" not in str(error):
            raise
        raise UntrustedFormat(
            f"The model in {path.name} brings Python code of its own. Start the runtime with --allow_code if you "
            "trust where it comes from."
        ) from error
    if tokenizer.pad_token is None:
        if tokenizer.eos_token is None:
            raise ModelLoadFailed(f"The tokenizer in {path.name} has neither a padding nor an end token.")
        tokenizer.pad_token = tokenizer.eos_token
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = tokenizer.pad_token_id  # decoders that classify look for the last real token
    return _backend(task, model.to(device).eval(), tokenizer, options)


def _backend(task: str, model: Any, tokenizer: Any, options: LoadOptions) -> TransformersBackend:
    if task == TEXT_CLASSIFICATION:
        return TextClassifier(model, tokenizer, options.return_probabilities)
    if task in (TEXT_GENERATION, TEXT2TEXT_GENERATION):
        return Generator(model, tokenizer, task == TEXT_GENERATION)
    kinds = {TOKEN_CLASSIFICATION: TokenClassifier, FILL_MASK: MaskFiller, FEATURE_EXTRACTION: Embedder}
    return kinds[task](model, tokenizer)


def _max_tokens(config: Any, tokenizer: Any) -> int | None:
    """The most tokens that model and tokenizer say they take; None where neither says."""
    limits = [getattr(config, "max_position_embeddings", None), tokenizer.model_max_length]
    known = [int(limit) for limit in limits if limit is not None and 0 < limit < 10**9]
    return min(known, default=None)
