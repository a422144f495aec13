"""Whatever a template is, it renders as Jinja renders it, or is refused; the counting changes no letter."""

from __future__ import annotations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from furrow.components.errors import FurrowError
from furrow.components.prompt_template.chat.filters import to_json
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.format.parse import parse_format
from tests.faults.fuzzing import tried

NAMES = st.sampled_from(["messages", "m", "x", "y", "ns.x", "ns.y", "loop.index", "loop.last", "nothing", "bos_token"])
CONSTANTS = st.sampled_from(
    ["'a'", "'<b> '", "''", "0", "3", "-1", "2.5", "true", "none", "[1, 'q']", "{'k': 'v'}", "('a',)"]
)
FILTERS = st.sampled_from(
    [
        "trim", "length", "upper", "list", "first", "last", "join('-')", "tojson", "default('d')", "string", "int", "e",
        "replace('a', 'bb')", "indent(2)", "map('string')|list", "map(attribute='role')|join", "reverse|list", "sort",
        "selectattr('role', 'equalto', 'user')|list", "select('string')|list", "center(9)", "round", "unique|list",
        "batch(2)|list", "items|list", "dictsort", "title", "wordcount", "format(1)", "max", "sum", "float", "safe",
        "truncate(3)", "capitalize", "slice(2)|list", "reject('none')|list", "abs", "urlencode", "filesizeformat",
    ]
)  # fmt: skip
METHODS = st.sampled_from(
    [
        "strip()", "split('a')", "split()", "startswith('a')", "upper()", "replace('a', 'cc')", "get('role')",
        "items()",
        "join(['p', 'q'])", "keys()|list", "index('a')", "count('a')", "title()", "rstrip(' ')", "format(7)",
        "zfill(4)",
        "splitlines()", "lower()", "find('a')", "values()|list", "copy()", "partition('a')", "rsplit('a', 1)",
    ]
)  # fmt: skip
EXPRESSIONS = st.recursive(
    NAMES | CONSTANTS,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, st.sampled_from(["+", "~", "*", "%", "-", "//", "**"]), inner),
        st.builds("({} {} {})".format, inner, st.sampled_from(["==", "!=", "<", "in", "not in", "and", "or"]), inner),
        st.builds("({}|{})".format, inner, FILTERS),
        st.builds("({}).{}".format, inner, METHODS),
        # Jinja computes `(0)[1:]` while it compiles, where it is nothing; while it renders it is an error
        st.builds("{}[{}]".format, NAMES, st.sampled_from(["0", "-1", "1:", "::-1", ":2", "'role'", "'content'"])),
        st.builds("({}).{}".format, inner, st.sampled_from(["role", "content", "x", "items", "__class__"])),
        st.builds("({} if {} else {})".format, inner, inner, inner),
        st.builds(
            "({} is {})".format, inner, st.sampled_from(["defined", "string", "mapping", "eq('a')", "in('abc')"])
        ),
        st.builds("[{}, {}]".format, inner, inner),
        st.builds("{{'k': {}}}".format, inner),
        st.builds("(range({})|list)".format, st.integers(-2, 5)),
    ),
    max_leaves=6,
)
STATEMENTS = st.recursive(
    st.one_of(
        st.sampled_from(["text ", " \n ", "{# no #}", "<|im_end|>\n", "{{ '\\n' }}"]),
        st.builds("{{{{ {} }}}}".format, EXPRESSIONS),
        st.builds("{{{{- {} -}}}}".format, EXPRESSIONS),
        st.builds("{{% set {} = {} %}}".format, st.sampled_from(["x", "y", "ns.x", "ns.y"]), EXPRESSIONS),
    ),
    lambda inner: st.one_of(
        st.builds("{}{}".format, inner, inner),
        st.builds("{{% for m in messages %}}{}{{% endfor %}}".format, inner),
        st.builds("{{% for y in {} if y %}}{}{{% else %}}{}{{% endfor %}}".format, EXPRESSIONS, inner, inner),
        st.builds("{{% if {} %}}{}{{% else %}}{}{{% endif %}}".format, EXPRESSIONS, inner, inner),
        st.builds("{{% set x %}}{}{{% endset %}}".format, inner),
        st.builds("{{% macro f(y={}) %}}{}{{% endmacro %}}{{{{ f() ~ f('z') }}}}".format, EXPRESSIONS, inner),
        st.builds("{{% filter upper %}}{}{{% endfilter %}}".format, inner),
        st.builds("{{% with y = {} %}}{}{{% endwith %}}".format, EXPRESSIONS, inner),
        st.builds("{{% for y in [1, 2] recursive %}}{}{{% if loop.depth < 2 %}}{{{{ loop([3]) }}}}{{% endif %}}"
                  "{{% endfor %}}".format, inner),
    ),
    max_leaves=8,
)  # fmt: skip
PIECES = [
    "{", "}", "{{", "}}", "input", "output", "{input}", "{output}", "!r", ":>9", ".x", "[0]", "a", " ", "\n", "é",
]  # fmt: skip
TEMPLATES = st.builds("{{% set ns = namespace(x='n', y=2) %}}{}".format, STATEMENTS)
CONVERSATION = [
    {"role": "system", "content": " Be brief. "},
    {"role": "user", "content": "Why a <b>?\nSo & so"},
    {"role": "assistant", "content": "aXa"},
]
ELSEWHERE = ("random", "pprint", "generator object", " at 0x")


def plain(source):
    """As transformers sets it up."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = to_json
    template = environment.from_string(source)
    given = [dict(message) for message in CONVERSATION]
    return template.render(messages=given, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")


def metered(source):
    template = SandboxedTemplate(source, bos_token="<s>", eos_token="</s>", strip_bos=False)
    return template.render(CONVERSATION, add_generation_prompt=True)


@tried(120)
@given(TEMPLATES)
@example("{{ messages|map(attribute='role')|join(', ') }}{{ messages|tojson(indent=2) }}")
@example("{{ ('<b>'|e) + '<b>' ~ ('<i>'|e) }}{% autoescape true %}{{ '<b>' ~ x }}{% endautoescape %}")
@example("{% autoescape true %}{{ '<b>' + ('<i>'|safe) }}{% endautoescape %}")
@example("{% for m in messages %}{{ loop.cycle('a', 'b') }}{{ loop.previtem }}{% endfor %}")
@example("{% for m in messages %}{% if loop.changed(m.role) %}{{ loop.index0 }}{% endif %}{% endfor %}")
@example("{{ '%s is %5.1f and %%' % ('a', 2.25) }}{{ '{:>5}|{0[0]}'.format('ab') }}{{ '{a}'.format_map({'a': 1}) }}")
@example("{% block a %}{{ messages[0].content }}{% endblock %}{{ self.a() }}")
@example("{% macro f() %}{{ caller('x') }}{% endmacro %}{% call(y) f() %}{{ y }}{% endcall %}")
@example("{{ messages[0].get('nothing', 'd') }}{{ dict(a=1).items()|list }}")
def test_the_counting_changes_no_letter(source):
    try:
        expected = plain(source)
    except Exception:
        with pytest.raises(FurrowError):
            metered(source)
        return
    assume(not any(word in expected for word in ELSEWHERE))
    assert metered(source) == expected


@tried(100)
@given(st.text(alphabet="{}%#-+|'\"\\()[].,:=~*!<> \nabfx019_ifsetndor", max_size=80))
@example("{{ '\\ud800' }}")
@example("{{ 1" + "0" * 5000 + " }}")
@example("{% for a in b %}" * 25 + "{% endfor %}" * 25)
def test_any_template_is_rendered_or_refused(source):
    try:
        metered(source).encode()
    except FurrowError as error:
        assert "chat template" in str(error)


@tried(200)
@given(st.lists(st.sampled_from(PIECES)).map("".join))
@example("{input.__class__}{output}")
def test_a_format_keeps_its_text_or_is_refused(text):
    try:
        parsed = parse_format(text)
    except ValueError:
        return
    given = "".join("{" + piece.text + "}" if piece.is_field else braced(piece.text) for piece in parsed.given)
    written = given + parsed.gap + "{" + parsed.answer + "}" + braced(parsed.tail)
    assert written.rstrip() == text.rstrip()


def braced(text):
    return text.replace("{", "{{").replace("}", "}}")
