"""Names and paths of a strategy from somebody else, and links in a run folder that lead elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from tests.faults.hostile.payload import Payload

_NAMES = {
    "climbs out": "../../../../tmp/furrow_escaped",
    "climbs out in the middle": "a/../../../tmp/furrow_escaped",
    "is absolute": "/tmp/furrow_escaped",
    "is a home folder": "~/furrow_escaped",
    "climbs with backslashes": "..\\..\\x",
    "is an option": "--overwrite",
    "is a short option": "-rf",
    "is hidden": ".bashrc",
    "is the folder above": "..",
    "is nothing but dots": "...",
    "is empty in the middle": "a//b",
    "has many parts": "a/b/c/d/e",
    "has a newline": "x\nFROM evil",
    "has a NUL": "x\0y",
    "clears the screen": "\x1b[2J\x1b]0;x\x07",
    "turns writing around": "x\u202egnp.exe",
    "has invisible characters": "x\u200b\u00a0y",
    "is long": "a" * 10_000,
    "runs a command": "$(touch MARKER)",
    "runs a command by semicolon": "x; touch MARKER; x",
    "runs a command by backquotes": "`touch MARKER`",
    "runs a command by a pipe": "x | touch MARKER",
    "is quoted": "x' 'y\" \"z",
}
_KEYS = ("export: {model_name: %s}", "monitoring: {run_name: %s}", "monitoring: {project: %s}")
_OUTPUTS = {
    "climbs out": "../outside",
    "climbs out in the middle": "runs/../../outside",
    "climbs out by links": "runs/./.././../outside",
    "is a device": "/dev/null/x",
    "is the process": "/proc/self/cwd/../../x",
    "has a NUL": "x\0y",
    "has a newline": "x\ny",
    "is long": "a/" * 5000,
    "is a long name": "a" * 300,
    "is the home of nobody": "~nobody-of-that-name/x",
}
_KEY_NAMES = {
    "climbs out": "'../../x'",
    "is absolute": "/tmp/x",
    "is an option": "'--overwrite'",
    "is hidden": "'.ssh'",
    "has a newline": '"a\\nb"',
    "is long": "a" * 300,
    "clears the screen": '"\\e[2J"',
}


def _verified(folder: Path, text: str) -> str:
    from furrow.strategies.files import filled_yaml, load_all

    file = folder / "s.yaml"
    file.write_text(text)
    [loaded] = load_all(file)
    filled_yaml(loaded.strategy)
    return f"the model is called {loaded.strategy.model_name!r}, and trains in {loaded.strategy.output_dir}"


def _named(key: str, name: str) -> Callable[[Path, Path], str]:
    """Where the name passes, the paths that are made of it must lie in the folder."""

    def attempt(folder: Path, marker: Path) -> str:
        from furrow.stages.export import wanted
        from furrow.strategies.files import load_all

        written = json.dumps(name.replace("MARKER", str(marker.name)))
        said = _verified(folder, "a: {" + key % written + "}")
        [loaded] = load_all(folder / "s.yaml")
        export = loaded.strategy.export.model_copy(update={"to_gguf": True, "to_gguf_adapter": True, "to_ollama": True})
        for _, place, _ in wanted(export, loaded.strategy.model_name, folder / "exports"):
            if not place.resolve().is_relative_to((folder / "exports").resolve()):
                raise AssertionError(f"an export goes to {place}")
        return said

    return attempt


def _keyed(key: str) -> Callable[[Path, Path], str]:
    return lambda folder, marker: _verified(folder, f"{key}: {{}}")


def _trains_to(place: str) -> Callable[[Path, Path], str]:
    """By `train`, up to where it would read the data."""

    def attempt(folder: Path, marker: Path) -> str:
        from furrow.stages.train import train
        from furrow.strategies.files import load_all

        file = folder / "s.yaml"
        file.write_text(f"a: {{training_args: {{output_dir: {json.dumps(place)}}}, dataset: {{train_file: no.jsonl}}}}")
        [loaded] = load_all(file)
        train(loaded, overwrite=True, emit=lambda event: None)
        return "trained"

    return attempt


def _linked(name: str, *, folder_there: bool) -> Callable[[Path, Path], str]:
    """A run folder from somebody else, in which one of Furrow's names leads to what must stay as it is."""

    def attempt(folder: Path, marker: Path) -> str:
        from furrow.components.errors import FurrowError
        from furrow.stages.run.folder import RunFolder

        kept, run = folder / "kept", folder / "run"
        run.mkdir()
        if folder_there:
            kept.mkdir()
            (kept / "step-00000009").mkdir()
            (kept / "step-00000009" / "mine").write_text("mine")
        else:
            kept.write_text("mine")
        (run / name).symlink_to(kept)
        try:
            with RunFolder(run).claim(overwrite=True), RunFolder(run).begun(overwrite=True):
                (run / "metrics.jsonl").open("a").write("x")
        except FurrowError:
            whole = (kept / "step-00000009" / "mine") if folder_there else kept
            if whole.read_text() != "mine":
                raise AssertionError("what the link led to was changed") from None
            raise
        raise AssertionError("it wrote beside a link")

    return attempt


def _ollama(name: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        from furrow.components.exporter.ollama.model_name import checked_name, nearest_name

        near = nearest_name(name.replace("MARKER", str(marker)))
        checked_name(near)
        return f"{checked_name(name)!r} is allowed"

    return attempt


def _converts(name: str) -> Callable[[Path, Path], str]:
    def attempt(folder: Path, marker: Path) -> str:
        from furrow.stages.convert import convert

        request = SimpleNamespace(format="gguf", quantization=None, model_name=name, overwrite=True, emit=print)
        return str(convert(folder / "model", folder / "out", **vars(request)))

    return attempt


_LINKS = (
    ".lock",
    "metrics.jsonl",
    "manifest.json",
    "strategy.yaml",
    "checkpoints",
    "final_model",
    "exports",
    ".earlier",
)
NEEDS = ("furrow.strategies.files", "furrow.stages.train", "furrow.stages.convert", "furrow.stages.export")
PAYLOADS = (
    *(
        Payload(name=f"{key.split(': {')[1][:-5]} {what}", attempt=_named(key, name))
        for key in _KEYS
        for what, name in _NAMES.items()
    ),
    *(Payload(name=f"strategy {what}", attempt=_keyed(key)) for what, key in _KEY_NAMES.items()),
    *(Payload(name=f"output_dir {what}", attempt=_trains_to(place)) for what, place in _OUTPUTS.items()),
    *(Payload(name=f"{name} is a link", attempt=_linked(name, folder_there="." not in name[1:])) for name in _LINKS),
    *(Payload(name=f"Ollama: {what}", attempt=_ollama(name)) for what, name in _NAMES.items()),
    *(Payload(name=f"--model-name {what}", attempt=_converts(name)) for what, name in _NAMES.items()),
)
