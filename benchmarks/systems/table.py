"""Every system by its name."""

from __future__ import annotations

from benchmarks.systems import System
from benchmarks.systems.axolotl import AXOLOTL
from benchmarks.systems.furrow import FURROW, FURROW_NO_CACHE
from benchmarks.systems.hugging_face import TRAINER, TRL, TRL_PACKED, TRL_PACKED_STORED
from benchmarks.systems.litgpt import LITGPT
from benchmarks.systems.llama_factory import LLAMA_FACTORY

SYSTEMS: dict[str, System] = {
    "furrow": FURROW,
    "furrow-no-cache": FURROW_NO_CACHE,
    "trainer": TRAINER,
    "trl": TRL,
    "trl-packed": TRL_PACKED,
    "trl-packed-stored": TRL_PACKED_STORED,
    "litgpt": LITGPT,
    "llamafactory": LLAMA_FACTORY,
    "axolotl": AXOLOTL,
}
