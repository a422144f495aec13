"""A base model's tokenizer read by the library `tokenizers` alone: for templates and lengths, in 0.1 s without torch.

Answers as the transformers tokenizer of the same folder does wherever `tokenizer.json` says all there is to say; what
transformers changes after loading (a BOS token switched on in its settings) it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer

from furrow.components.errors import FurrowError
from furrow.stages.setup_checks.model_files import read_json


@dataclass(frozen=True)
class Encoded:
    """Token ids under the name that transformers gives them."""

    input_ids: list[int]


class LightTokenizer:
    """What templates (`TokenizerFacts`) and `ExampleMaker` ask of a tokenizer."""

    IS_ITS_BACKEND: ClassVar = True
    """For `backend_of`: what a call returns is what `backend_tokenizer` makes of the text."""

    def __init__(self, tokenizer: Any, settings: dict[str, Any]) -> None:
        self.backend_tokenizer = tokenizer
        self.chat_template: str | None = settings.get("chat_template")
        self.bos_token: str | None = _text(settings.get("bos_token"))
        self.eos_token: str | None = _text(settings.get("eos_token"))
        self.bos_token_id = self._id_of(self.bos_token)
        self.eos_token_id = self._id_of(self.eos_token)
        self.model_max_length = settings.get("model_max_length")

    def __call__(self, text: str, add_special_tokens: bool = True) -> Encoded:
        return Encoded(self.backend_tokenizer.encode(text, add_special_tokens=add_special_tokens).ids)

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        return dict(self.backend_tokenizer.get_added_tokens_decoder())

    def convert_ids_to_tokens(self, token_id: int) -> str:
        return str(self.backend_tokenizer.id_to_token(token_id))

    def _id_of(self, token: str | None) -> int | None:
        return None if token is None else self.backend_tokenizer.token_to_id(token)


def light_tokenizer(folder: Path) -> LightTokenizer | None:
    """The folder's tokenizer; None where there is no tokenizer.json. Raises FurrowError for one that is damaged."""
    file = folder / "tokenizer.json"
    if not file.is_file():
        return None
    try:
        tokenizer: Any = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise FurrowError(
            f"the tokenizer cannot be read: {error}", where=str(file), remedy="download it again"
        ) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return LightTokenizer(tokenizer, _settings(folder))


def _settings(folder: Path) -> dict[str, Any]:
    """tokenizer_config.json over special_tokens_map.json, and the chat template wherever it stands."""
    settings: dict[str, Any] = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        file = folder / name
        if file.is_file():
            settings |= read_json(file)
    template = settings.get("chat_template")
    if isinstance(template, list):  # several by name
        settings["chat_template"] = {one["name"]: one["template"] for one in template}.get("default")
    if (folder / "chat_template.jinja").is_file():
        settings["chat_template"] = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    return settings


def _text(token: Any) -> str | None:
    """A special token is written as text, or as an object with its text in `content`."""
    return token.get("content") if isinstance(token, dict) else token
