"""A row as one question and one answer, whatever its layout: what most faults of data are faults of."""

from __future__ import annotations

from typing import NamedTuple

from furrow.components.errors import RequestError
from furrow.components.preferences import is_pair, judged_as_given, pair_as_given
from furrow.components.records import Row
from furrow.stages.data.quality.texts import Said, Texts


class Exchange(NamedTuple):
    """`question`: everything before the last answer. `answer`: the last one; of two the better one; of plain text, and
    of a text with a class, None."""

    question: str
    answer: str | None
    said: Said
    is_judged: bool = False
    """Whether the row says of answers how good they are: then one question may have many."""

    @property
    def told(self) -> str:
        """All of it."""
        return f"{self.question}\n{self.answer}" if self.answer is not None else self.question


def exchange_of(row: Row, texts: Texts) -> Exchange:
    """Raises RequestError for messages that are no conversation."""
    said = texts.said(row)
    is_judged = said is None
    if said is None:
        said = texts.said(pair_as_given(row)[0] if is_pair(row) else judged_as_given(row)[0])
        if said is None:
            raise RequestError("the row judges an answer that itself is judged", where=row.where)
    answers = [place for place, (role, _) in enumerate(said) if role == "answer"]
    if not answers:
        return Exchange("\n".join(text for _, text in said), None, said, is_judged)
    last = answers[-1]
    before = [text for role, text in said[:last] if role != "message"] if last > 0 else []
    return Exchange("\n".join(before), said[last][1], said, is_judged)
