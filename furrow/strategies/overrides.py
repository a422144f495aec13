"""`--set key=value`: one key of a strategy from the command line."""

from __future__ import annotations

import re
from typing import Any

import yaml
from omegaconf import OmegaConf

from furrow.strategies.errors import Path, Place, Problem, StrategyErrors
from furrow.strategies.references import references
from furrow.strategies.source import MAX_BYTES, MAX_DEPTH, read_text
from furrow.strategies.spellings import Body

_STEP = re.compile(r"[\w-]+")


def parse(text: str) -> Body:
    """`training_args.learning_rate=1e-4` as a body with that one key. The value is YAML where it can be, else text.

    Raises StrategyErrors for what has no key.
    """
    source = f"--set {text if len(text) <= 80 else text[:77] + '…'}"
    name, equals, value = text.partition("=")
    steps = tuple(name.strip().split("."))
    if len(text) > MAX_BYTES or len(steps) > MAX_DEPTH:
        what = f"at most {MAX_DEPTH} keys in one another, and {MAX_BYTES // 1024} KiB"
        raise StrategyErrors([Problem(Place(source, None, ()), (), what)])
    if not equals or not all(_STEP.fullmatch(step) for step in steps):
        wanted = "wanted is key=value, such as training_args.learning_rate=1e-4"
        raise StrategyErrors([Problem(Place(source, None, ()), (), wanted)])
    data = _value(value.strip(), source, steps)
    places: dict[Path, Place] = {}
    for length in range(len(steps), 0, -1):
        data = {steps[length - 1]: data}
        places[steps[:length]] = Place(source, None, steps[:length])
    return Body("--set", data, places)


def in_lists(override: Body, below: dict[str, Any]) -> Body:
    """`dataset.mix.0.weight=2` as the whole list that it makes of the one below.

    Raises StrategyErrors for a number that the list does not have.
    """
    [steps] = [path for path in override.places if len(path) == max(map(len, override.places))]
    there: Any = below
    inner: Any = override.data
    at = 0
    while at < len(steps) and isinstance(there, dict):
        there, inner, at = there.get(steps[at]), inner[steps[at]], at + 1
    if not isinstance(there, list) or at == len(steps) or not str(steps[at]).isdecimal():
        return override
    number = int(steps[at])
    if number >= len(there):
        what = f"there are {len(there)}, and the first one is 0"
        raise StrategyErrors([Problem(override.place(steps), steps[: at + 1], what)])
    entry, new = there[number], inner[steps[at]]
    if isinstance(entry, dict) and isinstance(new, dict):
        new = OmegaConf.to_container(OmegaConf.merge(entry, new), resolve=False)
    data: Any = [*there[:number], new, *there[number + 1 :]]
    for step in reversed(steps[:at]):
        data = {step: data}
    places = {
        (*path[:at], number, *path[at + 1 :]) if len(path) > at else path: place
        for path, place in override.places.items()
    }
    return Body(override.key, data, places)


def _value(text: str, source: str, steps: Path) -> Any:
    """`Note: be brief` is a mapping in YAML, `*bold*` an alias, `{input} {output}` an error: all meant as text."""
    place = Place(source, None, ())
    try:
        value = read_text(f"- {text}", source).data[0] if "\n" not in text else text
    except StrategyErrors as error:
        if not isinstance(error.__cause__, yaml.YAMLError):
            raise StrategyErrors([Problem(place, steps, error.problems[0].what)]) from error
        value = text
    if isinstance(value, dict) and not text.startswith("{"):
        value = text
    if value is text:
        try:
            references(text)
        except ValueError as error:
            raise StrategyErrors([Problem(place, steps, str(error))]) from error
    return value
