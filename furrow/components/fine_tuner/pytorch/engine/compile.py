"""`torch_compile`: each decoder layer compiled by itself: always, never, or where the run is long enough for it to pay.

Compiling a whole model under PEFT had not finished a 62-second job after 380 s; one layer takes 41 s on two cores, and
the others then use the same code (docs/log.md).
"""

from __future__ import annotations

import shutil
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from furrow.components.errors import RequestError
from furrow.components.events import Emit, Event, Noted, StepEnded
from furrow.components.fine_tuner.pytorch.engine import attention, dropout
from furrow.components.fine_tuner.pytorch.engine.fused import Fused

COST_SECONDS = 60.0
"""What compiling takes, forward and backward (measured: 41 s on two cores; a slower machine takes longer)."""
GAIN = 0.1
"""Share of a step that it saves where much of the step is not matrix products (measured against modules that are not
fused: 0.13)."""
NO_QUICKER = 0.98
"""Share of the time a token took before; above it, compiling was for nothing."""
WATCHED = 5
"""Steps that are timed, before and after; the first one of each is left out, it makes things ready."""


def layers_of(decoder: nn.Module) -> Sequence[nn.Module]:
    """The decoder's list of layers, possibly a step further in (OPT has a decoder in its decoder); () without one."""
    lists = (one for one in (*decoder.children(), *decoder.modules()) if isinstance(one, nn.ModuleList))
    return tuple(next(lists, ()))


@dataclass
class LayerCompiler:
    """Listens to the steps of a run (`emit`), and compiles its layers when the time has come.

    `asked`: true compiles before the first step, false never does, None decides: after WATCHED steps, if GAIN of the
    time that is left is more than twice COST_SECONDS; and takes it back if the next WATCHED steps were no quicker.
    """

    layers: Sequence[Any]
    asked: bool | None
    total_steps: int
    emit_on: Emit
    fused: Fused = field(default_factory=Fused)
    """What is computed in fused form: the compiler does not look into that, so it is undone before."""
    backend: str = "inductor"
    compiled: bool = field(default=False, init=False)
    _watched: list[StepEnded] = field(default_factory=list, init=False)
    _decided: bool = field(default=False, init=False)
    _before: float | None = field(default=None, init=False)

    def begin(self) -> None:
        """Compiles now, where that is asked for. Raises RequestError where there is nothing to compile, or to compile
        with."""
        if self.asked:
            if not self.layers:
                raise RequestError(
                    "this model has no list of layers to compile",
                    where="training_args.torch_compile",
                    remedy="set torch_compile: auto",
                )
            missing = self._missing()
            if missing:
                raise RequestError(
                    f"compiling layers needs {missing}",
                    where="training_args.torch_compile",
                    remedy="install it, or set torch_compile: auto",
                )
            self._compile()

    def emit(self, event: Event) -> None:
        """Hands the event on; steps are timed."""
        self.emit_on(event)
        if self.asked is None and self.layers and not self._decided and isinstance(event, StepEnded):
            self._watched.append(event)
            if len(self._watched) == WATCHED:
                timed, self._watched = self._watched[1:], []
                self._decide(event.step, timed)

    def _decide(self, step: int, timed: Sequence[StepEnded]) -> None:
        a_token = statistics.median(one.seconds / max(one.total_tokens, 1) for one in timed)
        if self._before is None:
            left = statistics.mean(one.seconds for one in timed) * (self.total_steps - step)
            if left * GAIN > 2 * COST_SECONDS and self._missing() is None:
                self._before = a_token
                self._compile()
                self.emit_on(Noted(message=f"{left / 60:.0f} minutes of training are left: its layers are compiled"))
                return
        elif a_token > NO_QUICKER * self._before:
            self._undo()
            self.emit_on(Noted(message="compiled layers were no quicker; the run goes on without"))
        self._decided = True

    def _compile(self) -> None:
        self.fused.restore()
        attention.leave_out_of_graphs()
        dropout.leave_out_of_graphs()
        torch._dynamo.config.suppress_errors = self.asked is None  # nobody asked: what cannot be compiled runs as it is
        for layer in self.layers:
            layer.compile(dynamic=True, backend=self.backend)
        self.compiled = True

    def _undo(self) -> None:
        for layer in self.layers:
            layer._compiled_call_impl = None
        torch._dynamo.config.suppress_errors = False
        self.fused.replace_again()
        self.compiled = False

    def _missing(self) -> str | None:
        if self.backend != "inductor":
            return None
        if torch.cuda.is_available():
            from torch.utils._triton import has_triton

            return None if has_triton() else "the package triton"
        return None if any(map(shutil.which, ("g++", "clang++", "c++", "cl"))) else "a C++ compiler"
