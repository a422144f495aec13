"""Which model is tuned: one that ships with Furrow, a folder, or a repository of the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from furrow.components.config import Config, Fixed, Free
from furrow.components.errors import RequestError, did_you_mean

_COMPARED = Free("the files are compared, wherever they lie")
BUILT_IN = {"seedling": Path(__file__).parent / "builtin" / "seedling"}
"""Models that ship with Furrow: name -> folder."""


class BaseModelConfig(Config):
    """Exactly one of `builtin`, `path` and `huggingface_id`."""

    builtin: Annotated[str | None, _COMPARED] = None
    """A model that ships with Furrow: `seedling` (Llama architecture, about 4 M parameters, knows a garden almanac)."""
    path: Annotated[str | None, _COMPARED] = None
    """A folder with config.json, safetensors and a tokenizer."""
    huggingface_id: Annotated[
        Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")] | None, _COMPARED
    ] = None
    """A repository of the hub, e.g. `meta-llama/Llama-3.2-3B-Instruct`; gated ones need HF_TOKEN in the environment."""
    revision: str | None = None
    """Not there yet, and refused: every stage would have to take the same one. The main branch is taken."""
    torch_dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    """Number type of the frozen weights; auto takes what `hardware` chose for the device."""
    init: Annotated[Literal["pretrained", "random"], Fixed("the run has begun from one of them")] = "pretrained"
    """random keeps only config.json and the tokenizer and begins with fresh weights: for pre-training from scratch."""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [name for name in ("builtin", "path", "huggingface_id") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of builtin, path, huggingface_id is wanted, got {', '.join(given) or 'none'}"
            )
        if self.revision is not None:
            # complete and the exports would take the main branch: what is served would not be what was trained
            raise ValueError("revision is not there yet; download that snapshot and name its folder as path")
        if self.builtin is not None and self.builtin not in BUILT_IN:
            raise ValueError(f"there is no built-in model {self.builtin!r}; {did_you_mean(self.builtin, BUILT_IN)}")
        return self

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.huggingface_id or self.path or f"builtin: {self.builtin}"

    @property
    def name(self) -> str:
        """What an adapter calls its base, so that it is found from any folder."""
        if self.builtin is not None:
            return f"builtin:{self.builtin}"
        return self.huggingface_id or str(Path(str(self.path)).expanduser().resolve())


def _from_text(given: Any) -> Any:
    if not isinstance(given, str):
        return given
    if given.startswith("builtin:"):
        return {"builtin": given.removeprefix("builtin:").strip()}
    return {"path": given} if given.startswith((".", "/", "~")) else {"huggingface_id": given}


BaseModel = Annotated[BaseModelConfig, BeforeValidator(_from_text, json_schema_input_type=BaseModelConfig | str)]
"""The same, or a bare text: a hub id, a folder where it begins with `.`, `/` or `~`, `builtin:<name>`."""


def source_of(config: BaseModelConfig) -> str:
    """What `from_pretrained` takes: a folder's path or a hub id. Loads nothing.

    Raises RequestError when a folder that is named does not hold a model.
    """
    if config.huggingface_id is not None:
        return config.huggingface_id
    folder = BUILT_IN[config.builtin] if config.builtin is not None else Path(str(config.path)).expanduser()
    if not (folder / "config.json").is_file():
        raise RequestError(
            f"{folder} holds no model: there is no config.json",
            where="base_model.path",
            remedy="name a folder that save_pretrained wrote, or give huggingface_id",
        )
    return str(folder)
