"""What the table's row `model_app: openai_compatible` points at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from furrow.components.checks import Check
from furrow.components.config import Config, Free
from furrow.components.model_app.openai_compatible.api import check_server
from furrow.components.registry import Component
from furrow.components.secrets import is_secret_name

_SAME = "answers are the same"


class OpenAICompatibleConfig(Config):
    """A server such as vLLM's, or llama.cpp's own (`llama-server`)."""

    base_url: str
    """Where it answers, e.g. http://127.0.0.1:8000/v1; without a path, /v1 is put behind it. http or https, without
    user, password and query."""
    model: Annotated[str, Field(min_length=1)] | None = None
    """What the server calls the model; default: the name that the strategy exports it by."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key, where the server wants one: LAB_API_KEY, say. The variable
    LAB_API_KEY_HOST must name the host that may have it (`llm.lab.org`, or `host:port`): whoever writes a strategy
    cannot send your key elsewhere."""
    dialect: Literal["openai", "llama_cpp", "vllm"] = "openai"
    """Which settings of sampling the server knows beyond OpenAI's own: `llama_cpp` and `vllm` are also told top_k,
    repetition_penalty and min_p; `openai` refuses to answer where one of the first two is asked for."""
    timeout: Annotated[float, Field(gt=0, le=86_400), Free(_SAME)] = 600.0
    """Seconds of silence to bear. Default: 600, since a server may load the model first."""
    retries: Annotated[int, Field(ge=0, le=20), Free(_SAME)] = 4
    """How often to ask again where the server is busy (429) or fails (5xx): after the time that it asks for, at most
    60 s, or after 1, 2, 4, … s."""

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, given: str) -> str:
        try:
            parts = urlsplit(given)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{error}; write e.g. http://127.0.0.1:8000/v1") from error
        if parts.username is not None or parts.password is not None:
            raise ValueError("no user or password may stand in an address; name a variable in api_key_env")
        plain = re.fullmatch(r"[\w.:-]+", parts.hostname or "") and re.fullmatch(r"[\w./~-]*", parts.path)
        if parts.scheme not in ("http", "https") or not plain or parts.query or parts.fragment or port == 0:
            raise ValueError("this is no http or https address of a server; write e.g. http://127.0.0.1:8000/v1")
        return given.rstrip("/") if parts.path.strip("/") else given.rstrip("/") + "/v1"

    @field_validator("api_key_env")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None and not (re.fullmatch(r"[A-Za-z_]\w{0,99}", name, re.ASCII) and is_secret_name(name)):
            raise ValueError(
                "this is not the name of a variable that holds a key: it must end in _API_KEY, _TOKEN or the like, so "
                "that Furrow shows its value nowhere"
            )
        return name

    @property
    def lacks_own_model(self) -> str | None:
        """What is missing for answering with a model that the strategy did not train."""
        return None if self.model else "set model to what the server calls it"


def _checks(config: OpenAICompatibleConfig) -> Iterable[Check]:
    yield from check_server(config.base_url, config.api_key_env, config.model)


COMPONENT = Component(
    summary="a server answers that speaks OpenAI's HTTP interface, such as vLLM's or llama.cpp's",
    config=OpenAICompatibleConfig,
    factory="furrow.components.model_app.openai_compatible.app:OpenAICompatibleApp",
    checks=_checks,
)
