"""The stage `setup`: is everything there that a strategy needs? And, where it may, it fetches what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from furrow.components.base_models import BaseModelConfig
from furrow.components.checks import Check
from furrow.components.errors import FurrowError, RequestError
from furrow.components.events import Noted, Warned
from furrow.stages.setup_checks import base_model
from furrow.stages.setup_checks.answers import answers, failure
from furrow.stages.setup_checks.base_model import Found
from furrow.stages.setup_checks.data import check_data
from furrow.stages.setup_checks.device import check_machine, installed_torch, machine
from furrow.stages.setup_checks.disk import check_disk
from furrow.stages.setup_checks.exports import check_exports
from furrow.stages.setup_checks.output import check_output
from furrow.stages.setup_checks.packages import check_packages, needed
from furrow.stages.setup_checks.tokenizer import LightTokenizer, light_tokenizer
from furrow.stages.setup_checks.wired import wired_components
from furrow.strategies.files import Loaded
from furrow.strategies.wiring import Wired


def setup(loaded: Loaded, *, provide: bool, ask: Callable[[str], bool]) -> list[Check]:
    """Every answer, in the order of the work. Imports no torch, transformers, datasets or llama_cpp.

    With `provide` a base model that is missing is downloaded into the hub's cache, after `ask` where it is large;
    nothing else is ever changed. What the user can mend is a failed answer, never raised.
    """
    strategy = loaded.strategy
    wired = list(wired_components(strategy))
    hardware = getattr(strategy.fine_tuner.config, "hardware", None)
    checks = [*_notes(loaded)]
    checks += answers("packages", check_packages(wired))
    checks += _own_checks(wired)
    checks += answers("machine", check_machine(machine(), hardware, installed_torch()))
    config = getattr(strategy.fine_tuner.config, "base_model", None)
    base, tokenizer = None, None
    if isinstance(config, BaseModelConfig):  # a fine-tuner of another package may take none
        base = _base_model(config, provide, ask, checks)
        tokenizer = _tokenizer(config, checks)
    checks += answers("dataset", check_data(loaded, tokenizer))
    checks += answers("disk", check_disk(strategy, base))
    checks += answers("output folder", check_output(strategy.output_dir))
    checks += answers("exports", check_exports(strategy.export, wired))
    return list(dict.fromkeys(checks))  # two components may ask the same question


def _notes(loaded: Loaded) -> Iterator[Check]:
    yield Check("strategy", "passed", f"{loaded.strategy.key} is valid: {loaded.strategy.title}")
    for note in loaded.notes:
        if isinstance(note, Warned):
            yield Check("strategy", "warning", note.message, note.remedy or "")
        elif isinstance(note, Noted):
            yield Check("strategy", "passed", f"note: {note.message}")


def _own_checks(wired: Sequence[Wired]) -> Iterable[Check]:
    """What the components ask themselves, without the packages that `check_packages` has answered for."""
    answered = {f"package {package}" for package in needed(wired)}
    for one in wired:
        for check in answers(f"{one.slot} {one.type}", one.component.checks(one.config)):
            if check.name not in answered:
                yield check


def _base_model(
    config: BaseModelConfig, provide: bool, ask: Callable[[str], bool], checks: list[Check]
) -> Found | None:
    """What was found, or fetched; None where it cannot be had. What there is to say is added to `checks`."""
    base = None
    try:
        base = base_model.find_base_model(config)
        check = base_model.describe(base)
        if provide:
            base, check = base_model.fetch(base, ask)
        checks.append(check)
    except FurrowError as error:
        checks.append(failure(base_model.NAME, error))
    return base


def _tokenizer(config: BaseModelConfig, checks: list[Check]) -> LightTokenizer | None:
    """That of the base model, where it is on this machine, also where the weights are not."""
    try:
        folder = base_model.folder_of(config)
        return light_tokenizer(folder) if folder else None
    except RequestError:
        return None  # the folder that is named holds no model: said already
    except FurrowError as error:
        checks.append(failure("tokenizer", error))
        return None
