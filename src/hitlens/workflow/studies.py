"""A study: several trainings that differ in named settings, compared on the same events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hitlens.config import RunConfig, StudyConfig, dump_config, load_config
from hitlens.datasets.pixels import view_pixels
from hitlens.datasets.regions import region_of
from hitlens.datasets.transforms import PixelSource, blocks_of
from hitlens.detectors import get_detector
from hitlens.errors import ConfigError, HitlensError, InterruptedRunError, RunError
from hitlens.evaluate.results import Histogram, Reading, TaskResult
from hitlens.evaluate.study import (
    StudyResults,
    VariantResult,
    chosen_slices,
    evaluate_variants,
    read_study,
    write_study,
)
from hitlens.events import Events
from hitlens.io.atomic import written_whole
from hitlens.io.ownership import owned
from hitlens.models.preprocessing import Preprocessing
from hitlens.models.trained import read_card
from hitlens.report.render import write_whole
from hitlens.report.study_page import render_study
from hitlens.settings import flattened
from hitlens.train.scores import monitored
from hitlens.workflow import runs
from hitlens.workflow.folders import check_folder, clear_folder
from hitlens.workflow.origins import (
    check_models,
    models_of,
    note_readings,
    read_run_predictions,
    readings_of,
)
from hitlens.workflow.preparing import Prepared, prepare
from hitlens.workflow.readings import now
from hitlens.workflow.run_events import locate_run_files, read_run_config
from hitlens.workflow.together import Job, train_together
from hitlens.workflow.variants import as_text, machine_facts, variant_result

SETTINGS, RESULTS, PAGE = "study.yaml", "study.json", "study.html"

#: Bins of a histogram of the network's input.
_N_BINS = 80

#: What all variants must share, or they could not be compared event by event.
_SHARED = ("detector", "task", "data", "split", "evaluate")


def train_study(
    config: StudyConfig, folder: Path, *, resume: bool = False, force: bool = False, progress: bool = True
) -> Path:
    """Train every variant of a study into a folder of its own, and compare them.

    All variants have the same events and split; variants of one architecture and seed start from the same
    weights. They are trained one after the other, or at once as the
    settings allow. They are compared on the split the
    settings name. The folder gets ``study.yaml``, a run folder for each variant, ``study.json`` and
    ``study.html``.

    Args:
        config: the settings.
        folder: study folder.
        resume: keep the finished variants, continue an interrupted one, train the rest.
        force: throw away what the folder holds.
        progress: show a bar.

    Returns:
        Path of the page.

    Raises:
        RunError: the folder holds another study or something else, there is nothing to resume, or Ctrl-C
            ended a variant.
        ConfigError: the variants cannot be compared, or a study is to be resumed with other settings.
    """
    folder = Path(folder)
    variants = config.run_configs()
    _check_variants(variants)
    chosen_slices(get_detector(config.base.detector), config.slices)
    with owned(folder, is_folder=True):
        _open_study(config, folder, resume=resume, force=force)
        for group in _by_events(variants):
            _train_variants({name: variants[name] for name in group}, folder, config.together, progress)
        return compare_study(folder)


def compare_study(folder: Path) -> Path:
    """Write study.json and study.html of a study whose variants are all trained.

    Where the study is of the test split, each comparison is a reading of it: the page lists them, and each
    variant's record notes it.

    Args:
        folder: study folder.

    Returns:
        Path of the page.

    Raises:
        RunError: it is no study, or a variant is not finished.
    """
    config = read_study_config(folder)
    variants = config.run_configs()
    records = {name: runs.read_provenance(folder / name) for name in variants}
    for name, record in records.items():
        if record.get("status") != "finished":
            raise RunError(f"Variant '{name}' of {folder} is not finished. Continue the study with --resume.")
    splits = {record["split"]["hash"] for record in records.values()}
    if len(splits) > 1:
        raise RunError(f"The variants of {folder} have different splits. Train the study again with --force.")
    first_folder = folder / next(iter(variants))
    first = read_run_config(first_folder)
    prepared = prepare(first, locate_run_files(first_folder, first))
    if {prepared.split.hash} != splits:
        raise RunError(f"The events of {folder} are split otherwise now. Train the study again with --force.")
    found = evaluate_variants(
        {name: read_run_predictions(folder / name) for name in variants},
        prepared.detector,
        first.evaluate,
        config.split,
        config.slices,
    )
    readings = _readings(config, folder, list(variants))
    differing = differing_settings(variants)
    results = [
        _variant_result(name, folder / name, differing[name], found[name], prepared) for name in variants
    ]
    study = replace(
        _study_results(config, folder, prepared, found, tuple(results), records), readings=readings
    )
    write_study(study, folder / RESULTS)
    return write_whole(folder / PAGE, render_study(study))


def write_study_page(folder: Path) -> Path:
    """Write study.html of a study again, from study.json; return its path.

    Raises:
        RunError: a variant was trained again since.
        NotFoundError: the study is not over.
    """
    study = read_study(folder / RESULTS)
    check_models(folder, study.made_from, (RESULTS, PAGE), f"hitlens train {folder / SETTINGS} --resume")
    return write_whole(folder / PAGE, render_study(study))


def read_study_config(folder: Path) -> StudyConfig:
    """Return the settings of a study.

    Raises:
        RunError: the folder holds no study.
    """
    path = folder / SETTINGS
    config = load_config(path) if path.is_file() else None
    if not isinstance(config, StudyConfig):
        raise RunError(f"{folder} is not a study of hitlens: it has no {SETTINGS}.")
    return config


def differing_settings(variants: Mapping[str, RunConfig]) -> dict[str, dict[str, str]]:
    """Return for each variant, as text, the settings that are not the same in all of them.

    Examples:
        >>> one = RunConfig(detector="cebr", task="joint")
        >>> other = one.model_copy(update={"train": one.train.model_copy(update={"epochs": 5})})
        >>> differing_settings({"long": one, "short": other})
        {'long': {'train.epochs': '30'}, 'short': {'train.epochs': '5'}}
    """
    flat = {
        name: {key: as_text(value) for key, value in flattened(variant.model_dump(mode="json")).items()}
        for name, variant in variants.items()
    }
    keys = list(dict.fromkeys(key for settings in flat.values() for key in settings))
    differ = [key for key in keys if len({settings.get(key, "default") for settings in flat.values()}) > 1]
    return {name: {key: settings.get(key, "default") for key in differ} for name, settings in flat.items()}


def input_histogram(view: str, preprocessing: Preprocessing, prepared: Prepared) -> Histogram:
    """Return how often each scaled pixel value occurs in the training events, one series a channel.

    Args:
        view: name of the view.
        preprocessing: its channels and its region.
        prepared: with the training split.
    """
    scalings, regions, rows = preprocessing.scalings[view], preprocessing.regions, prepared.split.train
    shown = prepared.detector.view(view)
    pixels: PixelSource = (
        view_pixels(prepared.events.images[view], shown, region_of(regions, view))
        if isinstance(prepared.events, Events)
        else prepared.events.pixels(shown, region_of(regions, view))
    )
    low = min(scaling(block).min().item() for block in blocks_of(pixels, rows) for scaling in scalings)
    high = max(scaling(block).max().item() for block in blocks_of(pixels, rows) for scaling in scalings)
    edges = np.linspace(low, high if high > low else low + 1, _N_BINS + 1)
    counts = {scaling.curve: np.zeros(_N_BINS, dtype=np.int64) for scaling in scalings}
    for block in blocks_of(pixels, rows):
        for scaling in scalings:
            counts[scaling.curve] += np.histogram(scaling(block).numpy(), edges)[0]
    return Histogram(
        view,
        "scaled pixel value",
        tuple(round(float(edge), 9) for edge in edges),
        {curve: tuple(int(n) for n in numbers) for curve, numbers in counts.items()},
    )


def _check_variants(variants: Mapping[str, RunConfig]) -> None:
    first_name, first = next(iter(variants.items()))
    for name, variant in variants.items():
        if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name) or name in (SETTINGS, RESULTS, PAGE):
            raise ConfigError(
                f"A variant's name must be of letters, digits, '_', '.', '+' and '-', for it names a folder. "
                f"Got '{name}'."
            )
        for part in _SHARED:
            if getattr(variant, part) != getattr(first, part):
                raise ConfigError(
                    f"Variants '{first_name}' and '{name}' differ in {part}, so they cannot be compared "
                    f"event by event. Variants of a study share {', '.join(_SHARED)}."
                )


def _open_study(config: StudyConfig, folder: Path, *, resume: bool, force: bool) -> None:
    check_folder(folder, "study", SETTINGS, resume=resume, force=force)
    if resume:
        if read_study_config(folder) != config:
            raise ConfigError(
                f"The study in {folder} began with other settings (see {SETTINGS} there). Resume it with "
                "those, or start a new one."
            )
        return
    clear_folder(folder)
    with written_whole(folder / SETTINGS) as partial:
        partial.write_text(dump_config(config), encoding="utf-8")


def _by_events(variants: Mapping[str, RunConfig]) -> list[list[str]]:
    """Names of variants that learn from the same events, in order."""
    groups: dict[str, list[str]] = {}
    for name, one in variants.items():
        groups.setdefault(repr((one.train.selection, one.train.mix)), []).append(name)
    return list(groups.values())


def _train_variants(variants: Mapping[str, RunConfig], folder: Path, at_once: int, progress: bool) -> None:
    """Train variants of the same events; finished ones are kept."""
    jobs = {
        name: Job(variant, folder / name, resume=(folder / name / runs.PROVENANCE).is_file())
        for name, variant in variants.items()
        if not runs.is_finished(folder / name)
    }
    outcomes = train_together(list(jobs.values()), progress=progress, at_once=at_once) if jobs else []
    errors = [one for one in outcomes if isinstance(one, HitlensError)]
    if problem := next((one for one in errors if not isinstance(one, InterruptedRunError)), None):
        raise problem
    ended = [isinstance(one, HitlensError) or one.interrupted for one in outcomes]
    if any(ended):
        name = list(jobs)[ended.index(True)]
        n_trained = len(variants) - sum(ended)
        raise InterruptedRunError(
            f"The study was interrupted in variant '{name}': {n_trained} of {len(variants)} are trained, and "
            "the complete epochs of the others are kept. --resume continues it."
        )


def _variant_result(
    name: str, folder: Path, settings: dict[str, str], heads: tuple[TaskResult, ...], prepared: Prepared
) -> VariantResult:
    card = read_card(folder / runs.MODEL)
    return variant_result(
        name,
        folder,
        settings,
        heads,
        higher_is_better=monitored(prepared.heads, read_run_config(folder).train.monitor)[1] == "max",
        inputs=tuple(
            input_histogram(view, card.preprocessing, prepared) for view in card.preprocessing.scalings
        ),
    )


def _readings(config: StudyConfig, folder: Path, names: list[str]) -> tuple[Reading, ...]:
    """Note this comparison in the variants' records, and return all readings of its split, each once."""
    this = Reading(now(), config.split, config.base.evaluate.cut, "study")
    if config.split == "test":
        for name, model in models_of(folder, names).items():
            note_readings(folder / name, [replace(this, model=model)])
    found = [one for name in names for one in readings_of(folder / name) if one.split == config.split]
    times = {(one.when, one.by): replace(one, model="") for one in [*found, this]}
    return tuple(sorted(times.values(), key=lambda one: one.when))


def _study_results(
    config: StudyConfig,
    folder: Path,
    prepared: Prepared,
    found: Mapping[str, tuple[TaskResult, ...]],
    variants: tuple[VariantResult, ...],
    records: Mapping[str, Mapping[str, Any]],
) -> StudyResults:
    first = next(iter(found))
    monitor, mode = monitored(prepared.heads, config.base.train.monitor)
    return StudyResults(
        title=config.title,
        question=config.question,
        detector=prepared.detector.name,
        task=prepared.task.name,
        monitor=monitor,
        higher_is_better=mode == "max",
        n_events_by_split={
            name: records[first]["split"][f"n_{name}"] for name in ("train", "validation", "test")
        },
        split_hash=prepared.split.hash,
        level=config.base.evaluate.level,
        n_bootstrap=config.base.evaluate.n_bootstrap,
        constants={head.task: head.baseline("constant").metrics for head in found[first] if head.n_events},
        variants=variants,
        machine=machine_facts(list(records.values())),
        settings=dump_config(config.base),
        split=config.split,
        made_from=models_of(folder, found),
    )
