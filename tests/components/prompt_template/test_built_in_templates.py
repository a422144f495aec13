"""The built-in templates against the formats written out by hand, and what they refuse."""

from __future__ import annotations

import types

import pytest

from furrow.components.errors import FurrowError, RequestError
from furrow.components.prompt_template.builtin.component import BuiltInConfig
from furrow.components.prompt_template.builtin.table import TABLE
from furrow.components.prompt_template.builtin.template import built_in
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.template import chat_template
from furrow.components.records import END, Row, Segment
from furrow.components.registry import BUILT_IN, factory, find

FACTS = types.SimpleNamespace(chat_template=None, bos_token="<s>", eos_token="</s>")
"""A tokenizer that adds no BOS: what a format says of BOS is seen."""
SYSTEM = {"role": "system", "content": "Be brief."}
TALK = [
    {"role": "user", "content": "Why?"},
    {"role": "assistant", "content": "So."},
    {"role": "user", "content": "And?"},
]

BY_HAND = {
    "alpaca": "Be brief.\n\n### Instruction:\nWhy?\n\n### Response:\nSo.</s>\n\n"
    "### Instruction:\nAnd?\n\n### Response:\n",
    "chatml": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo."
    "<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n",
    "llama2": "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nWhy? [/INST] So. </s><s>[INST] And? [/INST]",
    "llama3": "<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nWhy?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nSo.<|eot_id|><|start_header_id|>user"
    "<|end_header_id|>\n\nAnd?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    "mistral": "<s>[INST] Be brief.\n\nWhy?[/INST] So.</s>[INST] And?[/INST]",
    "gemma": "<s><start_of_turn>user\nBe brief.\n\nWhy?<end_of_turn>\n<start_of_turn>model\nSo.<end_of_turn>\n"
    "<start_of_turn>user\nAnd?<end_of_turn>\n<start_of_turn>model\n",
    "phi": "<|system|>\nBe brief.<|end|>\n<|user|>\nWhy?<|end|>\n<|assistant|>\nSo.<|end|>\n<|user|>\nAnd?<|end|>\n"
    "<|assistant|>\n",
    "vicuna": "Be brief. USER: Why? ASSISTANT: So.</s>USER: And? ASSISTANT:",
    "zephyr": "<|system|>\nBe brief.</s>\n<|user|>\nWhy?</s>\n<|assistant|>\nSo.</s>\n"
    "<|user|>\nAnd?</s>\n<|assistant|>\n",
    "deepseek": "<s>Be brief.<｜User｜>Why?<｜Assistant｜>So.</s><｜User｜>And?<｜Assistant｜>",
    "qwen": "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\nSo."
    "<|im_end|>\n<|im_start|>user\nAnd?<|im_end|>\n<|im_start|>assistant\n",
}
DEFAULTS = {
    "alpaca": "Below is an instruction that describes a task. "
    "Write a response that appropriately completes the request.",
    "vicuna": "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the user's questions.",
}
TRIMS = {"llama2", "llama3", "gemma"}
"""Templates that take white space off the ends of what is said, as their models' do."""
TAKES_TURNS = {"llama2", "mistral", "gemma"}
KNOWS_TOOLS = {"llama3", "qwen"}


def template(name, tokenizer=FACTS, **settings):
    return built_in(name, BuiltInConfig(**settings), tokenizer)


def row(*messages, **columns):
    return Row({"messages": list(messages), **columns}, "chat.jsonl:9")


def as_text(segments, end):
    return "".join(end if segment.end else segment.text for segment in segments)


def test_the_table_is_the_registrys():
    named = {kind for (slot, kind), target in BUILT_IN.items() if "prompt_template.builtin" in target}
    assert named == set(TABLE) == set(BY_HAND)
    for name in TABLE:
        component = find("prompt_template", name)
        assert component.summary == TABLE[name].summary
        assert factory(component)(component.config(), FACTS).prompt([SYSTEM, *TALK]) == BY_HAND[name]


@pytest.mark.parametrize("name", TABLE)
def test_a_conversation_is_the_text_of_the_format(name):
    assert template(name).prompt([SYSTEM, *TALK]) == BY_HAND[name]
    segments = template(name).train_segments(row(SYSTEM, *TALK, {"role": "assistant", "content": "Then."}))
    assert as_text(segments, template(name).end_of_turn() or "</s>").startswith(BY_HAND[name])
    assert [piece.text.strip() for piece in segments if piece.learned and not piece.end] == ["So.", "Then."]
    assert segments.count(END) == 2 and segments[-1] == END


@pytest.mark.parametrize("name", TABLE)
def test_a_system_prompt_that_stands_apart_is_a_segment_of_its_own(name):
    """It stays where a prompt is too long and loses its beginning."""
    apart = name not in TAKES_TURNS
    first, second, *_ = template(name).train_segments(row(SYSTEM, *TALK[:2]))
    assert ("Be brief." in first.text and "Why?" not in first.text and not second.learned) == apart
    first, second, *_ = template(name).train_segments(row(*TALK[:2]))
    assert (first.text.strip() == DEFAULTS[name]) if name in DEFAULTS else ("Why?" in first.text and second.learned)


@pytest.mark.parametrize("name", TABLE)
def test_the_end_of_a_turn_is_what_the_table_says(name):
    assert template(name).end_of_turn() == TABLE[name].end


@pytest.mark.parametrize("name", TABLE)
def test_a_template_says_by_itself_what_its_page_says(name):
    assert template(name).system() == DEFAULTS.get(name)
    bare = template(name).prompt(TALK)
    assert bare == template(name).prompt(
        [{"role": "system", "content": DEFAULTS[name]}, *TALK] if name in DEFAULTS else TALK
    )
    assert "Be brief." in template(name, system="Be brief.").prompt(TALK)


@pytest.mark.parametrize("name", TABLE)
def test_white_space_around_an_answer_is_trained_as_it_is_asked(name):
    said = [{"role": "user", "content": " Why? \n"}, {"role": "assistant", "content": "\n So. "}]
    segments = template(name).train_segments(row(*said))
    given = template(name).prompt(said[:1])
    assert "".join(piece.text for piece in segments[: segments.index(END) - 1]) == given
    assert (" Why? \n" in given) == (name not in TRIMS)
    after = as_text(segments, template(name).end_of_turn() or "</s>")
    again = template(name).prompt([*said, {"role": "user", "content": "And?"}])
    assert again.startswith(after)


@pytest.mark.parametrize("name", TABLE)
def test_two_questions_in_a_row_are_rendered_or_refused_by_file_and_line(name):
    asked = row(TALK[0], TALK[2], {"role": "assistant", "content": "So."})
    if name in TAKES_TURNS:
        with pytest.raises(RequestError, match=f"the template {name} refuses a conversation .*take turns") as refused:
            template(name).train_segments(asked)
        assert refused.value.where == "chat.jsonl:9"
    else:
        text = as_text(template(name).train_segments(asked), "")
        assert text.index("Why?") < text.index("And?") < text.index("So.")


@pytest.mark.parametrize("name", sorted(set(TABLE) - TAKES_TURNS))
def test_an_assistant_who_speaks_first_is_learned(name):
    segments = template(name).train_segments(row(TALK[1], TALK[0], {"role": "assistant", "content": "Then."}))
    assert [piece.text.strip() for piece in segments if piece.learned and not piece.end] == ["So.", "Then."]


TOOLS = [{"type": "function", "function": {"name": "weather", "description": "It's <warm>?", "parameters": {"a": 1}}}]
ASKED = {"role": "user", "content": "How warm is it in Bern?"}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"function": {"name": "weather", "arguments": {"b": "é"}}}],
}
RESULT = {"role": "tool", "content": '12 "°C"'}
SAID = {"role": "assistant", "content": "12 degrees."}

QWEN_TOOLS = (
    "<|im_start|>system\nBe brief.\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>\n"
    '{"type": "function", "function": {"name": "weather", "description": "It\'s <warm>?", "parameters": {"a": 1}}}'
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n'
    "</tool_call><|im_end|>\n<|im_start|>user\nHow warm is it in Bern?<|im_end|>\n<|im_start|>assistant\n"
)
LLAMA3_TOOLS = (
    "<s><|start_header_id|>system<|end_header_id|>\n\nEnvironment: ipython\nCutting Knowledge Date: December 2023\n"
    "Today Date: 26 Jul 2024\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nGiven the following "
    "functions, please respond with a JSON for a function call with its proper arguments that best answers the given "
    'prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
    'Do not use variables.\n\n{\n    "type": "function",\n    "function": {\n        "name": "weather",\n'
    '        "description": "It\'s <warm>?",\n        "parameters": {\n            "a": 1\n        }\n    }\n}\n\n'
    "How warm is it in Bern?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
)


def test_qwen_calls_tools_as_qwen_does():
    segments = template("qwen").train_segments(row(SYSTEM, ASKED, CALL, RESULT, RESULT, SAID, tools=TOOLS))
    assert segments[0].text + segments[1].text == QWEN_TOOLS and segments[0].text.endswith("</tool_call><|im_end|>\n")
    assert segments[2:] == [
        Segment('<tool_call>\n{"name": "weather", "arguments": {"b": "é"}}\n</tool_call>', learned=True),
        END,
        Segment(
            '\n<|im_start|>user\n<tool_response>\n12 "°C"\n</tool_response>\n<tool_response>\n12 "°C"\n</tool_response>'
            "<|im_end|>\n<|im_start|>assistant\n"
        ),
        Segment("12 degrees.", learned=True),
        END,
    ]


def test_llama3_calls_tools_as_llama_3_1_does():
    segments = template("llama3").train_segments(row(SYSTEM, ASKED, CALL, RESULT, SAID, tools=TOOLS))
    assert segments[0].text + segments[1].text == LLAMA3_TOOLS and segments[0].text.endswith("Be brief.<|eot_id|>")
    assert segments[2:] == [
        Segment('{"name": "weather", "parameters": {"b": "é"}}', learned=True),
        END,
        Segment(
            '<|start_header_id|>ipython<|end_header_id|>\n\n"12 \\"°C\\""<|eot_id|>'
            "<|start_header_id|>assistant<|end_header_id|>\n\n"
        ),
        Segment("12 degrees.", learned=True),
        END,
    ]


@pytest.mark.parametrize("name", sorted(set(TABLE) - KNOWS_TOOLS))
@pytest.mark.parametrize(
    ("messages", "columns"),
    [([ASKED, CALL, RESULT, SAID], {}), ([ASKED, SAID], {"tools": TOOLS}), ([ASKED, RESULT, SAID], {})],
    ids=["a call", "tools", "a result"],
)
def test_tools_are_never_left_out_in_silence(name, messages, columns):
    with pytest.raises(RequestError, match=f"the template {name}") as refused:
        template(name).train_segments(row(*messages, **columns))
    assert refused.value.where == "chat.jsonl:9"


def test_a_models_own_template_that_leaves_something_out_is_noticed():
    """It renders user and assistant, and passes over everything else."""
    source = (
        "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}{{ m.role }}: {{ m.content or '' }}</s>"
        "{% endif %}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    forgetful = chat_template(ChatConfig(), types.SimpleNamespace(**{**vars(FACTS), "chat_template": source}))
    assert forgetful.train_segments(row(ASKED, SAID))
    for messages, columns, what in [
        ([SYSTEM, ASKED, SAID], {}, r"what message 1 \(system\) says"),
        ([ASKED, CALL, SAID], {}, "the calls of tools in message 2"),
        ([ASKED, RESULT, SAID], {}, r"what message 2 \(tool\) says"),
        ([ASKED, SAID], {"tools": TOOLS}, "the column 'tools'"),
    ]:
        with pytest.raises(RequestError, match=f"the model's chat template has no place for {what}") as refused:
            forgetful.train_segments(row(*messages, **columns))
        assert refused.value.where == "chat.jsonl:9"


def test_text_beside_a_call_is_refused_where_the_format_has_no_place_for_it():
    with pytest.raises(RequestError, match="calls one tool at a time, and says nothing beside it"):
        template("llama3").train_segments(row(ASKED, {**CALL, "content": "I look."}, RESULT, SAID, tools=TOOLS))
    [_, answer, *_] = template("qwen").train_segments(
        row(ASKED, {**CALL, "content": "I look."}, RESULT, SAID, tools=TOOLS)
    )
    assert answer.text.startswith("I look.\n<tool_call>\n")


def test_a_turn_is_learned_by_its_weight():
    half, nothing = {**SAID, "weight": 0.5}, {**SAID, "train": False}
    pieces = template("chatml").train_segments(row(ASKED, half, ASKED, nothing, ASKED, SAID))
    assert [
        (piece.text, piece.learned, piece.end, piece.weight) for piece in pieces if piece.end or piece.weight != 1
    ] == [
        ("12 degrees.", True, False, 0.5),
        ("", True, True, 0.5),
        ("12 degrees.", False, False, 0.0),
        ("", False, True, 0.0),
        (*END,),
    ]


class Tokenizer(types.SimpleNamespace):
    """One that knows its special tokens, and cuts everything else into letters."""

    def __call__(self, text, add_special_tokens=True):
        bos = [0] if add_special_tokens and self.adds_bos else []
        return types.SimpleNamespace(input_ids=[*bos, *([1] if text in self.special else range(len(text)))])


def tokenizer(*special, chat_template=None, adds_bos=False):
    return Tokenizer(
        chat_template=chat_template,
        bos_token="<s>",
        eos_token="</s>",
        bos_token_id=0,
        special=special,
        adds_bos=adds_bos,
    )


def test_a_template_whose_turns_end_with_no_token_of_the_tokenizer_names_those_that_fit():
    with pytest.raises(RequestError, match=r"the template chatml ends an answer with '<\|im_end\|>'") as refused:
        template("chatml", tokenizer("<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"))
    assert refused.value.where == "prompt_template"
    fitting = refused.value.remedy.partition("; ")[0].removeprefix("its tokens fit ").split(", ")
    assert fitting[0] == "llama3"  # it has all the tokens of that one
    assert set(fitting) == {"llama3", "alpaca", "llama2", "mistral", "vicuna", "zephyr", "deepseek"}
    template("zephyr", tokenizer("</s>"))


def test_a_model_without_a_chat_template_is_told_which_of_the_built_in_ones_fit_its_tokens():
    with pytest.raises(FurrowError, match="has no chat template") as refused:
        chat_template(ChatConfig(), tokenizer("<start_of_turn>", "<end_of_turn>"))
    assert "{type: gemma}" in refused.value.remedy and "format" in refused.value.remedy
    assert "chatml" not in refused.value.remedy


@pytest.mark.parametrize("adds_bos", [True, False])
@pytest.mark.parametrize("name", TABLE)
def test_bos_stands_first_exactly_once(name, adds_bos):
    """Once the tokenizer has added its own; in the exported form, to which nobody adds one, it is written."""
    one = tokenizer("</s>", *([TABLE[name].end] if TABLE[name].end else []), adds_bos=adds_bos)
    made = template(name, one)
    assert made.prompt(TALK[:1]).startswith("<s>") == (BY_HAND[name].startswith("<s>") and not adds_bos)
    exported = chat_template(ChatConfig(), types.SimpleNamespace(**{**vars(FACTS), "chat_template": made.jinja()}))
    written = exported.prompt(TALK[:1])
    assert written.count("<s>") == (1 if adds_bos or BY_HAND[name].startswith("<s>") else 0)
    assert written.removeprefix("<s>") == made.prompt(TALK[:1]).removeprefix("<s>")
