"""`${…}`: a reference to another key of the strategy, or to a variable of the environment that holds no secret.

Every reference is judged before any is resolved: `a: ${b}${b}`, `b: ${c}${c}`, … doubles with each line, and
`${oc.env:HF_TOKEN}` would copy a secret into whatever is written. They are resolved here, as OmegaConf would, because
its grammar takes three seconds for a text of 256 KiB.
"""

from __future__ import annotations

import os
import re
from typing import Any

from furrow.strategies.errors import Path, Problem, dotted
from furrow.strategies.moved_keys import SHORT_FORMS
from furrow.strategies.references import KeyReference, Reference, VariableReference, pieces
from furrow.strategies.spellings import Body

MAX_RESOLVED = 1 << 20
"""Characters and values after resolving, counting each use of a reference; a strategy has about 4,000."""
MAX_CHAIN = 100
"""Values on the way from a reference to what it means in the end."""

ENVIRONMENT = frozenset(
    (
        "CUDA_VISIBLE_DEVICES", "HF_HOME", "HF_HUB_CACHE", "HOME", "HOSTNAME", "LOGNAME", "OLLAMA_HOST",
        "OLLAMA_MODELS", "OUTPUT_DIR", "PWD", "SCRATCH", "TMPDIR", "USER", "WANDB_ENTITY", "WANDB_MODE",
        "WANDB_PROJECT", "XDG_CACHE_HOME", "XDG_DATA_HOME",
    )
)  # fmt: skip
"""Variables that a strategy may read, beside any that begins with FURROW_."""

_SECRET = re.compile(r"TOKEN|KEY|SECRET|PASS|CREDENTIAL|AUTH|PRIVATE", re.IGNORECASE)


def may_read(variable: str) -> bool:
    """Whether a strategy may read this variable: allow-listed by name, and never one whose name smells of a secret."""
    return (variable in ENVIRONMENT or variable.startswith("FURROW_")) and not _SECRET.search(variable)


def resolve(body: Body) -> tuple[dict[str, Any], list[Problem]]:
    """The body's data with every reference replaced; a value whose reference is refused is left out (None)."""
    judge = _Judge(body)
    problems = judge.problems()
    if not judge.references:
        return body.data, problems
    data = _without(body.data, {problem_path for problem_path, _ in judge.refused})
    return _Resolver(data, judge).value(data, ()), problems


class _Resolver:
    """Replaces what the judge let pass."""

    def __init__(self, data: dict[str, Any], judge: _Judge) -> None:
        self._data, self._judge = data, judge
        self._meant: dict[Path, Any] = {}

    def value(self, value: Any, path: Path) -> Any:
        if isinstance(value, str) and "${" in value:
            found = [piece if isinstance(piece, str) else self._of(piece, path) for piece in pieces(value)]
            return found[0] if len(found) == 1 else "".join(map(str, found))
        if isinstance(value, dict):
            return {key: self.value(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item, (*path, index)) for index, item in enumerate(value)]
        return value

    def _of(self, reference: Reference, path: Path) -> Any:
        if isinstance(reference, VariableReference):
            return os.environ.get(reference.name, None if reference.default == "null" else reference.default)
        target = self._judge.target(reference, path)
        if target not in self._meant:
            self._meant[target] = self.value(_get(self._data, target), target)
        return self._meant[target]


class _Judge:
    """Walks the values, follows every reference, and adds up what they would become."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.references: set[Path] = set()
        self.refused: list[tuple[Path, str]] = []
        self._sizes: dict[Path, int] = {}
        self._open: list[Path] = []
        size = self._size(body.data, ())
        if size > MAX_RESOLVED:
            largest = max(self.references, key=lambda path: self._sizes.get(path, 0))
            self.refused = [(path, "") for path in self.references if path != largest]
            self.refused.append((largest, f"the references here add up to more than {MAX_RESOLVED:,} characters"))

    def problems(self) -> list[Problem]:
        return [Problem(self.body.place(path), self.body.written(path), what) for path, what in self.refused if what]

    def _size(self, value: Any, path: Path) -> int:
        """Characters plus nodes of the resolved value; stops at the limit."""
        if path in self._sizes:
            return self._sizes[path]
        if path in self._open:
            circle = " -> ".join(dotted(step) for step in [*self._open[self._open.index(path) :], path])
            raise _Refused(f"the references go round in a circle: {circle}")
        if len(self._open) == MAX_CHAIN:
            raise _Refused(f"the references go on over more than {MAX_CHAIN} values")
        self._open.append(path)
        try:
            size = 1
            for key, item in _children(value):
                size += self._size(item, (*path, key))
            if isinstance(value, str):
                size += self._text_size(value, path)
        finally:
            self._open.pop()
        self._sizes[path] = min(size, MAX_RESOLVED + 1)
        return self._sizes[path]

    def _text_size(self, text: str, path: Path) -> int:
        size = len(text)
        if "${" not in text:
            return size
        self.references.add(path)
        try:
            found = pieces(text)
            for reference in found:
                if not isinstance(reference, str):
                    size += self._reference_size(reference, path, alone=len(found) == 1)
        except _Refused as refused:
            self.refused.append((path, str(refused)))
        return size

    def _reference_size(self, reference: Reference, path: Path, *, alone: bool) -> int:
        if isinstance(reference, VariableReference):
            return _judge_variable(reference)
        target = self.target(reference, path)
        if path[: len(target)] == target:
            raise _Refused("the reference is to itself, or to a block around it")
        if not alone and _children(_get(self.body.data, target)):
            raise _Refused(f"{dotted(target)} is a block, and cannot stand within a text")
        return self._size(_get(self.body.data, target), target)

    def target(self, reference: KeyReference, path: Path) -> Path:
        base: Path = path[: max(len(path) - reference.dots, 0)] if reference.dots else ()
        steps = reference.steps
        if not reference.dots and steps[0] in SHORT_FORMS and steps[0] not in self.body.data:
            base, steps = SHORT_FORMS[steps[0]], steps[1:]
        at, target = _get(self.body.data, base), base
        for step in steps:
            key: str | int = int(step) if isinstance(at, list) and step.isdecimal() and len(step) < 10 else step
            if not _has(at, key):
                wanted = dotted((*base, *steps))
                raise _Refused(f"there is no key {wanted} in this strategy to refer to; write \\${{ for the characters")
            at, target = at[key], (*target, key)
        return target


class _Refused(Exception):
    """A reference that is not followed; caught where the value's place is known."""


def _judge_variable(variable: VariableReference) -> int:
    """Its length, if it may be read."""
    name = variable.name
    if not may_read(name):
        raise _Refused(
            f"the environment variable {name} may not be read by a strategy, because it could hold a secret that would "
            f"be written into files; allowed: FURROW_…, {', '.join(sorted(ENVIRONMENT))}"
        )
    if name not in os.environ and variable.default is None:
        raise _Refused(f"the environment variable {name} is not set; a default is given as ${{oc.env:{name},default}}")
    return len(os.environ.get(name, ""))


def _children(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(value.items())
    return list(enumerate(value)) if isinstance(value, list) else []


def _get(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step] if _has(data, step) else None
    return data


def _has(data: Any, step: str | int) -> bool:
    if isinstance(data, dict):
        return step in data
    return isinstance(data, list) and isinstance(step, int) and 0 <= step < len(data)


def _without(data: Any, paths: set[Path], here: Path = ()) -> Any:
    if here in paths:
        return None
    if isinstance(data, dict):
        return {key: _without(value, paths, (*here, key)) for key, value in data.items()}
    if isinstance(data, list):
        return [_without(value, paths, (*here, index)) for index, value in enumerate(data)]
    return data
