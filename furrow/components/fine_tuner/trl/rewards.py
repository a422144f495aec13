"""What an answer is worth: a trained reward model, or a registered function. A strategy names no Python path."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, model_validator

from furrow.components.config import Config, problem_at
from furrow.components.errors import FurrowError, RequestError
from furrow.components.models.folder import ModelFolder, recognise
from furrow.components.registry import find


class RewardConfig(Config):
    """Exactly one of `model` and `function`."""

    model: Annotated[str, Field(min_length=1)] | None = None
    """Folder of a trained reward model: a run of `objective: reward`, its final_model, or a saved sequence classifier
    with one output. Its score is the reward, as it is: where it is added to others, mind its range."""
    function: str | None = None
    """A function by the name of its component (`components list`, slot reward): contains, exact_match, json_object,
    length, or one of another package."""
    config: dict[str, Any] = Field(default_factory=dict)
    """Settings of the function."""
    weight: float = 1.0
    """What the reward is multiplied by before it is added to the others; a negative one punishes."""

    @model_validator(mode="before")
    @classmethod
    def _verify_function(cls, given: Any) -> Any:
        """The function's own config verifies `config`, and fills its defaults in."""
        if not isinstance(given, Mapping):
            return given
        wanted = [name for name in ("model", "function") if given.get(name) is not None]
        if len(wanted) != 1:
            raise ValueError(f"exactly one of model, function is wanted, got {' and '.join(wanted) or 'none'}")
        name, settings = given.get("function"), given.get("config", {})
        if wanted == ["model"] and settings:
            raise problem_at("config", "a reward model has no settings", settings)
        if not isinstance(name, str):
            return given
        try:
            component = find("reward", name)
        except FurrowError as error:
            raise problem_at("function", f"{error.what}; {error.remedy}", name) from error
        filled = component.config.model_validate_json(json.dumps(settings))
        return {**given, "config": filled.model_dump(mode="json")}

    @property
    def label(self) -> str:
        """What a person calls it."""
        return self.function or f"model {self.model}"


def reward_folder(named: str) -> ModelFolder:
    """Where the reward model lies. Raises RequestError when there is none, or a model that is no reward model."""
    folder = recognise(Path(named).expanduser())
    if folder.labels is None or len(folder.labels) != 1:
        what = "writes text" if folder.labels is None else f"tells {len(folder.labels)} classes apart"
        raise RequestError(
            f"{folder.path} is no reward model: it {what}; one that gives a single score is wanted",
            where="reward.model",
            remedy="train one with `objective: reward`",
        )
    return folder
