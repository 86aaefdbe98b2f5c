"""From a recipe and event files to a run folder with a trained model and its predictions."""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.loggers import Logger

from hitlens.config import RunConfig, dump_config
from hitlens.datasets.mix import composition
from hitlens.datasets.resident import ResidentData
from hitlens.datasets.splits import NAMES
from hitlens.datasets.streaming import StreamedData
from hitlens.detector import Detector
from hitlens.detectors import is_description
from hitlens.errors import ConfigError, HitlensError, InterruptedRunError, RunError, reason_of
from hitlens.events import Events
from hitlens.io.atomic import remove, written_whole
from hitlens.io.ownership import owned
from hitlens.models.brightness import usual_brightness
from hitlens.models.trained import ModelCard, TrainedModel, save_model
from hitlens.settings import flattened
from hitlens.train.bfloat16 import tolerates_bfloat16
from hitlens.train.calibrate import fit_temperature
from hitlens.train.distributed import (
    backend_of,
    check_accelerator,
    check_divisible,
    connected,
    device_type,
    said_by_first,
)
from hitlens.train.engine import TrainingResult, load_epoch, run_training
from hitlens.train.hardware import has_bfloat16
from hitlens.train.module import TrainingModule
from hitlens.train.scores import monitored
from hitlens.train.tracking import Summary, finish_loggers, make_loggers, record_of
from hitlens.train.watch import Interrupted, Watch
from hitlens.workflow import runs
from hitlens.workflow.continuing import ROLLED_BACK, STAGES, check_continuation, rolled_back, stages_of
from hitlens.workflow.data import BLOCK
from hitlens.workflow.event_files import file_records
from hitlens.workflow.folders import check_same_settings
from hitlens.workflow.origins import READINGS, set_evaluations_aside, set_outdated_aside, written_checksums
from hitlens.workflow.prediction import predicts_in_bfloat16
from hitlens.workflow.prediction_files import write_event_predictions
from hitlens.workflow.preparing import (
    Prepared,
    build_module,
    learnt_effects,
    prepare,
    training_data,
    weights_hash,
)
from hitlens.workflow.run_events import read_run_config

log = logging.getLogger(__name__)

#: Splits whose events a training predicts when it is over.
PREDICTED = ("validation", "test")

#: Name in provenance.json of what a training reached whose model and predictions are still to be written.
_TRAINED = "trained"

#: Validation events on which a model is tried in bfloat16.
N_TRIED = 1000


@dataclass(frozen=True)
class Begun:
    """A training whose run folder is made and which has not taken a step.

    Attributes:
        folder: the run folder.
        prepared: its events.
        data: the same, ready to be dealt out in batches.
        module: the network with all that a step needs.
        record: what provenance.json says so far.
        resume: whether it goes on after its last complete epoch.
        seconds_before: time it took before it was interrupted.
        started: when it was begun here, by `time.perf_counter`.
        loggers: told of every epoch.
        trained: what the training reached, where only its model and predictions are still to be written.
    """

    config: RunConfig
    folder: Path
    prepared: Prepared
    data: ResidentData | StreamedData
    module: TrainingModule
    record: dict[str, Any]
    resume: bool
    seconds_before: float
    started: float
    loggers: tuple[Logger, ...] = ()
    trained: TrainingResult | None = None


def train(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: bool = True,
    prepared: Prepared | None = None,
    watch: Watch | None = None,
    predicted: Sequence[str] = PREDICTED,
    to_epoch: int | None = None,
) -> TrainingResult:
    """Train one model into a run folder.

    The folder gets ``config.yaml``, ``history.csv``, ``checkpoints/``, ``model.safetensors``,
    ``predictions.parquet`` and ``provenance.json``. No score of the test split is computed here; that is
    `hitlens.workflow.evaluation.evaluate_run`'s.

    Processes connected by `hitlens.train.processes.started_together` train together: each must be given the
    same, and the first one writes.

    Args:
        config: the settings.
        folder: run folder.
        resume: continue an interrupted run, or a finished one for more epochs.
        force: throw away what the folder holds.
        progress: show a bar.
        prepared: the events, where they were read before for settings that start from the same ones.
        watch: told of every epoch; may end the training.
        predicted: splits whose events are predicted in the end.
        to_epoch: of a finished run that is resumed, make this epoch's weights its model, from 0; nothing is
            trained.

    Raises:
        RunError: the folder holds another run, there is nothing to resume, or training diverged.
        ConfigError: no files were given, settings contradict each other, or a run is to be resumed with other
            settings, files or split.
        LeakageError: the same event stands in more than one split.
    """
    with owned(folder, is_folder=True) if connected().is_first else nullcontext():
        begun = begin_training(
            config, folder, resume=resume, force=force, prepared=prepared, to_epoch=to_epoch
        )
        with failure_noted(begun):
            result = train_begun(begun, progress=progress, watch=watch)
            if connected().is_first:
                finish_training(begun, result, predicted)
    return result


def train_begun(begun: Begun, *, progress: bool = True, watch: Watch | None = None) -> TrainingResult:
    """Train a model whose run folder is made; of one that is trained already, load the weights.

    Args:
        begun: the training; its module gets the weights to ship.
        progress: show a bar.
        watch: told of every epoch; may end the training.
    """
    before = said_by_first(begun.trained)
    if before is not None:
        if connected().is_first:
            load_epoch(begun.module, begun.folder, before.best_epoch)
        return before
    result = run_training(
        begun.module,
        begun.data,
        begun.prepared.split.train,
        begun.prepared.split.validation,
        begun.folder,
        wanted=begun.prepared.chances,
        resume=begun.resume,
        progress=progress,
        watch=watch,
        loggers=begun.loggers,
    )
    if connected().is_first and not result.interrupted:
        # Should what follows fail, it can be done again without the training.
        runs.write_provenance(begun.folder, begun.record | {_TRAINED: asdict(result)})
    return result


@contextmanager
def failure_noted(begun: Begun) -> Iterator[None]:
    """Note an error in the run folder, and say it in one line; the run can be resumed or begun anew.

    Raises:
        RunError: in place of an error that is none of ours.
    """
    try:
        yield
    except (InterruptedRunError, Interrupted):
        raise
    except Exception as error:
        if connected().is_first:
            runs.note_failure(begun.folder, error)
        if isinstance(error, HitlensError) or connected().n_processes > 1:
            raise
        raise RunError(
            f"The training in {begun.folder} failed ({type(error).__name__}: {reason_of(error)}). "
            f"{begun.folder / runs.LOG} says where. --resume goes on after the last complete epoch, --force "
            "starts over."
        ) from error


def begin_training(
    config: RunConfig,
    folder: Path,
    *,
    resume: bool = False,
    force: bool = False,
    prepared: Prepared | None = None,
    to_epoch: int | None = None,
) -> Begun:
    """Read the events, build the network and make the run folder; arguments and errors as `train`."""
    # What an earlier run left is thrown away only when these settings and files have proved good.
    processes = connected()
    stages = said_by_first(
        _stages(config, folder, resume=resume, force=force, to_epoch=to_epoch) if processes.is_first else ()
    )
    check_accelerator(config.train)
    started = time.perf_counter()
    if prepared is None:
        prepared = prepare(config)
    prepared.check_serves(config)
    data = training_data(config, prepared)
    module = build_module(config, prepared, data)
    module.stages = stages
    if config.model.symmetrise and processes.is_first:
        for symmetry, effect in learnt_effects(config, prepared).items():
            if isinstance(effect, str):
                log.warning("model.symmetrise leaves out symmetry '%s'. %s", symmetry, effect)
    check_divisible(config.train, len(prepared.split.train), len(prepared.split.validation))
    if not processes.is_first:
        return Begun(config, folder, prepared, data, module, {}, resume, 0.0, started)
    record = _first_record(config, prepared, folder) | {
        "initial_weights": weights_hash(module.network),
        "scaling": {view: list(map(str, used)) for view, used in module.preprocessing.scalings.items()},
    }
    earlier = runs.read_provenance(folder) if resume else {}
    if resume:
        _same_settings(folder, config, stages)
        _same_detector(folder, prepared.detector)
        _same_data(earlier, record)
        record |= _kept(earlier, config) | _of_going_on(folder, earlier, stages, to_epoch)
    known = earlier.get("tracking", {})
    loggers = _make_loggers(config, folder, record, known)
    if loggers or known:
        record["tracking"] = known | record_of(loggers)
    runs.open_run(folder, resume=resume, force=force)
    runs.write_provenance(folder, record)
    with written_whole(folder / runs.CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    if prepared.detector.yaml:
        with written_whole(folder / runs.DETECTOR) as partial:
            partial.write_text(prepared.detector.yaml, encoding="utf-8")
    before = earlier.get("seconds", 0.0)
    trained = TrainingResult(**record[_TRAINED]) if _TRAINED in record else None
    return Begun(config, folder, prepared, data, module, record, resume, before, started, loggers, trained)


def finish_training(begun: Begun, result: TrainingResult, predicted: Sequence[str] = PREDICTED) -> None:
    """Write the model, its predictions and the last of the record of a training that is over.

    Args:
        begun: the training; its module holds the weights to ship.
        result: what the loop left behind.
        predicted: splits whose events are predicted.
    """
    model = _trained_model(begun, result)
    parts = begun.prepared.split
    rows = np.sort(np.concatenate([getattr(parts, name) for name in {*predicted, "validation"}]))
    outputs = _outputs(model, begun.prepared, rows)
    model = _calibrated(begun.config, model, begun.prepared, rows, outputs)
    save_model(model, begun.folder / runs.MODEL)
    names = parts.names(len(begun.prepared.events))[rows]
    asked = np.isin(names, list(predicted))
    outputs = {head: values[asked] for head, values in outputs.items()}
    events = begun.prepared.some(rows[asked])
    write_event_predictions(model, events, names[asked], outputs, begun.folder / runs.PREDICTIONS)
    seconds = begun.seconds_before + time.perf_counter() - begun.started
    last = _last_record(result, begun.module) | {"seconds": round(seconds, 1)}
    written = {runs.WRITTEN: written_checksums(begun.folder)}
    record = {name: value for name, value in begun.record.items() if name != _TRAINED}
    runs.write_provenance(begun.folder, record | last | written)
    remove(begun.folder / runs.LOG)
    set_outdated_aside(begun.folder)
    set_evaluations_aside(begun.folder)
    if begun.resume and (begun.folder / runs.METRICS).is_file():
        _renew_report(begun.folder)
    best = (result.best_epoch, result.best_score, result.monitor)
    finish_loggers(
        begun.loggers, begun.folder / runs.HISTORY, Summary(last["status"], *best, begun.folder / runs.MODEL)
    )


def _of_going_on(
    folder: Path, earlier: dict[str, Any], stages: tuple[int, ...], to_epoch: int | None
) -> dict[str, Any]:
    """What the record says of a run that was continued, or whose model becomes that of an earlier epoch."""
    said = {STAGES: list(stages)} if len(stages) > 1 else {}
    if to_epoch is None:
        return said
    reached, of_model = rolled_back(folder, earlier, to_epoch)
    return said | of_model | {_TRAINED: asdict(reached)}


def _renew_report(folder: Path) -> None:
    """Show the epochs that were added where the best one, and so the numbers, are what they were."""
    from hitlens.workflow.reporting import write_report  # matplotlib, which a training seldom needs

    log.info("the model is what it was: %s is written again", write_report(folder))


def _stages(
    config: RunConfig, folder: Path, *, resume: bool, force: bool, to_epoch: int | None
) -> tuple[int, ...]:
    """Numbers of epochs this run is trained to, one after the other; errors as `train`."""
    runs.check_run(folder, resume=resume, force=force)
    if not resume:
        return (config.train.epochs,)
    record = runs.read_provenance(folder)
    stages = stages_of(folder, record) or (config.train.epochs,)
    if to_epoch is not None:
        rolled_back(folder, record, to_epoch)
        return stages
    if record.get("status") != "finished":
        return stages
    check_continuation(folder, record, config.train.epochs)
    return (*stages, config.train.epochs)


def _kept(earlier: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    """What a resumed run keeps of its record; that it is trained, unless more epochs are asked for."""
    same_epochs = earlier.get("settings", {}).get("train.epochs") == config.train.epochs
    is_trained = same_epochs and _TRAINED in earlier
    names = ("started", READINGS, *((_TRAINED, ROLLED_BACK) if is_trained else ()))
    return {name: earlier[name] for name in names if name in earlier}


def _make_loggers(
    config: RunConfig, folder: Path, record: dict[str, Any], earlier: dict[str, Any]
) -> tuple[Logger, ...]:
    settings = {name: value for name, value in record["settings"].items() if not name.startswith("track.")}
    experiment = f"{record['detector']}/{record['task']}"
    return tuple(make_loggers(config.track, folder, settings, experiment=experiment, earlier=earlier))


def _trained_model(begun: Begun, result: TrainingResult) -> TrainedModel:
    config, prepared, module, record = begun.config, begun.prepared, begun.module, begun.record
    card = ModelCard(
        detector=prepared.detector.name,
        description=prepared.detector.yaml,
        task=prepared.task,
        heads=prepared.heads,
        architecture=config.model.name,
        settings=config.model.settings,
        preprocessing=module.preprocessing,
        symmetrise=config.model.symmetrise,
        symmetries=learnt_effects(config, prepared),
        split_hash=prepared.split.hash,
        data_checksums=record["data"]["sha256"],
        seed=config.train.seed,
        versions=record["machine"]["versions"],
        best_epoch=result.best_epoch,
        validation_score=result.best_score,
        monitor=result.monitor,
        brightest=usual_brightness(_sample(prepared, prepared.split.train), prepared.detector),
    )
    model = TrainedModel(card, module.network.cpu().eval(), prepared.detector)
    if not has_bfloat16("cpu"):
        return model
    harmless = tolerates_bfloat16(model, _sample(prepared, prepared.split.validation))
    return replace(model, card=card.model_copy(update={"predicts_in_bfloat16": harmless}))


def _sample(prepared: Prepared, rows: NDArray[np.int64]) -> Events:
    """Return some of these events, from one end to the other."""
    return prepared.events.select(rows[:: max(1, len(rows) // N_TRIED)][:N_TRIED])


def _outputs(model: TrainedModel, prepared: Prepared, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What the network says of some events: the scores of classes without their temperature."""
    bfloat16 = predicts_in_bfloat16(model)
    blocks = [model.outputs(block, bfloat16=bfloat16) for block in prepared.some(rows).blocks(BLOCK)]
    return {head.name: np.concatenate([one[head.name] for one in blocks]) for head in prepared.heads}


def _calibrated(
    config: RunConfig,
    model: TrainedModel,
    prepared: Prepared,
    rows: NDArray[np.int64],
    outputs: dict[str, NDArray[Any]],
) -> TrainedModel:
    """The model with its temperatures, fixed on the validation split."""
    heads = [head for head in prepared.heads if head.is_classification]
    if not config.model.calibrate or not heads:
        return model
    known = np.isin(rows, prepared.split.validation)
    truth = prepared.events.truth[rows[known]]
    temperature = fit_temperature({name: one[known] for name, one in outputs.items()}, truth, heads)
    return replace(model, card=model.card.model_copy(update={"temperature": temperature}))


def _first_record(config: RunConfig, prepared: Prepared, folder: Path) -> dict[str, Any]:
    files = [Path(file) for file in config.data.files]
    return {
        "status": "running",
        "started": runs.now(),
        "task": config.task,
        "detector": prepared.detector.name,
        **({"described_by": described_by(config, prepared.detector)} if prepared.detector.yaml else {}),
        "machine": runs.describe_machine(),
        "data": {
            "files": [str(file) for file in files],
            "sha256": prepared.checksums,
            "places": file_records(files, folder, prepared.checksums),
            "n_events": len(prepared.events),
            "left_out": prepared.left_out,
            "told_by_file": list(prepared.told_by_file),
            "memory": "streaming" if prepared.is_streamed else "resident",
        },
        "split": {
            "hash": prepared.split.hash,
            **{f"n_{name}": len(getattr(prepared.split, name)) for name in NAMES},
            "files": {name: list(getattr(config.split, f"{name}_files")) for name in NAMES},
            "on_duplicates": config.split.on_duplicates,
            "copies": asdict(prepared.copies),
        },
        "shown": composition(
            prepared.events.truth[prepared.split.train], prepared.heads, config.train.draws, prepared.chances
        ),
        "seed": config.train.seed,
        "monitor": monitored(prepared.heads, config.train.monitor)[0],
        "settings": flattened(config.model_dump(mode="json")),
        "process": {"host": platform.node(), "pid": os.getpid()},
        "processes": {
            "n_processes": connected().n_processes,
            "n_machines": connected().n_machines,
            "backend": backend_of(device_type(config.train)),
        },
    }


def _last_record(result: TrainingResult, module: TrainingModule) -> dict[str, Any]:
    return {
        "status": _status(result),
        "finished": runs.now(),
        "n_epochs": result.n_epochs,
        "best_epoch": result.best_epoch,
        "monitor": result.monitor,
        "validation_score": result.best_score,
        "precision": result.precision,
        "n_parameters": sum(p.numel() for p in module.network.parameters()),
        "task_weights": module.task_weights,
    }


def _status(result: TrainingResult) -> str:
    if result.interrupted:
        return "interrupted"
    return "stopped" if result.stopped else "finished"


def _same_settings(folder: Path, config: RunConfig, stages: tuple[int, ...]) -> None:
    """A resumed run goes on with the settings it began with; where its files lie may change.

    A finished one may be continued to more epochs, the last of its stages.
    """
    if not (folder / runs.CONFIG).is_file():  # it ended before it had written them
        return
    described = ("detector",) if is_description(config.detector) else ()
    free = (
        "title",
        "data.files",
        "data.memory",
        "evaluate.",
        "track.",
        "train.checkpoint_minutes",
        "train.keep_epochs",
        *(("train.epochs",) if len(stages) > 1 and config.train.epochs == stages[-1] else ()),
        *described,
    )
    check_same_settings(folder, "run", read_run_config(folder), config, free)


def _same_detector(folder: Path, detector: Detector) -> None:
    path = folder / runs.DETECTOR
    if path.is_file() and path.read_text(encoding="utf-8") != detector.yaml:
        raise ConfigError(
            f"The detector's description differs from the one the run began with, {path}. Give that one, or "
            "start a new run."
        )


def described_by(config: RunConfig, detector: Detector) -> dict[str, str]:
    """Return the record of the YAML file that describes a run's detector; the run keeps a copy of it."""
    return {"file": config.detector, "sha256": hashlib.sha256(detector.yaml.encode()).hexdigest()}


def _same_data(old: dict[str, Any], new: dict[str, Any]) -> None:
    """A resumed run must see the very events it began with, in the same order."""
    before, after = (one["data"].get("memory", "resident") for one in (old, new))
    if before != after:
        raise ConfigError(
            f"The run began with {before} data; with {after} data it would see the events in another order. "
            f"Resume it with data.memory={before}."
        )
    for part in ("data", "split"):
        before, after = (
            old[part].get("sha256", old[part].get("hash")),
            new[part].get("sha256", new[part].get("hash")),
        )
        if before != after:
            raise ConfigError(
                f"The {part} changed since the run began, so it cannot be resumed to the same result. "
                "Give the same files and split settings, or start a new run."
            )
