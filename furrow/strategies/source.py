"""YAML text becomes plain data, with the line of every key, and without YAML's surprises.

OmegaConf reads the values (`1e-4` is a float, no Python objects, no recursion); a second pass over the same text finds
the lines, and refuses what would be read as something else than it looks like.
"""

from __future__ import annotations

import re
import stat
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, NoReturn

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from furrow.components.errors import RequestError
from furrow.strategies.errors import Path, Place, Problem, StrategyErrors
from furrow.strategies.references import references

MAX_BYTES = 256 * 1024
"""A strategy has about 2 kB without its comments."""
MAX_DEPTH = 24
MAX_NODES = 5_000
"""Keys and values after aliases are followed: nine lines of aliases can stand for 10^9 nodes. A file of thirty whole
strategies fits (80 to 250 each), or of two hundred that extend another one (25 each). Twice as many take a second to
read, and OmegaConf reads no more than 10,000."""
_SEVERAL = "put the strategies into several files"
MAX_REFERENCES = 500
"""`${` in a file, escaped or not: OmegaConf's grammar takes a millisecond for each."""
MAX_NUMBER = 400
"""Digits of a number; the largest float has 309."""

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"[-+]?0[0-7_]+")
_SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?")


@dataclass
class Document:
    """What a text says: `data`, and where each path in it was written."""

    source: str
    data: Any
    places: dict[Path, Place] = field(default_factory=dict)


def read_file(file: FilePath) -> Document:
    """Reads a strategy file. Raises RequestError if it cannot be read, StrategyErrors if it is not good YAML."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):  # a FIFO would be waited for, a device is read for ever
            raise RequestError("the strategy file is no regular file", where=str(file))
        with file.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequestError(f"cannot read the strategy file: {error.strerror}", where=str(file)) from error
    except ValueError as error:
        raise RequestError("the name of a strategy file holds no NUL", where=repr(str(file))) from error
    if len(content) > MAX_BYTES:
        raise RequestError(f"a strategy file has at most {MAX_BYTES // 1024} KiB", where=str(file))
    try:
        return read_text(content.decode("utf-8-sig"), str(file))
    except UnicodeDecodeError as error:
        raise RequestError(f"not UTF-8: byte {error.start} is {content[error.start]:#04x}", where=str(file)) from error


def read_text(text: str, source: str) -> Document:
    """The same for a text; `source` is what errors call it."""
    try:
        root = _composed(text, source)
        survey = _Survey(source)
        if isinstance(root, yaml.ScalarNode):  # OmegaConf would make a key of it
            raise StrategyErrors([Problem(Place(source, 1, ()), (), "a text alone is no strategy")])
        if root is not None:
            survey.visit(root, ())
        if survey.problems:
            raise StrategyErrors(survey.problems)
        data = OmegaConf.to_container(OmegaConf.create(text), resolve=False) if root is not None else None
    except yaml.YAMLError as error:
        raise StrategyErrors([_syntax(error, source)]) from error
    except (OmegaConfBaseException, ValueError) as error:
        first_line = str(error).partition("\n")[0]
        raise StrategyErrors([Problem(Place(source, None, ()), (), first_line)]) from error
    return Document(source, data, survey.places)


def _composed(text: str, source: str) -> yaml.Node | None:
    loader = _Loader(text)
    loader.source = source
    try:
        return loader.get_single_node()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):
    """Makes nodes of a text, and stops where there are too many of them: a list in a list takes three calls of Python,
    and 256 KiB of brackets take seconds."""

    source = ""
    _nodes = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()
        self._nodes, self._depth = self._nodes + 1, self._depth + 1
        if getattr(event, "tag", None) is not None:
            self._refuse(event, f"the tag {event.tag!r} is not read; write the value without it")
        if self._nodes > MAX_NODES:
            self._refuse(event, f"more than {MAX_NODES} values; {_SEVERAL}")
        if self._depth > MAX_DEPTH + 2:
            self._refuse(event, f"nested deeper than {MAX_DEPTH} levels")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def _refuse(self, event: Any, what: str) -> NoReturn:
        raise StrategyErrors([Problem(Place(self.source, event.start_mark.line + 1, ()), (), what)])


def _syntax(error: yaml.YAMLError, source: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    what = getattr(error, "problem", None) or str(error).replace("\n", " ")
    return Problem(Place(source, mark.line + 1 if mark else None, ()), (), f"not valid YAML: {what}")


class _Survey:
    """One walk over the nodes of a text."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.places: dict[Path, Place] = {}
        self.problems: list[Problem] = []
        self._nodes = self._references = 0

    def visit(self, node: yaml.Node, path: Path, depth: int = 0) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            what = f"more than {MAX_NODES} values, counting every alias; {_SEVERAL}"
            raise StrategyErrors([self._problem(node, path, what)])
        if depth > MAX_DEPTH:
            raise StrategyErrors([self._problem(node, path[:3], f"nested deeper than {MAX_DEPTH} levels")])
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, path, depth)
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self._enter(item, item, (*path, index), depth)
        elif isinstance(node, yaml.ScalarNode):
            self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path, depth: int) -> None:
        first_line: dict[str, int] = {}
        merged = [(key, value) for key, value in node.value if key.tag == "tag:yaml.org,2002:merge"]
        for _, value in merged:  # first, so that the keys written here overwrite their places
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                self.visit(part, path, depth + 1)
        for key, value in node.value:
            if (key, value) in merged:
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                text = str(key.value) if isinstance(key, yaml.ScalarNode) else "a list or mapping"
                self.problems.append(self._problem(key, path, f"{text} is no key: a key is text, write it in quotes"))
                continue
            name, line = key.value, key.start_mark.line + 1
            self._characters(key, path)
            if name in first_line:
                what = f"the key is written twice, first in line {first_line[name]}"
                self.problems.append(self._problem(key, (*path, name), what))
            first_line.setdefault(name, line)
            self._enter(key, value, (*path, name), depth)

    def _enter(self, at: yaml.Node, node: yaml.Node, path: Path, depth: int) -> None:
        self.places[path] = Place(self.source, at.start_mark.line + 1, path)
        self.visit(node, path, depth + 1)

    def _scalar(self, node: yaml.ScalarNode, path: Path) -> None:
        """YAML 1.1 reads 010 as 8 and 12:30 as 750, and OmegaConf `???` as nothing: all meant as something else."""
        self._characters(node, path)
        if node.value == "???":
            self.problems.append(self._problem(node, path, "a value is wanted in the place of ???"))
            return
        self._refer(node, path)
        if node.style is not None:
            return
        if node.tag in _NUMBERS and len(node.value) > MAX_NUMBER:
            what = f"a number of {len(node.value):,} digits; put it in quotes if it is text"
            self.problems.append(self._problem(node, path, what))
        elif _OCTAL.fullmatch(node.value) and node.value.strip("+-0_"):
            plain = node.value.lstrip("0")
            what = f"YAML reads {node.value} as an octal number; write {plain}, or '{node.value}' for text"
            self.problems.append(self._problem(node, path, what))
        elif _SEXAGESIMAL.fullmatch(node.value):
            what = f"YAML reads {node.value} as a number to the base 60; write '{node.value}' for text"
            self.problems.append(self._problem(node, path, what))

    def _refer(self, node: yaml.ScalarNode, path: Path) -> None:
        """OmegaConf reads references, too, and knows no lines."""
        self._references += node.value.count("${")
        if self._references > MAX_REFERENCES:
            raise StrategyErrors([self._problem(node, path, f"more than {MAX_REFERENCES} references")])
        try:
            references(node.value)
        except ValueError as error:
            self.problems.append(self._problem(node, path, str(error)))

    def _characters(self, node: yaml.ScalarNode, path: Path) -> None:
        """No file can hold half a character (`\\ud83d`)."""
        try:
            node.value.encode()
        except UnicodeEncodeError:
            what = "half of a character (a lone surrogate) stands in the text; write the character itself"
            self.problems.append(self._problem(node, path, what))

    def _problem(self, node: yaml.Node, path: Path, what: str) -> Problem:
        return Problem(Place(self.source, node.start_mark.line + 1, path), path, what)
