"""What to say where one row alone does not fit: how much memory it needs, and which settings lower that, most effective
first for this strategy and this model."""

from __future__ import annotations

import json
import os
import resource
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import ValidationError

from furrow.components.errors import FurrowError
from furrow.components.fine_tuner.pytorch.component import PyTorchConfig
from furrow.components.fine_tuner.pytorch.engine.forward import Forward
from furrow.components.fine_tuner.pytorch.engine.memory import is_out_of_memory
from furrow.components.fine_tuner.pytorch.methods.shared import LowRank
from furrow.components.fine_tuner.pytorch.optimizer_names import STATE_SHARES
from furrow.components.records import AnyExample, Example

PROBE = 16
"""Tokens of a row on which its need is measured, and twice as many: what grows with the square shows between them."""
WORTH_SAYING = 0.02
"""Share of all that is needed that a setting must save."""
OF_4_BITS = 0.52
"""Bytes that a weight takes in nf4 with its scales."""
ENTERS = 1 / 16
"""Size of what enters a layer, in sizes of what the way back through it keeps (34 numbers a token and hidden unit of 16
bits: Korthikanti et al. 2022, arXiv:2205.05198, without attention weights)."""


class Held(NamedTuple):
    """Bytes that a run holds beside activations."""

    frozen: int
    trained: int
    gradients: int
    state: int
    """What the optimiser gathers, once it has made a step."""


class Saving(NamedTuple):
    """What a change of the strategy would save."""

    bytes: int
    text: str

    @classmethod
    def of(cls, saved: int, text: str) -> Saving:
        return cls(saved, f"{text} (about {in_words(saved)} less)")


@dataclass
class Shortage:
    """Asked when it has happened: what it measures takes a moment and little memory. `compute` is the number type of
    the products."""

    config: PyTorchConfig
    forward: Forward
    compute: torch.dtype

    def error(self, row: AnyExample | None, tokens: int, when: str, reason: str) -> FurrowError:
        """For a row of so many tokens that found no memory, `when` ("at step 3"), for this reason; None is the update
        of the weights."""
        held = self.held()
        needed = None if row is None else self.activations(row, tokens) or self.usual_activations(tokens)
        remedies = [saving.text for saving in self.savings(held, needed or 0)]
        what = "for the update of the weights" if row is None else f"with one row alone ({tokens:,} tokens)"
        needs = "" if needed is None else f"; its activations need about {in_words(needed)}"
        free = free_bytes(self.forward.device)
        left = "" if free is None else f", {in_words(free)} are free"
        return FurrowError(
            f"memory ran out {what} {when}: {reason}{needs}; weights, gradients and the optimiser take "
            f"{in_words(sum(held))}{left}",
            where=None if row is None else row.where,
            remedy="; ".join([*remedies, "or take a smaller base_model"]),
        )

    def held(self) -> Held:
        """Read off the model and the optimiser's name."""
        weights = list(self.forward.model.parameters())
        trained = sum(weight.nbytes for weight in weights if weight.requires_grad)
        frozen = sum(weight.nbytes for weight in weights if not weight.requires_grad)
        return Held(frozen, trained, trained, int(trained * STATE_SHARES[self.config.training_args.optim]))

    def activations(self, row: AnyExample, tokens: int) -> int | None:
        """Bytes that the way back over so many tokens keeps, measured on the row's first ones; None where even these
        find no room."""
        longest = max(row.sequences, key=lambda one: len(one.input_ids))
        try:
            small, large = (self._kept(longest, count) for count in (PROBE, 2 * PROBE))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        square = max(large - 2 * small, 0) / (2 * PROBE**2)
        line = small / PROBE - square * PROBE
        return int(line * tokens + square * tokens**2)

    def usual_activations(self, tokens: int) -> int:
        """The same by rule of thumb: 34 numbers of 16 bits a token, hidden unit and layer."""
        shape = self.forward.base.config
        units = getattr(shape, "hidden_size", 1024) * getattr(shape, "num_hidden_layers", 1)
        return 34 * tokens * units * self.compute.itemsize // 2

    def _kept(self, sequence: Example, count: int) -> int:
        """Bytes of what a forward pass over so many of its tokens keeps for the way back."""
        beginning = sequence._replace(input_ids=sequence.input_ids * (count // len(sequence.input_ids) + 1))
        beginning = beginning._replace(input_ids=beginning.input_ids[:count], learned=[True] * count)
        self.forward.seeds.stands_for(beginning, sequence)
        weights = {weight.untyped_storage().data_ptr() for weight in self.forward.model.parameters()}
        found: dict[int, tuple[int, torch.Tensor]] = {}

        def note(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in weights:
                found[storage.data_ptr()] = storage.nbytes(), tensor  # held, so that no other takes its place
            return tensor

        mixed = self.compute is not torch.float32
        with (
            torch.enable_grad(),
            torch.autocast(self.forward.device.type, self.compute, enabled=mixed),
            torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        ):
            self.forward([(beginning,)])
        return sum(size for size, _ in found.values())

    def savings(self, held: Held, activations: int) -> list[Saving]:
        """The most effective first; only what the strategy does not have yet and may have."""
        least = WORTH_SAYING * (sum(held) + activations)
        return sorted((one for one in self._possible(held, activations) if one.bytes > least), reverse=True)

    def _possible(self, held: Held, activations: int) -> Iterator[Saving]:
        method, layers = self.config.method, getattr(self.forward.base.config, "num_hidden_layers", 1)
        yield Saving.of(activations // 2, "halve data_preprocessing.max_length")
        if self._may(("hardware", "optimization", "gradient_checkpointing"), True):
            kept = 1 / max(layers, 1) + ENTERS
            text = "set hardware.optimization.gradient_checkpointing to true"
            yield Saving.of(int(activations * max(1 - kept, 0)), text)
        if method.type == "full":
            yield Saving.of(held.gradients + held.state, "choose method.type lora")
            if self._may(("training_args", "optim"), "adafactor"):
                yield Saving.of(held.state, "choose training_args.optim adafactor")
        if isinstance(method, LowRank) and self._may(("method",), {"type": "qlora"}):
            each = max(weight.itemsize for weight in self.forward.model.parameters() if not weight.requires_grad)
            yield Saving.of(int(held.frozen * (1 - OF_4_BITS / each)), "choose method.type qlora")
        if self.compute is torch.float32 and self.forward.device.type == "cuda":
            yield Saving.of(activations // 2, "set hardware.optimization.mixed_precision to bf16")

    def _may(self, path: Sequence[str], value: Any) -> bool:
        """Whether the strategy would be another one with it, and a valid one."""
        settings = self.config.model_dump(mode="json")
        block = reduce(lambda found, name: found[name], path[:-1], settings)
        if block[path[-1]] == value or (path == ("method",) and self.config.method.type == value["type"]):
            return False
        block[path[-1]] = value
        try:
            PyTorchConfig.model_validate_json(json.dumps(settings))
        except ValidationError:
            return False
        return True


def free_bytes(device: torch.device) -> int | None:
    """What may still be taken: on the device, or of the machine's memory and this process' own limits."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type != "cpu" or not Path("/proc/meminfo").is_file():
        return None
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    machine = next((int(words[1]) * 1024 for words in lines if words[0] == "MemAvailable:"), None)
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft == resource.RLIM_INFINITY:
        return machine
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return min(max(soft - used, 0), soft if machine is None else machine)


def in_words(count: int) -> str:
    """`5.3 GiB`, `120 MiB`, `3 kiB`."""
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20)):
        if count >= size:
            return f"{count / size:.1f} {unit}" if count < 100 * size else f"{count / size:,.0f} {unit}"
    return f"{-(-count // 1024)} kiB"
