"""A Jinja chat template of the user's own, in a file. Here, only its settings."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator

from furrow.components.config import Free
from furrow.components.prompt_template.chat.component import ChatConfig
from furrow.components.registry import Component

MAX_BYTES = 256 * 1024
"""Of the file; a template may have 64 Ki characters of up to 4 bytes."""


class JinjaConfig(ChatConfig):
    """Where the template is, what is said before the conversation, and what ends an answer."""

    file: Annotated[str | None, Field(min_length=1), Free("the text is compared, wherever it lies")] = None
    """The template: a Jinja file over `messages`, `tools`, `add_generation_prompt`, `bos_token` and `eos_token`, as
    tokenizers carry them; relative to the folder in which the command runs."""
    text: Annotated[str | None, Field(min_length=1, validate_default=True)] = None
    """The template itself. Where it is given the file is not read: the strategy that is kept beside a run holds here
    what the file said when the run began."""
    system: str | None = None
    """System message of conversations that bring none. Default: what the template itself says."""

    @field_validator("text")
    @classmethod
    def _file_is_read(cls, text: str | None, info: ValidationInfo) -> str | None:
        if text is None and info.data.get("file") is not None:
            return _text_of(info.data["file"])
        return text

    @model_validator(mode="after")
    def _there_is_one(self) -> JinjaConfig:
        if self.text is None:
            raise ValueError("a template is wanted: file: my_template.jinja")
        if find_spec("jinja2") is not None:
            _refuse_faulty(self.text, self.file or "text")
        return self


def _refuse_faulty(text: str, file: str) -> None:
    from furrow.components.prompt_template.chat.sandbox import fault_in

    fault = fault_in(text)
    if fault is not None:
        line, what = fault
        raise ValueError(f"{file}:{line}: {what}" if line else f"{file}: {what}")


def _text_of(file: str) -> str:
    path = Path(file).expanduser()
    if not path.is_file():  # a pipe would be waited for
        raise ValueError(f"the file {file} is not there")
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{file} has more than {MAX_BYTES:,} bytes: no template is as long")
    try:
        text = path.read_text(encoding="utf-8").removeprefix("\ufeff")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} cannot be read as text: {error}") from error
    if not text.strip():
        raise ValueError(f"{file} is empty")
    return text


COMPONENT = Component(
    summary="a Jinja chat template in a file of your own",
    config=JinjaConfig,
    factory="furrow.components.prompt_template.jinja.template:jinja_template",
    requires=("jinja2",),
)
