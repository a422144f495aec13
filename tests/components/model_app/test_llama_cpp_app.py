"""A GGUF made from a tiny random model answers as the model itself does."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
import transformers
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from furrow.components.errors import FurrowError, RequestError
from furrow.components.exporter import ExportRequest
from furrow.components.generation import GenerationConfig
from furrow.components.model_app import CutOff
from furrow.components.model_app.llama_cpp.app import LlamaCppApp, free_cores
from furrow.components.model_app.llama_cpp.component import COMPONENT, LlamaCppConfig
from furrow.components.model_app.llama_cpp.find_gguf import find_gguf
from furrow.components.model_app.llama_cpp.model import LlamaModel
from furrow.components.models.folder import ModelFolder
from furrow.components.models.served import Served
from furrow.components.registry import factory, find

CUTS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
LONG_WORD = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerk"  # one token of 54 bytes
CORPUS = [f"Sow leeks in March. {LONG_WORD} Привет, мир! 你好 🌱🥕 žlutý"] * 50
SPECIAL = ["<s>", "</s>", "<|user|>", "<|end|>"]


class Template:
    stop_sequences = ()

    def prompt(self, messages):
        return "".join(f"<|user|>{message['content']}<|end|>" for message in messages)

    def jinja(self):
        return "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}"

    def end_of_turn(self):
        return "<|end|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A random Llama whose tokenizer puts BOS first."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CUTS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=396, initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", add_bos_token=True
    )
    fast.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(fast), hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=128, tie_word_embeddings=False,
        bos_token_id=fast.bos_token_id, eos_token_id=fast.eos_token_id,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(config)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape) * 1.5 / parameter.shape[-1] ** 0.5 + (parameter.dim() == 1)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def served(folder, tmp_path_factory):
    """The model with its f32 GGUF among its exports."""
    exports = tmp_path_factory.mktemp("exports")
    component = find("exporter", "gguf")
    request = ExportRequest(
        source=ModelFolder(folder, "weights"),
        destination=exports / "tiny.gguf",
        template=Template(),
        generation=GenerationConfig(),
        model_name="tiny",
        probe_prompts=("<|user|>leeks?<|end|>", "Привет 你好 🌱"),
    )
    factory(component)(component.config(quantization="f32")).export(request, lambda event: None)
    return Served(model=request.source, exports=exports, model_name="tiny", device="cpu")


@pytest.fixture(scope="module")
def app(served):
    return LlamaCppApp(LlamaCppConfig(threads=1), served)


@pytest.fixture(scope="module")
def reference(folder):
    return transformers.AutoModelForCausalLM.from_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder)


def by_transformers(reference, prompt, new, **settings):
    model, tokenizer = reference
    ids = tokenizer(prompt, return_tensors="pt").input_ids
    ends = tokenizer.convert_tokens_to_ids(["</s>", "<|end|>"])
    settings |= {"max_new_tokens": new, "do_sample": False, "eos_token_id": ends, "pad_token_id": ends[0]}
    out = model.generate(ids, attention_mask=torch.ones_like(ids), **settings)
    return out[0, ids.shape[1] :].tolist()


def decoded(reference, ids):
    """The bytes of the tokens as text, found without llama.cpp; special tokens left out."""
    _, tokenizer = reference
    byte_of = {character: byte for byte, character in gguf_bytes().items()}
    names = [name for name in tokenizer.convert_ids_to_tokens(ids) if name not in SPECIAL]
    return bytes(byte_of[character] for name in names for character in name).decode(errors="replace")


def gguf_bytes():
    """GPT-2's table byte -> character, from transformers."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return bytes_to_unicode()


PROMPTS = ["<|user|>When do I sow leeks?<|end|>", "Привет", f"{LONG_WORD} 🌱", "a"]


@pytest.mark.parametrize("prompt", PROMPTS)
@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_greedy_answers_are_those_of_transformers(app, reference, prompt, penalty):
    expected = by_transformers(reference, prompt, 40, repetition_penalty=penalty)
    generation = GenerationConfig(max_new_tokens=40, repetition_penalty=penalty)
    assert "".join(app.answer(prompt, generation, [])) == decoded(reference, expected)


def test_bos_comes_first_once_whether_the_prompt_brings_it_or_not(served, reference):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    expected = reference[1]("leeks").input_ids
    assert expected[0] == reference[1].bos_token_id
    assert model.tokenize("leeks") == expected == model.tokenize("<s>leeks")


@pytest.mark.parametrize("text", [LONG_WORD, "🌱🥕 žlutý", "a\nb\n\n  c\t1234567", "<|user|>x<|end|>", ""])
def test_tokens_are_those_of_the_tokenizer_and_their_bytes_the_text(served, reference, text):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    ids = model.tokenize(text)
    assert ids == reference[1](text).input_ids
    plain = text.replace("<|user|>", "").replace("<|end|>", "")
    assert b"".join(map(model.piece, ids)).decode() == plain


def test_a_token_of_more_than_32_bytes_keeps_them_all(served, reference):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    [longest] = [token for token in range(model.vocabulary_size) if len(model.piece(token)) > 32][:1]
    assert model.piece(longest).decode() in LONG_WORD


def test_an_answer_has_as_many_tokens_as_allowed_and_no_more(app, reference):
    answers = ["".join(app.answer("a", GenerationConfig(max_new_tokens=new), [])) for new in (1, 5, 20)]
    assert answers == [decoded(reference, by_transformers(reference, "a", new)) for new in (1, 5, 20)]


def test_a_conversation_is_rendered_by_the_template_that_the_gguf_brings(app, reference):
    greedy = GenerationConfig(max_new_tokens=40)
    said = []
    with contextlib.suppress(CutOff):
        said += app.chat([{"role": "user", "content": "leeks?"}], greedy)
    assert said and "".join(said) == decoded(reference, by_transformers(reference, "<|user|>leeks?<|end|>", 40))


def test_a_conversation_says_whether_it_came_to_its_end(app, reference):
    leeks = [{"role": "user", "content": "leeks?"}]
    pieces = app.chat(leeks, GenerationConfig(max_new_tokens=3))
    with pytest.raises(CutOff, match="3 tokens"):
        list(pieces)


def test_a_stop_text_that_straddles_tokens_ends_the_answer(app):
    whole = "".join(app.answer("a", GenerationConfig(max_new_tokens=40), []))
    stop = whole[7:12]
    assert "".join(app.answer("a", GenerationConfig(max_new_tokens=40), [stop])) == whole[: whole.index(stop)]


def test_the_end_tokens_end_an_answer(served, reference):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    ends = [token for token in range(model.vocabulary_size) if model.ends_answer(token)]
    assert sorted(ends) == sorted(reference[1].convert_tokens_to_ids(["</s>", "<|end|>"]))


def test_a_stop_text_that_is_a_control_token_is_known_as_one(served, reference):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    assert model.control_token("<|user|>") == reference[1].convert_tokens_to_ids("<|user|>")
    assert model.control_token("a") is None
    assert model.control_token("### User:") is None


def test_sampled_answers_repeat_with_the_seed(app):
    def answer(seed):
        return "".join(app.answer("a", GenerationConfig(max_new_tokens=20, temperature=1.0, seed=seed), []))

    assert answer(1) == answer(1) != answer(2)


def test_a_prompt_longer_than_the_context_is_refused_with_both_figures(app, served):
    with pytest.raises(RequestError, match=r"prompt has \d+ tokens, the context holds 128"):
        list(app.answer("1 " * 200, GenerationConfig(), []))
    small = LlamaCppApp(LlamaCppConfig(threads=1, context=8), served)
    with pytest.raises(RequestError, match="holds 8"):
        list(small.answer("When do I sow leeks?", GenerationConfig(), []))


def test_a_prompt_of_more_than_one_batch_is_computed_like_a_short_one(served, monkeypatch):
    model = LlamaModel(served.exports / "tiny.gguf", gpu=False)
    ids = model.tokenize("Sow leeks in March. " * 6)
    logits = []
    for batch in (512, 7):
        monkeypatch.setattr("furrow.components.model_app.llama_cpp.model._BATCH", batch)
        with model.context(len(ids), 1) as context:
            logits.append(context.logits_after(ids))
    assert np.abs(logits[0] - logits[1]).max() < 1e-4


def test_the_newest_gguf_answers_and_adapters_and_half_written_files_do_not(tmp_path):
    served = Served(model=ModelFolder(Path("m"), "weights"), exports=tmp_path, model_name="x")
    for age, name in enumerate(["old.gguf", "ollama/model.gguf", "adapter.gguf", ".new.gguf.partial-1/model.gguf"]):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_type("adapter" if name == "adapter.gguf" else "model")
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.close()
        os.utime(path, (1000 + age, 1000 + age))
    assert find_gguf(None, served) == tmp_path / "ollama" / "model.gguf"
    assert find_gguf(str(tmp_path / "old.gguf"), served) == tmp_path / "old.gguf"


@pytest.mark.parametrize("named", [None, "nowhere/x.gguf"])
def test_without_a_gguf_the_error_names_the_command_that_makes_one(tmp_path, named):
    served = Served(model=ModelFolder(Path("run/final model"), "adapter"), exports=tmp_path / "none", model_name="x")
    with pytest.raises(RequestError) as caught:
        LlamaCppApp(LlamaCppConfig(gguf=named), served)
    target = named or tmp_path / "none" / "model.gguf"
    assert f"furrow convert 'run/final model' {target} --format gguf" in caught.value.remedy


def test_a_file_that_is_no_gguf_is_refused_with_the_reason(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"no model, but long enough for one")
    served = Served(model=ModelFolder(Path("m"), "weights"), exports=tmp_path, model_name="x")
    with pytest.raises(FurrowError, match=r"x\.gguf: no whole GGUF file: it does not begin with GGUF"):
        LlamaCppApp(LlamaCppConfig(), served)


def test_nothing_is_written_to_the_terminal(served, capfd):
    "".join(LlamaCppApp(LlamaCppConfig(threads=1), served).answer("a", GenerationConfig(max_new_tokens=2), []))
    assert capfd.readouterr() == ("", "")


def test_at_least_one_core_is_used_however_busy_the_machine(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (99.0, 0.0, 0.0))
    assert free_cores() == 1


def test_the_settings_are_read_from_json_and_checked(tmp_path):
    config = LlamaCppConfig.model_validate_json(json.dumps({"gguf": str(tmp_path / "x.gguf"), "context": 64}))
    checks = {check.name: check.status for check in COMPONENT.checks(config)}
    assert checks == {"package llama-cpp-python": "passed", "GGUF file": "failed"}
