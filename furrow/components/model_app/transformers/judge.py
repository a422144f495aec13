"""The app `transformers` where the model scores texts instead of writing them: a classifier or a reward model."""

from __future__ import annotations

from collections.abc import Sequence

from furrow.components.errors import RequestError
from furrow.components.model_app.transformers.device import device_of
from furrow.components.models.scoring import load_scorer, logits
from furrow.components.models.served import Served


class TransformersJudge:
    """Implements `Judge`. Weights are fp32 on a CPU and as saved elsewhere."""

    def __init__(self, served: Served) -> None:
        assert served.model.labels is not None
        self._labels = served.model.labels
        device = device_of(served.device)
        self._model = load_scorer(served.model, dtype="float32" if device.type == "cpu" else "auto", device=device)

    def scores(self, ids: Sequence[int]) -> dict[str, float]:
        longest = getattr(self._model.config, "max_position_embeddings", None)
        if longest is not None and len(ids) > longest:
            raise RequestError(f"the text has {len(ids)} tokens, the model takes {longest}", remedy="shorten it")
        found = logits(self._model, ids)
        values = found if len(self._labels) == 1 else found.softmax(0)
        return dict(zip(self._labels, values.tolist(), strict=True))
