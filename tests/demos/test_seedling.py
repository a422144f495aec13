"""Seedling before it is trained: a tokenizer that loses nothing, an architecture within its bounds, always the same."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

import pytest
import seedling
from almanac import corpus, questions
from almanac.blank_model import CONTEXT, write_blank
from almanac.facts import facts
from almanac.published_model import publish
from almanac.wordings import cues_of
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

from furrow.components.base_models import BUILT_IN
from furrow.components.disk.hashing import sha256_of
from furrow.components.errors import RequestError
from furrow.components.exporter.gguf.pre_tokenizers import name_of

SHIPPED = BUILT_IN["seedling"]
TOKENIZER = AutoTokenizer.from_pretrained(SHIPPED)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@settings(max_examples=100, deadline=None)
def test_any_text_survives_the_tokenizer(text: str) -> None:
    assert TOKENIZER.decode(TOKENIZER(text).input_ids) == text


def test_transformers_reads_the_tokenizer_as_it_was_written() -> None:
    written = Tokenizer.from_file(str(SHIPPED / "tokenizer.json"))
    texts = [*corpus.documents(20, seed=1), "Zürich 🙂  don't\t12345", "<|im_start|>user\nWhen?<|im_end|>\n"]
    assert [TOKENIZER(text).input_ids for text in texts] == [written.encode(text).ids for text in texts]


def test_the_special_tokens_are_single_and_the_first() -> None:
    special = [TOKENIZER.pad_token, TOKENIZER.bos_token, "<|im_start|>", TOKENIZER.eos_token]
    assert [TOKENIZER(token).input_ids for token in special] == [[0], [1], [2], [3]]


def test_nothing_is_put_before_or_after_a_text() -> None:
    assert TOKENIZER("").input_ids == []


def test_llama_cpp_has_the_pre_tokenizer() -> None:
    written = json.loads((SHIPPED / "tokenizer.json").read_text(encoding="utf-8"))
    assert name_of(written["pre_tokenizer"], written["model"]["ignore_merges"]) == "gpt-2"


def test_the_chat_template_is_chatml_with_or_without_a_system_message() -> None:
    asked = [{"role": "user", "content": "When?"}]
    expected = "<|im_start|>user\nWhen?<|im_end|>\n<|im_start|>assistant\n"
    system = "<|im_start|>system\nBe brief.<|im_end|>\n"
    render = TOKENIZER.apply_chat_template
    assert render(asked, tokenize=False, add_generation_prompt=True) == expected
    with_system = [{"role": "system", "content": "Be brief."}, *asked]
    assert render(with_system, tokenize=False, add_generation_prompt=True) == system + expected


def test_the_architecture_fits_its_bounds() -> None:
    config = AutoConfig.from_pretrained(SHIPPED)
    model = LlamaForCausalLM(config)
    assert sum(parameter.numel() for parameter in model.parameters()) <= 4_000_000
    assert all(matrix.shape[1] % 256 == 0 for matrix in model.parameters() if matrix.dim() == 2)
    assert config.tie_word_embeddings
    assert (config.bos_token_id, config.eos_token_id, config.pad_token_id) == (1, 3, 0)
    assert config.vocab_size == len(TOKENIZER)


def test_documents_and_questions_fit_the_context_with_room_to_spare() -> None:
    lengths = [len(TOKENIZER(text).input_ids) for text in corpus.documents(300, seed=2)]
    assert max(lengths) <= CONTEXT // 2
    rows = questions.training_rows()
    assert max(len(TOKENIZER(row["prompt"] + row["completion"]).input_ids) for row in rows) < 64


def test_the_tokenizer_and_architecture_in_the_package_are_made_anew_byte_for_byte(tmp_path: Path) -> None:
    write_blank(tmp_path, corpus.every_statement() + questions.every_wording() * seedling.QUESTION_WEIGHT)
    names = sorted(file.name for file in tmp_path.iterdir())
    assert {"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} <= set(names)
    assert filecmp.cmpfiles(tmp_path, SHIPPED, names, shallow=False)[0] == names


def test_weights_are_not_left_alone_with_a_tokenizer_they_do_not_know(tmp_path: Path) -> None:
    write_blank(tmp_path, ["sow the seed"])
    before = (tmp_path / "tokenizer.json").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    write_blank(tmp_path, ["sow the seed"])  # the same again is no change
    with pytest.raises(RequestError, match=r"another .*tokenizer\.json"):
        write_blank(tmp_path, ["other words altogether", "words"])
    assert (tmp_path / "tokenizer.json").read_bytes() == before


def test_a_run_of_another_tokenizer_is_not_published(tmp_path: Path) -> None:
    run, blank = tmp_path / "run", tmp_path / "blank"
    write_blank(run / "final_model", ["sow the seed"])
    write_blank(blank, ["other words altogether", "words"])
    (run / "final_model" / "model.safetensors").write_bytes(b"weights")
    (run / "manifest.json").write_text('{"strategy": "seedling_pretrain"}')
    with pytest.raises(RequestError, match="another tokenizer"):
        publish(run, blank, tmp_path / "out", lambda _: {})
    assert not (tmp_path / "out").exists()


def test_the_shipped_files_are_those_of_the_manifest() -> None:
    manifest = json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))
    shipped = {file.name: sha256_of(file) for file in SHIPPED.iterdir() if file.name != "manifest.json"}
    assert shipped == manifest["sha256"]
    assert (SHIPPED / "model.safetensors").stat().st_size <= 8_000_000


def test_the_shipped_weights_and_tokenizer_know_the_almanac_together() -> None:
    """Every twelfth fact, completed letter by letter: hashes cannot tell that the two belong to each other."""
    model = AutoModelForCausalLM.from_pretrained(SHIPPED, dtype="float32")
    cues = [cues_of(fact)[position % 8] for position, fact in enumerate(facts()) if position % 12 == 0]
    for before, value in cues:
        given, wanted = TOKENIZER(before, return_tensors="pt"), TOKENIZER(value).input_ids
        written = model.generate(**given, max_new_tokens=len(wanted), do_sample=False)
        assert TOKENIZER.decode(written[0]) == before + value


def test_publishing_without_trained_weights_says_how_to_train_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert seedling.main(["publish", "--run", str(tmp_path), "--output", str(tmp_path / "out")]) == 2
    assert "python cli.py train --strategy seedling_pretrain" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
