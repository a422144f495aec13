"""One template object for training, asking, GGUF and Ollama: the four must be one text."""

from __future__ import annotations

import json
import types

import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

from furrow.components.errors import FurrowError
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.template import chat_template as chat_of
from furrow.components.prompt_template.format.component import FormatConfig
from furrow.components.prompt_template.format.parse import parse_format
from furrow.components.prompt_template.format.template import FormatTemplate
from furrow.components.records import END, Row, Segment

CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'"
    " }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_WITH_DEFAULT = (
    "{% if messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}" + CHATML
)
LLAMA2 = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] +"
    " ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}{% endif %}"
    "{% endfor %}"
)
GEMMA = (
    "{{ bos_token }}{% for message in messages %}{% set role = 'model' if message['role'] == 'assistant' else 'user' %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)


def say(*contents, system=None):
    messages = [{"role": "system", "content": system}] if system else []
    roles = ("user", "assistant")
    return messages + [{"role": roles[i % 2], "content": content} for i, content in enumerate(contents)]


class AddsBos(types.SimpleNamespace):
    """The facts of a tokenizer that puts a BOS token before every text."""

    def __call__(self, text, add_special_tokens=True):
        ids = [7] if text else []
        return types.SimpleNamespace(input_ids=[self.bos_token_id, *ids] if add_special_tokens else ids)


def tokenizer(chat_template=None, bos="<s>", eos="</s>"):
    return AddsBos(chat_template=chat_template, bos_token=bos, eos_token=eos, bos_token_id=0)


def format_template(text, **more):
    config = FormatConfig.model_validate_json(json.dumps({"format": text, **more}))
    return FormatTemplate(config, tokenizer())


def chat_template(source, eos="</s>", **more):
    return chat_of(ChatConfig.model_validate_json(json.dumps(more)), tokenizer(source, eos=eos))


def as_text(segments, end="</s>"):
    return "".join(end if segment.end else segment.text for segment in segments)


GUIDE = "Question: {input}\nAnswer: {output}\n"
TEMPLATES = {
    "format": lambda: format_template(GUIDE, system="Answer briefly."),
    "format without system": lambda: format_template("User: {prompt}\nAssistant: {completion}\n"),
    "format with braces": lambda: format_template("{{{{ {input} }}}} -> {output}"),
    "format in braces": lambda: format_template("{{{input}}} -> {output}"),
    "format with quotes": lambda: format_template('It\'s "{input}" \\ \t{output}###', system="Don't {{ x }} {% y %}"),
    "chatml": lambda: chat_template(CHATML, eos="<|im_end|>"),
    "chatml, own system": lambda: chat_template(CHATML, eos="<|im_end|>", system="Be brief."),
    "chatml, default system": lambda: chat_template(CHATML_WITH_DEFAULT, eos="<|im_end|>"),
    "llama 2": lambda: chat_template(LLAMA2),
    "gemma": lambda: chat_template(GEMMA, eos="<eos>"),
}


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("turns", [say("Why?", "So."), say("Why?", "So.", "And?", "Then.")])
def test_the_prompt_is_the_unlearned_beginning_of_what_is_trained(name, turns):
    template = TEMPLATES[name]()
    end = template.end_of_turn() or ("<|im_end|>" if name.startswith("chatml") else "</s>")
    segments = template.train_segments(Row({"messages": turns}, "rows.jsonl:1"))
    assert segments[-1] == END
    assert as_text(segments[:-2], end) == template.prompt(turns[:-1])


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize(
    "messages", [say("Why?"), say("Why?", "So.", "And?"), say("Why?", system="Be odd."), say("{{ 1 }}", "<s>", "é\n")]
)
def test_the_chat_template_of_the_exports_renders_the_same_prompt(name, messages):
    template = TEMPLATES[name]()
    if messages[0]["role"] == "system" and name == "llama 2":
        pytest.skip("this template has no system message")
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    eos = "<|im_end|>" if name.startswith("chatml") else "</s>"
    given = messages
    own_system = template.system()
    if own_system and messages[0]["role"] != "system" and name == "chatml, own system":
        given = say(
            *(m["content"] for m in messages), system=own_system
        )  # a model's own template has no default of ours
    rendered = environment.from_string(template.jinja()).render(
        messages=given, add_generation_prompt=True, bos_token="<s>", eos_token=eos
    )
    assert rendered.removeprefix("<s>") == template.prompt(messages)


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("messages", [say("Why?"), say("Why?", "So.", "And?"), say("Why?", system="Be odd.")])
def test_the_go_template_of_ollama_renders_the_same_prompt(name, messages, run_go):
    template = TEMPLATES[name]()
    system = messages[0]["content"] if messages[0]["role"] == "system" else template.system()
    turns = [message for message in messages if message["role"] != "system"]
    assert run_go(template.go(), system, turns) == template.prompt(messages)


def test_only_the_answer_and_its_end_are_learned():
    row = Row({"input": "What is DNA?", "output": "A molecule."}, "qa.jsonl:3")
    assert format_template(GUIDE, system="Be brief.").train_segments(row) == [
        Segment("Be brief.\nQuestion: What is DNA?\nAnswer:"),
        Segment(" A molecule.", learned=True),
        END,
    ]


def test_placeholders_may_be_any_columns_of_the_file():
    row = Row({"title": "DNA", "answer": "A molecule."}, "qa.jsonl:3")
    assert as_text(format_template("Define {title}: {answer}").train_segments(row)) == "Define DNA: A molecule.</s>"


def test_every_answer_of_a_conversation_is_learned_and_what_stands_between_is_not():
    row = Row({"messages": say("A?", "a.", "B?", "b.")}, "chat.jsonl:1")
    segments = chat_template(CHATML, eos="<|im_end|>").train_segments(row)
    assert [piece.text for piece in segments if piece.learned and not piece.end] == ["a.", "b."]
    assert [piece.text for piece in segments if not piece.learned] == [
        "<|im_start|>user\nA?<|im_end|>\n<|im_start|>assistant\n",
        "\n<|im_start|>user\nB?<|im_end|>\n<|im_start|>assistant\n",
    ]


def test_an_end_of_turn_that_is_not_eos_is_found():
    assert chat_template(GEMMA, eos="<eos>").end_of_turn() == "<end_of_turn>"
    assert chat_template(CHATML, eos="<|im_end|>").end_of_turn() is None
    assert chat_template(CHATML, eos="</s>").end_of_turn() == "<|im_end|>"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{input.__class__}{output}", "no attributes"),
        ("{input[0]}{output}", "no attributes"),
        ("{input:>99999999999}{output}", "no attributes"),
        ("{input!r}{output}", "no attributes"),
        ("{0}{output}", "not the name of a column"),
        ("{}{output}", "not the name of a column"),
        ("{input {output}", "single '{'"),
        ("{input}", "placeholder for the answer"),
        ("{output}", "placeholder for the question"),
        ("{input}{output}{output}", "exactly one placeholder"),
        ("{output} and {input}", "stands after the answer"),
        ("{system}{input}{output}", "put first by itself"),
    ],
)
def test_a_format_that_is_more_than_names_is_refused(text, complaint):
    with pytest.raises(ValueError, match=complaint.replace("{", "\\{")):
        parse_format(text)


TOOLS = [{"type": "function", "function": {"name": "weather"}}]


@pytest.mark.parametrize(
    "columns",
    [
        {"messages": say("Why?", "So."), "tools": TOOLS},
        {"messages": [*say("Why?"), {"role": "tool", "content": "12"}, *say("Why?", "So.")[1:]]},
        {"input": "Why?", "output": "So.", "tools": TOOLS},
        {"input": "Why?", "output": "So.", "tools": json.dumps(TOOLS)},
    ],
)
def test_a_format_refuses_tools_which_it_has_no_place_for(columns):
    with pytest.raises(FurrowError, match=r"prompt_template\.format has no place for tools") as refused:
        format_template(GUIDE).train_segments(Row(columns, "qa.jsonl:4"))
    assert refused.value.where == "qa.jsonl:4"


def test_a_format_may_have_a_place_for_any_column():
    row = Row({"input": "Why?", "output": "So.", "tools": "rake"}, "qa.jsonl:4")
    assert as_text(format_template("{tools}: {input} {output}").train_segments(row)) == "rake: Why? So.</s>"
    assert as_text(format_template("{input} {output}").train_segments(row)) == "Why? So.</s>"


def test_braces_in_the_data_are_data():
    row = Row({"input": "{output} {0} {x.__class__}", "output": "{input}"}, "qa.jsonl:1")
    assert as_text(format_template(GUIDE).train_segments(row)) == (
        "Question: {output} {0} {x.__class__}\nAnswer: {input}</s>"
    )


def test_a_chat_template_that_does_more_than_surround_turns_is_not_written_wrongly_for_ollama():
    numbered = "{% for message in messages %}{{ loop.index }}: {{ message['content'] }}</s>{% endfor %}Answer: "
    with pytest.raises(FurrowError, match="cannot be written in Ollama's template language"):
        chat_template(numbered).go()


def test_a_chat_template_that_refuses_system_messages_is_still_written_for_ollama(run_go):
    refusing = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + GEMMA
    template = chat_template(refusing, eos="<eos>")
    assert "System" not in template.go()
    assert run_go(template.go(), None, say("Why?", "So.", "And?")) == template.prompt(say("Why?", "So.", "And?"))


def test_a_chat_template_that_rewrites_earlier_turns_is_refused_with_the_row():
    forgetful = "{{ messages | length }}{% for m in messages %}{{ m['content'] }}</s>{% endfor %}"
    with pytest.raises(FurrowError, match="differently") as refused:
        chat_template(forgetful).train_segments(Row({"messages": say("A", "b", "C", "d")}, "chat.jsonl:7"))
    assert refused.value.where == "chat.jsonl:7"


def test_another_opening_of_asked_and_told_answers_is_refused_as_such():
    two_faced = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'Farmer:' }}{% endif %}"
    )
    with pytest.raises(FurrowError, match=r"writes 'Farmer:' where an answer is asked for .* and 'assistant: ' where"):
        chat_template(two_faced).train_segments(Row({"messages": say("A", "b")}, "chat.jsonl:7"))


@pytest.mark.parametrize("attack", ["{{ ''.__class__.__mro__ }}", "{{ messages.__class__.__subclasses__() }}"])
def test_a_chat_template_reaches_nothing_beyond_its_messages(attack):
    with pytest.raises(FurrowError, match="chat template"):
        chat_template("{% for m in messages %}{{ m['content'] }}{% endfor %}" + attack)


def test_bos_is_left_out_only_where_the_tokenizer_adds_its_own():
    facts = {"chat_template": LLAMA2, "bos_token": "<s>", "eos_token": "</s>", "bos_token_id": 0}
    asked = say("Why?")
    assert chat_of(ChatConfig(), AddsBos(**facts)).prompt(asked) == "[INST] Why? [/INST]"
    assert chat_of(ChatConfig(), types.SimpleNamespace(**facts)).prompt(asked) == "<s>[INST] Why? [/INST]"


def test_several_turns_are_learned_where_the_template_ends_a_finished_conversation_with_eos():
    finished = CHATML.replace("{% if add", "{% if not add_generation_prompt %}{{ eos_token }}{% endif %}{% if add")
    row = Row({"messages": say("A?", "a.", "B?", "b.")}, "chat.jsonl:1")
    segments = chat_template(finished, eos="<eos>").train_segments(row)
    assert [piece.text for piece in segments if piece.learned and not piece.end] == ["a.", "b."]


def test_a_model_without_chat_template_is_told_to_bring_a_format():
    with pytest.raises(FurrowError, match=r"no chat template[\s\S]*prompt_template: \{format"):
        chat_template(None)


def test_the_exported_form_has_no_clock_either():
    """Llama 3.1 writes today's date where it can, and a fixed one where it cannot."""
    dated = "{% if strftime_now is defined %}{{ strftime_now('%d') }}{% else %}26 Jul 2024{% endif %}" + CHATML
    template = chat_template(dated, eos="<|im_end|>")
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    exported = environment.from_string(template.jinja())
    with_a_clock = exported.render(messages=say("Why?"), add_generation_prompt=True, strftime_now=lambda form: "today")
    assert with_a_clock == template.prompt(say("Why?")) and with_a_clock.startswith("26 Jul 2024")
