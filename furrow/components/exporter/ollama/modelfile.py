"""Writes a Modelfile that Ollama reads back as exactly what was meant, or refuses.

Knows nothing about models: it takes commands and gives text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from furrow.components.errors import FurrowError
from furrow.components.exporter.ollama.modelfile_grammar import (
    KEYWORDS,
    Command,
    Unreadable,
    dropped_characters,
    read_modelfile,
)


class NotWritable(FurrowError):
    """A text that no Modelfile can hold, because the format has no escapes; the HTTP API takes every text."""


def commands_for(gguf: str, template: str, system: str | None, parameters: Mapping[str, Any]) -> list[Command]:
    """The commands of a model: `gguf` is relative to the Modelfile; a list is given item by item."""
    commands = [Command("model", f"./{gguf}"), Command("template", template)]
    if system:
        commands.append(Command("system", system))
    for name, value in parameters.items():
        items: Sequence[Any] = value if isinstance(value, list) else [value]
        commands += [Command(name, str(item)) for item in items]
    return commands


def write_modelfile(commands: Sequence[Command]) -> str:
    """The text of a Modelfile with just these commands. Raises NotWritable, naming what cannot be written."""
    text = "".join(f"{_line(command)}\n" for command in commands)
    if read_modelfile(text) != list(commands):  # each line was read back by itself; now all of them together
        raise NotWritable("the Modelfile would not be read back as it was meant")
    return text


def _line(command: Command) -> str:
    """The command in the first way of quoting that is read back unchanged."""
    for line in _ways_to_write(command):
        try:
            if read_modelfile(f"FROM x\n{line}\n") == [Command("model", "x"), command]:
                return line
        except Unreadable:
            continue  # this way of quoting does not fit; the next one may
    raise NotWritable(f"a Modelfile cannot hold this {command.name}: {_reason(command.value)}")


def _ways_to_write(command: Command) -> Iterator[str]:
    keyword = "FROM" if command.name == "model" else command.name.upper()
    head = keyword if keyword.lower() in KEYWORDS else f"PARAMETER {command.name}"
    for quotes in ("", '"', '"""'):
        yield f"{head} {quotes}{command.value}{quotes}"


def _reason(value: str) -> str:
    dropped = dropped_characters(value)
    if dropped:
        return "Ollama drops the characters " + ", ".join(f"U+{ord(character):04X}" for character in dropped[:5])
    return "its quotes cannot be told from the format's own, which has no escapes"
