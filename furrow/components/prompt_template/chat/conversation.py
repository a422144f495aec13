"""A template over a Jinja chat template: the Jinja decides the text; what it adds after each answer ends it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from furrow.components.columns import conversation, tools_of
from furrow.components.errors import FurrowError, RequestError
from furrow.components.prompt_template import Message, TokenizerFacts
from furrow.components.prompt_template.builtin.fitting import refuse_unfit_end
from furrow.components.prompt_template.chat.derive import derive_turns
from furrow.components.prompt_template.chat.plain import is_plain
from furrow.components.prompt_template.chat.sandbox import SandboxedTemplate
from furrow.components.prompt_template.chat.shapes import NO_TOOLS, Shapes
from furrow.components.prompt_template.turns import Turns, quoted, with_system
from furrow.components.records import END, Row, Segment
from furrow.components.tokens import beginning_of_sequence

_MARKUP = re.compile(r"\s*(<[^<>\s]{1,40}>|\[/?[A-Z_]{2,20}\])")
"""What an end-of-turn token looks like: <|im_end|>, <|eot_id|>, <end_of_turn>, </s>."""
_CLOCK = re.compile(r"\bstrftime_now\b")
_SYSTEM: Message = {"role": "system", "content": "SYSTEM"}
_QUESTION: Message = {"role": "user", "content": "Q"}


class ConversationTemplate:
    """Implements `PromptTemplate` over any Jinja chat template; `name` is what errors call it.

    BOS stands first exactly once: what the template writes is left out where the tokenizer adds its own, and what the
    tokenizer adds is written into the form that is exported, which others render without the tokenizer's.
    """

    def __init__(
        self,
        source: str,
        tokenizer: TokenizerFacts,
        *,
        name: str,
        system: str | None = None,
        stop_sequences: Sequence[str] = (),
    ) -> None:
        self.stop_sequences: Sequence[str] = tuple(stop_sequences)
        self._source, self._system, self._name = source, system, name
        self._eos, bos = tokenizer.eos_token, tokenizer.bos_token
        adds_bos = callable(tokenizer) and bool(beginning_of_sequence(tokenizer))

        def rendering(strip_bos: bool) -> SandboxedTemplate:
            return SandboxedTemplate(source, bos_token=bos, eos_token=self._eos, strip_bos=strip_bos, name=name)

        self._template = rendering(False)
        writes_bos = bool(bos) and self._template.render([_QUESTION], add_generation_prompt=True).startswith(bos or "")
        if adds_bos and writes_bos:
            self._template = rendering(True)
        self._lacks_bos = adds_bos and not writes_bos
        self._opening = (bos or "") if writes_bos and not adds_bos else ""
        self._end_text = self._find_end()
        refuse_unfit_end(self._end_text, tokenizer, name)
        self._has_head = {"system": self._stands_apart([_SYSTEM]), "user": self._stands_apart([])}
        self._shapes = Shapes(self._segments, plain=is_plain(self._template.parsed()), name=name)

    def train_segments(self, row: Row) -> list[Segment]:
        return self._shapes.segments(with_system(conversation(row), self._system), tools_of(row), row.where)

    def prompt(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]] = ()) -> str:
        return self._template.render(with_system(messages, self._system), add_generation_prompt=True, tools=tools)

    def jinja(self) -> str:
        """The source; before it what the tokenizer or the strategy adds to every conversation. A clock that it asks for
        gets a name that nobody defines: it had none in the training."""
        system = ""
        if self._system:
            system = (
                "{% if not messages or messages[0]['role'] != 'system' %}{% set messages = [{'role': 'system', "
                "'content': " + quoted(self._system) + "}] + messages %}{% endif %}"
            )
        bos = "{{ bos_token }}" if self._lacks_bos else ""
        if system and not bos and self._source[:1] in ("\r", "\n"):
            bos = "{{ '' }}"  # the line end after a block is dropped
        return system + bos + _CLOCK.sub("no_clock", self._source)

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
        return derive_turns(self._template, self._end_text or self._eos or "", self._opening, self._name)

    def _segments(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], where: str) -> list[Segment]:
        """The conversation rendered up to each answer, and with it: what is in between is the answer."""
        pieces: list[Segment] = []
        done = ""
        try:
            for position, message in enumerate(messages):
                if message["role"] != "assistant":
                    continue
                given = self._template.render(messages[:position], add_generation_prompt=True, tools=tools)
                whole = self._template.render(messages[: position + 1], add_generation_prompt=False, tools=tools)
                if not whole.startswith(given):
                    self._refuse_other_opening(messages[: position + 1], tools, given, whole)
                if not given.startswith(done) or not whole.startswith(given):
                    raise RequestError(
                        f"{self._name} renders earlier turns differently once the conversation goes on, "
                        "so that what is trained is not what will be asked",
                        remedy="split the conversation into rows of one answer each, or use prompt_template.format",
                    )
                answer, end = self._cut_at_end(whole[len(given) :])
                head = self._head(messages, tools, given) if position and not done else ""
                pieces += [
                    Segment(head),
                    Segment(given[len(done) + len(head) :]),
                    *_learned(answer, message.get("weight", 1.0)),
                ]
                done = given + answer + end  # what follows depends on whether the conversation goes on
        except FurrowError as error:
            what, silent = error.what, [message["content"] is None for message in messages]
            if "NoneType" in what and any(silent):  # it joins the text beside a call, which is none, to other text
                what = f"{self._name} has no place for the calls of tools in message {silent.index(True) + 1}"
                error.remedy = NO_TOOLS
            raise RequestError(what, where=where, remedy=error.remedy) from error
        return [piece for piece in pieces if piece.text or piece.end]

    def _refuse_other_opening(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], given: str, whole: str
    ) -> None:
        """Raises RequestError where all is rendered alike but for what stands right before the answer."""
        bare = self._template.render(messages[:-1], add_generation_prompt=False, tools=tools)
        if given.startswith(bare) and whole.startswith(bare):
            answer = messages[-1]["content"] or "\n"
            asked, told = (text[len(bare) :].partition(answer)[0][:40] for text in (given, whole))
            raise RequestError(
                f"{self._name} writes {asked!r} where an answer is asked for (add_generation_prompt), and {told!r} "
                "where the answer stands: the first must be the beginning of the second",
                remedy="let it write the same before an answer in both; see docs/templates.md",
            )

    def _head(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], given: str) -> str:
        """The system prompt's part of what is given: a segment of its own, for it stays where prompts are cut."""
        if not self._has_head.get(messages[0]["role"]):
            return ""
        first = messages[: messages[0]["role"] == "system"]
        head = self._template.render(first, add_generation_prompt=False, tools=tools)
        return head if given.startswith(head) else ""

    def _stands_apart(self, first: Sequence[Message]) -> bool:
        """Whether the system message, or what the template says by itself, is rendered before the first turn."""
        try:
            alone = self._template.render(first, add_generation_prompt=False)
            followed = self._template.render([*first, _QUESTION], add_generation_prompt=True)
        except FurrowError:
            return False
        said = _SYSTEM["content"] if first else alone.removeprefix(self._opening)
        return bool(said) and said in alone and followed.startswith(alone)

    def _find_end(self) -> str | None:
        """The token that the template writes after an answer, found by rendering one; None if it writes none."""
        answer: Message = {"role": "assistant", "content": "ANSWER"}
        text = self._template.render([_QUESTION, answer], add_generation_prompt=False)
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


def _learned(answer: str, weight: float) -> tuple[Segment, Segment]:
    """An answer and its end; one of no weight is given, not learned."""
    if weight == 1:
        return Segment(answer, learned=True), END
    learned = weight > 0
    return Segment(answer, learned, weight=weight), Segment("", learned, end=True, weight=weight)
