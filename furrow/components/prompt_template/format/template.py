"""The template `format`: text with `{input}` and `{output}`, a system prompt before it, stop sequences after it."""

from __future__ import annotations

from collections.abc import Sequence

from furrow.components.columns import conversation, field, known_shape, own_fields, system_of, tools_of
from furrow.components.errors import RequestError
from furrow.components.prompt_template import Message, TokenizerFacts
from furrow.components.prompt_template.format.component import FormatConfig
from furrow.components.prompt_template.format.parse import parse_format
from furrow.components.prompt_template.turns import Around, Turns, with_system
from furrow.components.records import END, Row, Segment
from furrow.components.tokens import beginning_of_sequence


class FormatTemplate:
    """Implements `PromptTemplate`. Several turns stand one under the other, each rendered by the same text."""

    def __init__(self, config: FormatConfig, tokenizer: TokenizerFacts) -> None:
        self.stop_sequences: Sequence[str] = tuple(config.stop_sequences)
        self._system = config.system
        self._format = parse_format(config.format)
        self._turns = self._as_turns(tokenizer.eos_token or "")
        self._adds_bos = callable(tokenizer) and bool(beginning_of_sequence(tokenizer))

    def train_segments(self, row: Row) -> list[Segment]:
        if (texts := own_fields(row, self._format.placeholders)) is not None:
            return self._filled(texts, self._system)
        if known_shape(row) == "messages":
            messages = with_system(conversation(row), self._system)
            _refuse_tools(row, messages)
            return self._turns.segments(messages)
        names = self._format.placeholders
        if "tools" not in names:
            _refuse_tools(row)
        return self._filled([field(row, name, names) for name in names], system_of(row) or self._system)

    def _filled(self, texts: Sequence[str], system: str | None) -> list[Segment]:
        """`texts` of the placeholders, in their order; the last is the answer."""
        parts, filling = self._format, iter(texts)
        given = "".join([next(filling) if piece.is_field else piece.text for piece in parts.given])
        before = system + "\n" if system else ""
        return [Segment(before + given), Segment(parts.gap + texts[-1] + parts.tail, learned=True), END]

    def prompt(self, messages: Sequence[Message]) -> str:
        return self._turns.text(with_system(messages, self._system))

    def jinja(self) -> str:
        """With the BOS token that the tokenizer adds: who renders this one adds none of the tokenizer's."""
        return "{{ bos_token }}" * self._adds_bos + self._turns.jinja()

    def go(self) -> str:
        return self._turns.go()

    def end_of_turn(self) -> str | None:
        return None

    def system(self) -> str | None:
        return self._system

    def _as_turns(self, eos_token: str) -> Turns:
        """A typed prompt goes to the first placeholder; the others are empty then."""
        parts = self._format
        at = next(position for position, piece in enumerate(parts.given) if piece.is_field)
        before, after = (
            "".join(piece.text for piece in pieces if not piece.is_field)
            for pieces in (parts.given[:at], parts.given[at + 1 :])
        )
        return Turns(
            system=Around("", "\n"),
            user=Around(before, after),
            assistant=Around(parts.gap, parts.tail),
            end=eos_token,
            between="\n",
            default_system=self._system,
        )


def _refuse_tools(row: Row, messages: Sequence[Message] = ()) -> None:
    if tools_of(row) or any(message["role"] == "tool" or "tool_calls" in message for message in messages):
        raise RequestError(
            "prompt_template.format has no place for tools",
            where=row.where,
            remedy="choose a template that has one (qwen, llama3, or the model's own), or take them out of the data",
        )
