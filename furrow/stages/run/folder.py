"""The run folder: where everything of one run lies, who owns it, and what it says of how it was made."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import furrow
from furrow.components.disk.checkpoint_folder import QUARANTINE, checkpoints_in
from furrow.components.disk.publish import publish_text, publishing_together
from furrow.components.disk.staging import discard, remove, sweep
from furrow.components.disk.storage import storing
from furrow.components.errors import RequestError
from furrow.components.events import Emit
from furrow.components.models.folder import STRATEGY_FILE
from furrow.components.secrets import scrubbed, scrubbed_values
from furrow.stages.data.bad_rows import FILE as BAD_ROWS_FILE
from furrow.stages.data.dropped import FILE as DROPPED_FILE
from furrow.stages.reporting.record import read_record
from furrow.stages.run.lock import LOCK, locked
from furrow.stages.run.way_out import begun_from, learned_in, set_aside_in

CURVES_FILE = "curves.svg"
"""The picture of report.md."""

OWN = (
    STRATEGY_FILE,
    "manifest.json",
    "metrics.jsonl",
    "tensorboard",
    "checkpoints",
    "final_model",
    "exports",
    "report.md",
    "report.html",
    CURVES_FILE,
    BAD_ROWS_FILE,
    DROPPED_FILE,
    "wandb",
    "mlflow",
    "comet",
)
"""What Furrow writes into a run folder; `--overwrite` removes these and nothing else."""
_WEIGHTS = ("final_model", "checkpoints")
_GROUNDS = (STRATEGY_FILE, "manifest.json")
"""What a run began with. It goes last: weights without it could be gone on with on other grounds."""
_KINDS = {"rows": dict, "data": dict, "versions": dict, "changes": list, "resumed_from": list, "exports": list}
"""Of what a manifest may have."""


@dataclass(frozen=True)
class RunFolder:
    """Paths of one run. Making one touches nothing; `claim` does."""

    path: Path
    resumes: bool = True
    """Whether its fine-tuner can go on from a checkpoint."""

    @property
    def strategy(self) -> Path:
        return self.path / STRATEGY_FILE

    @property
    def manifest(self) -> Path:
        return self.path / "manifest.json"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def final_model(self) -> Path:
        return self.path / "final_model"

    @property
    def exports(self) -> Path:
        return self.path / "exports"

    @property
    def report(self) -> Path:
        return self.path / "report.md"

    @property
    def html_report(self) -> Path:
        return self.path / "report.html"

    @property
    def stacks(self) -> Path:
        """What every thread did when the run hung. Belongs to the last run here, and is no run by itself."""
        return self.path / "stacks.txt"

    @property
    def unfinished(self) -> bool:
        """Whether a run lies here that can be gone on with: it has weights, and never came to its end."""
        finished = self.read_manifest().get("finished")
        return not finished and (bool(checkpoints_in(self.checkpoints)) or (finished is False and self.trained))

    @property
    def finished(self) -> bool:
        """Whether all was done: trained, exported and reported."""
        return bool(self.read_manifest().get("finished"))

    @property
    def resumable(self) -> bool:
        """Whether --resume helps: exports can be made of any model."""
        return self.unfinished and (self.resumes or self.trained)

    @property
    def trained(self) -> bool:
        """Whether the training came to its end; exports may be missing."""
        return self.final_model.is_dir()

    def refuse_earlier(self, overwrite: bool) -> None:
        """Raises RequestError if an earlier run lies here and may not be replaced."""
        earlier = [name for name in OWN if (self.path / name).exists()]
        if earlier and not overwrite:
            if self.resumable:
                steps = checkpoints_in(self.checkpoints)
                reached = "trained, its exports not made" if self.trained else f"saved after step {max(steps)}"
                raise RequestError(
                    f"{self.path} holds an unfinished run, {reached}",
                    where="training_args.output_dir",
                    remedy="say --resume to go on with it, or --overwrite to begin anew",
                )
            raise RequestError(
                f"{self.path} holds an earlier run ({', '.join(earlier)})",
                where="training_args.output_dir",
                remedy="choose another --output-dir, or say --overwrite to replace it",
            )

    def require_resumable(self) -> None:
        """Raises RequestError if nothing here can be gone on with, or if it is not known what it began with."""
        if not self.trained:
            self.require_resuming_tuner()
        saved = checkpoints_in(self.checkpoints)
        if not (saved or self.trained):
            self.refuse_damaged()
            left = any((self.path / name).exists() for name in OWN)
            raise RequestError(
                f"{self.path} holds no checkpoint to go on from",
                where="--resume",
                remedy="bring the folder checkpoints back from a copy, choose another --output-dir, or say --overwrite"
                if left
                else "leave --resume out to begin",
            )
        self._require_grounds()
        if self.finished and not saved:
            self.refuse_finished()

    def refuse_damaged(self) -> None:
        """Raises RequestError where every checkpoint was set aside."""
        if (model := set_aside_in(self.checkpoints)) is not None:
            raise RequestError(
                f"no checkpoint in {self.checkpoints} is whole; what was set aside lies in "
                f"{self.checkpoints / QUARANTINE}",
                where="--resume",
                remedy="bring a whole checkpoint back from a copy and say --resume again;\n"
                f"  or, if its weights are not what was damaged, begin another run with {begun_from(model)} "
                "and another --output-dir;\n"
                "  or say --overwrite to begin anew, which removes all of this",
            )

    def refuse_finished(self) -> None:
        """Raises RequestError: this run has come to its end, and what was asked for does not move that."""
        model = self.final_model if self.trained else learned_in(self.checkpoints, self.final_model)
        way = f"another run begins from its model with {begun_from(model)} and another --output-dir"
        if checkpoints_in(self.checkpoints):
            raise RequestError(
                f"{self.path} holds a finished run",
                where="--resume",
                remedy=f"a larger num_train_epochs or max_steps goes on with it; {way}",
            )
        raise RequestError(
            f"{self.path} holds a finished run, and no checkpoint to go on from", where="--resume", remedy=way
        )

    def _require_grounds(self) -> None:
        """Raises RequestError where nothing tells what the run began with: a change could not be found."""
        lost = {file.name: _state_of(file) for file in (self.strategy, self.manifest) if not _has_text(file)}
        if not (self.read_manifest() or lost.get(self.manifest.name)):
            lost[self.manifest.name] = "damaged"
        if not lost:
            return
        copy = f" ({STRATEGY_FILE} lies in final_model too)" if (self.final_model / STRATEGY_FILE).is_file() else ""
        model = learned_in(self.checkpoints, self.final_model)
        raise RequestError(
            f"{' and '.join(f'{name} is {state}' for name, state in lost.items())}: "
            "what the run began with is not known, nor whether it has changed",
            where=str(self.path),
            remedy=f"bring {' and '.join(lost)} back from a copy{copy};\n"
            f"  or begin another run with {begun_from(model)} and another --output-dir;\n"
            "  or say --overwrite to begin anew, which removes what was learned",
        )

    def require_resuming_tuner(self) -> None:
        """Raises RequestError where steps are missing, and the fine-tuner cannot make them."""
        if not self.resumes:
            raise RequestError(
                "this fine-tuner cannot go on from a checkpoint",
                where="--resume",
                remedy="say --overwrite to begin anew, or choose another --output-dir",
            )

    @contextlib.contextmanager
    def claim(self, *, overwrite: bool, resume: bool = False, emit: Emit = lambda event: None) -> Iterator[None]:
        """Owns the folder for the length of the block: one process at a time, by a lock that dies with its owner.

        What a run that was killed left half done is done or taken back. Nothing that is here is replaced yet.
        Raises RequestError that names the holder, or the earlier run, or a folder that cannot be written to.
        """
        self._refuse_links()
        with locked(self.path, emit):
            self._tidy(resume)
            if resume:
                self.require_resumable()
            else:
                self.refuse_earlier(overwrite)
            yield

    @contextlib.contextmanager
    def begun(self, *, overwrite: bool, resume: bool = False) -> Iterator[None]:
        """A run of its own for the length of the block, in a folder that is claimed.

        With `overwrite`, an earlier run is put aside, and is removed only when this one has its final model; if this
        one fails before it saved a checkpoint, the earlier one is put back. A run that saved no weights leaves nothing
        but, where an error ended it after its first step, the record of that; the next run clears it away.
        With `resume`, what lies here stays, however the block ends.
        """
        remove(self.stacks)
        if not resume:
            if overwrite:
                self._restore()  # what an unfinished run, which now goes, had put aside
            self._put_aside()
        failed = False
        try:
            yield
        except Exception:
            failed = True
            raise
        finally:
            leaves_record = failed and self.keeps_record
            if self.final_model.exists() or not (resume or self.unfinished):
                self._restore()
            if not (leaves_record or self._holds_weights()):
                _clear(self.path)  # what is left would only refuse the next try

    @property
    def keeps_record(self) -> bool:
        """Whether an error leaves the record of what was computed here, though no weights: where some was, and where no
        earlier run comes back in its place."""
        if self._aside.exists() or self._holds_weights():
            return False
        record = read_record(self.metrics)
        return bool(record.named("step_ended") or record.named("non_finite"))

    def _holds_weights(self) -> bool:
        """Of any kind, damaged ones among them."""
        sweep(self.checkpoints)
        return self.final_model.exists() or (self.checkpoints.is_dir() and any(self.checkpoints.iterdir()))

    def _refuse_links(self) -> None:
        """Raises RequestError where a link has a name that is written to: it could lead to anybody's files."""
        names = (LOCK, self._aside.name, self._moving.name, self.stacks.name, *OWN)
        if links := [name for name in names if (self.path / name).is_symlink()]:
            raise RequestError(
                f"{self.path} holds links where Furrow writes: {', '.join(links)}",
                where="training_args.output_dir",
                remedy="put what they lead to in their place, or choose another --output-dir",
            )

    @property
    def _aside(self) -> Path:
        return self.path / ".earlier"

    @property
    def _moving(self) -> Path:
        """What lies here belongs into the folder, whose other half is there: it was on its way aside, or back."""
        return self.path / ".earlier-moving"

    def _tidy(self, resume: bool) -> None:
        """Ends what a run that was killed had begun. What somebody wants to go on with stays, be it damaged."""
        sweep(self.path)
        self._put_back()
        if self.read_manifest().get("finished") is False and not self._holds_weights():
            _clear(self.path)
        if not (resume or self.unfinished or set_aside_in(self.checkpoints)):
            self._restore()

    def _put_aside(self) -> None:
        """Moves an earlier run out of the way: all of it, or none if this is cut off."""
        there = [name for name in OWN if (self.path / name).exists()]
        if not there:
            return
        with storing(self._moving):
            self._moving.mkdir()
            for name in there:
                (self.path / name).rename(self._moving / name)
            self._moving.rename(self._aside)

    def _restore(self) -> None:
        """Puts the earlier run back, unless the newer one has its final model: then the earlier one goes."""
        if not self._aside.exists():
            return
        if self.final_model.exists():
            discard(self._aside)
            return
        _clear(self.path)
        with storing(self._aside):
            self._aside.rename(self._moving)
        self._put_back()

    def _put_back(self) -> None:
        if self._moving.exists():
            with storing(self._moving):
                for file in self._moving.iterdir():
                    file.rename(self.path / file.name)
                self._moving.rmdir()

    def write_manifest(self, facts: dict[str, Any]) -> None:
        """Publishes manifest.json: what was run with what, for somebody who wants to run it again."""
        publish_text(self.manifest, _as_text(facts))

    def write_grounds(self, facts: dict[str, Any], strategy: str) -> None:
        """Publishes manifest.json and strategy.yaml, both or neither: the one keeps what has changed in the other."""
        with publishing_together([self.manifest, self.strategy], overwrite=True) as (manifest, filled):
            manifest.write_bytes(scrubbed(_as_text(facts)).encode())
            filled.write_bytes(scrubbed(strategy).encode())

    def read_manifest(self) -> dict[str, Any]:
        """What was written; empty where there is none, or where it is no manifest."""
        try:
            found = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        fits = isinstance(found, dict) and all(isinstance(found.get(name, of()), of) for name, of in _KINDS.items())
        return found if fits else {}


def _as_text(facts: dict[str, Any]) -> str:
    return json.dumps(scrubbed_values({"furrow": furrow.__version__, **facts}), indent=2) + "\n"


def _has_text(file: Path) -> bool:
    return file.is_file() and file.stat().st_size > 0


def _state_of(file: Path) -> str:
    return "empty" if file.is_file() else "missing"


def _clear(folder: Path) -> None:
    """Each kind of weights in one moment and first, so that a kill leaves nothing to go on with on other grounds."""
    for name in _WEIGHTS:
        discard(folder / name)
    for name in sorted(OWN, key=_GROUNDS.__contains__):
        remove(folder / name)
