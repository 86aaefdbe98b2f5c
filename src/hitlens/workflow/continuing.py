"""A finished run that goes on: more epochs after its last one, or an earlier epoch as its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hitlens.errors import ConfigError, NotFoundError, RunError
from hitlens.train.callbacks import read_history
from hitlens.train.checkpoints import epoch_checkpoint, read_checkpoint
from hitlens.train.engine import TrainingResult
from hitlens.workflow import runs
from hitlens.workflow.run_events import read_run_config

#: Name in provenance.json of the numbers of epochs a run was trained to, one after the other.
STAGES = "stages"

#: Name in provenance.json of what is said of a run whose model is an earlier epoch's.
ROLLED_BACK = "rolled_back"


def stages_of(folder: Path, record: dict[str, Any]) -> tuple[int, ...]:
    """Return the numbers of epochs a run was asked for: the first, then those it was continued to.

    Args:
        folder: run folder.
        record: its provenance.
    """
    kept = record.get(STAGES)
    if kept:
        return tuple(kept)
    has_settings = (folder / runs.CONFIG).is_file()
    return (read_run_config(folder).train.epochs,) if has_settings else ()


def check_continuation(folder: Path, record: dict[str, Any], n_epochs: int) -> None:
    """Refuse to continue a finished run to this many epochs where that cannot be done.

    Args:
        folder: run folder.
        record: its provenance.
        n_epochs: it is to have in the end.

    Raises:
        RunError: it has as many epochs already, its last checkpoint is gone or damaged, or it had lost its
            patience.
    """
    n_done = _n_done(folder, record)
    n_asked = (stages_of(folder, record) or (n_done,))[-1]
    if n_epochs <= n_asked:
        raise RunError(
            f"The run in {folder} is finished, with train.epochs = {n_asked}. More epochs continue it "
            f"(--resume --set train.epochs={n_asked + 10}); else choose another folder, or --force to start "
            "over."
        )
    try:
        last = read_checkpoint(epoch_checkpoint(folder / "checkpoints", n_done - 1))
    except (NotFoundError, RunError):
        raise RunError(
            f"The run in {folder} cannot be continued: the checkpoint of its last epoch, {n_done}, is not in "
            f"{folder / 'checkpoints'} any more, or damaged. Put it back, or start over with --force."
        ) from None
    for name, state in last.get("callbacks", {}).items():
        if name.startswith("EarlyStopping") and state["wait_count"] >= state["patience"]:
            raise RunError(
                f"The training in {folder} ended after epoch {n_done} since it had not become better for "
                f"train.patience = {state['patience']} epochs: it would end there again. Start another run "
                "with a longer train.patience."
            )


def rolled_back(folder: Path, record: dict[str, Any], epoch: int) -> tuple[TrainingResult, dict[str, Any]]:
    """Return what a finished run reached with an earlier epoch as its model, and what its record says of it.

    Args:
        folder: run folder.
        record: its provenance.
        epoch: counted from 0, as in history.csv.

    Raises:
        RunError: the run is not finished, holds that epoch already, or its checkpoint is damaged.
        NotFoundError: the checkpoint of that epoch is not there.
        ConfigError: its history does not know that epoch.
    """
    if record.get("status") != "finished":
        raise RunError(f"The run in {folder} is not finished. Continue it first: hitlens train ... --resume.")
    if epoch == record["best_epoch"]:
        raise RunError(f"The model of {folder} is that of epoch {epoch} (from 0) already.")
    read_checkpoint(epoch_checkpoint(folder / "checkpoints", epoch))
    scores = {int(row["epoch"]): float(row["val_metric"]) for row in read_history(folder / runs.HISTORY)}
    if epoch not in scores:
        raise ConfigError(f"{folder / runs.HISTORY} has no epoch {epoch}; it counts from 0.")
    result = TrainingResult(
        best_epoch=epoch,
        best_score=scores[epoch],
        monitor=record["monitor"],
        n_epochs=_n_done(folder, record),
        interrupted=False,
        precision=record["precision"],
    )
    before = record.get(ROLLED_BACK, {})
    first = {name: before.get(f"trained_{name}", record[name]) for name in ("best_epoch", "validation_score")}
    said = {"to_epoch": epoch, "when": runs.now(), **{f"trained_{name}": v for name, v in first.items()}}
    return result, {ROLLED_BACK: said}


def training_facts(record: dict[str, Any]) -> dict[str, str]:
    """Say for the report whether a run was continued, and whether its model was chosen by hand.

    Examples:
        >>> training_facts({"stages": [30, 45]})
        {'continued': 'after 30 epochs to 45; the learning rate began anew each time'}
    """
    facts = {}
    if len(stages := record.get(STAGES, ())) > 1:
        to = ", ".join(map(str, stages[1:]))
        facts["continued"] = f"after {stages[0]} epochs to {to}; the learning rate began anew each time"
    if ROLLED_BACK in record:
        said = record[ROLLED_BACK]
        facts["model"] = (
            f"rolled back by hand to epoch {said['to_epoch'] + 1}, with {record['monitor']} "
            f"{record['validation_score']:.5g}; the training had chosen epoch "
            f"{said['trained_best_epoch'] + 1}, with {said['trained_validation_score']:.5g}"
        )
    return facts


def _n_done(folder: Path, record: dict[str, Any]) -> int:
    return int(record.get("n_epochs", len(read_history(folder / runs.HISTORY))))
