"""From a recipe and event files to a run folder with a trained model and its predictions."""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from hitlens.config import RunConfig, dump_config
from hitlens.datasets.augment import Augmentation
from hitlens.datasets.mix import balanced_chances, mixed_chances
from hitlens.datasets.regions import shown_detector
from hitlens.datasets.resident import ResidentData
from hitlens.datasets.splits import NAMES, Split, split_events
from hitlens.datasets.targets import present_classes, strata_of
from hitlens.datasets.transforms import fit_scaling
from hitlens.detector import Detector, ReadReport, Task
from hitlens.detectors import get_detector, is_description
from hitlens.errors import ConfigError, DataError, choose_from
from hitlens.evaluate.predictions import write_predictions
from hitlens.events import Events, evaluate_condition
from hitlens.io.atomic import written_whole
from hitlens.models import build_network
from hitlens.models.preprocessing import Preprocessing, fit_target_scaling
from hitlens.models.trained import ModelCard, TrainedModel, save_model
from hitlens.settings import flattened
from hitlens.train.calibrate import fit_temperature
from hitlens.train.engine import TrainingResult, run_training
from hitlens.train.module import TrainingModule
from hitlens.workflow import runs
from hitlens.workflow.data import read_events
from hitlens.workflow.prediction import predict_events, predicts_in_bfloat16
from hitlens.workflow.run_events import read_run_config

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """Everything a training starts from.

    Attributes:
        events: those the task can learn from or be tested on, all splits.
        split: positions in these events, for each split those where some head is defined.
        left_out: number of events left out, by reason.
        chances: of each training event to be drawn, shape (n,); None shows each once an epoch.
    """

    detector: Detector
    task: Task
    heads: tuple[Task, ...]
    events: Events
    split: Split
    left_out: dict[str, int]
    chances: NDArray[np.float64] | None = None


def train(
    config: RunConfig, folder: Path, *, resume: bool = False, force: bool = False, progress: bool = True
) -> TrainingResult:
    """Train one model into a run folder.

    The folder gets ``config.yaml``, ``history.csv``, ``checkpoints/``, ``model.safetensors``,
    ``predictions.parquet`` (validation and test split) and ``provenance.json``. No score of the test split is
    computed here; that is `hitlens.workflow.evaluation.evaluate_run`'s.

    Args:
        config: the settings.
        folder: run folder.
        resume: continue an interrupted run.
        force: throw away what the folder holds.
        progress: show a bar.

    Raises:
        RunError: the folder holds another run, there is nothing to resume, or training diverged.
        ConfigError: no files were given, settings contradict each other, or a run is to be resumed with other
            settings, files or split.
        LeakageError: the same event stands in more than one split.
    """
    if not config.data.files:
        raise ConfigError(
            "The recipe names no files. Give them with --data FILE, or as data.files in the recipe."
        )
    # What an earlier run left is thrown away only when these settings and files have proved good.
    runs.check_run(folder, resume=resume, force=force)
    started = time.perf_counter()
    prepared = prepare(config)
    data = resident_data(config, prepared)
    module = build_module(config, prepared, data)
    record = _first_record(config, prepared) | {"initial_weights": weights_hash(module.network)}
    earlier = runs.read_provenance(folder) if resume else {}
    if resume:
        _same_settings(folder, config)
        _same_detector(folder, prepared.detector)
        _same_data(earlier, record)
        record["started"] = earlier["started"]
    runs.open_run(folder, resume=resume, force=force)
    runs.write_provenance(folder, record)
    with written_whole(folder / runs.CONFIG) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")
    if prepared.detector.yaml:
        with written_whole(folder / runs.DETECTOR) as partial:
            partial.write_text(prepared.detector.yaml, encoding="utf-8")
    result = run_training(
        module,
        data,
        prepared.split.train,
        prepared.split.validation,
        folder,
        wanted=prepared.chances,
        resume=resume,
        progress=progress,
    )
    model = _trained_model(config, prepared, module, result, record)
    save_model(model, folder / runs.MODEL)
    _write_predictions(model, prepared, folder)
    seconds = earlier.get("seconds", 0) + time.perf_counter() - started
    record |= _last_record(result, module) | {"seconds": round(seconds, 1)}
    runs.write_provenance(folder, record)
    return result


def prepare(config: RunConfig) -> Prepared:
    """Read and split the events of a run.

    All tasks of one detector share the split of the same events with the same seed, so their test sets agree.
    """
    detector = get_detector(config.detector)
    task = detector.task(config.task)
    heads = detector.heads(task)
    report = ReadReport([])
    events = read_events(
        [Path(file) for file in config.data.files],
        detector,
        layout=config.data.layout or None,
        on_bad_event=config.data.on_bad_event,
        options=config.data.options,
        report=report,
    )
    left_out = {"malformed": len(report.skipped)} if report.skipped else {}
    if config.data.selection:
        kept = events.filter(config.data.selection)
        left_out["outside data.selection"] = len(events) - len(kept)
        events = kept
    if config.data.max_events:
        left_out["beyond data.max_events"] = max(0, len(events) - config.data.max_events)
        events = events.select(slice(0, config.data.max_events))
    split = split_run(config, events)
    if split.n_dropped:
        left_out["later copies of an event"] = split.n_dropped
    defined = strata_of(events.truth, heads) > 0
    parts = {name: getattr(split, name)[defined[getattr(split, name)]] for name in NAMES}
    n_kept = sum(map(len, parts.values()))
    left_out[f"no target for {task.name}"] = len(events) - split.n_dropped - n_kept
    for name in ("train", "validation"):
        if len(parts[name]) == 0:
            raise DataError(f"No event of the {name} split has a target for task '{task.name}'.")
    shown = _shown(config, events.truth, parts["train"])
    left_out["outside train.selection, in the training split"] = len(parts["train"]) - len(shown)
    truth = events.truth[shown]
    heads = tuple(present_classes(truth, head) for head in heads)
    kept_split = Split(shown, parts["validation"], parts["test"], split.n_dropped, split.hash)
    chances = _chances(config, truth, heads)
    counted = {reason: number for reason, number in left_out.items() if number}
    return Prepared(detector, task, heads, events, kept_split, counted, chances)


def split_run(config: RunConfig, events: Events) -> Split:
    """Deal the events of a run out to its splits, the same way whatever the task.

    Raises:
        LeakageError: the same event stands in more than one split.
    """
    detector = get_detector(config.detector)
    classes = tuple(t for t in detector.tasks if t.is_classification)[:1]
    strata = strata_of(events.truth, classes or detector.heads(detector.task(config.task)))
    return split_events(events, config.split, key=detector.key, strata=strata)


def _shown(config: RunConfig, truth: pl.DataFrame, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Positions of the training events that fulfil train.selection."""
    if not config.train.selection:
        return rows
    shown = rows[evaluate_condition(truth[rows], config.train.selection)]
    if not len(shown):
        raise DataError(
            f"train.selection: no event of the training split fulfils '{config.train.selection}'."
        )
    return shown


def _chances(config: RunConfig, truth: pl.DataFrame, heads: tuple[Task, ...]) -> NDArray[np.float64] | None:
    mix = config.train.mix
    if isinstance(mix, str):
        return balanced_chances(truth, heads) if mix == "balanced" else None
    return mixed_chances(truth, mix)


def resident_data(config: RunConfig, prepared: Prepared) -> ResidentData:
    """Return the events of a run, ready to be dealt out in batches."""
    shown_detector(prepared.detector, config.model.regions)
    return ResidentData.from_events(prepared.events, prepared.detector, prepared.heads, config.model.regions)


def build_module(config: RunConfig, prepared: Prepared, data: ResidentData) -> TrainingModule:
    """Return a fresh network with constants fixed on the training split; weights depend on the seed alone."""
    rows = prepared.split.train
    _check_heads(config, prepared.heads)
    scalings = {
        name: tuple(
            fit_scaling(curve, pixels, rows, config.model.normalise) for curve in config.model.scaling
        )
        for name, pixels in data.pixels.items()
    }
    targets = {
        head.name: fit_target_scaling(
            head,
            data.targets[head.name][_defined_rows(data, head, rows)],
            config.model.target_curve.get(head.name, "linear"),
        )
        for head in prepared.heads
        if not head.is_classification
    }
    shown = shown_detector(prepared.detector, config.model.regions)
    torch.manual_seed(config.train.seed)
    network = build_network(
        config.model.name,
        config.model.settings,
        shown.views,
        len(config.model.scaling),
        sum(head.n_outputs for head in prepared.heads),
    )
    augmentation = None
    if config.train.augment is not False:
        names = None if config.train.augment is True else config.train.augment
        augmentation = Augmentation(shown, prepared.heads, names)
    weights = {}
    if config.train.class_weights == "balanced":
        weights = {h.name: _class_weights(data, h, rows) for h in prepared.heads if h.is_classification}
    preprocessing = Preprocessing(scalings=scalings, targets=targets, regions=config.model.regions)
    return TrainingModule(network, prepared.heads, preprocessing, config.train, augmentation, weights)


def _check_heads(config: RunConfig, heads: tuple[Task, ...]) -> None:
    """Refuse settings by head that name no head, or one they mean nothing for."""
    known = [head.name for head in heads]
    regressions = [head.name for head in heads if not head.is_classification]
    by_head = {
        "train.loss": (config.train.loss, regressions),
        "train.task_weights": (config.train.task_weights, known),
        "model.target_curve": (config.model.target_curve, regressions),
    }
    for setting, (given, names) in by_head.items():
        for name in {} if isinstance(given, str) else given:
            if name not in names:
                raise ConfigError(f"{setting}: there is no such head as '{name}'. {choose_from(name, names)}")


def weights_hash(network: torch.nn.Module) -> str:
    """Return the sha256 of a network's weights: equal for networks that start alike.

    Examples:
        >>> weights_hash(torch.nn.ReLU())[:8]
        'e3b0c442'
    """
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _defined_rows(data: ResidentData, head: Task, rows: NDArray[np.int64]) -> torch.Tensor:
    positions = torch.from_numpy(rows)
    return positions[data.defined[head.name][positions]]


def _class_weights(data: ResidentData, head: Task, rows: NDArray[np.int64]) -> torch.Tensor:
    labels = data.targets[head.name][_defined_rows(data, head, rows), 0].long()
    counts = torch.bincount(labels, minlength=len(head.class_names)).clamp(min=1)
    return len(labels) / (len(head.class_names) * counts.float())


def _trained_model(
    config: RunConfig,
    prepared: Prepared,
    module: TrainingModule,
    result: TrainingResult,
    record: dict[str, Any],
) -> TrainedModel:
    card = ModelCard(
        detector=prepared.detector.name,
        description=prepared.detector.yaml,
        task=prepared.task,
        heads=prepared.heads,
        architecture=config.model.name,
        settings=config.model.settings,
        preprocessing=module.preprocessing,
        symmetrise=config.model.symmetrise,
        split_hash=prepared.split.hash,
        data_checksums=record["data"]["sha256"],
        seed=config.train.seed,
        versions=record["machine"]["versions"],
        best_epoch=result.best_epoch,
        validation_score=result.best_score,
        monitor=result.monitor,
    )
    model = TrainedModel(card, module.network.cpu().eval(), prepared.detector)
    heads = [head for head in prepared.heads if head.is_classification]
    if not config.model.calibrate or not heads:
        return model
    validation = prepared.events.select(prepared.split.validation)
    temperature = fit_temperature(model, validation, heads, bfloat16=predicts_in_bfloat16(model))
    return TrainedModel(card.model_copy(update={"temperature": temperature}), model.network, model.detector)


def _write_predictions(model: TrainedModel, prepared: Prepared, folder: Path) -> None:
    rows = np.sort(np.concatenate([prepared.split.validation, prepared.split.test]))
    names = prepared.split.names(len(prepared.events))[rows]
    write_predictions(predict_events(model, prepared.events.select(rows), names), folder / runs.PREDICTIONS)


def _first_record(config: RunConfig, prepared: Prepared) -> dict[str, Any]:
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
            "sha256": runs.file_checksums(files),
            "n_events": len(prepared.events),
            "left_out": prepared.left_out,
        },
        "split": {
            "hash": prepared.split.hash,
            **{f"n_{name}": len(getattr(prepared.split, name)) for name in NAMES},
        },
        "seed": config.train.seed,
    }


def _last_record(result: TrainingResult, module: TrainingModule) -> dict[str, Any]:
    return {
        "status": "interrupted" if result.interrupted else "finished",
        "finished": runs.now(),
        "n_epochs": result.n_epochs,
        "best_epoch": result.best_epoch,
        "monitor": result.monitor,
        "validation_score": result.best_score,
        "precision": result.precision,
        "n_parameters": sum(p.numel() for p in module.network.parameters()),
        "task_weights": module.task_weights,
    }


def _same_settings(folder: Path, config: RunConfig) -> None:
    """A resumed run goes on with the settings it began with; where its files lie may change."""
    if not (folder / runs.CONFIG).is_file():  # it ended before it had written them
        return
    before, after = (flattened(one.model_dump(mode="json")) for one in (read_run_config(folder), config))
    free = ("title", "data.files", "evaluate.", *(("detector",) if is_description(config.detector) else ()))
    for key in sorted(before.keys() | after.keys()):
        if before.get(key) != after.get(key) and not key.startswith(free):
            raise ConfigError(
                f"The run in {folder} began with {key} = {before.get(key)}, so it cannot go on with "
                f"{after.get(key)}. Give the settings it began with, or start a new run."
            )


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
    """A resumed run must see the very events it began with."""
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
