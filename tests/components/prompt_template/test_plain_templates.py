"""Which templates are known to put text around what is said and no more, and that filling their forms is rendering."""

from __future__ import annotations

import types

import pytest
from hypothesis import given, settings
from hypothesis import strategies as draw

from furrow.components.errors import FurrowError
from furrow.components.prompt_template.builtin.component import BuiltInConfig
from furrow.components.prompt_template.builtin.table import TABLE
from furrow.components.prompt_template.builtin.template import built_in
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.plain import is_plain
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.chat.template import chat_template
from furrow.components.records import Row

FACTS = {"bos_token": "<s>", "eos_token": "</s>"}
LOOP = "{% for m in messages %}{{ m.role }}: BODY</s>{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
PLAIN = {
    "dots": "{{ m.content }}",
    "brackets": "{{ m['content'] }}",
    "trimmed": "{{ m['content'] | trim }}",
    "stripped": "{{ m.content.strip() }}",
    "joined and trimmed": "{{ ('  a' + m.content ~ m.role) | trim }}",
    "by a name": "{% set c = m.content %}{% if m.role == 'user' %}{% set c = c + '!' %}{% endif %}{{ c }}",
    "asked whether it is there": "{% if m.content is defined and m.content %}{{ m.content }}{% else %}-{% endif %}",
    "asked whether it is none": "{% if m.content is not none and m.content != '' %}{{ m.content }}{% endif %}",
    "numbered": "{{ loop.index }}{% if loop.index0 % 2 and not loop.last %}!{% endif %}{{ m.content }}",
    "the first message": "{% if loop.first %}{{ messages[0].content }}{% else %}{{ m.content }}{% endif %}",
    "the one before": "{% if loop.previtem and loop.previtem.role == 'user' %}^{% endif %}{{ m.content }}",
    "twice": "{{ m.content }}/{{ m.content | trim }}",
    "tools beside": "{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}",
    "branches of tools": "{% if m.role == 'tool' %}{{ m.content | tojson }}{% elif 'name' in m %}{{ m | tojson }}"
    "{% else %}{{ m.content }}{% endif %}",
    "unknown tools": "{% if custom is defined %}{% set tools = custom %}{% endif %}"
    "{% if tools is not none %}{{ m }}{% endif %}{{ m.content }}",
    "a clock that is not there": "{% if strftime_now is defined %}{{ strftime_now(m.content) }}{% endif %}"
    "{{ m.content }}",
    "generation": "{% generation %}{{ m.content }}{% endgeneration %}",
    "namespaces": "{% set ns = namespace(n=0) %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{{ m.content }}",
}
LOOKS = {
    "tools of its own": "{% set tools = m %}{% if tools %}{{ m }}{% endif %}{{ m.content }}",
    "a name that is set later": "{% if c is defined %}{{ m | tojson }}{% endif %}{% set c = 1 %}{{ m.content }}",
    "searched": "{% if '</think>' in m.content %}x{% endif %}{{ m.content }}",
    "cut": "{{ m.content[:3] }}",
    "split": "{{ m.content.split('</think>')[-1] }}",
    "counted": "{{ m.content | length }}{{ m.content }}",
    "compared": "{% if m.content == 'x' %}y{% endif %}{{ m.content }}",
    "compared with another": "{% if m.content == messages[0].content %}y{% endif %}{{ m.content }}",
    "begins": "{% if m.content.startswith('x') %}y{% endif %}{{ m.content }}",
    "upper": "{{ m.content | upper }}",
    "replaced": "{{ m.content | replace('a', 'b') }}",
    "trimmed of letters": "{{ m.content | trim('ab') }}",
    "as json": "{{ m.content | tojson }}",
    "the whole message": "{{ m | tojson }}",
    "the whole message written": "{{ m }}",
    "all messages": "{{ messages | tojson }}{{ m.content }}",
    "by a key in a name": "{% set k = 'content' %}{{ m[k] }}",
    "by a key in a name, counted": "{% set k = 'content' %}{{ m[k] | length }}{{ m.content }}",
    "keys and values": "{% for k, v in m.items() %}{{ v | length }}{% endfor %}{{ m.content }}",
    "values": "{% for k in m %}{{ m[k] | upper }}{% endfor %}{{ m.content }}",
    "a macro": "{% macro x(c) %}{{ c | upper }}{% endmacro %}{{ x(m.content) }}",
    "kept in a namespace": "{% set ns = namespace(c='') %}{% set ns.c = m.content %}{{ ns.c | upper }}",
    "in a list": "{% set c = [m.content] %}{{ c[0] | upper }}",
    "of the one before": "{{ loop.previtem.content | upper }}{{ m.content }}",
    "mapped": "{{ messages | map(attribute='content') | join(' ') | upper }}{{ m.content }}",
    "a block": "{% set c %}{{ m.content }}{% endset %}{{ c | upper }}",
    "a filter block": "{% filter upper %}{{ m.content }}{% endfilter %}",
    "changed": "{% if loop.changed(m.content) %}!{% endif %}{{ m.content }}",
    "formatted": "{{ '%s' | format(m.content) }}",
    "escaped": "{{ m.content | e }}",
    "safe": "{{ (m.content | safe) + '<' }}",
}


def own(source):
    return chat_template(ChatConfig(), types.SimpleNamespace(chat_template=source, **FACTS))


def plain(source):
    return is_plain(SandboxedTemplate(source, strip_bos=False, **FACTS).parsed())


@pytest.mark.parametrize("name", TABLE)
def test_every_built_in_template_is_plain(name):
    assert is_plain(
        built_in(name, BuiltInConfig(), types.SimpleNamespace(chat_template=None, **FACTS))._template.parsed()
    )


@pytest.mark.parametrize("name", PLAIN)
def test_templates_that_put_text_around_are_plain(name):
    assert plain(LOOP.replace("BODY", PLAIN[name]))


@pytest.mark.parametrize("name", LOOKS)
def test_templates_that_look_into_what_is_said_are_not(name):
    assert not plain(LOOP.replace("BODY", LOOKS[name]))


TEXTS = draw.one_of(
    draw.text(max_size=12),
    draw.sampled_from(
        [
            "",
            " ",
            "\n",
            "\x1f",
            "\x1fa\x1f",
            "Qmark0q",
            "\x1fQmark1q",
            "</s>",
            "<|im_end|>",
            "<s>",
            "{{ x }}",
            "\ud800",
            "a b ",
        ]
    ),
)
TALKS = draw.lists(TEXTS, min_size=2, max_size=6)


@settings(max_examples=60, deadline=None)
@given(contents=TALKS, system=draw.one_of(draw.none(), TEXTS), weight=draw.sampled_from([None, 0, 0.5]))
@pytest.mark.parametrize("name", [*TABLE, *PLAIN])
def test_a_filled_form_is_what_rendering_gives(name, contents, system, weight):
    template = made(name)
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(contents)]
    said = said[: len(said) // 2 * 2]
    if weight is not None:
        said[1]["weight"] = weight
    if system is not None:
        said.insert(0, {"role": "system", "content": system})
    try:
        wanted = template._segments(said, (), "a:1")
    except FurrowError:
        with pytest.raises(FurrowError):
            template.train_segments(Row({"messages": said}, "a:1"))
    else:
        assert template.train_segments(Row({"messages": said}, "a:1")) == wanted


MADE = {}


def made(name):
    if name not in MADE:
        facts = types.SimpleNamespace(chat_template=None, **FACTS)
        MADE[name] = built_in(name, BuiltInConfig(), facts) if name in TABLE else own(LOOP.replace("BODY", PLAIN[name]))
    return MADE[name]
