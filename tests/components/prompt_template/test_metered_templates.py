"""A model's chat template does what a conversation needs, and no more: which work is refused, and which is not."""

from __future__ import annotations

import pytest

from furrow.components.errors import FurrowError
from furrow.components.prompt_template.chat import budget
from furrow.components.prompt_template.chat.sandbox import MAX_CHARACTERS, SandboxedTemplate

MUCH = "does more work, or makes longer texts, than a conversation can need"


def render(source, turns=1, content="Why?"):
    template = SandboxedTemplate(source, bos_token="<s>", eos_token="</s>", strip_bos=False)
    roles = ("user", "assistant")
    messages = [{"role": roles[turn % 2], "content": content} for turn in range(turns)]
    return template.render(messages, add_generation_prompt=True)


@pytest.mark.parametrize(
    "source",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{% for a in [1, 2] recursive %}{% if loop.depth < 40 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}",
        "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
        "{{ 'x' * 10**10 }}",
        "{{ [1] * 10**10 }}",
        "{{ 'x'|center(10**9) }}",
        "{{ ('x'|e).zfill(10**9) }}",
        "{{ [1]|batch(linecount=10**9, fill_with=0)|list }}",
        "{{ ('x' * 99999)|replace('x', 'y' * 99999) }}",
        "{{ ('y' * 9999).join(range(99999)|map('string')) }}",
        "{% set ns = namespace(x='xx') %}{% for a in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[]) %}{% for a in range(99) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}",
        "{% set a = 'x' * 999999 %}{% for i in range(99999) %}{% if 'y' in a %}{% endif %}{% endfor %}",
        "{% for i in range(99999) %}" + "x" * 9999 + "{% endfor %}",
    ],
)
def test_endless_work_is_refused(source):
    with pytest.raises(FurrowError, match=f"{MUCH}|maximum recursion depth"):
        render(source)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("{{ 10**9999 }}", "a number of"),
        ("{{ 5|round(-1000000000) }}", "rounds to more than 300 digits"),
        ("{{ '%999999999d' % 1 }}", "a width of 1,000 characters or more"),
        ("{{ '%(a(b))999999999d' % {'a(b)': 1} }}", "a width of 1,000 characters or more"),
        ("{{ '{:{w}}'.format(1, w=999999999) }}", "a width of 1,000 characters or more"),
        ("{{ (1).to_bytes(10**9, 'big') }}", "the method to_bytes of int is not for chat templates"),
        ("{{ [1]|tojson(indent=10**9) }}", "indents by more than 16 characters"),
        ("{{ lipsum(n=10**9) }}", "'lipsum' is undefined"),
        ("{{ '\\ud800' }}", "surrogates not allowed"),
        ("{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}", "cannot be read"),
        ("{{ 1" + "0" * 5000 + " }}", "cannot be read"),
        ("x" * (MAX_CHARACTERS + 1), "characters; at most"),
        ("{{ raise_exception('x' * 9999) }}", "…"),
    ],
)
def test_what_is_refused_says_why(source, why):
    with pytest.raises(FurrowError) as refused:
        render(source)
    assert why in str(refused.value)
    assert len(str(refused.value)) < 600


def test_a_long_conversation_with_long_messages_is_within_the_budget():
    """Each message copied ten times, and looked at by a loop within a loop."""
    source = (
        "{% for m in messages %}{% set c = m.content|trim %}{% if c.startswith('W') and '</think>' not in c %}"
        "{{ '<' + m.role + '>' + c + '\n' + (c ~ c)[:9] + c.split('</think>')[-1].strip() }}{% endif %}"
        "{% for other in messages[:9] %}{% if other.role == m.role %}{% endif %}{% endfor %}{% endfor %}"
    )
    assert len(render(source, turns=2000, content="Why? " * 500)) > 2000 * 2 * 2499


def test_a_budget_is_for_one_rendering():
    template = SandboxedTemplate("{% for a in range(9999) %}x{% endfor %}", bos_token="", eos_token="", strip_bos=False)
    for _ in range(budget.STEPS // 9999 * 4):
        assert len(template.render([{"role": "user", "content": "a"}], add_generation_prompt=True)) == 9999


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ messages[0].content.replace('Wh', 'wh').center(8) }}", "  why?  "),
        ("{{ '%5.1f|%-4s|%%' % (2.25, 'a') }}", "  2.2|a   |%"),
        ("{{ '{:>4}'.format('a') ~ 3 * 'b' ~ 2 ** 10 }}", "   abbb1024"),
        ("{{ {'a': [1, 'é']}|tojson }}", '{"a": [1, "é"]}'),
        ("{{ '<b>'|tojson }}", '"<b>"'),
        ("{% set ns = namespace(n=0) %}{% for c in 'abc' %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}", "3"),
        ("{% generation %}{{ messages|length }}{% endgeneration %}", "1"),
        ("{{ bos_token }}{{ nothing }}{{ messages[0].nothing is defined }}", "<s>False"),
    ],
)
def test_ordinary_work_is_done_as_jinja_does_it(source, text):
    assert render(source) == text


def test_a_template_that_asks_for_the_date_is_refused_with_the_reason_and_the_way_out():
    template = SandboxedTemplate("{{ strftime_now('%Y') }}", bos_token="", eos_token="", strip_bos=False)
    with pytest.raises(FurrowError, match=r"asks for today's date .*prompt_template.system"):
        template.render([{"role": "user", "content": "a"}], add_generation_prompt=True)
