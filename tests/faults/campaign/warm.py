"""The process that all trials are forked from: it imports whatever a run imports on its way, so that none waits."""

from __future__ import annotations

import contextlib
import importlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.faults.campaign.crew import Crew
from tests.faults.campaign.tiny import open_shop

ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "PYTHONDONTWRITEBYTECODE": "1",
    "COLUMNS": "200",  # so that no message is broken into lines
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
}
MODULES = (
    "peft",
    "transformers.models.llama.modeling_llama",
    "furrow.cli",
    "furrow.stages.train",
    "furrow.stages.convert",
    "furrow.components.fine_tuner.pytorch.fine_tuner",
    "furrow.screen.console",
    "furrow.screen.quiet",
    "furrow.screen.subscribers",
)


@contextlib.contextmanager
def ready_crew(workers: int, *, quick: bool) -> Iterator[Crew]:
    """A crew with a shop of its own, which is gone when the block ends."""
    os.environ |= ENVIRONMENT
    import torch

    torch.set_num_threads(1)
    for module in MODULES:
        importlib.import_module(module)
    with tempfile.TemporaryDirectory(prefix="faults-") as folder:
        yield Crew(open_shop(Path(folder)), workers, quick)
