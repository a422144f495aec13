"""No text of a strategy or a model becomes a command of a Modelfile, or an action of its template."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from furrow.components.exporter.ollama.modelfile import NotWritable, commands_for, write_modelfile
from furrow.components.exporter.ollama.modelfile_grammar import read_modelfile
from furrow.components.prompt_template.turns import Around, Turns
from tests.components.exporter.test_ollama_modelfile import read_by_characters
from tests.faults.fuzzing import tried

HOSTILE = st.lists(
    st.one_of(
        st.sampled_from(
            [
                '"', '""', '"""', '""""', "\n", "\r", "\r\n", "\\", '\\"', "#", " ", "\t", "\v", "\f", "\x85", "\u2028",
                "\u00a0", "\u200d", "\u3000", "\ufeff", "\u202e", "\x00", "\x1b", "\ud800", "\U000e0001",
                "FROM evil", "\nFROM evil\n", "SYSTEM evil", "TEMPLATE x", "PARAMETER stop x", "ADAPTER /etc/passwd",
                "MESSAGE user hi", "LICENSE x", "from x", '"""\nFROM evil\n"""', '"\nSYSTEM x\n"', "{{", "}}",
                "{{ .System }}",
                "{{- end -}}", "{{ end }}", "{{/*", "*/}}", "{", "}", "`", "$", "{%", "a", "é", "🌱", "x" * 3000,
            ]
        ),
        st.characters(),
    ),
    max_size=10,
).map("".join)  # fmt: skip


@tried(250)
@given(HOSTILE, HOSTILE, st.lists(HOSTILE.filter(bool), max_size=2))
@example('"""', '"', [" "])
@example("x ", " x", ["x\n"])
def test_a_modelfile_says_what_was_meant_to_two_readers_or_is_not_written(template, system, stops):
    commands = commands_for("model.gguf", template, system, {"stop": stops, "temperature": 0.5})
    try:
        text = write_modelfile(commands)
    except NotWritable:
        return
    assert read_by_characters(text) == read_modelfile(text) == commands
    text.encode()


ACTION = re.compile(r"\{\{(?P<action>.*?)\}\}", re.DOTALL)
OURS = {
    "if .System", ".System", "end", "range .Messages", 'if eq .Role "user"', ".Content", 'else if eq .Role "assistant"',
    '"{{"', '"{"',
}  # fmt: skip


@tried(250)
@given(*[HOSTILE] * 8)
@example("{", "{", "{", "{", "{", "{", "{", "{")
@example("{{", "}}", "{{{", "}}}", "{{{{", "}", "{ {", "{{-")
def test_a_go_template_has_no_action_but_its_own(before, after, asked, answer, between, end, system, tail):
    turns = Turns(Around(before, after), Around(asked, answer), Around(between, tail), end, system)
    go = turns.go()
    assert {found["action"].strip() for found in ACTION.finditer(go)} <= OURS
    literal = ACTION.sub(lambda found: {'"{{"': "{{", '"{"': "{"}.get(found["action"].strip(), "\0"), go)
    for text in (before, after, asked, answer, between, tail + end + system):
        assert text.replace("\0", "") in literal.replace("\0", "") or "\0" in text
