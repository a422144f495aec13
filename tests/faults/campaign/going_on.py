"""What a person does with a run that was interrupted: says `--resume`, and no more than the messages tell."""

from __future__ import annotations

from pathlib import Path

from tests.faults.campaign.runs import Ending, Job, events
from tests.faults.campaign.verdict import EXACT, LOST, WRONG, Trial, compared

NOTHING_SAVED = "no checkpoint to go on from"
FINISHED = "holds a finished run"


def gone_on_with(job: Job, folder: Path, whole: Ending, *, saved: bool) -> Trial:
    """The verdict on going on. `saved`: a checkpoint was there before the harm, so beginning anew loses it.

    Where nothing had been saved the plain command is said again, as the message asks; a run that turns out to have been
    at its end must have all that a finished one has.
    """
    trained = (folder / "final_model").is_dir()
    child = job.run(folder, "--resume")
    if child.code == 2 and FINISHED in child.said:
        trial = compared(folder, whole, "", 0, harmless=(".lock",))  # the lock itself died with the process
        missing = [name for name in ("report.md", "manifest.json") if not (folder / name).is_file()]
        return Trial(WRONG, f"counts as finished without {', '.join(missing)}") if missing else trial
    if child.code == 2 and NOTHING_SAVED in child.said:
        if saved:
            return Trial(LOST, "the checkpoint that was there before is gone")
        child = job.run(folder)
    trial = compared(folder, whole, child.said, child.code)
    resumed = trained or any(event["event"] == "resumed" for event in events(folder))
    if trial.outcome == EXACT and saved and not resumed:
        return Trial(LOST, "it began anew although there was a checkpoint")
    return trial
