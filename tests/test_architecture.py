"""Who may import whom: the four floors of docs/architecture.md, read from the source of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from furrow.components.registry import BUILT_IN, SLOTS

ROOT = Path(__file__).parents[1]
FLOORS = ("components", "strategies", "stages", "screen", "cli")
"""From the ground up; a module imports from its own floor and from those below."""
HEAVY = {"torch", "transformers", "peft", "accelerate", "datasets", "llama_cpp", "safetensors", "tokenizers", "numpy"}


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(file): file for file in sorted((ROOT / "furrow").rglob("*.py"))}
PROTOCOLS = {f"furrow.components.{slot}" for slot in SLOTS}
"""A slot's `__init__` holds its Protocol, which is a word that everybody may speak."""


def imports(name: str, *, at_top: bool = False) -> Iterator[str]:
    """Full names of what the module imports; `at_top` leaves out what is imported inside functions."""
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    for node in tree.body if at_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}:{node.lineno} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else str(node.module)


def floor(module: str) -> int:
    """How high a module stands; the package itself (its version) is the ground."""
    parts = module.split(".")
    return FLOORS.index(parts[1].partition("_")[0]) if len(parts) > 1 else 0  # cli_data.py is a part of cli


def slot_of(module: str) -> str | None:
    return next((slot for slot in SLOTS if f"{module}.".startswith(f"furrow.components.{slot}.")), None)


def arrows(origin: str) -> Iterator[tuple[str, str]]:
    """(importer, imported) inside the house, for every importer whose name begins with `origin`."""
    for name in MODULES:
        if f"{name}.".startswith(f"{origin}."):
            yield from ((name, target) for target in imports(name) if target.split(".")[0] == "furrow")


def test_arrows_only_point_downwards():
    assert [(importer, target) for importer, target in arrows("furrow") if floor(target) > floor(importer)] == []


def test_nobody_imports_a_component_by_name():
    """The registry opens the doors of the slots; from outside, and from slot to slot, only Protocols are imported."""
    strangers = [
        (importer, target)
        for importer, target in arrows("furrow")
        if slot_of(target) not in (None, slot_of(importer)) and target not in PROTOCOLS
    ]
    assert strangers == []


def test_strategies_know_components_only_by_the_words_at_their_root():
    assert [(importer, target) for importer, target in arrows("furrow.strategies") if slot_of(target)] == []


def test_modules_do_not_import_one_another_in_circles():
    graph = {name: {target for target in imports(name, at_top=True) if target in MODULES} for name in MODULES}
    while graph:
        free = {name for name, targets in graph.items() if not targets & graph.keys()}
        assert free, f"a circle among {sorted(graph)}"
        graph = {name: targets for name, targets in graph.items() if name not in free}


def modules_behind(name: str) -> set[str]:
    """The module and every module of the house that importing it runs."""
    seen, waiting = set(), [name]
    while waiting:
        module = waiting.pop()
        if module in MODULES and module not in seen:
            seen.add(module)
            waiting += [*imports(module, at_top=True), module.rpartition(".")[0]]
    return seen


@pytest.mark.parametrize("row", sorted(BUILT_IN), ids="-".join)
def test_importing_a_component_imports_no_heavy_package(row):
    """So that a strategy can be verified in a second, and where torch is not installed."""
    component = BUILT_IN[row].partition(":")[0]
    outside = {target.split(".")[0] for name in modules_behind(component) for target in imports(name, at_top=True)}
    assert not outside & HEAVY


def test_every_file_has_one_idea():
    """House rule: no file over 500 lines, half of them under 150, and no drawer for odds and ends."""
    lengths = sorted(len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES.values())
    assert lengths[-1] <= 500
    assert lengths[len(lengths) // 2] < 150
    assert not {"utils", "helpers", "common", "misc"} & {name.rpartition(".")[2] for name in MODULES}
