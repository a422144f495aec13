"""The template `chat`: the model's own chat template decides the text; what it adds after each answer ends it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from furrow.components.columns import conversation
from furrow.components.errors import FurrowError
from furrow.components.prompt_template import Message, TokenizerFacts
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.prompt_template.chat.derive import derive_turns
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.turns import Turns, with_system
from furrow.components.records import END, Row, Segment
from furrow.components.tokens import beginning_of_sequence

_MARKUP = re.compile(r"\s*(<[^<>\s]{1,40}>|\[/?[A-Z_]{2,20}\])")
"""What an end-of-turn token looks like: <|im_end|>, <|eot_id|>, <end_of_turn>, </s>."""


class ChatTemplate:
    """Implements `PromptTemplate` over the chat template that comes with the tokenizer."""

    def __init__(self, config: ChatConfig, tokenizer: TokenizerFacts) -> None:
        if not tokenizer.chat_template:
            raise FurrowError(
                "the base model has no chat template",
                where="prompt_template",
                remedy='give one of your own, e.g. prompt_template: {format: "Question: {input}\\nAnswer: {output}"}',
            )
        self.stop_sequences: Sequence[str] = tuple(config.stop_sequences)
        self._source = tokenizer.chat_template
        self._system = config.system
        self._eos = tokenizer.eos_token
        self._template = SandboxedTemplate(
            self._source,
            bos_token=tokenizer.bos_token,
            eos_token=tokenizer.eos_token,
            strip_bos=callable(tokenizer) and bool(beginning_of_sequence(tokenizer)),
        )
        self._end_text = self._find_end()

    def train_segments(self, row: Row) -> list[Segment]:
        messages = with_system(conversation(row), self._system)
        pieces: list[Segment] = []
        done = ""
        for position, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            given = self._template.render(messages[:position], add_generation_prompt=True)
            whole = self._template.render(messages[: position + 1], add_generation_prompt=False)
            if not given.startswith(done) or not whole.startswith(given):
                raise FurrowError(
                    "the model's chat template renders earlier turns differently once the conversation goes on, "
                    "so that what is trained is not what will be asked",
                    where=row.where,
                    remedy="split the conversation into rows of one answer each, or use prompt_template.format",
                )
            answer, end = self._cut_at_end(whole[len(given) :])
            pieces += [Segment(given[len(done) :]), Segment(answer, learned=True), END]
            done = given + answer + end  # what follows depends on whether the conversation goes on
        return [piece for piece in pieces if piece.text or piece.end]

    def prompt(self, messages: Sequence[Message]) -> str:
        return self._template.render(with_system(messages, self._system), add_generation_prompt=True)

    def jinja(self) -> str:
        return self._source

    def go(self) -> str:
        return self._turns().go()

    def end_of_turn(self) -> str | None:
        return None if self._end_text in (None, self._eos) else self._end_text

    def system(self) -> str | None:
        """The strategy's; else the one that the chat template itself brings, as far as it can be told apart."""
        if self._system is not None:
            return self._system
        try:
            return self._turns().default_system
        except FurrowError:
            return None

    def _turns(self) -> Turns:
        return derive_turns(self._template, self._end_text or self._eos or "")

    def _find_end(self) -> str | None:
        """The token that the template writes after an answer, found by rendering one; None if it writes none."""
        question: Message = {"role": "user", "content": "Q"}
        answer: Message = {"role": "assistant", "content": "ANSWER"}
        text = self._template.render([question, answer], add_generation_prompt=False)
        after = text.rpartition("ANSWER")[2]
        if self._eos and after.lstrip().startswith(self._eos):
            return self._eos
        markup = _MARKUP.match(after)
        return markup.group(1) if markup else None

    def _cut_at_end(self, turn: str) -> tuple[str, str]:
        """(answer, its end token). Without an end token in the template the model's eos is appended."""
        if self._end_text is None or self._end_text not in turn:
            return turn.rstrip(), ""
        return turn.rpartition(self._end_text)[0], self._end_text
