"""A model of others, looked at before any library reads it: settings that ask for code, weights in pickles, headers
that lie. Takes folders only; what the hub has is put into one first (`snapshot.local`)."""

from __future__ import annotations

import functools
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

from furrow.components.errors import RequestError
from furrow.components.models.safetensors_header import read_header
from furrow.components.models.settings import refuse_adapter, refuse_code, refuse_model, refuse_weights
from furrow.components.models.tokenizer_file import LARGEST, refuse_bombs

Find = Callable[[str], Path | None]
"""Where the file of that name is; None where the model has none."""

_SETTINGS = (
    "config.json", "generation_config.json", "tokenizer_config.json", "processor_config.json",
    "preprocessor_config.json", "special_tokens_map.json", "added_tokens.json",
)  # fmt: skip
_TOKENIZERS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
_LARGEST_SETTINGS = 16_000_000
"""Bytes; more than a hundred thousand classes or added tokens take."""
_LARGEST_ADAPTER = 4_000_000
"""AdaLoRA's pattern of ranks is the longest thing in one: 100 kB for a model of 7 B."""
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_WEIGHTS, _ADAPTER = "model.safetensors", "adapter_model.safetensors"
_DISTRIBUTED = re.compile(r"shard-\d+-model-.*\.safetensors")
"""With one of these in the folder, transformers reads it with torch.distributed and nothing else."""


def inspect_tokenizer(source: str) -> None:
    """Raises RequestError where the tokenizer asks for code, or for endless memory."""
    find = _finder(source)
    settings = _read_settings(find, ("config.json", *_TOKENIZERS))
    if "config.json" in settings:  # transformers reads it too, to know which tokenizer is meant
        refuse_model(*settings["config.json"], shapes=None)
    if (file := find("tokenizer.json")) is not None:
        state = file.stat()
        _inspect_rules(file, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=16)
def _inspect_rules(file: Path, changed: int, size: int) -> None:
    """Once for each state of the file: 33 MB take half a second, and a run loads its tokenizer several times."""
    refuse_bombs(_read(file, LARGEST), file)


def inspect_config(source: str) -> None:
    """The same for the settings of a model whose weights are not wanted."""
    settings = _read_settings(_finder(source), _SETTINGS)
    if "config.json" in settings:
        refuse_model(*settings["config.json"], shapes=None)


def inspect_model(source: str) -> None:
    """The same for settings and weights. Raises FurrowError for safetensors whose header says anything else than the
    file, and for a folder that holds its weights as pickles only."""
    find = _finder(source)
    settings = _read_settings(find, _SETTINGS)
    if (adapter := find("adapter_config.json")) is not None:
        _refuse_embedded(adapter)
    if "config.json" in settings:
        refuse_weights(*settings["config.json"])
    shapes = _shapes(_weight_files(find, source))
    if "config.json" in settings:
        refuse_model(*settings["config.json"], shapes=shapes)


def inspect_adapter(folder: Path) -> None:
    """The same for an adapter's own folder; its base is a model of its own."""
    find = _finder(str(folder))
    settings = _read_settings(find, ("adapter_config.json",), _LARGEST_ADAPTER)
    file = find(_ADAPTER)
    if file is None:
        _refuse_pickles(folder, _ADAPTER)
    if "adapter_config.json" in settings:
        refuse_adapter(*settings["adapter_config.json"], shapes=_shapes([file] if file else []))


def _finder(source: str) -> Find:
    folder = Path(source)
    if not folder.is_dir():
        return lambda name: None  # transformers says so, better than can be said here
    odd = [file.name for file in folder.iterdir() if not file.is_file() and not file.is_dir()]
    if odd:
        raise RequestError(f"{odd[0]} is neither a file nor a folder", where=source, remedy="remove it")

    def find(name: str) -> Path | None:
        return folder / name if (folder / name).is_file() else None

    return find


def _read_settings(
    find: Find, names: tuple[str, ...], largest: int = _LARGEST_SETTINGS
) -> dict[str, tuple[dict[str, Any], str]]:
    """Name -> what it holds and where it is, of those that are there; none of them asks for code."""
    found = {}
    for name in names:
        if (file := find(name)) is not None:
            settings = _read(file, largest)
            refuse_code(settings, str(file))
            found[name] = settings, str(file)
    return found


def _read(file: Path, largest: int) -> dict[str, Any]:
    size = file.stat().st_size
    if size > largest:
        raise RequestError(
            f"it has {size:,} bytes, at most {largest:,} are read", where=str(file), remedy="download or copy it again"
        )
    try:
        settings = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"it is damaged: {error}", where=str(file), remedy="download or copy it again") from error
    if not isinstance(settings, dict):
        raise RequestError("an object is wanted", where=str(file), remedy="download or copy it again")
    return settings


def _weight_files(find: Find, source: str) -> list[Path]:
    """The one file, and those that an index names; none where there are none in any form."""
    single, index = find(_WEIGHTS), find(f"{_WEIGHTS}.index.json")
    if Path(source).is_dir():
        _refuse_distributed(Path(source))
        if single is None and index is None:
            _refuse_pickles(Path(source), _WEIGHTS)
    names = _WEIGHTS, *(_names_in(index) if index else ())
    return [file for file in map(find, dict.fromkeys(names)) if file]  # whichever is missing, transformers names it


def _names_in(index: Path) -> list[str]:
    places = _read(index, _LARGEST_SETTINGS).get("weight_map")
    names = sorted(set(map(str, places.values()))) if isinstance(places, dict) else [str(places)]
    for name in names:
        if PurePath(name).name != name or not name.endswith(".safetensors"):
            raise RequestError(
                f"it names {name!r}, which is no safetensors file beside it",
                where=str(index),
                remedy="download or copy the whole folder again",
            )
    return names


def _refuse_embedded(file: Path) -> None:
    """Raises RequestError, always: transformers puts an adapter that lies beside weights onto them, unasked."""
    base = _read(file, _LARGEST_ADAPTER).get("base_model_name_or_path")
    raise RequestError(
        f"an adapter (of {str(base)[:100]!r}) lies beside the weights of a base model, and would be loaded onto them",
        where=str(file.parent),
        remedy=f"to train without it, take {file.name} out of the folder. To go on with it, keep it in a folder of its "
        "own and name that in method.init_from, or merge it first: furrow convert ADAPTER_FOLDER NEW_FOLDER "
        "--format merged",
    )


def _refuse_distributed(folder: Path) -> None:
    found = sorted(file.name for file in folder.iterdir() if _DISTRIBUTED.fullmatch(file.name))
    if found:
        raise RequestError(
            f"{found[0]} is a part of a distributed checkpoint; {_WEIGHTS} is wanted",
            where=str(folder),
            remedy="save the model with save_pretrained (safetensors), where it was made",
        )


def _refuse_pickles(folder: Path, wanted: str) -> None:
    """Raises RequestError where the weights are there, in files that can run code when they are read."""
    found = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLED and "model" in file.name)
    if found:
        raise RequestError(
            f"{found[0]} is a pickle, which can run code when it is read; {wanted} is wanted",
            where=str(folder),
            remedy="if you trust whoever made it, write its numbers as safetensors: furrow convert "
            f"{shlex.quote(str(folder))} NEW_FOLDER --format safetensors --allow-pickle",
        )


def _shapes(files: list[Path]) -> dict[str, tuple[int, ...]]:
    return {name: shape for file in files for name, shape in read_header(file).shapes.items()}
