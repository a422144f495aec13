"""The template `format`: text with `{input}` and `{output}`, a system prompt before it, stop sequences after it."""

from __future__ import annotations

from collections.abc import Sequence

from furrow.components.columns import conversation, field, known_shape, system_of
from furrow.components.prompt_template import Message, TokenizerFacts
from furrow.components.prompt_template.format.component import FormatConfig
from furrow.components.prompt_template.format.parse import parse_format
from furrow.components.prompt_template.turns import Around, Turns, with_system
from furrow.components.records import END, Row, Segment


class FormatTemplate:
    """Implements `PromptTemplate`. Several turns stand one under the other, each rendered by the same text."""

    def __init__(self, config: FormatConfig, tokenizer: TokenizerFacts) -> None:
        self.stop_sequences: Sequence[str] = tuple(config.stop_sequences)
        self._system = config.system
        self._format = parse_format(config.format)
        self._turns = self._as_turns(tokenizer.eos_token or "")

    def train_segments(self, row: Row) -> list[Segment]:
        if known_shape(row) == "messages":
            return self._turns.segments(with_system(conversation(row), self._system))
        parts = self._format
        given = "".join(
            field(row, piece.text, parts.placeholders) if piece.is_field else piece.text for piece in parts.given
        )
        answer = parts.gap + field(row, parts.answer, parts.placeholders) + parts.tail
        system = system_of(row) or self._system
        before = system + "\n" if system else ""
        return [Segment(before + given), Segment(answer, learned=True), END]

    def prompt(self, messages: Sequence[Message]) -> str:
        return self._turns.text(with_system(messages, self._system))

    def jinja(self) -> str:
        return self._turns.jinja()

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
