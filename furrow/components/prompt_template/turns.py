"""What stands around each turn of a conversation: the form that a template needs to be said in other languages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from furrow.components.prompt_template import Message
from furrow.components.records import END, Segment


class Around(NamedTuple):
    """The texts before and after what is said."""

    before: str
    after: str


@dataclass(frozen=True)
class Turns:
    """A template as text around turns.

    `assistant.before` is written by the model (a space after 'Answer:', learned), `user.after` ends with all that is
    given to it (the generation prompt). `system` is None where the template takes no system prompt; `system_inside`:
    it stands within the first question, after `user.before`. `end` is the end token's text, `between` what follows it
    when the conversation goes on. `opening` stands first of all: a BOS token that the tokenizer does not add.
    """

    system: Around | None
    user: Around
    assistant: Around
    end: str
    between: str
    default_system: str | None = None
    system_inside: bool = False
    opening: str = ""

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation piece by piece; what the assistant says is learned, together with the end token."""
        system = self._system_text(messages)
        pieces = [Segment(self.opening + ("" if self.system_inside else system))]
        for position, message in enumerate(messages):
            content = message["content"]
            if message["role"] == "user":
                inside, system = (system if self.system_inside else ""), ""
                pieces.append(Segment(self.user.before + inside + content + self.user.after))
            elif message["role"] == "assistant":
                pieces += [Segment(self.assistant.before + content + self.assistant.after, learned=True), END]
                if position + 1 < len(messages):
                    pieces.append(Segment(self.between))
        return [piece for piece in pieces if piece.text or piece.end]

    def text(self, messages: Sequence[Message]) -> str:
        """The conversation as one text, the end token written out."""
        return "".join(self.end if piece.end else piece.text for piece in self.segments(messages))

    def _system_text(self, messages: Sequence[Message]) -> str:
        if self.system is None:
            return ""
        given = messages[0]["content"] if messages and messages[0]["role"] == "system" else self.default_system
        return self.system.before + given + self.system.after if given else ""

    def jinja(self) -> str:
        """As a Jinja chat template over `messages`, with the system prompt before the first turn. Everything is an
        expression: no white space is left to chance."""
        before, after = self.system or ("", "")
        system = _join(quoted(before), "system", quoted(after))
        user = _join(quoted(self.user.before), "message['content']", quoted(self.user.after))
        assistant = _join(quoted(self.assistant.before), "message['content']", quoted(self.assistant.after + self.end))
        between = "{% if not loop.last %}{{ " + quoted(self.between) + " }}{% endif %}" if self.between else ""
        return (
            "{% if messages and messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
            "{% else %}{% set system = " + quoted(self.default_system or "") + " %}{% endif %}"
            "{% if system %}{{ " + system + " }}{% endif %}"
            "{% for message in messages %}"
            "{% if message['role'] == 'user' %}{{ " + user + " }}"
            "{% elif message['role'] == 'assistant' %}{{ "
            + assistant
            + " }}"
            + between
            + "{% elif not loop.first or message['role'] != 'system' %}"
            "{{ raise_exception('there is no place for a message by ' + message['role']) }}{% endif %}"
            "{% endfor %}"
        )

    def go(self) -> str:
        """As Ollama's Go template. The default system prompt is not in it: it is the Modelfile's SYSTEM."""
        system, variable, inside = "", "", ""
        if self.system is not None:
            before, after = map(_go_text, self.system)
            if self.system_inside:
                variable = "{{ $first := true }}"
                inside = "{{ if and $first $.System }}" + before + "{{ $.System }}" + after + "{{ end }}"
                inside += "{{ $first = false }}"
            else:
                system = "{{ if .System }}" + before + "{{ .System }}" + after + "{{ end }}"
        return (
            _go_text(self.opening)
            + system
            + variable
            + '{{ range .Messages }}{{ if eq .Role "user" }}'
            + _go_text(self.user.before)
            + inside
            + "{{ .Content }}"
            + _go_text(self.user.after)
            + '{{ else if eq .Role "assistant" }}'
            + _go_text(self.assistant.before)
            + "{{ .Content }}"
            + _go_text(self.assistant.after + self.end + self.between)
            + "{{ end }}{{ end }}"
        )


def _join(*expressions: str) -> str:
    return " + ".join(expression for expression in expressions if expression != "''")


def quoted(text: str) -> str:
    """A Jinja string literal. Only the escapes that both Jinja and llama.cpp's reader of it know."""
    for raw, escaped in (("\\", "\\\\"), ("'", "\\'"), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t")):
        text = text.replace(raw, escaped)
    return f"'{text}'"


def _go_text(text: str) -> str:
    """Literal text of a Go template: only `{{` means something there, also where an action follows a single brace."""
    text = text.replace("{{", '{{ "{{" }}')
    return text[:-1] + '{{ "{" }}' if text.endswith("{") else text


def with_system(messages: Iterable[Message], system: str | None) -> list[Message]:
    """The conversation, beginning with `system` where it brings no system message of its own."""
    messages = list(messages)
    if system and not (messages and messages[0]["role"] == "system"):
        return [{"role": "system", "content": system}, *messages]
    return messages
