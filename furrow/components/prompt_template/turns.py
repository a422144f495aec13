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
    given to it (the generation prompt). `system` is None where the template takes no system prompt. `end` is the end
    token's text, `between` what follows it when the conversation goes on.
    """

    system: Around | None
    user: Around
    assistant: Around
    end: str
    between: str
    default_system: str | None = None

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        """The conversation piece by piece; what the assistant says is learned, together with the end token."""
        pieces = [Segment(self._system_text(messages))]
        for position, message in enumerate(messages):
            content = message["content"]
            if message["role"] == "user":
                pieces.append(Segment(self.user.before + content + self.user.after))
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
        """As a Jinja chat template over `messages`. Everything is an expression: no white space is left to chance."""
        before, after = self.system or ("", "")
        system = _join(_quoted(before), "system", _quoted(after))
        user = _join(_quoted(self.user.before), "message['content']", _quoted(self.user.after))
        assistant = _join(
            _quoted(self.assistant.before), "message['content']", _quoted(self.assistant.after + self.end)
        )
        between = "{% if not loop.last %}{{ " + _quoted(self.between) + " }}{% endif %}" if self.between else ""
        return (
            "{% if messages and messages[0]['role'] == 'system' %}{% set system = messages[0]['content'] %}"
            "{% else %}{% set system = " + _quoted(self.default_system or "") + " %}{% endif %}"
            "{% if system %}{{ " + system + " }}{% endif %}"
            "{% for message in messages %}"
            "{% if message['role'] == 'user' %}{{ " + user + " }}"
            "{% elif message['role'] == 'assistant' %}{{ " + assistant + " }}" + between + "{% endif %}"
            "{% endfor %}"
        )

    def go(self) -> str:
        """As Ollama's Go template. The default system prompt is not in it: it is the Modelfile's SYSTEM."""
        system = ""
        if self.system is not None:
            system = (
                "{{ if .System }}"
                + _go_text(self.system.before)
                + "{{ .System }}"
                + _go_text(self.system.after)
                + "{{ end }}"
            )
        return (
            system
            + '{{ range .Messages }}{{ if eq .Role "user" }}'
            + _go_text(self.user.before)
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


def _quoted(text: str) -> str:
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
