"""Train K models one by one, side by side, stacked and both, in turn, and compare. Writes RESULTS.md."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from hitlens.config import RunConfig, load_config
from hitlens.train.bundle import ONE_BY_ONE, Way
from hitlens.train.module import TrainingModule
from hitlens.train.ways import measure_ways
from hitlens.workflow.preparing import build_module, prepare, training_data
from hitlens.workflow.simulation import simulate_to_file

HERE = Path(__file__).resolve().parent

#: Network, and the recipe that trains it.
NETWORKS = {"plain_cnn (the seed's)": "cebr/seed_multiplicity", "residual_cnn": "cebr/multiplicity"}

PRECISIONS = ("bfloat16", "float32")
BATCHES = (64, 256)


@dataclass
class Row:
    """One case and what was measured of it.

    Attributes:
        ratios: by way, speed over one by one, one value a repeat.
    """

    network: str
    precision: str
    batch_size: int
    n_models: int
    ratios: dict[Way, list[float]] = field(default_factory=dict)

    def cell(self, way: Way) -> str:
        """Return median and range of a way."""
        found = self.ratios.get(way, [])
        if not found:
            return ""
        return f"{statistics.median(found):.2f} ({min(found):.2f}-{max(found):.2f})"


def ways_of(n_models: int, n_threads: int) -> tuple[Way, ...]:
    """Return the four ways: one by one, side by side, stacked, both."""
    lanes = min(n_models, n_threads)
    return tuple(
        dict.fromkeys((ONE_BY_ONE, Way(lanes, 1), Way(1, n_models), Way(lanes, max(1, n_models // lanes))))
    )


def modules_of(recipe: str, files: Sequence[str], row: Row, prepared: object) -> list[TrainingModule]:
    """Return K fresh models, one a seed."""
    found = []
    for seed in range(1, row.n_models + 1):
        settings = (f"train.seed={seed}", f"train.batch_size={row.batch_size}")
        config = config_of(recipe, files, (*settings, f"train.precision={row.precision}"))
        found.append(build_module(config, prepared, training_data(config, prepared)))  # type: ignore[arg-type]
    return found


def config_of(recipe: str, files: Sequence[str], settings: Sequence[str] = ()) -> RunConfig:
    """Return a recipe on these files."""
    listed = f"data.files=[{', '.join(map(repr, files))}]"
    config = load_config(recipe, [listed, "train.accelerator=cpu", *settings])
    if not isinstance(config, RunConfig):
        raise TypeError(f"{recipe} is no recipe of one run.")
    return config


def processor() -> str:
    """Return the name of the processor and its number of cores."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    known = ", ".join(name for name in ("avx512_bf16", "amx_bf16") if name in flags.split())
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores ({known or 'no bfloat16'})"


def results_page(rows: Sequence[Row], n_threads: int, repeats: int, load: float, minutes: float) -> str:
    """Return RESULTS.md."""
    lines = [
        "# Several models at once, beside one by one",
        "",
        f"Training steps (augmentation, forward, backward, optimiser) of K models, {n_threads} numerical "
        "threads in all. Each number is the speed over that of the same models one by one with all threads: "
        f"the median of {repeats} repeats and their range, each itself a median of rounds in which all ways "
        "take turns.",
        "",
        f"| network | precision | batch | K | {n_threads} side by side, one thread each | K stacked "
        f"| {n_threads} side by side, each K/{n_threads} stacked |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        _, *others = ways_of(row.n_models, n_threads)
        beside, stacked = Way(min(row.n_models, n_threads), 1), Way(1, row.n_models)
        both = next((way for way in others if way not in (beside, stacked)), None)
        cells = [row.cell(beside), row.cell(stacked), row.cell(both) if both else ""]
        case = f"| {row.network} | {row.precision} | {row.batch_size} | {row.n_models} "
        lines.append(f"{case}| {' | '.join(cells)} |")
    lines += [
        "",
        f"Machine: {processor()}. Python {platform.python_version()}, torch {torch.__version__}. "
        f"Load average during the run: {load:.1f} on {os.cpu_count()} cores; the more others use, the more "
        "does one model on all threads lose, whose threads wait for each other. "
        f"It took {minutes:.0f} minutes. "
        "Made by `benchmarks/many_models/run.sh`.",
        "",
        "There is no column for a GPU: none was at hand.",
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--budget", type=float, default=2.0, help="seconds of each measurement")
    options = parser.parse_args()

    n_threads = torch.get_num_threads()
    rows = [
        Row(network, precision, batch_size, n_models)
        for network in NETWORKS
        for precision in PRECISIONS
        for batch_size in BATCHES
        for n_models in options.models
    ]
    started, loads = time.perf_counter(), []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "cebr.h5"
        simulate_to_file(data, "cebr", options.events)
        prepared = {network: prepare(config_of(recipe, [str(data)])) for network, recipe in NETWORKS.items()}
        for repeat in range(options.repeats):
            for row in rows:
                base = prepared[row.network]
                modules = modules_of(NETWORKS[row.network], [str(data)], row, base)
                resident = training_data(base.config, base)
                ways = ways_of(row.n_models, n_threads)
                found = measure_ways(modules, resident, base.split.train, ways, options.budget)  # type: ignore[arg-type]
                for way, ratio in found.items():
                    row.ratios.setdefault(way, []).append(ratio)
                loads.append(os.getloadavg()[0])
                shown = ", ".join(f"{way.name} {ratio:.2f}" for way, ratio in found.items())
                print(repeat, row.network, row.precision, row.batch_size, row.n_models, shown, flush=True)
                minutes = (time.perf_counter() - started) / 60
                measured = [one for one in rows if one.ratios]
                page = results_page(measured, n_threads, repeat + 1, statistics.median(loads), minutes)
                (HERE / "RESULTS.md").write_text(page, encoding="utf-8")
    print(page)


if __name__ == "__main__":
    main()
