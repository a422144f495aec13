"""A strategy's template from its YAML to the tokenizer that is saved."""

from __future__ import annotations

import json

import pytest
from transformers import AutoTokenizer

from furrow.components.errors import FurrowError, RequestError
from furrow.components.prompt_template.builtin.template import source_of
from furrow.stages import wire
from furrow.stages.complete import Answerer
from furrow.strategies.errors import StrategyErrors
from furrow.strategies.files import load

OWN = (
    "{% for m in messages %}{{ '[' + m.role + '] ' + m.content + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant] {% endif %}"
)


@pytest.fixture
def own_file(tmp_path):
    file = tmp_path / "own.jinja"
    file.write_text(OWN)
    return file


def test_the_tokenizer_that_is_saved_renders_what_was_trained(go):
    folder, _ = go(prompt_template={"type": "phi", "system": "Be brief."}, export={"to_merged": True})
    asked = [{"role": "user", "content": "What is a?"}]
    wanted = "<|system|>\nBe brief.<|end|>\n<|user|>\nWhat is a?<|end|>\n<|assistant|>\n"
    for saved in (folder.final_model, folder.exports / "merged"):
        tokenizer = AutoTokenizer.from_pretrained(saved)
        assert source_of("phi") in tokenizer.chat_template
        assert tokenizer.apply_chat_template(asked, tokenize=False, add_generation_prompt=True) == wanted
    assert Answerer(load("tiny", folder.strategy).strategy)._template.prompt(asked) == wanted


def test_a_template_that_the_tokenizer_has_no_tokens_for_is_refused_before_anything_is_written(go, tmp_path):
    with pytest.raises(RequestError, match=r"the template chatml ends an answer with '<\|im_end\|>'") as refused:
        go(prompt_template="chatml")
    assert "its tokens fit phi," in refused.value.remedy
    assert not (tmp_path / "run" / "final_model").exists()


def test_a_row_that_the_template_has_no_place_for_is_a_bad_row(go, tmp_path):
    call = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f", "arguments": {}}}]}
    rows = [[{"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "So."}] for n in range(8)]
    rows[2].insert(1, call)
    data = tmp_path / "talks.jsonl"
    data.write_text("".join(json.dumps({"messages": messages}) + "\n" for messages in rows))
    dataset = {"train_file": str(data)}
    with pytest.raises(RequestError, match="the template phi") as refused:
        go(prompt_template="phi", dataset=dataset)
    assert refused.value.where == f"{data}:3"
    _, events = go(prompt_template="phi", dataset={**dataset, "on_bad_row": "skip"})
    [set_aside] = [event for event in events if type(event).__name__ == "RowsSetAside"]
    assert set_aside.rows == 1


def test_a_jinja_file_is_kept_with_the_run_that_learned_with_it(go, own_file):
    folder, _ = go(prompt_template={"type": "jinja", "file": str(own_file)})
    own_file.unlink()
    again = load("tiny", folder.strategy).strategy
    assert again.prompt_template.config.text == OWN
    tokenizer = AutoTokenizer.from_pretrained(folder.final_model)
    assert (
        wire.prompt_template(again, tokenizer).prompt([{"role": "user", "content": "a"}])
        == "[user] a<|end|>[assistant] "
    )
    assert tokenizer.chat_template == OWN


def test_an_interrupted_run_does_not_go_on_with_another_text_in_the_file(go, own_file):
    from furrow.stages.run.resume import NEWEST

    go(cut=7, prompt_template={"type": "jinja", "file": str(own_file)})
    own_file.write_text(OWN.replace("[assistant]", "[helper]"))
    with pytest.raises(FurrowError, match=r"prompt_template\.text"):
        go(resume=NEWEST, prompt_template={"type": "jinja", "file": str(own_file)})


@pytest.mark.parametrize(
    ("template", "wrong"),
    [
        ({"type": "jinja", "file": "nowhere.jinja"}, r"prompt_template: the file nowhere\.jinja is not there"),
        ({"type": "jinja"}, r"prompt_template: .*a template is wanted: file: my_template\.jinja"),
        ({"type": "jinja", "file": "/dev/zero"}, "is not there"),
        ({"type": "chatlm"}, "did you mean 'chatml'"),
        ({"type": "qwen", "systen": "x"}, "did you mean 'system'"),
    ],
)
def test_what_cannot_be_meant_is_said_by_the_line_of_the_strategy(strategy_file, template, wrong):
    with pytest.raises(StrategyErrors, match=wrong):
        load("tiny", strategy_file(prompt_template=template))


@pytest.mark.parametrize("content", [b"", b"\xff\xfe{", b"x" * (256 * 1024 + 1)], ids=["empty", "binary", "too long"])
def test_a_file_that_is_no_template_is_refused(strategy_file, own_file, content):
    own_file.write_bytes(content)
    with pytest.raises(StrategyErrors, match=r"prompt_template: .*own\.jinja (is empty|cannot be read|has more)"):
        load("tiny", strategy_file(prompt_template={"type": "jinja", "file": str(own_file)}))


def test_a_file_that_is_no_jinja_is_refused_with_its_name_and_line(strategy_file, own_file):
    own_file.write_text("\n{% for m in %}")
    with pytest.raises(StrategyErrors, match=r"prompt_template: .*own\.jinja:2: "):
        load("tiny", strategy_file(prompt_template={"type": "jinja", "file": str(own_file)}))
