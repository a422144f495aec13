"""A reader of flash cards: `question :: answer` on each line, the way people write them into their notes."""

from collections.abc import Iterator
from pathlib import Path

from furrow.components.config import Config
from furrow.components.dataset_reader import BadRow
from furrow.components.dataset_reader.lines import numbered_lines
from furrow.components.records import Row
from furrow.components.registry import Component


class FlashcardsConfig(Config):
    """How a card is written."""

    separator: str = "::"
    """What stands between question and answer."""


class Flashcards:
    def __init__(self, config: FlashcardsConfig) -> None:
        self._separator = config.separator

    def read(self, path: Path) -> Iterator[Row | BadRow]:
        for number, line in numbered_lines(path):
            where = f"{path}:{number}"
            if isinstance(line, BadRow):  # not UTF-8, or endless
                yield line
            elif line.strip():
                question, found, answer = line.partition(self._separator)
                if found:
                    yield Row({"prompt": question.strip(), "completion": answer.strip()}, where)
                else:
                    yield BadRow(f"there is no {self._separator}", where, "write it as question :: answer", line)


COMPONENT = Component(
    summary="flash cards, one a line", config=FlashcardsConfig, factory="furrow_flashcards:Flashcards"
)
