"""A Modelfile says what was meant or is not written: checked with a second, character-by-character reader."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from furrow.components.exporter.ollama.modelfile import NotWritable, commands_for, write_modelfile
from furrow.components.exporter.ollama.modelfile_grammar import Command, Unreadable, read_modelfile

KEYWORDS = (
    "from", "license", "template", "system", "adapter", "draft",
    "renderer", "parser", "parameter", "message", "requires",
)  # fmt: skip


def read_by_characters(text):
    """Ollama's reader as the state machine that it is: nothing, keyword, parameter's name, value, comment."""
    commands, state, held, name = [], "nothing", "", None
    for character in text:
        newline, space = character in "\r\n", character in " \t"
        if state == "nothing":
            if character == "#":
                state = "comment"
            elif not (newline or space):
                state, held = "keyword", character
        elif state == "comment":
            state = "nothing" if newline else "comment"
        elif state == "keyword":
            if character.isascii() and character.isalpha():
                held += character
            elif space and held.lower() in KEYWORDS:
                name, held = {"from": "model"}.get(held.lower(), held.lower()), ""
                state = "parameter" if name == "parameter" else "value"
            else:
                raise Unreadable(held)
        elif state == "parameter":
            if character.isascii() and (character.isalnum() or character == "_"):
                held += character
            elif space:
                name, held, state = held, "", "value"
            else:
                raise Unreadable(held)
        elif newline and closed(held.strip(" \t\r\n")) is not None:
            commands.append((name, closed(held.strip(" \t\r\n"))))
            state = "nothing"
        elif newline or space or character.isprintable():
            held += character
    if state == "value":
        value = closed(held.strip(" \t\r\n"))
        if value is None:
            raise Unreadable(held)
        commands.append((name, value))
    elif state not in ("nothing", "comment"):
        raise Unreadable(held)
    if "model" not in [command for command, _ in commands]:
        raise Unreadable("no FROM")
    return commands


def closed(text):
    if text[:3] == '"""':
        return text[3:-3] if len(text) >= 6 and text[-3:] == '"""' else None
    if text[:1] == '"':
        return text[1:-1] if len(text) >= 2 and text[-1] == '"' else None
    return text


HOSTILE = st.lists(
    st.sampled_from(
        ['"', '"""', "\n", "\r", " ", "\t", "#", "SYSTEM evil", "FROM other", "PARAMETER stop x", "MESSAGE user hi",
         "ADAPTER /etc/passwd", "a", "{{ .Prompt }}", "\u00a0", "\u200d", "\u3000", "\x00", "\ufeff", "ё", "🌱", "\\"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(HOSTILE, HOSTILE, st.lists(HOSTILE.filter(bool), max_size=2))
@example('"""\nFROM other', 'a"""\nSYSTEM evil\n"""', ['"'])
def test_no_text_becomes_another_command(template, system, stops):
    commands = commands_for("model.gguf", template, system, {"stop": stops})
    try:
        text = write_modelfile(commands)
    except NotWritable:
        return
    assert read_by_characters(text) == commands


@settings(max_examples=400, deadline=None)
@given(HOSTILE)
@example("FROM")
@example("FROM ")
@example('FROM x\nSYSTEM """a"""  \nTEMPLATE b')
def test_both_readers_understand_any_text_alike(text):
    results = []
    for read in (read_modelfile, read_by_characters):
        try:
            results.append(read("FROM m\n" + text))
        except Unreadable:
            results.append("unreadable")
    assert results[0] == results[1]


@pytest.mark.parametrize(
    "system",
    [
        "You are a gardener.",
        'Say "yes" or "no"',
        '"quoted"',
        '"starts quoted',
        " leading and trailing ",
        "two\nlines\n",
        "a\r\nb",
        'ends with a quote"',
        'one "quoted" line\nand "another"\nend',
        "# not a comment",
        "FROM other",
        "line\nFROM other",
        '"',
        "\ttab\t",
    ],
)
def test_ordinary_texts_come_back_unchanged(system):
    commands = commands_for("model.gguf", "{{ .Prompt }}", system, {"stop": [system], "temperature": 0.0, "seed": -1})
    assert read_by_characters(write_modelfile(commands)) == [
        ("model", "./model.gguf"),
        ("template", "{{ .Prompt }}"),
        ("system", system),
        ("stop", system),
        ("temperature", "0.0"),
        ("seed", "-1"),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a\u00a0b", "U+00A0"),
        ("👩\u200d🌾", "U+200D"),
        ("日\u3000本", "U+3000"),
        ("\x1b[31m", "U+001B"),
        ("\ud800", "U+D800"),
        ('"""\n', "quotes"),
        ('"a"""\nSYSTEM evil\nb"\n"c', "quotes"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_with_the_reason(text, named):
    with pytest.raises(NotWritable) as caught:
        write_modelfile(commands_for("model.gguf", "{{ .Prompt }}", text, {}))
    assert "system" in caught.value.what
    assert named in caught.value.what


def test_the_modelfile_is_as_a_person_would_write_it():
    commands = commands_for(
        "model.gguf", "{{ .Prompt }}", "Be brief.", {"temperature": 0.7, "stop": ["### User:", "\n\n"]}
    )
    assert write_modelfile(commands) == (
        "FROM ./model.gguf\nTEMPLATE {{ .Prompt }}\nSYSTEM Be brief.\n"
        'PARAMETER temperature 0.7\nPARAMETER stop ### User:\nPARAMETER stop "\n\n"\n'
    )


def test_an_empty_system_prompt_is_left_out():
    assert [command.name for command in commands_for("g", "t", "", {})] == ["model", "template"]


def test_a_command_is_named_as_ollama_names_it():
    assert read_modelfile("# made by hand\nfrom x\n\nParameter top_k 3") == [
        Command("model", "x"),
        Command("top_k", "3"),
    ]
