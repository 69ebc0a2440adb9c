"""Transformers' models, made on the spot, answer what transformers answers, in the form that KServe's server gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from haizen_runtime.backends.huggingface_tasks import choose_task
from haizen_runtime.backends.loading import LoadOptions, load_backend
from haizen_runtime.engine.batches import run_batch
from haizen_runtime.protocol.errors import InvalidConfiguration, InvalidInput, ModelLoadFailed, UntrustedFormat
from haizen_runtime.protocol.messages import InferenceRequest, Tensor
from tests.frameworks.conftest import IMPORT_SECONDS

CPU = LoadOptions(device="cpu")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
"""Padded batches sum in another order."""
WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[END]",
    "the", "film", "was", "good", "bad", "fine", "nice", "awful", "and", "long",
]  # fmt: skip
TEXTS = ["the film was good", "bad", "the film was awful and long and bad"]


def tokenizer(**special: str) -> Any:
    words = Tokenizer(models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if "cls_token" in special:
        words.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="[UNK]", model_max_length=16, **special
    )


ENCODER = {
    "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]",
}  # fmt: skip


def bert(kind: str, directory: Path) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(WORDS), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=16, num_labels=3, initializer_range=1.0,
    )  # fmt: skip
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(directory)
    tokenizer(**ENCODER).save_pretrained(directory)
    return model


def gpt2(directory: Path, **settings: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, n_positions=16, bos_token_id=5, eos_token_id=5,
        initializer_range=1.0,
    )  # fmt: skip
    model = transformers.GPT2LMHeadModel(config).eval()
    model.generation_config.max_new_tokens = 4
    model.generation_config.update(**settings)
    model.save_pretrained(directory)
    tokenizer(eos_token="[END]").save_pretrained(directory)
    return model


def encoded(texts: list[str]) -> Any:
    return tokenizer(**ENCODER)(texts, padding=True, return_tensors="pt")


def ask(backend: Any, texts: list[str], name: str = "text") -> dict[str, Any]:
    answer: dict[str, Any] = backend.execute({name: np.array([text.encode() for text in texts], object)}, None)
    return answer


def test_text_classification(tmp_path: Path) -> None:
    model = bert("BertForSequenceClassification", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    assert [(t.datatype, t.shape) for t in backend.metadata.inputs] == [("BYTES", (-1,))]
    with torch.inference_mode():
        logits = model(**encoded(TEXTS)).logits
    assert ask(backend, TEXTS)["output-0"].tolist() == logits.argmax(1).tolist()


def test_text_classification_with_probabilities(tmp_path: Path) -> None:
    model = bert("BertForSequenceClassification", tmp_path)
    backend = load_backend(tmp_path, None, LoadOptions(device="cpu", return_probabilities=True))
    assert [t.name for t in backend.metadata.outputs] == ["0", "1", "2"]
    with torch.inference_mode():
        expected = torch.softmax(model(**encoded(TEXTS)).logits, 1).numpy()
    answer = ask(backend, TEXTS)
    np.testing.assert_allclose(np.stack([answer["0"], answer["1"], answer["2"]], 1), expected, **TOLERANCE)


def test_token_classification(tmp_path: Path) -> None:
    model = bert("BertForTokenClassification", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    with torch.inference_mode():
        expected = model(**encoded(TEXTS)).logits.argmax(2).tolist()
    assert ask(backend, TEXTS)["output-0"].tolist() == [[row] for row in expected]
    assert not backend.batchable


def test_fill_mask(tmp_path: Path) -> None:
    model = bert("BertForMaskedLM", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    texts = ["the film was [MASK]", "[MASK] film was [MASK] and long"]
    with torch.inference_mode():
        likeliest = model(**encoded(texts)).logits.argmax(2)
    expected = [
        " ".join(WORDS[token] for token in likeliest[row, places]) for row, places in ((0, [4]), (1, [1, 4]))
    ]  # fmt: skip
    assert [text.decode() for text in ask(backend, texts)["output-0"]] == expected
    with pytest.raises(InvalidInput, match=r"has no \[MASK\]"):
        ask(backend, ["the film was good"])


def test_embeddings(tmp_path: Path) -> None:
    model = bert("BertModel", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    assert backend.metadata.outputs[0].shape == (-1, 16)
    alone = []
    for text in TEXTS:
        with torch.inference_mode():
            mean = model(**encoded([text])).last_hidden_state.mean(1)
        alone.append((mean / mean.norm()).numpy()[0])
    np.testing.assert_allclose(ask(backend, TEXTS)["output-0"], np.stack(alone), **TOLERANCE)


def test_text_generation(tmp_path: Path) -> None:
    model = gpt2(tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    answers = [text.decode() for text in ask(backend, TEXTS)["output-0"]]
    words = tokenizer(eos_token="[END]")
    for text, answer in zip(TEXTS, answers, strict=True):
        ids = words(text, return_tensors="pt")
        with torch.inference_mode():
            whole = model.generate(**ids, max_new_tokens=4, pad_token_id=5, do_sample=False)
        assert answer == words.decode(whole[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    assert any(answers)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(" ".join(["film"] * 16), "has 16 tokens; the model takes less than 16", id="too-long"),
        pytest.param("", "An empty text", id="empty"),
    ],
)
def test_generation_refuses_what_it_cannot_continue(tmp_path: Path, text: str, says: str) -> None:
    gpt2(tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    with pytest.raises(InvalidInput, match=says):
        ask(backend, [text])
    with pytest.raises(InvalidInput, match=says):
        ask(backend, ["the film", text])


def test_a_text_that_leaves_little_room_is_continued_as_far_as_it_goes_in_any_company(tmp_path: Path) -> None:
    gpt2(tmp_path, eos_token_id=None)
    backend = load_backend(tmp_path, None, CPU)
    texts = [" ".join(["film"] * 14), "the film"]
    together = ask(backend, texts)["output-0"].tolist()
    assert together == [ask(backend, [text])["output-0"][0] for text in texts]


def test_merges_requests_and_one_bad_text_fails_alone(tmp_path: Path) -> None:
    bert("BertForMaskedLM", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    assert backend.batchable
    texts = ["the film was [MASK]", "no mask here", "[MASK]"]
    requests = [
        InferenceRequest("m", [Tensor("text", "BYTES", (1,), np.array([text.encode()], object))]) for text in texts
    ]
    good, bad, other = run_batch(backend, requests, "1")
    assert isinstance(bad, InvalidInput)
    for answer, text in ((good, texts[0]), (other, texts[2])):
        assert not isinstance(answer, Exception)
        assert answer.outputs[0].data.tolist() == ask(backend, [text])["output-0"].tolist()


def test_long_texts_are_cut_and_bytes_must_be_text(tmp_path: Path) -> None:
    bert("BertModel", tmp_path)
    backend = load_backend(tmp_path, None, CPU)
    cut, fitting = ask(backend, [" ".join(["film"] * 50), " ".join(["film"] * 14)])["output-0"]
    np.testing.assert_allclose(cut, fitting, **TOLERANCE)
    with pytest.raises(InvalidInput, match="not UTF-8 text"):
        backend.execute({"text": np.array([b"\xff"], object)}, None)


@pytest.mark.parametrize(
    ("wanted", "architecture", "expected"),
    [
        pytest.param("", "BertForSequenceClassification", "text-classification", id="classifier"),
        pytest.param("", "DistilBertForTokenClassification", "token-classification", id="tokens"),
        pytest.param("", "RobertaForMaskedLM", "fill-mask", id="mask"),
        pytest.param("", "MPNetModel", "feature-extraction", id="encoder"),
        pytest.param("", "LlamaForCausalLM", "text-generation", id="decoder"),
        pytest.param("", "GPT2LMHeadModel", "text-generation", id="gpt2"),
        pytest.param("", "T5ForConditionalGeneration", "text2text-generation", id="t5"),
        pytest.param("", "MarianMTModel", "text2text-generation", id="translation"),
        pytest.param("sequence_classification", "BertModel", "text-classification", id="kserve-name"),
        pytest.param("text_embedding", "BertForMaskedLM", "feature-extraction", id="kserve-embedding"),
        pytest.param("Fill-Mask", "BertModel", "fill-mask", id="own-name"),
    ],
)
def test_the_task_is_the_settings_or_the_architectures(wanted: str, architecture: str, expected: str) -> None:
    assert choose_task(wanted, [architecture]) == expected


def test_a_task_that_cannot_be_told_or_does_not_exist() -> None:
    with pytest.raises(ModelLoadFailed, match="--task, one of text-classification"):
        choose_task("", ["BertForQuestionAnswering"])
    with pytest.raises(ModelLoadFailed, match="names no architecture"):
        choose_task("", [])
    with pytest.raises(InvalidConfiguration, match='--task="translate" must be one of'):
        choose_task("translate", ["T5ForConditionalGeneration"])


CODE = """
import pathlib, transformers
pathlib.Path(__file__).with_name("ran").touch()
pathlib.Path({marker!r}).touch()

class OwnConfig(transformers.BertConfig):
    model_type = "own"
"""


def test_code_of_the_models_own_needs_permission(tmp_path: Path) -> None:
    models_dir, marker = tmp_path / "model", tmp_path / "marker"
    bert("BertModel", models_dir)
    config = json.loads((models_dir / "config.json").read_text())
    config.update(model_type="own", auto_map={"AutoConfig": "own.OwnConfig"})
    (models_dir / "config.json").write_text(json.dumps(config))
    (models_dir / "own.py").write_text(CODE.format(marker=str(marker)))
    with pytest.raises(UntrustedFormat, match="--allow_code"):
        load_backend(models_dir, None, CPU)
    assert not marker.exists()


def test_pickled_weights_need_permission(tmp_path: Path) -> None:
    model = bert("BertForSequenceClassification", tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UntrustedFormat, match="not safetensors"):
        load_backend(tmp_path, None, CPU)
    backend = load_backend(tmp_path, None, LoadOptions(device="cpu", allow_code=True))
    with torch.inference_mode():
        expected = model(**encoded(TEXTS)).logits.argmax(1).tolist()
    assert ask(backend, TEXTS)["output-0"].tolist() == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        pytest.param("model.safetensors", b"nonsense", id="weights"),
        pytest.param("config.json", b"{", id="config"),
        pytest.param("config.json", b"{}", id="empty-config"),
        pytest.param("tokenizer.json", b"[]", id="tokenizer"),
    ],
)
def test_a_broken_file_is_a_clear_error(tmp_path: Path, name: str, content: bytes) -> None:
    bert("BertForMaskedLM", tmp_path)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelLoadFailed, match="cannot be loaded as huggingface"):
        load_backend(tmp_path, None, CPU)


def test_through_a_process(tmp_path: Path, start_runtime: Callable[..., Any]) -> None:
    model = bert("BertForSequenceClassification", tmp_path)
    with torch.inference_mode():
        expected = torch.softmax(model(**encoded(TEXTS)).logits, 1)
    runtime = start_runtime(
        "--model_name=reviews", f"--model_dir={tmp_path}", "--task=sequence_classification", "--return_probabilities",
        "--device=cpu",
    )  # fmt: skip
    runtime.wait_ready(IMPORT_SECONDS)
    v1 = httpx.post(runtime.url + "/v1/models/reviews:predict", json={"instances": TEXTS}, timeout=60).json()
    for row, probabilities in zip(v1["predictions"], expected.tolist(), strict=True):
        np.testing.assert_allclose([row["0"], row["1"], row["2"]], probabilities, **TOLERANCE)
    tensor = {"name": "input-0", "datatype": "BYTES", "shape": [3], "data": TEXTS}
    v2 = httpx.post(runtime.url + "/v2/models/reviews/infer", json={"inputs": [tensor]}, timeout=60).json()
    np.testing.assert_allclose(v2["outputs"][1]["data"], expected[:, 1], **TOLERANCE)
    wrong = {**tensor, "datatype": "FP32", "data": [1, 2, 3]}
    answer = httpx.post(runtime.url + "/v2/models/reviews/infer", json={"inputs": [wrong]})
    assert answer.status_code == 400, answer.text
