"""An earlier epoch as the model of a finished run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hitlens.errors import DataError
from hitlens.train.engine import TrainingResult
from hitlens.workflow import runs
from hitlens.workflow.continuing import rolled_back
from hitlens.workflow.preparing import prepare
from hitlens.workflow.run_events import locate_run_files, read_run_config
from hitlens.workflow.training import train


def roll_back(folder: Path, epoch: int, *, files: Sequence[Path] | None = None) -> TrainingResult:
    """Make the weights of an earlier epoch the model of a finished run.

    Model, temperature and predictions are those the training would have written had it chosen this epoch; the
    record says that it was chosen by hand. What was made from the model before is moved aside. All
    checkpoints stay, so that the way back is open.

    Args:
        folder: run folder.
        epoch: counted from 0, as in history.csv; its checkpoint must be kept.
        files: where the event files are now, if they were moved; None looks for them.

    Raises:
        RunError: the run is not finished, or holds that epoch already.
        NotFoundError: the checkpoint, or an event file, is missing.
        DataError: the files are not those of the run.
    """
    folder = Path(folder)
    config = read_run_config(folder)
    rolled_back(folder, runs.read_provenance(folder), epoch)
    located = locate_run_files(folder, config, files)
    if located is None:
        raise DataError(f"None of the files given is an event file of the run in {folder}.")
    names = tuple(str(path) for path in located.paths)
    config = config.model_copy(update={"data": config.data.model_copy(update={"files": names})})
    return train(config, folder, resume=True, to_epoch=epoch, prepared=prepare(config, located))
