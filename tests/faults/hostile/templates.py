"""Templates that try to reach out of their sandbox, or to work for ever: of a model (Jinja) and of a strategy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from tests.faults.hostile.payload import Payload

_ESCAPES = {
    "subclasses of object": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "subclasses by brackets": "{{ ''['__class__']['__base__']['__subclasses__']() }}",
    "subclasses by attr": "{{ ''|attr('__class__')|attr('__base__')|attr('__subclasses__')() }}",
    "attr with joined names": "{{ ''|attr(['__cl','ass__']|join)|attr('__base__') }}",
    "attr by map": "{{ ['']|map(attribute='__class__')|list }}",
    "attr by map and attr": "{{ ['']|map('attr', '__class__')|list }}",
    "globals of cycler": "{{ cycler.__init__.__globals__.os.system(CMD) }}",
    "globals of joiner": "{{ joiner.__init__.__globals__['__builtins__']['__import__']('os').system(CMD) }}",
    "globals of namespace": "{{ namespace.__init__.__globals__.sys.modules.os.system(CMD) }}",
    "globals of lipsum": "{{ lipsum.__globals__['os'].popen(CMD).read() }}",
    "globals of range": "{{ range.__globals__ }}",
    "globals of raise_exception": "{{ raise_exception.__globals__ }}{{ raise_exception.func_globals }}",
    "globals of a macro": "{% macro m() %}{% endmacro %}{{ m._func.__globals__ }}",
    "environment of a macro": "{% macro m() %}{% endmacro %}{{ m._environment.from_string(CMD) }}",
    "context of self": "{{ self._TemplateReference__context.environment.globals }}",
    "context of self by brackets": "{{ self['_TemplateReference__context'] }}",
    "environment of loop": "{% for x in [1] %}{{ loop._undefined.__init__.__globals__ }}{% endfor %}",
    "globals of undefined": "{{ nothing.__init__.__globals__ }}{{ (nothing|attr('__init__')).__globals__ }}",
    "code of a generator": "{{ ([1]|map('string')).gi_frame.f_globals }}{{ ([1]|map('string')).gi_code }}",
    "format walks attributes": "{{ '{0.__class__.__mro__}'.format('') }}",
    "format walks brackets": "{{ '{0[__class__]}'.format('') }}",
    "format_map walks attributes": "{{ '{a.__class__.__base__.__subclasses__}'.format_map({'a': ''}) }}",
    "format by attr": "{{ ('{0.__class__}'|attr('format'))('') }}",
    "format by map": "{{ ['{0.__class__}']|map(attribute='format')|first }}",
    "format in a markup": "{{ ('{0.__class__.__init__.__globals__}'|e).format(cycler) }}",
    "format of an unbound method": "{{ ''.__class__.format('{0.__class__}', '') }}",
    "percent with a mapping": "{{ '%(__class__)s' % cycler }}",
    "init of a namespace": "{% set ns = namespace(__class__=1) %}{% set ns.__class__ = 2 %}{{ ns.__init__ }}",
    "mutates a global": "{% set _ = range.__dict__.update({}) %}",
    "mutates the conversation": "{{ messages.append(1) }}{{ messages.__setitem__(0, 1) }}",
    "changes what others see": "{{ messages[0].update({'content': 'x'}) }}{{ messages.clear() }}{{ messages.pop() }}",
    "sort with attribute": "{{ messages|sort(attribute='__class__')|list }}{{ messages|groupby('__class__')|list }}",
    "sum with attribute": "{{ ['']|sum(attribute='__class__.__base__') }}",
    "reads a file by include": "{% include '/etc/passwd' %}",
    "reads a file by import": "{% import '/etc/passwd' as p %}{{ p }}",
    "reads a file by from": "{% from '/etc/passwd' import x %}",
    "extends a file": "{% extends '/etc/passwd' %}",
    "encodes itself": "{{ 'x'.encode('rot13') }}{{ ('x').encode().decode('unicode_escape') }}",
    "translates": "{{ 'x'.translate({120: 'y'}) }}{{ 'x'.maketrans('x', 'y') }}",
    "mro of a message": "{{ messages[0].items().__class__.__mro__ }}{{ messages.__reduce_ex__(2) }}",
    "code in a name": "{% set x = 1 %}{{ environment.spend }}{{ environment.globals }}{{ charged.__self__ }}",
    "budget in reach": "{{ self.environment.refill() }}{{ environment.left }}{% set environment.left = 9 %}",
}
_NS = "{% set ns = namespace(x='aaaaaaaa', y=['a']) %}"
_LOOP = "{% for a in range(99) %}"
_WORK = {
    "a loop of loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "five loops": "{% set r = range(99999) %}" + "".join("{% for a in r %}" for _ in range(5)) + "{% endfor %}" * 5,
    "a loop that tests": "{% for a in range(99999) if range(99999)|sum %}{% endfor %}",
    "a loop that tests in vain": "{% for a in range(9999) %}{% for b in range(9999) if 0 %}{% endfor %}{% endfor %}",
    "a loop of else": "{% for a in [] recursive %}{% else %}{{ loop([]) }}{{ loop([]) }}{% endfor %}",
    "a loop that calls itself": "{% for a in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
    "a range too long": "{% for a in range(10**9) %}x{% endfor %}",
    "a macro that calls itself": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "a macro that calls itself twice": "{% macro m(n) %}{% if n %}{{ m(n-1) }}{{ m(n-1) }}{% endif %}{% endmacro %}"
    "{{ m(60) }}",
    "a macro with a dear default": "{% macro m(a=range(99999)|sum) %}{% endmacro %}"
    "{% for a in range(9999) %}{{ m() }}{% endfor %}",
    "a caller of callers": "{% macro m(n) %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "".join("{% call m(1) %}" for _ in range(30))
    + "x"
    + "{% endcall %}" * 30,
    "a block that calls itself": "{% block a %}{{ self.a() }}{{ self.a() }}{% endblock %}",
    "a macro in itself by argument": "{% macro m(f, n) %}{% if n %}{{ f(f, n-1) }}{{ f(f, n-1) }}{% endif %}"
    "{% endmacro %}{{ m(m, 99) }}",
    "a text times a number": "{{ 'x' * 10**10 }}",
    "a number times a text": "{{ 10**10 * 'x' }}",
    "a list times a number": "{{ ([1] * 10**9)|length }}",
    "a power": "{{ 10**10**10 }}",
    "a power of powers": "{{ (9**9)**(9**9) }}{{ 2.0 ** 99999 }}",
    "squares": _NS + "{% set ns.x = 99 %}{% for a in range(99) %}{% set ns.x = ns.x * ns.x %}{% endfor %}{{ ns.x }}",
    "a width of percent": "{{ '%999999999d' % 1 }}",
    "a width of percent by star": "{{ '%*d' % (999999999, 1) }}",
    "a precision of percent": "{{ '%.999999999f' % 1 }}",
    "a width behind a name": "{{ '%(a(b))999999999d' % {'a(b)': 1} }}",
    "a width of the filter format": "{{ '%999999999d'|format(1) }}",
    "a width of format": "{{ '{:>999999999}'.format(1) }}",
    "a width within format": "{{ '{:{w}}'.format(1, w=999999999) }}",
    "a width of format_map": "{{ '{a:>999999999}'.format_map({'a': 1}) }}",
    "a width of format in a loop": "{{ ['{:>999999999}'.format]|map('string')|list }}",
    "percent many times": _NS + "{% set t = 'x' * 99999 %}{{ ('%s' * 9999) % ((t,) * 9999) }}",
    "center": "{{ 'x'|center(10**9) }}",
    "center of a text": "{{ 'x'.center(10**9) }}{{ 'x'.ljust(10**9) }}",
    "rjust": "{{ 'x'.rjust(10**9) }}",
    "zfill": "{{ 'x'.zfill(10**9) }}",
    "zfill of a markup": "{{ ('x'|e).zfill(10**9) }}",
    "expandtabs": "{{ '\\t'.expandtabs(10**9) }}",
    "expandtabs by name": "{{ '\\t'.expandtabs(tabsize=10**9) }}",
    "indent": "{{ 'x\\nx'|indent(10**9) }}",
    "indent many lines": "{{ ('\\x0b' * 99999)|indent(9999, true, true) }}",
    "indent by a text": "{{ ('\\nx' * 9999)|indent('x' * 99999) }}",
    "batch": "{{ [1]|batch(10**9, 'x')|list }}",
    "batch by name": "{{ [1]|batch(linecount=10**9, fill_with='x')|list }}",
    "slice": "{{ [1]|slice(10**9)|list }}",
    "slice by name": "{{ [1]|slice(slices=10**9)|list }}",
    "round": "{{ 5|round(-1000000000) }}",
    "round upwards": "{{ 5|round(1000000000, 'ceil') }}",
    "to_bytes": "{{ (1).to_bytes(10**9, 'big') }}",
    "replace": "{{ ('x' * 99999)|replace('x', 'y' * 99999) }}",
    "replace of a text": "{{ ('x' * 99999).replace('x', 'y' * 99999) }}",
    "replace nothing": "{{ ('x' * 99999).replace('', 'y' * 99999) }}",
    "join": "{{ range(99999)|join('y' * 99999) }}",
    "join of a text": "{{ ('y' * 99999).join(range(99999)|map('string')) }}",
    "join in joins": _NS + _LOOP + "{% set ns.y = [ns.y|join(','), ns.y|join(',')] %}{% endfor %}{{ ns.y }}",
    "json of indents": "{{ [[[[1]]]]|tojson(indent=10**9) }}",
    "json of deep lists": _NS + "{% for a in range(99999) %}{% set ns.y = [ns.y] %}{% endfor %}{{ ns.y|tojson }}",
    "doubling by tilde": _NS + _LOOP + "{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "doubling by plus": _NS + _LOOP + "{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x|length }}",
    "doubling by lines": "{% set a = 'aaaa' %}" + "{% set a = a ~ a %}" * 99,
    "doubling by blocks": "{% set a = 'aaaa' %}" + "{% set a %}{{ a }}{{ a }}{% endset %}" * 99,
    "doubling by join": _NS + _LOOP + "{% set ns.x = [ns.x, ns.x]|join %}{% endfor %}",
    "doubling by filter blocks": "{% set a = 'aaaa' %}" + "{% set a | upper %}{{ a }}{{ a }}{% endset %}" * 99,
    "doubling lists": _NS + _LOOP + "{% set ns.y = ns.y + ns.y %}{% endfor %}",
    "sharing lists": _NS + _LOOP + "{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.y }}",
    "sharing tuples": _NS + _LOOP + "{% set ns.y = (ns.y, ns.y) %}{% endfor %}{{ {ns.y: 1} }}",
    "sharing mappings": _NS + _LOOP + "{% set ns.y = {'a': ns.y, 'b': ns.y} %}{% endfor %}{{ ns.y == ns.y }}",
    "sharing by dict": _NS + _LOOP + "{% set ns.y = dict(a=ns.y, b=ns.y) %}{% endfor %}{{ ns.y|string }}",
    "sharing by list": _NS
    + _LOOP
    + "{% set ns.y = [1, 2]|map(attribute='q', default=ns.y)|list %}{% endfor %}{{ ns.y }}",
    "sharing namespaces": "{% set a = namespace() %}" + "{% set a = namespace(x=a, y=a) %}" * 99 + "{{ a }}",
    "a namespace in itself": _NS + "{% set ns.x = ns %}{% set ns.y = [ns, ns] %}{{ ns }}{{ ns.y }}",
    "comparing what is alike": _NS
    + "{% set o = namespace(y=['a']) %}{% for a in range(99) %}{% set ns.y = [ns.y, ns.y] %}{% set o.y = [o.y, o.y] %}"
    "{% endfor %}{{ ns.y == o.y }}",
    "comparing again and again": "{% set a = 'x' * 99999 %}{% set b = 'x' * 99999 %}"
    "{% for i in range(99999) %}{% if a ~ '' == b %}{% endif %}{% endfor %}",
    "searching again and again": "{% set a = 'x' * 999999 %}"
    "{% for i in range(99999) %}{% if 'y' in a %}{% endif %}{% endfor %}",
    "slicing again and again": "{% set a = 'x' * 999999 %}{% for i in range(99999) %}{% set b = a[1:] %}{% endfor %}",
    "writing again and again": "{% set a = 'x' * 999999 %}{% for i in range(99999) %}{{ a }}{% endfor %}",
    "writing what is written here": "{% for i in range(99999) %}" + "x" * 99999 + "{% endfor %}",
    "writing what is folded": "{% for i in range(99999) %}{{ 'x'|center(99999) }}{% endfor %}",
    "one line of much": "{% for i in range(99999) %}" + "{{ messages[0].content|upper }}" * 3000 + "{% endfor %}",
    "selecting in vain": "{% for i in range(99999) %}{{ range(99999)|select('none')|list }}{% endfor %}",
    "mapping of mappings": "{{ range(99999)" + "|map('string')" * 400 + "|list|length }}",
    "numbers out of letters": "{{ ('f' * 999999)|int(0, 16) // (('f' * 499999)|int(0, 16)) }}",
    "a sum of lists": "{{ ([[1] * 99] * 9999)|sum(start=[])|length }}",
    "splitting": "{% for i in range(9999) %}{% set b = ('x,' * 99999).split(',') %}{% endfor %}",
    "letters": "{{ ('x' * 9999999)|list|length }}",
    "cycles": "{% set c = cycler(1, 2) %}{% for i in range(9999) %}{% for j in range(9999) %}{{ c.next() }}{% endfor %}"
    "{% endfor %}",
    "lorem ipsum": "{{ lipsum(n=10**9) }}",
    "links": "{{ ('<' * 99999)|urlize }}",
    "tags": "{{ ('<!--' * 99999)|striptags }}{{ ('<!--' * 9999)|e.striptags() }}",
    "words": "{{ ('x' * 99999)|wordwrap(1) }}{{ ('-' * 99999)|wordcount }}",
}
_READING = {
    "many digits": "{{ " + "9" * 99999 + " }}",
    "many underscores": "{{ " + "1_" * 49999 + "1 }}",
    "deep parentheses": "{{ " + "(" * 30000 + "1" + ")" * 30000 + " }}",
    "deep lists": "{{ " + "[" * 60000 + " }}",
    "deep ifs": "{% if true %}" * 4000 + "{% endif %}" * 4000,
    "deep loops": "{% for a in [1] %}" * 30 + "{% endfor %}" * 30,
    "many nots": "{{ " + "not " * 30000 + "1 }}",
    "a long chain": "{{ a" + ".b" * 50000 + " }}",
    "a long sum": "{{ 1" + " + 1" * 30000 + " }}",
    "a long tilde": "{{ 'a'" + " ~ 'a'" * 20000 + " }}",
    "many filters": "{{ 'a'" + "|upper" * 20000 + " }}",
    "many pieces": "{{ a }}" * 18000,
    "many openings": "{{" * 60000,
    "many statements": "{%" * 60000,
    "many comments": "{#" * 60000,
    "many quotes": "{{ '" * 30000,
    "many minuses": "{{ " + "-" * 60000 + "1 }}",
    "many spaces": "{%" + " " * 120000 + "raw",
    "many blank lines": "\n" * 60000 + "{%- if a %}" + "\n" * 60000,
    "a megabyte": "x" * (1 << 20),
    "no text": "\x00\ud800{{ '\ud800' }}",
    "raise_exception with much": "{{ raise_exception('x' * 999999) }}",
}
_FORMATS = {
    "attributes": "{input.__class__}{output}",
    "attributes of attributes": "{input.__init__.__globals__[os]}{output}",
    "brackets": "{input[0]}{output}",
    "a width": "{input:>1000000000}{output}",
    "a width in a width": "{input:{output}}{output}",
    "a conversion": "{input!r}{output!a}",
    "a number": "{0}{output}",
    "nothing": "{}{output}",
    "nested braces": "{{input}}{{{output}",
    "no answer": "{input} {nothing}",
    "many fields": "{a}" * 60000 + "{output}",
    "many braces": "{" * 200000 + "input" + "}" * 200000 + "{output}",
    "many spaces": "{input}" + " \t" * 100000 + "x{output}" + " \n" * 100000,
    "a long name": "{" + "a" * 200000 + "}{output}",
    "percent signs": "%(input)999999999d {input}%s%n{output}",
    "Jinja": "{{{{ cycler.__init__.__globals__ }}}}{{% for x in y %}}{input}{output}",
    "Go": '{{{{ .System }}}} {{{{ define "x" }}}}{input}{{{{ end }}}}{output}',
    "a lone surrogate": "{input}\ud800{output}",
    "a control character": "{input}\x00\x1b]52;c;x\x07{output}",
}


def _jinja(source: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate

        written = source.replace("CMD", json.dumps(f"echo executed > '{marker}'"))
        template = SandboxedTemplate(written, bos_token="<s>", eos_token="</s>", strip_bos=False)
        asked = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
        text = template.render(asked, add_generation_prompt=True)
        if "<class" in text or "root:" in text or "__builtins__" in text:
            raise AssertionError(f"it reached {text[:200]}")
        return f"rendered {len(text)} characters"

    return attempt


def _format(text: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        from pydantic import ValidationError

        from furrow.components.errors import FurrowError
        from furrow.components.prompt_template.format.component import FormatConfig
        from furrow.components.prompt_template.format.template import FormatTemplate

        try:
            config = FormatConfig.model_validate({"format": text})
        except ValidationError as error:  # the strategy reader gives it its place
            raise FurrowError(str(error)[:300]) from error
        template = FormatTemplate(config, SimpleNamespace(eos_token="</s>", bos_token="<s>", chat_template=None))
        rendered = template.prompt([{"role": "user", "content": "Why?"}])
        return f"rendered {len(rendered)}, {len(template.jinja())}, {len(template.go())} characters"

    return attempt


_DEAR = {
    "a loop that tests in vain", "sharing namespaces", "a namespace in itself", "cycles", "one line of much",
    "a caller of callers", "many pieces", "selecting in vain", "doubling by tilde", "sharing mappings",
    "a macro that calls itself twice", "a macro in itself by argument", "a long chain", "a long sum", "a long tilde",
    "many filters", "join of a text", "comparing what is alike", "many braces", "many fields",
}  # fmt: skip
"""They came nearest to the bounds of `tests.faults.test_bounds`, which tries them."""
_BYTES = 200 << 20
NEEDS = ("furrow.components.prompt_template.chat.sandbox", "furrow.components.prompt_template.format.template")
PAYLOADS = (
    *(Payload(name=f"escape: {name}", attempt=_jinja(source)) for name, source in _ESCAPES.items()),
    *(
        Payload(name=f"work: {name}", attempt=_jinja(source), bytes=_BYTES, quick=name not in _DEAR)
        for name, source in _WORK.items()
    ),
    *(
        Payload(name=f"reading: {name}", attempt=_jinja(source), bytes=_BYTES, quick=name not in _DEAR)
        for name, source in _READING.items()
    ),
    *(
        Payload(name=f"format: {name}", attempt=_format(text), bytes=_BYTES, quick=name not in _DEAR)
        for name, text in _FORMATS.items()
    ),
)
