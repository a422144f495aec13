"""What prepared data is made of, as one digest: two runs with the same one would prepare the very same.

Keys of a strategy count unless they are named here as ones that do not: a setting that comes to the house later makes
the data anew until somebody has said that it need not.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.metadata
import importlib.util
import itertools
import json
import platform
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import furrow
from furrow.components.disk.hashing import sha256_of, sums_of
from furrow.components.registry import claims
from furrow.stages.data.augmenting import models_asked
from furrow.strategies.files import Loaded
from furrow.strategies.schema import Strategy
from furrow.strategies.wiring import Wired

NOT_OF_ROWS = frozenset({"max_length", "max_input_length", "max_output_length", "truncation", "learned_turns"})
"""Of data_preprocessing: what is asked of rows only when they become tokens."""
OF_THE_ORDER = frozenset({"shuffle", "seed"})
"""Of data_preprocessing: in which order examples are learned."""
NOT_OF_DATA = frozenset({"cache_dir", "cache_gb", "on_faulty_data"})
"""Of dataset: where all this is kept, and what is said of it afterwards."""
OF_THE_MIX = frozenset({"stopping_strategy"})
"""Of dataset: how many of the examples are drawn, once they are made; so is `weight` of a set."""
OF_THE_LOSS = frozenset(
    {
        "beta", "center_rewards_coefficient", "desirable_weight", "gamma", "label_smoothing", "loss",
        "undesirable_weight",
    }
)  # fmt: skip
"""Of an objective: what is computed of examples."""
ELSEWHERE = (
    "screen", "cli*.py", "stages/reporting", "stages/run", "strategies/library", "components/exporter",
    "components/tracker", "components/reward", "components/fine_tuner/*/engine", "components/fine_tuner/*/keeping",
    "components/fine_tuner/*/model", "components/fine_tuner/*/objectives", "components/fine_tuner/*/optimizing",
)  # fmt: skip
"""Rooms of furrow that have no part in preparing data."""
PACKAGES = (
    "tokenizers", "transformers", "jinja2", "sentencepiece", "tiktoken", "numpy", "pydantic", "datasets", "pyarrow",
    "zstandard", "huggingface-hub",
)  # fmt: skip
"""Whose other version may make other rows or other tokens of the same files."""
PROBE = "Hello, world! Zażółć gęślą jaźń. 12345 \n\t 你好 🙂"
"""Its tokens say how the tokenizer is set, beyond what can be read off it."""


def rows_key(loaded: Loaded, sums: Mapping[str, Any]) -> str | None:
    """Of the rows; None where nothing says that a file is the same another time. `sums`: of what `inputs` gives."""
    if not all(_is_fixed(said) for said in sums.values()):
        return None
    return _digest(_of_rows(loaded.strategy) | {"inputs": dict(sums)})


def examples_key(loaded: Loaded, of_rows: str | None, tokenizer: Any) -> str | None:
    """Of the examples made of those rows."""
    if of_rows is None:
        return None
    strategy = loaded.strategy
    body = strategy.model_dump(mode="json")
    templates = [body["prompt_template"], *(entry["template"] for entry in body["dataset"]["mix"])]
    return _digest(
        {
            "rows": of_rows,
            "preprocessing": _without(body["data_preprocessing"], OF_THE_ORDER),
            "templates": templates,
            "template files": _files_named(templates),
            "plugins": _plugins([strategy.prompt_template, *(entry.template for entry in strategy.dataset.mix)]),
            "fine_tuner": [strategy.fine_tuner.type, _plugins([strategy.fine_tuner])],
            "tokenizer": tokenizer_print(tokenizer),
        }
    )


def tokenizer_print(tokenizer: Any) -> str:
    """Of everything by which it makes tokens of text, and of what templates ask it; not of the folder it lies in."""
    settings = {name: value for name, value in getattr(tokenizer, "init_kwargs", {}).items() if name not in _PLACES}
    special = {name: str(value) for name, value in getattr(tokenizer, "special_tokens_map", {}).items()}
    added = {number: repr(token) for number, token in getattr(tokenizer, "added_tokens_decoder", {}).items()}
    said = {
        "class": f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}",
        "vocabulary": hashlib.sha256(_serialised(tokenizer).encode("utf-8", "surrogatepass")).hexdigest(),
        "settings": settings,
        "special": special,
        "added": added,
        "ends": [getattr(tokenizer, name, None) for name in ("bos_token_id", "eos_token_id", "pad_token_id")],
        "chat template": getattr(tokenizer, "chat_template", None),
        "longest": getattr(tokenizer, "model_max_length", None),
        "probe": [list(tokenizer(text).input_ids) for text in ("", PROBE)],
    }
    return _digest(said)


_PLACES = frozenset({"name_or_path", "vocab_file", "merges_file", "tokenizer_file", "tokenizer_object", "backend"})


def _serialised(tokenizer: Any) -> str:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is not None:
        return str(backend.to_str())
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    return json.dumps(sorted(vocabulary.items()))


def _of_rows(strategy: Strategy) -> dict[str, Any]:
    body = strategy.model_dump(mode="json")
    dataset = _without(body["dataset"], NOT_OF_DATA | OF_THE_MIX)
    dataset["mix"] = [_without(entry, {"weight", "template"}) for entry in dataset["mix"]]
    objective = getattr(strategy.fine_tuner.config, "objective", None)
    wired = [strategy.dataset.reader, strategy.dataset.splitter, *strategy.dataset.augmentation]
    wired += [each for entry in strategy.dataset.mix for each in (entry.reader, entry.splitter)]
    return {
        "dataset": dataset,
        "preprocessing": _without(body["data_preprocessing"], NOT_OF_ROWS | OF_THE_ORDER),
        "objective": None if objective is None else _without(objective.model_dump(mode="json"), OF_THE_LOSS),
        "files": _files_named(dataset),
        "models": models_asked(strategy),
        "plugins": _plugins(wired),
        "code": code_print(),
        "versions": package_versions(),
    }


def _is_fixed(identity: Mapping[str, Any]) -> bool:
    """`path` alone is a name, under which another time other rows may lie."""
    return len(identity) > 1


def _files_named(block: Any) -> dict[str, str]:
    """The sums of all files that a block of settings names, whatever they are for."""
    files = sorted({text for text in _texts(block) if _is_file(text)})
    return dict(zip(files, sums_of(Path(file).expanduser() for file in files), strict=True))


def _texts(block: Any) -> Iterator[str]:
    if isinstance(block, str):
        yield block
    elif isinstance(block, Mapping):
        yield from (text for inner in block.values() for text in _texts(inner))
    elif isinstance(block, list | tuple):
        yield from (text for inner in block for text in _texts(inner))


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, ValueError, RuntimeError):  # too long, a zero byte, nobody's home
        return False


@functools.cache
def code_print() -> str:
    """Of the code of furrow that has a part in it."""
    root = Path(furrow.__file__).parent
    left_out = {file for pattern in ELSEWHERE for place in root.glob(pattern) for file in (place, *place.rglob("*"))}
    written = itertools.chain(root.rglob("*.py"), root.rglob("*.jinja"))
    return _print_of(root, (file for file in written if file not in left_out))


@functools.cache
def package_versions() -> dict[str, str]:
    """Of Python, its table of characters, and PACKAGES as far as they are installed."""
    found = {"furrow": furrow.__version__, "python": platform.python_version(), "unicode": unicodedata.unidata_version}
    return found | {name: version for name in PACKAGES if (version := _version(name)) is not None}


def _plugins(wired: Iterable[Wired | None]) -> dict[str, Any]:
    """Version and code of every component that is none of furrow's own."""
    found = {}
    for each in wired:
        module = "" if each is None else each.component.factory.partition(":")[0]
        if each is None or module.split(".")[0] == "furrow":
            continue
        packages = sorted({claim.package for claim in claims(each.slot).get(each.type, [])})
        found[f"{each.slot} {each.type}"] = [{name: _version(name) for name in packages}, _code_of(module)]
    return found


def _code_of(module: str) -> str | None:
    """Of the package at whose top this module stands; None where its source is not to be had."""
    spec = importlib.util.find_spec(module.split(".")[0])
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return _digest([_print_of(Path(place), Path(place).rglob("*.py")) for place in spec.submodule_search_locations])
    return sha256_of(Path(spec.origin)) if spec.origin and Path(spec.origin).is_file() else None


def _print_of(root: Path, files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in sorted(files):
        digest.update(
            f"{file.relative_to(root).as_posix()}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\n".encode()
        )
    return digest.hexdigest()


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _without(block: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    left_out = set(keys)
    return {key: value for key, value in block.items() if key not in left_out}


def _digest(said: Any) -> str:
    text = json.dumps(said, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
