"""Strategy files and `--set` that cost much, refer to what they may not, or make objects."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults.hostile.payload import Payload

_STOPS = "prompt_template.stop_sequences"
_FULL = 256 * 1024 - 200


def _lines(count: int, line: Callable[[int], str]) -> str:
    return "\n".join(map(line, range(count)))


def _list(count: int, item: Callable[[int], str]) -> str:
    return "[" + ", ".join(map(item, range(count))) + "]"


def _twice(count: int, name: Callable[[int], str]) -> str:
    """Texts each of which is twice the one before."""
    return ", ".join(f"'${{{name(n)}}}${{{name(n)}}}'" for n in range(count))


def _key(value: str, key: str = "description") -> str:
    return f"a: {{{key}: {value}}}"


_TEXTS = {
    "alias bomb": "a0: &a0 [x, x, x, x]\n"
    + _lines(20, lambda n: f"a{n + 1}: &a{n + 1} {_list(9, lambda _: f'*a{n}')}"),
    "alias bomb of mappings": "a0: &a0 {x: 1, y: 1}\n"
    + _lines(30, lambda n: f"a{n + 1}: &a{n + 1} {{x: *a{n}, y: *a{n}}}"),
    "alias to itself": "a: &a {b: *a}",
    "alias to itself in a list": "a: &a [*a, *a]",
    "merge bomb": "a0: &a0 {x: 1}\n"
    + _lines(30, lambda n: f"a{n + 1}: &a{n + 1} {{<<: [*a{n}, *a{n}], y{n}: {{<<: *a{n}}}}}"),
    "merge of merges": "a: &a {x: 1}\nb: {" + ", ".join(["<<: *a"] * 9000) + "}",
    "merge with a list": "a: &a [1]\nb: {<<: *a}",
    "merge with itself": "a: &a {<<: *a}",
    "anchors without end": "a: " + _list(19000, lambda n: f"&a{n} x"),
    "anchors on keys": "&a a: {&b description: &c x, *b : *c}",
    "aliases as keys": "a: &a {*a : 1}",
    "references that double": "a: {prompt_template: {stop_sequences: [x, "
    + _twice(40, lambda n: f"{_STOPS}[{n}]")
    + "]}}",
    "references that double nothing": "a: {prompt_template: {stop_sequences: ['', "
    + _twice(40, lambda n: f"{_STOPS}[{n}]")
    + "]}}",
    "references that double lists": "a:\n export:\n  b0: [x, x]\n"
    + _lines(40, lambda n: f"  b{n + 1}: ['${{export.b{n}}}', '${{export.b{n}}}']"),
    "references that double mappings": "a:\n export:\n  b0: {x: y}\n"
    + _lines(40, lambda n: f"  b{n + 1}: {{p: '${{export.b{n}}}', q: '${{export.b{n}}}'}}"),
    "references that double by short names": "a:\n method:\n  r0: xx\n"
    + _lines(40, lambda n: f"  r{n + 1}: '${{method.r{n}}}${{method.r{n}}}'"),
    "references that double by neighbours": "a:\n export:\n  b0: xx\n"
    + _lines(40, lambda n: f"  b{n + 1}: '${{.b{n}}}${{.b{n}}}'"),
    "references that double by extending": "a:\n extends: b\n name: '${description}${description}'\nb:\n extends: c\n"
    " description: '${generation.x}${generation.x}'\nc:\n generation: {x: " + "x" * 200_000 + "}",
    "references on and on": "a: {prompt_template: {stop_sequences: "
    + _list(480, lambda n: f"'${{{_STOPS}[{n + 1}]}}'")
    + "}}",
    "references without end": _key("'" + "${name}" * 30_000 + "'"),
    "escapes without end": _key("'" + "\\${" * 80_000 + "'"),
    "backslashes without end": _key("'" + "\\" * _FULL + "'"),
    "backslashes before a reference": _key("'" + "\\" * 200_000 + "${name}'"),
    "dots without end": _key("'${" + "." * 200_000 + "name}'"),
    "a reference into a long text": _key("'${name}" + "x$}{" * 50_000 + "'"),
    "an endless reference": _key("'" + "${" * 100_000 + "'"),
    "a reference to itself": _key("'${description}'"),
    "references in a circle": "a: {name: '${description}', description: '${name}'}",
    "a circle through lists": "a: {prompt_template: {stop_sequences: "
    f"['${{{_STOPS}}}', '${{..stop_sequences[0]}}']}}}}",
    "a secret of the environment": _key("'${oc.env:HF_TOKEN}'"),
    "a secret by default": _key("'${oc.env:WANDB_API_KEY,x}'"),
    "a secret in a secret": _key("'${oc.env:${name}}'"),
    "a secret with spaces": _key("'${ oc.env : HF_TOKEN }'"),
    "a variable with a default of code": _key("'${oc.env:FURROW_X,${oc.env:HF_TOKEN}}'"),
    "the resolver decode": _key("'${oc.decode:${oc.env:HOME}}'"),
    "the resolver create": _key("'${oc.create:{a: 1}}'"),
    "the resolver select": _key("'${oc.select:name}'"),
    "the resolver for keys": _key("'${oc.dict.keys:export}'"),
    "a resolver of somebody else": _key("'${now:%Y}${eval:1+1}${hydra:runtime}'"),
    "a Python object": "a: !!python/object/apply:os.system ['CMD']",
    "a Python object, new": "a: !!python/object/new:os.system ['CMD']",
    "a Python name": _key("!!python/name:os.system"),
    "a Python module": _key("!!python/module:antigravity"),
    "a Python tuple": _key("!!python/tuple [1, 2]"),
    "a tag of one's own": "a: !furrow {x: 1}",
    "a tag by a directive": "%TAG !p! tag:yaml.org,2002:python/\n--- \na: !p!object/apply:os.system ['CMD']",
    "bytes": _key("!!binary gIGC"),
    "a set": _key("!!set {x, y}"),
    "a date that is none": _key("!!timestamp 2024-13-45"),
    "an integer that is none": _key("!!int x"),
    "a target to instantiate": "a: {_target_: os.system, _args_: ['CMD'], components: {_target_: os.system}}",
    "a type by its path": "a: {components: {fine_tuner: {type: 'os:system'}}}",
    "a type by its module": "a: {prompt_template: {type: os.system}, dataset: {reader: {type: subprocess.Popen}}}",
    "remote code": "a: {base_model: {path: x, trust_remote_code: true}}",
    "depth": "a: " + "[" * _FULL,
    "depth of mappings": "a: " + "{a: " * 60_000,
    "depth of blocks": _lines(700, lambda n: " " * n + "a:"),
    "depth of lists in blocks": "- " * 100_000,
    "100,000 keys": "a:\n" + _lines(22_000, lambda n: f"  k{n}: 1"),
    "10,000 unknown keys": "a: {" + ", ".join(f"k{n}: 1" for n in range(4900)) + "}",
    "unknown keys that resemble": "a: {training_args: {" + ", ".join(f"learning_rat{n}: 1" for n in range(4800)) + "}}",
    "a huge key": "a: {'" + "learning_rate" * 15_000 + "': 1}",
    "a huge name": "'" + "a" * 200_000 + "': {}",
    "a huge type": "a: {prompt_template: {type: " + "chat" * 50_000 + "}}",
    "a huge integer": _key("9" * _FULL, "training_args"),
    "a huge integer with underscores": _key("1_" * (_FULL // 2) + "1"),
    "a huge octal": _key("0" + "7" * _FULL),
    "a huge hexadecimal": "a: {training_args: {seed: 0x" + "f" * _FULL + "}}",
    "a huge sexagesimal": _key("1:" * (_FULL // 2) + "1"),
    "a huge float": "a: {training_args: {learning_rate: 1e" + "9" * 300 + "}}",
    "infinity": "a: {training_args: {learning_rate: .inf, weight_decay: .nan}}",
    "digits in quotes": "a: {training_args: {learning_rate: '" + "1" * 200_000 + "x'}}",
    "a range of digits": "a: {training_args: {learning_rate: '" + "1" * 100_000 + "-" + "1" * 100_000 + "x'}}",
    "spaces for a number": "a: {training_args: {learning_rate: '" + " " * 200_000 + "x'}}",
    "a token that is none": _key("'" + "-eyJ" * 60_000 + "'"),
    "an address that is none": _key("'://" + ":" * 200_000 + "'"),
    "words that resemble": "a: {training_args: {lr_scheduler_type: '" + "cosine" * 40_000 + "'}}",
    "a large text": _key("'" + "x" * _FULL + "'"),
    "a large block": "a:\n  description: |\n" + "    x\n" * 40_000,
    "a large text in quotes": _key("'" + "''" * (_FULL // 2) + "'"),
    "a large text of escapes": _key('"' + "\\x41" * (_FULL // 4) + '"'),
    "a large comment": "#" * _FULL + "\na: {}",
    "many comments": "#\n" * (_FULL // 2) + "a: {}",
    "9,000 stops": "a: {prompt_template: {stop_sequences: " + _list(9000, lambda n: f"s{n}") + "}}",
    "9,000 trackers": "a: {monitoring: {trackers: " + _list(9000, lambda n: "jsonl") + "}}",
    "10 MB": _key("x" * 10_000_000),
    "many documents": "---\na: {}\n" * 9000,
    "many strategies": _lines(3000, lambda n: f"s{n}: {{}}"),
    "many strategies that extend": "s0: {}\n" + _lines(199, lambda n: f"s{n + 1}: {{extends: s{n}}}"),
    "extends in a circle": "a: {extends: b}\nb: {extends: c}\nc: {extends: a}",
    "extends itself": "a: {extends: a}",
    "extends what is no name": "a: {extends: [b, {c: d}]}",
    "extends a file": "a: {extends: /etc/passwd}",
    "extends a path out": "a: {extends: ../../../../etc/passwd}",
    "a NUL": "a: {description: x\x00y}",
    "a NUL in quotes": 'a: {training_args: {output_dir: "x\\0y"}, dataset: {train_file: "a\\0b"}}',
    "control characters": 'a: {export: {model_name: "\\e]52;c;aGk=\\a\\r\\n"}}',
    "control characters as a key": 'a: {"\\e[2J\\e]0;x\\a": 1}',
    "half a character": 'a: {description: "\\ud83d"}',
    "half a character as a key": 'a: {"\\udc00": 1}',
    "a directive that is none": "%YAML 9.9\n---\na: {}",
    "tabs": "a:\n\tb: 1",
    "a pattern that takes for ever": "a: {method: {type: lora, rank_pattern: {'(a+)+b': 8, '((x|x)*)*y': 4}}}",
    "a pattern that takes long": "a: {method: {type: lora, alpha_pattern: {'.*.*.*.*.*z': 2}}}",
    "an id that climbs out": "a: {base_model: {huggingface_id: '../../etc'}}",
    "a question mark": "? [a, b]\n: {c: d}",
    "missing": "a: {description: ???, export: ???}",
    "nothing": "",
    "only spaces": " " * _FULL,
    "not YAML": "\x80\x81{[}]",
    "a list": "[1, 2]",
    "a text": "hello",
}

_SETS = {
    "deep key": ".".join(["a"] * 50_000) + "=1",
    "huge value": "description=" + "x" * 2_000_000,
    "bomb": "description=" + "${name}" * 20_000,
    "escapes": "description=" + "\\${" * 5_000,
    "escapes over lines": "description=\n" + "\\${" * 50_000,
    "brackets": "description=" + "[" * 100_000,
    "alias": "description=[&a [x], *a, *a]",
    "tag": "description=!!python/object/apply:os.system ['CMD']",
    "tag of bytes": "description=!!binary gIGC",
    "digits": "training_args.seed=" + "9" * 100_000,
    "secret": "description=${oc.env:HF_TOKEN}",
    "resolver": "description=${oc.decode:1}",
    "NUL": "training_args.output_dir=a\0b",
    "half a character": "description=\ud800",
    "document": "description=x\n---\nb: {}",
    "extends": "extends=../../x",
    "type by path": "prompt_template.type=os.system",
    "target": "_target_=os.system",
    "empty": "=",
    "no key": "..=1",
    "control characters": "export.model_name=\x1b]0;x\x07",
}


def _load(file: Path, sets: Sequence[str] = ()) -> str:
    """As `strategies validate` and `strategies show` do."""
    from furrow.strategies.files import filled_yaml, load, load_all, names

    loaded = [load(name, file, sets) for name in names(file)] if sets else load_all(file)
    written = [filled_yaml(each.strategy) for each in loaded]
    if any("canary-value" in text for text in written):
        raise AssertionError("a secret of the environment is in the filled strategy")
    return f"{len(loaded)} strategies, {sum(map(len, written))} characters written out"


def _reads(text: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        os.environ.update(HF_TOKEN="canary-value-1", WANDB_API_KEY="canary-value-2")
        file = folder / "s.yaml"
        file.write_bytes(text.replace("CMD", f"echo executed > {marker}").encode("utf-8", "surrogatepass"))
        return _load(file)

    return attempt


def _sets(override: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        os.environ.update(HF_TOKEN="canary-value-1")
        file = folder / "s.yaml"
        file.write_text("a: {name: x}")
        return _load(file, [override.replace("CMD", f"echo executed > {marker}")])

    return attempt


def _is(make: Callable[[Path], object]) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        file = folder / "s.yaml"
        make(file)
        return _load(file)

    return attempt


def _sparse(file: Path) -> None:
    with file.open("wb") as stream:
        stream.truncate(1 << 40)


_FILES: dict[str, Callable[[Path], object]] = {
    "a FIFO": os.mkfifo,
    "a folder": lambda file: file.mkdir(),
    "a terabyte of nothing": _sparse,
    "an endless device": lambda file: file.symlink_to("/dev/zero"),
    "the terminal": lambda file: file.symlink_to("/dev/tty"),
    "a link to itself": lambda file: file.symlink_to(file),
    "a link to nothing": lambda file: file.symlink_to("nothing"),
    "a socket": lambda file: socket.socket(socket.AF_UNIX).bind(str(file)),
    "UTF-16": lambda file: file.write_bytes("a: {}".encode("utf-16")),
    "Latin-1": lambda file: file.write_bytes("a: {name: Größe}".encode("latin-1")),
    "a gzip": lambda file: file.write_bytes(b"\x1f\x8b\x08\x00" + os.urandom(1000)),
    "bytes by chance": lambda file: file.write_bytes(os.urandom(100_000)),
    "a secret file": lambda file: file.symlink_to("/proc/self/environ"),
    "memory": lambda file: file.symlink_to("/proc/self/mem"),
}

_DEAR = {
    "alias bomb", "merge bomb", "references that double", "references that double by extending", "depth",
    "references on and on", "escapes without end", "9,000 stops", "9,000 trackers", "10,000 unknown keys",
    "many strategies", "many strategies that extend", "a token that is none", "backslashes without end",
    "digits in quotes", "unknown keys that resemble", "100,000 keys", "a large block",
}  # fmt: skip
"""They came nearest to the bounds of `tests.faults.test_bounds`, which tries them."""
NEEDS = ("furrow.strategies.files", "furrow.strategies.suggestions")
SECONDS, BYTES = 10.0, 200 << 20
"""Ten times what it takes on an idle machine; the bound of the issue is a test of its own."""
PAYLOADS = (
    *(
        Payload(name=f"file: {name}", attempt=_reads(text), seconds=SECONDS, bytes=BYTES, quick=name not in _DEAR)
        for name, text in _TEXTS.items()
    ),
    *(
        Payload(name=f"--set: {name}", attempt=_sets(text), seconds=SECONDS, bytes=BYTES)
        for name, text in _SETS.items()
    ),
    *(Payload(name=f"is: {name}", attempt=_is(make), seconds=SECONDS, bytes=BYTES) for name, make in _FILES.items()),
)
